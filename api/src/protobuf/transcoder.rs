//! A message to a JSON object, led by the table for names and by the schema for types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::error::{Problem, ProtobufError};
use super::special::is_special;
use super::table::{self, Field, Fields};
use super::wire::{Reader, Wire};
use crate::decode::DEPTH_MAX;
use crate::schema::{Definition, Shape};

/// Counts what was written, so that a short body can't become a long object.
pub(super) struct Transcoder {
    bytes_left: usize,
}

impl Transcoder {
    pub(super) fn new(json_bytes_max: usize) -> Transcoder {
        Transcoder { bytes_left: json_bytes_max }
    }

    /// Adds the fields of a whole object.
    pub(super) fn object(
        &mut self,
        bytes: &[u8],
        definition: &'static Definition,
        object: &mut Map<String, Value>,
    ) -> Result<(), ProtobufError> {
        self.message(bytes, definition, object, 1)
    }

    /// Takes up to `bytes` of what the object may still grow.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), ProtobufError> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Problem::TooLarge)?;
        Ok(())
    }

    /// Adds a message's fields to an object. What is there twice is merged, as protobuf demands.
    pub(super) fn message(
        &mut self,
        bytes: &[u8],
        definition: &'static Definition,
        object: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), ProtobufError> {
        check_depth(depth)?;
        let fields = table::message(definition.name).expect("invariant: the table is closed");
        self.fields(bytes, fields, definition, object, depth)
    }

    fn fields(
        &mut self,
        bytes: &[u8],
        fields: &'static Fields,
        definition: &'static Definition,
        object: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), ProtobufError> {
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match fields.get(&number) {
                None => {}
                Some(Field::Inlined(fields)) => self.fields(wire.bytes()?, fields, definition, object, depth)?,
                Some(Field::Named { name, keeps_zero }) => {
                    let shape = &definition.field(name).expect("invariant: the table is checked").shape;
                    let before = object.remove(*name);
                    let value = self.field(shape, wire, before, depth).map_err(|error| error.within(name))?;
                    if *keeps_zero || !is_zero(shape, &value) {
                        self.spend(name.len() + "\"\":,".len())?;
                        object.insert((*name).to_owned(), value);
                    }
                }
            }
        }
        Ok(())
    }

    /// A field's value, completed by what comes now: the rest of a message, an item of a list, an entry of a map.
    fn field(
        &mut self,
        shape: &Shape,
        wire: Wire<'_>,
        before: Option<Value>,
        depth: usize,
    ) -> Result<Value, ProtobufError> {
        match (shape, before) {
            (Shape::List(item), before) => {
                let mut items = match before {
                    Some(Value::Array(items)) => items,
                    _ => Vec::new(),
                };
                check_depth(depth + 1)?;
                let result = self.items(item, wire, &mut items, depth + 1);
                result.map_err(|error| error.within(&format!("[{}]", items.len())))?;
                Ok(Value::Array(items))
            }
            (Shape::Map(values), before) => {
                let mut entries = match before {
                    Some(Value::Object(entries)) => entries,
                    _ => Map::new(),
                };
                check_depth(depth + 1)?;
                self.entry(values, wire.bytes()?, &mut entries, depth + 1)?;
                Ok(Value::Object(entries))
            }
            (Shape::Object(reference), Some(Value::Object(mut inner))) if !is_special(reference.definition()) => {
                self.message(wire.bytes()?, reference.definition(), &mut inner, depth + 1)?;
                Ok(Value::Object(inner))
            }
            (shape, _) => self.value(shape, wire, depth),
        }
    }

    fn items(
        &mut self,
        shape: &Shape,
        wire: Wire<'_>,
        items: &mut Vec<Value>,
        depth: usize,
    ) -> Result<(), ProtobufError> {
        let is_packed = match shape {
            Shape::Integer32 | Shape::Integer64 | Shape::Boolean | Shape::Number => matches!(wire, Wire::Bytes(_)),
            _ => false,
        };
        if !is_packed {
            items.push(self.value(shape, wire, depth)?);
            return Ok(());
        }
        let mut packed = Reader::new(wire.bytes()?);
        while !packed.is_at_end() {
            let wire = match shape {
                Shape::Number => Wire::Fixed64(packed.fixed64()?),
                _ => Wire::Varint(packed.varint()?),
            };
            items.push(self.value(shape, wire, depth)?);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        shape: &Shape,
        bytes: &[u8],
        entries: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), ProtobufError> {
        let (mut key, mut value) = ("", None);
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match number {
                1 => key = wire.text()?,
                2 => value = Some(wire),
                _ => {}
            }
        }
        // Left out, a value is its type's zero.
        let value = value.unwrap_or(match shape {
            Shape::Integer32 | Shape::Integer64 | Shape::Boolean => Wire::Varint(0),
            Shape::Number => Wire::Fixed64(0),
            _ => Wire::Bytes(&[]),
        });
        let value = match shape {
            Shape::List(item) => self.wrapped_list(item, value, depth),
            _ => self.value(shape, value, depth),
        };
        let value = value.map_err(|error| error.within(key))?;
        self.spend(key.len() + "\"\":,".len())?;
        entries.insert(key.to_owned(), value);
        Ok(())
    }

    /// A map's value can't be a list on the wire: it's a message whose only field is the list.
    fn wrapped_list(&mut self, item: &Shape, wire: Wire<'_>, depth: usize) -> Result<Value, ProtobufError> {
        let mut items = Vec::new();
        check_depth(depth + 1)?;
        let mut reader = Reader::new(wire.bytes()?);
        while let Some((number, wire)) = reader.next()? {
            if number == 1 {
                let result = self.items(item, wire, &mut items, depth + 1);
                result.map_err(|error| error.within(&format!("[{}]", items.len())))?;
            }
        }
        Ok(Value::Array(items))
    }

    /// One value by itself. `depth` is how many objects and lists are around it.
    pub(super) fn value(&mut self, shape: &Shape, wire: Wire<'_>, depth: usize) -> Result<Value, ProtobufError> {
        Ok(match shape {
            Shape::String => self.string(wire.text()?)?,
            Shape::Bytes => {
                let bytes = wire.bytes()?;
                self.spend(bytes.len().div_ceil(3) * 4 + "\"\",".len())?;
                STANDARD.encode(bytes).into()
            }
            Shape::Integer32 => {
                self.spend("0,".len())?;
                integer32(wire)?.into()
            }
            Shape::Integer64 => {
                self.spend("0,".len())?;
                wire.varint()?.cast_signed().into()
            }
            Shape::Boolean => {
                self.spend("true,".len())?;
                (wire.varint()? != 0).into()
            }
            Shape::Number => {
                self.spend("0,".len())?;
                number(f64::from_bits(wire.fixed64()?))?
            }
            Shape::Time => self.time(wire.bytes()?)?,
            Shape::MicroTime => self.micro_time(wire.bytes()?)?,
            Shape::IntOrString => self.int_or_string(wire.bytes()?)?,
            Shape::Quantity => self.quantity(wire.bytes()?)?,
            Shape::Any => self.raw_json(wire.bytes()?, depth)?,
            Shape::Object(reference) if is_special(reference.definition()) => {
                self.special(reference.definition(), wire.bytes()?, depth)?
            }
            Shape::Object(reference) => {
                self.spend("{},".len())?;
                let mut inner = Map::new();
                self.message(wire.bytes()?, reference.definition(), &mut inner, depth + 1)?;
                Value::Object(inner)
            }
            Shape::List(_) | Shape::Map(_) => unreachable!("no message has lists of lists, or maps of maps"),
        })
    }

    pub(super) fn string(&mut self, text: &str) -> Result<Value, ProtobufError> {
        self.spend(text.len() + "\"\",".len())?;
        Ok(text.into())
    }
}

/// Refuses an object or list that `depth - 1` others are around.
pub(super) fn check_depth(depth: usize) -> Result<(), ProtobufError> {
    if depth > DEPTH_MAX { Err(Problem::TooDeep.into()) } else { Ok(()) }
}

pub(super) fn integer32(wire: Wire<'_>) -> Result<i32, ProtobufError> {
    let number = wire.varint()?.cast_signed();
    i32::try_from(number).map_err(|_| Problem::Integer32(number).into())
}

/// A number as Go's JSON writes it: a whole one without a fraction.
fn number(number: f64) -> Result<Value, ProtobufError> {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        return Ok((number as i64).into());
    }
    Ok(Value::Number(Number::from_f64(number).ok_or_else(|| Problem::Number(number.to_string()))?))
}

/// Whether Go's JSON would leave the value out, were the field marked so.
fn is_zero(shape: &Shape, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty() || (*shape == Shape::Quantity && text == "0"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
