//! Kubernetes' functions of lists; `indexOf` and `lastIndexOf` are of strings, too.

use std::cmp::Ordering;

use super::{Context, Function, int, member, mismatch, strings};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::operators;
use crate::cel::syntax::Operator;
use crate::cel::value::{Evaluated, List, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    member("indexOf", 2..=3, Type::Int, |context, arguments| position(context, arguments, false)),
    member("isSorted", 1..=1, Type::Bool, is_sorted),
    member("lastIndexOf", 2..=3, Type::Int, |context, arguments| position(context, arguments, true)),
    member("max", 1..=1, Type::Dyn, |context, arguments| extreme(context, arguments, "max", Ordering::Greater)),
    member("min", 1..=1, Type::Dyn, |context, arguments| extreme(context, arguments, "min", Ordering::Less)),
    member("sum", 1..=1, Type::Dyn, sum),
];

/// The list, gone through at a cost.
fn list<'l, 'a>(
    context: &Context<'_>,
    name: &str,
    arguments: &'l [Value<'a>],
) -> Result<&'l List<'a>, EvaluationError> {
    let Value::List(list) = &arguments[0] else { return Err(mismatch(name, arguments)) };
    context.meter.charge_count(list.len())?;
    Ok(list)
}

fn position<'a>(context: &Context<'_>, arguments: &[Value<'a>], is_last: bool) -> Evaluated<'a> {
    let name = if is_last { "lastIndexOf" } else { "indexOf" };
    let Value::List(list) = &arguments[0] else { return strings::position(context, arguments, is_last) };
    if arguments.len() > 2 {
        return Err(mismatch(name, arguments));
    }
    let mut found = None;
    for (index, element) in list.iter().enumerate() {
        if element.equals(&arguments[1], context.meter)? {
            found = Some(index);
            if !is_last {
                break;
            }
        }
    }
    Ok(found.map_or(Value::Int(-1), int))
}

fn is_sorted<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let list = list(context, "isSorted", arguments)?;
    for (left, right) in list.iter().zip(list.iter().skip(1)) {
        let order = left.compare(&right).ok_or_else(|| mismatch("isSorted", &[left, right]))?;
        if order.is_gt() {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn extreme<'a>(context: &Context<'_>, arguments: &[Value<'a>], name: &str, wanted: Ordering) -> Evaluated<'a> {
    let mut elements = list(context, name, arguments)?.iter();
    let first = elements.next();
    let mut found = first.ok_or_else(|| EvaluationError::failed(format!("{name} called on empty list")))?;
    for element in elements {
        if element.compare(&found).ok_or_else(|| mismatch(name, &[element.clone(), found.clone()]))? == wanted {
            found = element;
        }
    }
    Ok(found)
}

/// Of an empty list, zero.
fn sum<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let mut elements = list(context, "sum", arguments)?.iter();
    let Some(first) = elements.next() else { return Ok(Value::Int(0)) };
    if !matches!(first, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)) {
        return Err(mismatch("sum", arguments));
    }
    elements.try_fold(first, |sum, element| operators::binary(Operator::Add, &sum, &element, context.meter))
}
