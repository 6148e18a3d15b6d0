//! What expressions compute with: JSON as it lies in an object, and what is made of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde_json::Value as Json;

use super::EvaluationError;
use super::access::Access;
use super::functions::network::Cidr;
use super::functions::time;
use super::functions::url::Url;
use super::meter::Meter;
use super::{Parsed, Shape, Type};
use crate::quantity::Quantity;

/// What an evaluation comes to.
pub(super) type Evaluated<'a> = Result<Value<'a>, EvaluationError>;

/// A value. What comes from an object is looked at where it lies.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
    Bytes(Rc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    Type(&'static str),
    Optional(Option<Rc<Value<'a>>>),
    Quantity(Quantity),
    Url(Rc<Url>),
    Ip(IpAddr),
    Cidr(Cidr),
    Semver(Rc<Version>),
    /// What users may do, or how far the question is.
    Access(Rc<Access<'a>>),
    /// The definitions of an evaluation: each is computed when its field is selected.
    Definitions,
}

#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Rc<str>),
}

#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    Json(&'a [Json], Option<&'a dyn Shape>),
    Made(Rc<[Value<'a>]>),
}

#[derive(Clone, Debug)]
pub(super) enum Map<'a> {
    Json(&'a serde_json::Map<String, Json>, Option<&'a dyn Shape>),
    Made(Rc<BTreeMap<Key<'a>, Value<'a>>>),
}

/// A map's key. Whole numbers are one sort of key, however they are written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Bool(bool),
    Int(i64),
    /// Beyond the integers.
    Uint(u64),
    String(Text<'a>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Text<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Text<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Text<'_>) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            List::Json(items, _) => items.len(),
            List::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items, shape) => items.get(index).map(|item| Value::of(item, shape.and_then(Shape::items))),
            List::Made(items) => items.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'a>> + ExactSizeIterator {
        (0..self.len()).map(|index| self.get(index).expect("invariant: the index is below the length"))
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Map::Json(fields, _) => fields.len(),
            Map::Made(entries) => entries.len(),
        }
    }

    pub(super) fn get(&self, key: &Key<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Map::Json(fields, shape), Key::String(name)) => {
                fields.get(&**name).map(|value| Value::of(value, shape.and_then(|shape| shape.field(name))))
            }
            (Map::Json(..), _) => None,
            (Map::Made(entries), key) => entries.get(key).cloned(),
        }
    }

    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = (Key<'a>, Value<'a>)> + '_> {
        match self {
            Map::Json(fields, shape) => Box::new(fields.iter().map(|(name, value)| {
                let shape = shape.and_then(|shape| shape.field(name));
                (Key::String(Text::Borrowed(name)), Value::of(value, shape))
            })),
            Map::Made(entries) => Box::new(entries.iter().map(|(key, value)| (key.clone(), value.clone()))),
        }
    }
}

impl<'a> Key<'a> {
    pub(super) fn of(value: &Value<'a>) -> Result<Key<'a>, EvaluationError> {
        Ok(match value {
            Value::Bool(bool) => Key::Bool(*bool),
            Value::Int(number) => Key::Int(*number),
            Value::Uint(number) => i64::try_from(*number).map_or(Key::Uint(*number), Key::Int),
            Value::Double(number) => whole(*number).map(Key::Int).ok_or_else(|| no_such_key(value))?,
            Value::String(text) => Key::String(text.clone()),
            other => return Err(EvaluationError::failed(format!("unsupported key type '{}'", other.type_name()))),
        })
    }

    pub(super) fn value(self) -> Value<'a> {
        match self {
            Key::Bool(bool) => Value::Bool(bool),
            Key::Int(number) => Value::Int(number),
            Key::Uint(number) => Value::Uint(number),
            Key::String(text) => Value::String(text),
        }
    }
}

pub(super) fn no_such_key(key: &Value<'_>) -> EvaluationError {
    EvaluationError::NoSuchKey(key.to_string())
}

/// The integer that a number is.
#[expect(clippy::cast_possible_truncation, reason = "checked to be an integer within range")]
pub(super) fn whole(number: f64) -> Option<i64> {
    let is_within = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    (is_within && number.fract() == 0.0).then_some(number as i64)
}

