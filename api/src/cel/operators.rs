//! The operators, over values.

use jiff::{SignedDuration, Timestamp};

use super::EvaluationError;
use super::meter::Meter;
use super::syntax::Operator;
use super::value::{Evaluated, Key, Value};

pub(super) fn no_such_overload(name: &str, operands: &[&Value<'_>]) -> EvaluationError {
    let types: Vec<&str> = operands.iter().map(|operand| operand.type_name()).collect();
    EvaluationError::NoSuchOverload(format!("{name} applied to ({})", types.join(", ")))
}

/// The truth value that it must be.
pub(super) fn bool(value: &Value<'_>) -> Result<bool, EvaluationError> {
    match value {
        Value::Bool(bool) => Ok(*bool),
        other => Err(EvaluationError::NoSuchOverload(format!("got '{}', expected bool", other.type_name()))),
    }
}

/// What an optional value is.
pub(super) fn optional(value: Value<'_>) -> Result<Option<Value<'_>>, EvaluationError> {
    match value {
        Value::Optional(value) => Ok(value.map(|value| (*value).clone())),
        other => {
            Err(EvaluationError::failed(format!("cannot initialize optional entry from non-optional value {other}")))
        }
    }
}

pub(super) fn negate<'a>(value: &Value<'a>) -> Evaluated<'a> {
    match value {
        Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(overflow),
        Value::Double(number) => Ok(Value::Double(-number)),
        other => Err(no_such_overload("-", &[other])),
    }
}

pub(super) fn binary<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>, meter: &Meter<'_>) -> Evaluated<'a> {
    match operator {
        Operator::Equal => left.equals(right, meter).map(Value::Bool),
        Operator::NotEqual => left.equals(right, meter).map(|is_equal| Value::Bool(!is_equal)),
        Operator::In => contains(left, right, meter).map(Value::Bool),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            compare(operator, left, right, meter).map(Value::Bool)
        }
        _ => arithmetic(operator, left, right, meter),
    }
}

fn contains(value: &Value<'_>, range: &Value<'_>, meter: &Meter<'_>) -> Result<bool, EvaluationError> {
    match range {
        Value::List(list) => {
            for element in list.iter() {
                if element.equals(value, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => Ok(Key::of(value).is_ok_and(|key| map.get(&key).is_some())),
        other => Err(no_such_overload("in", &[value, other])),
    }
}

fn compare(
    operator: Operator,
    left: &Value<'_>,
    right: &Value<'_>,
    meter: &Meter<'_>,
) -> Result<bool, EvaluationError> {
    if let (Value::String(left), Value::String(right)) = (left, right) {
        meter.charge_bytes(left.len().min(right.len()))?;
    }
    let order = left.compare(right);
    let is_nan = |value: &Value<'_>| matches!(value, Value::Double(number) if number.is_nan());
    let Some(order) = order else {
        return if is_nan(left) || is_nan(right) {
            Ok(false)
        } else {
            Err(no_such_overload(&operator.to_string(), &[left, right]))
        };
    };
    Ok(match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    })
}

pub(super) fn overflow() -> EvaluationError {
    EvaluationError::failed("integer overflow")
}

fn arithmetic<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>, meter: &Meter<'_>) -> Evaluated<'a> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            refuse_zero(operator, *right == 0)?;
            let result = match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_sub(*right),
                Operator::Multiply => left.checked_mul(*right),
                Operator::Divide => left.checked_div(*right),
                _ => left.checked_rem(*right),
            };
            result.map(Value::Int).ok_or_else(overflow)
        }
        (Value::Uint(left), Value::Uint(right)) => {
            refuse_zero(operator, *right == 0)?;
            let result = match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_sub(*right),
                Operator::Multiply => left.checked_mul(*right),
                Operator::Divide => left.checked_div(*right),
                _ => left.checked_rem(*right),
            };
            result.map(Value::Uint).ok_or_else(overflow)
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            _ => return Err(no_such_overload("%", &[left, right])),
        })),
        _ if operator == Operator::Add => add(left, right, meter),
        _ if operator == Operator::Subtract => subtract(left, right),
        _ => Err(no_such_overload(&operator.to_string(), &[left, right])),
    }
}

fn refuse_zero(operator: Operator, is_zero: bool) -> Result<(), EvaluationError> {
    match operator {
        Operator::Divide if is_zero => Err(EvaluationError::failed("division by zero")),
        Operator::Remainder if is_zero => Err(EvaluationError::failed("modulus by zero")),
        _ => Ok(()),
    }
}

fn add<'a>(left: &Value<'a>, right: &Value<'a>, meter: &Meter<'_>) -> Evaluated<'a> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            meter.charge_bytes(left.len() + right.len())?;
            Ok(Value::text([&**left, &**right].concat()))
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            meter.charge_bytes(left.len() + right.len())?;
            Ok(Value::Bytes([&**left, &**right].concat().into()))
        }
        (Value::List(left), Value::List(right)) => {
            meter.charge_count(left.len() + right.len())?;
            Ok(Value::list(left.iter().chain(right.iter()).collect()))
        }
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_add(*right).map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Timestamp(moment), Value::Duration(duration))
        | (Value::Duration(duration), Value::Timestamp(moment)) => later(*moment, *duration),
        _ => Err(no_such_overload("+", &[left, right])),
    }
}

fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Evaluated<'a> {
    match (left, right) {
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_sub(*right).map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Timestamp(left), Value::Timestamp(right)) => Ok(Value::Duration(left.duration_since(*right))),
        (Value::Timestamp(moment), Value::Duration(duration)) => {
            later(*moment, duration.checked_neg().ok_or_else(overflow)?)
        }
        _ => Err(no_such_overload("-", &[left, right])),
    }
}

fn later<'a>(moment: Timestamp, duration: SignedDuration) -> Evaluated<'a> {
    moment.checked_add(duration).map(Value::Timestamp).map_err(|_| EvaluationError::failed("timestamp overflow"))
}
