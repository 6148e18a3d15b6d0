//! From one type to another, and what is asked of a value of any type: `int`, `string`, `type`, `size`.

use std::rc::Rc;

use super::{Context, Function, global, int, member, mismatch, time};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::operators::overflow;
use crate::cel::value::{Evaluated, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    global("bool", 1..=1, Type::Bool, to_bool),
    global("bytes", 1..=1, Type::Bytes, to_bytes),
    global("double", 1..=1, Type::Double, to_double),
    global("duration", 1..=1, Type::Duration, to_duration),
    global("dyn", 1..=1, Type::Dyn, |_, arguments| Ok(arguments[0].clone())),
    global("int", 1..=1, Type::Int, to_int),
    global("size", 1..=1, Type::Int, size),
    member("size", 1..=1, Type::Int, size),
    global("string", 1..=1, Type::String, to_text),
    global("timestamp", 1..=1, Type::Timestamp, to_timestamp),
    global("type", 1..=1, Type::Type, |_, arguments| Ok(Value::Type(arguments[0].type_name()))),
    global("uint", 1..=1, Type::Uint, to_uint),
];

fn unreadable(text: &str, wanted: &str) -> EvaluationError {
    EvaluationError::failed(format!("type conversion error from 'string' to '{wanted}': {text:?}"))
}

fn to_bool<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Bool(bool) => Ok(Value::Bool(*bool)),
        Value::String(text) => match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            other => Err(unreadable(other, "bool")),
        },
        _ => Err(mismatch("bool", arguments)),
    }
}

fn to_bytes<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Bytes(bytes) => Ok(Value::Bytes(Rc::clone(bytes))),
        Value::String(text) => {
            context.meter.charge_bytes(text.len())?;
            Ok(Value::Bytes(text.as_bytes().into()))
        }
        _ => Err(mismatch("bytes", arguments)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
fn to_double<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Double(number) => Ok(Value::Double(*number)),
        Value::Int(number) => Ok(Value::Double(*number as f64)),
        Value::Uint(number) => Ok(Value::Double(*number as f64)),
        Value::String(text) => text.parse().map(Value::Double).map_err(|_| unreadable(text, "double")),
        _ => Err(mismatch("double", arguments)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be within range; the fraction is cut off")]
fn to_int<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Int(number) => Ok(Value::Int(*number)),
        Value::Uint(number) => i64::try_from(*number).map(Value::Int).map_err(|_| overflow()),
        Value::Double(number) => {
            match -9_223_372_036_854_775_808.0 < *number && *number < 9_223_372_036_854_775_808.0 {
                true => Ok(Value::Int(*number as i64)),
                false => Err(overflow()),
            }
        }
        Value::String(text) => text.parse().map(Value::Int).map_err(|_| unreadable(text, "int")),
        Value::Timestamp(timestamp) => Ok(Value::Int(timestamp.as_second())),
        _ => Err(mismatch("int", arguments)),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within range")]
fn to_uint<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Uint(number) => Ok(Value::Uint(*number)),
        Value::Int(number) => u64::try_from(*number).map(Value::Uint).map_err(|_| overflow()),
        Value::Double(number) => match (0.0..18_446_744_073_709_551_616.0).contains(number) {
            true => Ok(Value::Uint(*number as u64)),
            false => Err(overflow()),
        },
        Value::String(text) => text.parse().map(Value::Uint).map_err(|_| unreadable(text, "uint")),
        _ => Err(mismatch("uint", arguments)),
    }
}

fn to_text<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        text @ Value::String(_) => Ok(text.clone()),
        Value::Bytes(bytes) => {
            context.meter.charge_bytes(bytes.len())?;
            let text = str::from_utf8(bytes).map_err(|_| EvaluationError::failed("invalid UTF-8 in bytes"))?;
            Ok(Value::text(text))
        }
        Value::Null | Value::List(_) | Value::Map(_) | Value::Definitions | Value::Optional(_) => {
            Err(mismatch("string", arguments))
        }
        other => Ok(Value::text(other.to_string())),
    }
}

fn to_duration<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        duration @ Value::Duration(_) => Ok(duration.clone()),
        Value::String(text) => {
            time::parse_duration(text).map(Value::Duration).ok_or_else(|| unreadable(text, "google.protobuf.Duration"))
        }
        _ => Err(mismatch("duration", arguments)),
    }
}

fn to_timestamp<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        timestamp @ Value::Timestamp(_) => Ok(timestamp.clone()),
        Value::Int(seconds) => jiff::Timestamp::from_second(*seconds)
            .map(Value::Timestamp)
            .map_err(|_| EvaluationError::failed("timestamp overflow")),
        Value::String(text) => {
            text.parse().map(Value::Timestamp).map_err(|_| unreadable(text, "google.protobuf.Timestamp"))
        }
        _ => Err(mismatch("timestamp", arguments)),
    }
}

/// The characters of a text, the bytes, elements or entries of others.
fn size<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    Ok(int(match &arguments[0] {
        Value::String(text) => {
            context.meter.charge_bytes(text.len())?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return Err(mismatch("size", arguments)),
    }))
}