impl<'a> Value<'a> {
    /// What some JSON is. Where nothing describes it, a number that is written as an integer is one, and any other a double.
    pub(super) fn of(json: &'a Json, shape: Option<&'a dyn Shape>) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::String(text) => match shape.and_then(|shape| shape.parse(text)) {
                Some(Parsed::Timestamp(moment)) => Value::Timestamp(moment),
                Some(Parsed::Duration(duration)) => Value::Duration(duration),
                Some(Parsed::Bytes(bytes)) => Value::Bytes(bytes.into()),
                None => Value::String(Text::Borrowed(text)),
            },
            Json::Number(number) if shape.is_some_and(|shape| shape.value_type() == Type::Double) => {
                Value::Double(number.as_f64().unwrap_or(f64::NAN))
            }
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Value::Int(number),
                (None, Some(number)) => Value::Uint(number),
                (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::Array(items) => Value::List(List::Json(items, shape)),
            Json::Object(fields) => Value::Map(Map::Json(fields, shape)),
        }
    }

    pub(super) fn text(text: impl Into<Rc<str>>) -> Value<'a> {
        Value::String(Text::Shared(text.into()))
    }

    pub(super) fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::Made(items.into()))
    }

    pub(super) fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Rc::new(value)))
    }

    /// The name of its type, as `type(…)` prints it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) | Value::Definitions => "map",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Type(_) => "type",
            Value::Optional(_) => "optional_type",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Url(_) => "kubernetes.URL",
            Value::Ip(_) => "net.IP",
            Value::Cidr(_) => "net.CIDR",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Access(access) => access.type_name(),
        }
    }

    /// As JSON, for whoever asked for the evaluation. What is there several times is charged, as it is printed, several times.
    pub(super) fn to_json(&self, meter: &Meter<'_>) -> Result<Json, EvaluationError> {
        meter.charge(1)?;
        Ok(match self {
            Value::Null | Value::Optional(None) => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Int(number) => Json::from(*number),
            Value::Uint(number) => Json::from(*number),
            Value::Double(number) => Json::from(*number),
            Value::Optional(Some(value)) => value.to_json(meter)?,
            Value::List(items) => Json::Array(items.iter().map(|item| item.to_json(meter)).collect::<Result<_, _>>()?),
            Value::Map(entries) => {
                let fields = entries.iter().map(|(key, value)| Ok((key.value().to_string(), value.to_json(meter)?)));
                Json::Object(fields.collect::<Result<_, EvaluationError>>()?)
            }
            other => {
                let text = other.to_string();
                meter.charge_bytes(text.len())?;
                Json::String(text)
            }
        })
    }

    /// Whether two values are equal. Numbers are, whatever their types; values of other types that differ are not.
    pub(super) fn equals(&self, other: &Value<'_>, meter: &Meter<'_>) -> Result<bool, EvaluationError> {
        meter.charge(1)?;
        Ok(match (self, other) {
            (Value::Null, Value::Null) | (Value::Optional(None), Value::Optional(None)) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::String(left), Value::String(right)) => {
                meter.charge_bytes(left.len().min(right.len()))?;
                left == right
            }
            (Value::Bytes(left), Value::Bytes(right)) => {
                meter.charge_bytes(left.len().min(right.len()))?;
                left == right
            }
            (Value::List(left), Value::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right.iter()) {
                    if !left.equals(&right, meter)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(left), Value::Map(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (key, left) in left.iter() {
                    match right.get(&key) {
                        Some(right) if left.equals(&right, meter)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (Value::Optional(Some(left)), Value::Optional(Some(right))) => left.equals(right, meter)?,
            (Value::Type(left), Value::Type(right)) => left == right,
            (Value::Quantity(left), Value::Quantity(right)) => left == right,
            (Value::Url(left), Value::Url(right)) => left == right,
            (Value::Ip(left), Value::Ip(right)) => left == right,
            (Value::Cidr(left), Value::Cidr(right)) => left == right,
            (Value::Semver(left), Value::Semver(right)) => left.cmp_precedence(right).is_eq(),
            (left, right) => left.compare(right) == Some(Ordering::Equal),
        })
    }

    /// How two values are ordered, where values of their types are.
    pub(super) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
            (Value::String(left), Value::String(right)) => Some((**left).cmp(&**right)),
            (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
            (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
            (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
            (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
            (Value::Double(left), right) => right.compare_to_double(*left).map(Ordering::reverse),
            (left, Value::Double(right)) => left.compare_to_double(*right),
            (left, right) => Some(left.integer()?.cmp(&right.integer()?)),
        }
    }

    fn integer(&self) -> Option<i128> {
        match self {
            Value::Int(number) => Some((*number).into()),
            Value::Uint(number) => Some((*number).into()),
            _ => None,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "beyond the range of integers it is cut, and still the larger")]
    fn compare_to_double(&self, double: f64) -> Option<Ordering> {
        let integer = self.integer()?;
        if double.is_nan() {
            return None;
        }
        let floor = double.floor();
        let order = integer.cmp(&(floor as i128));
        Some(if order.is_eq() && double > floor { Ordering::Less } else { order })
    }
}

/// As `string(…)` prints it; of lists and maps only the type.
impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null | Value::Optional(None) => formatter.write_str("null"),
            Value::Bool(bool) => write!(formatter, "{bool}"),
            Value::Int(number) => write!(formatter, "{number}"),
            Value::Uint(number) => write!(formatter, "{number}"),
            Value::Double(number) => formatter.write_str(&print_double(*number)),
            Value::String(text) => formatter.write_str(text),
            Value::Bytes(bytes) => formatter.write_str(&STANDARD.encode(bytes)),
            Value::Timestamp(timestamp) => write!(formatter, "{timestamp}"),
            Value::Duration(duration) => formatter.write_str(&time::print_seconds(*duration)),
            Value::Type(name) => formatter.write_str(name),
            Value::Optional(Some(value)) => write!(formatter, "{value}"),
            Value::Quantity(quantity) => write!(formatter, "{quantity}"),
            Value::Url(url) => write!(formatter, "{url}"),
            Value::Ip(address) => write!(formatter, "{address}"),
            Value::Cidr(block) => write!(formatter, "{block}"),
            Value::Semver(version) => write!(formatter, "{version}"),
            Value::List(_) | Value::Map(_) | Value::Access(_) | Value::Definitions => {
                formatter.write_str(self.type_name())
            }
        }
    }
}

fn print_double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        // As Go prints it: a sign and two digits at least.
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    number.to_string()
}
