//! Finds what an object has that its definition doesn't know, and what has another type than it should.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::{Definition, Shape, prune};
use crate::quantity::Quantity;

/// How many problems are listed: a body full of them is answered as well by the first ones.
const PROBLEMS_MAX: usize = 100;

/// One thing in an object that its definition does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `spec.template.spec.containers[0].foo`.
    pub path: String,
    /// What.
    pub kind: ProblemKind,
}

/// What is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The field is not known: ignored, warned of or refused, as the request's `fieldValidation` says.
    Unknown,
    /// There is nothing where a list or a map has a value: taken for the empty value of its type.
    Null,
    /// The value has the wrong type: always refused.
    WrongType {
        /// The Go type expected: `int32`, `[]v1.Container`.
        expected: String,
        /// The JSON type found: `string`, `number 1.5`.
        found: String,
        /// The definition the field belongs to: `DeploymentSpec`.
        owner: &'static str,
    },
    /// The value has the right type, and is malformed: always refused.
    Malformed(String),
}

impl Problem {
    /// Whether only strict requests are refused for it.
    pub fn is_unknown(&self) -> bool {
        self.kind == ProblemKind::Unknown
    }

    /// Whether every request is refused for it.
    pub fn is_refused(&self) -> bool {
        !matches!(self.kind, ProblemKind::Unknown | ProblemKind::Null)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.kind {
            ProblemKind::Unknown => write!(formatter, "unknown field {path:?}"),
            ProblemKind::Null => write!(formatter, "{path}: null"),
            ProblemKind::WrongType { expected, found, .. } if path.is_empty() => {
                write!(formatter, "json: cannot unmarshal {found} into Go value of type {expected}")
            }
            ProblemKind::WrongType { expected, found, owner } => {
                write!(
                    formatter,
                    "json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {expected}"
                )
            }
            ProblemKind::Malformed(message) => write!(formatter, "{path}: {message}"),
        }
    }
}

/// Lists what is wrong with an object, in the order of its fields; at most 100 problems. Null is allowed everywhere.
pub fn check(definition: &'static Definition, object: &Value) -> Vec<Problem> {
    let mut checker = Checker { path: Vec::with_capacity(16), problems: Vec::new(), owner: definition };
    match object {
        Value::Object(fields) => checker.object(definition, fields),
        other => checker.wrong_type(definition.go_name().to_owned(), other),
    }
    checker.problems
}

enum Segment<'a> {
    Field(&'a str),
    Index(usize),
}

struct Checker<'a> {
    path: Vec<Segment<'a>>,
    problems: Vec<Problem>,
    owner: &'static Definition,
}

impl<'a> Checker<'a> {
    fn object(&mut self, definition: &'static Definition, fields: &'a Map<String, Value>) {
        if definition.is_open() {
            return;
        }
        let owner = std::mem::replace(&mut self.owner, definition);
        for (name, value) in fields {
            self.path.push(Segment::Field(name));
            match definition.field(name) {
                Some(field) => self.value(&field.shape, value),
                None => self.add(ProblemKind::Unknown),
            }
            self.path.pop();
        }
        self.owner = owner;
    }

    fn value(&mut self, shape: &Shape, value: &'a Value) {
        match (shape, value) {
            (Shape::Any, _)
            | (_, Value::Null)
            | (Shape::String | Shape::IntOrString, Value::String(_))
            | (Shape::Boolean, Value::Bool(_))
            | (Shape::Number, Value::Number(_)) => {}
            (Shape::Integer32 | Shape::IntOrString, Value::Number(number)) if fits_i32(number) => {}
            (Shape::Integer64, Value::Number(number)) if number.is_i64() => {}
            (Shape::Object(reference), Value::Object(fields)) => {
                self.object(reference.definition().of_objects(), fields)
            }
            (Shape::Object(reference), _) if reference.definition().is_untyped => {}
            (Shape::List(inner), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Segment::Index(index));
                    self.element(inner, item);
                    self.path.pop();
                }
            }
            (Shape::Map(inner), Value::Object(fields)) => {
                for (name, item) in fields {
                    self.path.push(Segment::Field(name));
                    self.element(inner, item);
                    self.path.pop();
                }
            }
            (Shape::Quantity, Value::String(_) | Value::Number(_)) => {
                if let Err(error) = Quantity::from_value(value) {
                    self.add(ProblemKind::Malformed(error.to_string()));
                }
            }
            (Shape::Time | Shape::MicroTime, Value::String(text)) => self.time(text),
            (Shape::Bytes, Value::String(text)) => {
                if let Err(error) = STANDARD.decode(text) {
                    self.add(ProblemKind::Malformed(format!("illegal base64 data: {error}")));
                }
            }
            (shape, value) => self.wrong_type(go_type(shape), value),
        }
    }

    /// A value of a list or a map.
    fn element(&mut self, shape: &Shape, value: &'a Value) {
        match value {
            Value::Null if prune::zero(shape).is_some() => self.add(ProblemKind::Null),
            value => self.value(shape, value),
        }
    }

    fn time(&mut self, text: &str) {
        // RFC 3339 demands what jiff leaves open: the `T`, an offset, and no annotation behind it.
        let is_time =
            text.as_bytes().get(10) == Some(&b'T') && !text.ends_with(']') && text.parse::<jiff::Timestamp>().is_ok();
        if !is_time {
            let message = format!("parsing time {text:?}: not of the form \"2006-01-02T15:04:05Z07:00\"");
            self.add(ProblemKind::Malformed(message));
        }
    }

    fn wrong_type(&mut self, expected: String, value: &Value) {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if expected.starts_with("int") => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let owner = self.owner.name.rsplit('.').next().unwrap_or(self.owner.name);
        self.add(ProblemKind::WrongType { expected, found, owner });
    }

    fn add(&mut self, kind: ProblemKind) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { path: render(&self.path), kind });
        }
    }
}

fn fits_i32(number: &Number) -> bool {
    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

fn render(path: &[Segment<'_>]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Field(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn go_type(shape: &Shape) -> String {
    match shape {
        Shape::String => "string".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Integer32 => "int32".to_owned(),
        Shape::Integer64 => "int64".to_owned(),
        Shape::Number => "float64".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Time => "v1.Time".to_owned(),
        Shape::MicroTime => "v1.MicroTime".to_owned(),
        Shape::IntOrString => "intstr.IntOrString".to_owned(),
        Shape::Quantity => "resource.Quantity".to_owned(),
        Shape::Any => "interface {}".to_owned(),
        Shape::List(inner) => format!("[]{}", go_type(inner)),
        Shape::Map(inner) => format!("map[string]{}", go_type(inner)),
        Shape::Object(reference) => reference.definition().go_name().to_owned(),
    }
}
