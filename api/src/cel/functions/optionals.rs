//! Values that may be none.

use super::{Context, Function, global, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    global("optional.none", 0..=0, Type::Optional, |_, _| Ok(Value::Optional(None))),
    global("optional.of", 1..=1, Type::Optional, |_, arguments| Ok(Value::some(arguments[0].clone()))),
    global("optional.ofNonZeroValue", 1..=1, Type::Optional, |_, arguments| {
        Ok(if is_zero(&arguments[0]) { Value::Optional(None) } else { Value::some(arguments[0].clone()) })
    }),
    member("hasValue", 1..=1, Type::Bool, |_, arguments| match &arguments[0] {
        Value::Optional(value) => Ok(Value::Bool(value.is_some())),
        _ => Err(mismatch("hasValue", arguments)),
    }),
    member("or", 2..=2, Type::Optional, |_, arguments| match arguments {
        [Value::Optional(None), other @ Value::Optional(_)] => Ok(other.clone()),
        [some @ Value::Optional(_), Value::Optional(_)] => Ok(some.clone()),
        _ => Err(mismatch("or", arguments)),
    }),
    member("orValue", 2..=2, Type::Dyn, |_, arguments| match arguments {
        [Value::Optional(value), other] => Ok(value.as_ref().map_or_else(|| other.clone(), |value| (**value).clone())),
        _ => Err(mismatch("orValue", arguments)),
    }),
    member("value", 1..=1, Type::Dyn, value),
];

fn value<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Optional(Some(value)) => Ok((**value).clone()),
        Value::Optional(None) => Err(EvaluationError::failed("optional.none() dereference")),
        _ => Err(mismatch("value", arguments)),
    }
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Optional(None) => true,
        Value::Bool(bool) => !bool,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        Value::Duration(duration) => duration.is_zero(),
        _ => false,
    }
}
