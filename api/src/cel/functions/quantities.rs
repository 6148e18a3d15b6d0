//! Quantities of resources, `quantity("1.5Gi")`; comparisons are those of semantic versions, too.

use std::cmp::Ordering;

use super::{Context, Function, global, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Value};
use crate::quantity::Quantity;

pub(super) const FUNCTIONS: &[Function] = &[
    global("isQuantity", 1..=1, Type::Bool, |_, arguments| match &arguments[0] {
        Value::String(text) => Ok(Value::Bool(Quantity::parse(text).is_ok())),
        _ => Err(mismatch("isQuantity", arguments)),
    }),
    global("quantity", 1..=1, Type::Quantity, |_, arguments| match &arguments[0] {
        Value::String(text) => {
            Quantity::parse(text).map(Value::Quantity).map_err(|error| EvaluationError::failed(error.to_string()))
        }
        _ => Err(mismatch("quantity", arguments)),
    }),
    member("add", 2..=2, Type::Quantity, |_, arguments| combine("add", arguments, Quantity::plus)),
    member("asApproximateFloat", 1..=1, Type::Double, |_, arguments| {
        let one = Quantity::from_units(1);
        let ratio = quantity("asApproximateFloat", arguments)?.ratio_to(one);
        Ok(Value::Double(ratio.expect("invariant: one is not zero")))
    }),
    member("asInteger", 1..=1, Type::Int, |_, arguments| match quantity("asInteger", arguments)? {
        quantity if is_whole(quantity) => Ok(Value::Int(quantity.units())),
        _ => Err(EvaluationError::failed("cannot convert value to integer")),
    }),
    member("compareTo", 2..=2, Type::Int, |_, arguments| {
        compare("compareTo", arguments).map(|order| Value::Int(order as i64))
    }),
    member("isGreaterThan", 2..=2, Type::Bool, |_, arguments| {
        compare("isGreaterThan", arguments).map(|order| Value::Bool(order.is_gt()))
    }),
    member("isInteger", 1..=1, Type::Bool, |_, arguments| {
        quantity("isInteger", arguments).map(|quantity| Value::Bool(is_whole(quantity)))
    }),
    member("isLessThan", 2..=2, Type::Bool, |_, arguments| {
        compare("isLessThan", arguments).map(|order| Value::Bool(order.is_lt()))
    }),
    member("sign", 1..=1, Type::Int, sign),
    member("sub", 2..=2, Type::Quantity, |_, arguments| combine("sub", arguments, Quantity::minus)),
];

fn quantity(name: &str, arguments: &[Value<'_>]) -> Result<Quantity, EvaluationError> {
    match &arguments[0] {
        Value::Quantity(quantity) => Ok(*quantity),
        _ => Err(mismatch(name, arguments)),
    }
}

fn is_whole(quantity: Quantity) -> bool {
    Quantity::from_units(quantity.units()) == quantity
}

fn sign<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let quantity = quantity("sign", arguments)?;
    Ok(Value::Int(quantity.cmp(&Quantity::ZERO) as i64))
}

/// Adds or subtracts a quantity or an integer.
fn combine<'a>(name: &str, arguments: &[Value<'a>], combine: fn(Quantity, Quantity) -> Quantity) -> Evaluated<'a> {
    match arguments {
        [Value::Quantity(left), Value::Quantity(right)] => Ok(Value::Quantity(combine(*left, *right))),
        [Value::Quantity(left), Value::Int(right)] => Ok(Value::Quantity(combine(*left, Quantity::from_units(*right)))),
        _ => Err(mismatch(name, arguments)),
    }
}

fn compare(name: &str, arguments: &[Value<'_>]) -> Result<Ordering, EvaluationError> {
    match arguments {
        [Value::Quantity(left), Value::Quantity(right)] => Ok(left.cmp(right)),
        [Value::Semver(left), Value::Semver(right)] => Ok(left.cmp_precedence(right)),
        _ => Err(mismatch(name, arguments)),
    }
}
