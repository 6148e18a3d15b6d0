//! Lists as sets: `sets.contains`, `sets.equivalent`, `sets.intersects`.

use super::{Context, Function, global, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{List, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    global("sets.contains", 2..=2, Type::Bool, |context, arguments| {
        let (left, right) = lists("sets.contains", arguments)?;
        count_within(context, right, left).map(|count| Value::Bool(count == right.len()))
    }),
    global("sets.equivalent", 2..=2, Type::Bool, |context, arguments| {
        let (left, right) = lists("sets.equivalent", arguments)?;
        let is_within =
            |some: &List<'_>, others: &List<'_>| count_within(context, some, others).map(|count| count == some.len());
        Ok(Value::Bool(is_within(left, right)? && is_within(right, left)?))
    }),
    global("sets.intersects", 2..=2, Type::Bool, |context, arguments| {
        let (left, right) = lists("sets.intersects", arguments)?;
        count_within(context, left, right).map(|count| Value::Bool(count > 0))
    }),
];

fn lists<'l, 'a>(name: &str, arguments: &'l [Value<'a>]) -> Result<(&'l List<'a>, &'l List<'a>), EvaluationError> {
    match arguments {
        [Value::List(left), Value::List(right)] => Ok((left, right)),
        _ => Err(mismatch(name, arguments)),
    }
}

/// How many elements of one list are in another.
fn count_within(context: &Context<'_>, some: &List<'_>, others: &List<'_>) -> Result<usize, EvaluationError> {
    let mut count = 0;
    for element in some.iter() {
        for other in others.iter() {
            if element.equals(&other, context.meter)? {
                count += 1;
                break;
            }
        }
    }
    Ok(count)
}
