//! Regular expressions, matched in time linear in the text.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::{Context, Function, global, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Value};

/// The functions whose second argument is a pattern.
pub(in crate::cel) const PATTERNED: &[&str] = &["find", "findAll", "matches"];

pub(super) const FUNCTIONS: &[Function] = &[
    member("find", 2..=2, Type::String, find),
    member("findAll", 2..=3, Type::List, find_all),
    global("matches", 2..=2, Type::Bool, matches),
    member("matches", 2..=2, Type::Bool, matches),
];

/// The largest compiled pattern, and the largest state of a match, in bytes.
const SIZE_MAX: usize = 64 * 1024;
/// About as many states as a pattern of that size has.
const STATES_MAX: usize = 2048;
/// What it costs to compile a pattern that isn't spelled out in the expression.
const COMPILATION_COST: u64 = 1_000;

pub(in crate::cel) fn compile(pattern: &str) -> Result<Regex, EvaluationError> {
    let built = RegexBuilder::new(pattern).size_limit(SIZE_MAX).dfa_size_limit(SIZE_MAX).build();
    built.map_err(|error| {
        let line = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        EvaluationError::failed(format!("error parsing regexp {pattern:?}: {line}"))
    })
}

/// The text and the pattern, charged for the match.
fn arguments<'c, 'l, 'a>(
    context: &Context<'c>,
    name: &str,
    arguments: &'l [Value<'a>],
) -> Result<(&'l str, Cow<'c, Regex>), EvaluationError> {
    let [Value::String(text), Value::String(pattern), ..] = arguments else { return Err(mismatch(name, arguments)) };
    context.meter.charge_count((text.len() / 10 + 1).saturating_mul(states(pattern) / 4 + 1))?;
    if let Some(regex) = context.regexes.get(&**pattern) {
        return Ok((text, Cow::Borrowed(regex)));
    }
    context.meter.charge(COMPILATION_COST)?;
    context.meter.charge_count(pattern.len())?;
    Ok((text, Cow::Owned(compile(pattern)?)))
}

/// About how many states a pattern has: its letters, times what its repetitions count to.
fn states(pattern: &str) -> usize {
    let repetitions = pattern.split('{').skip(1).filter_map(|rest| {
        let (count, _) = rest.split_once('}')?;
        count.split(',').filter_map(|number| number.trim().parse::<usize>().ok()).max()
    });
    repetitions.fold(pattern.len(), |states, count| states.saturating_mul(count.max(1))).min(STATES_MAX)
}

fn matches<'a>(context: &Context<'_>, values: &[Value<'a>]) -> Evaluated<'a> {
    let (text, regex) = arguments(context, "matches", values)?;
    Ok(Value::Bool(regex.is_match(text)))
}

/// The first match, or the empty text.
fn find<'a>(context: &Context<'_>, values: &[Value<'a>]) -> Evaluated<'a> {
    let (text, regex) = arguments(context, "find", values)?;
    Ok(Value::text(regex.find(text).map_or("", |found| found.as_str())))
}

/// All matches, or so many of them; a negative limit is none.
fn find_all<'a>(context: &Context<'_>, values: &[Value<'a>]) -> Evaluated<'a> {
    let (text, regex) = arguments(context, "findAll", values)?;
    let limit = match values.get(2) {
        None => usize::MAX,
        Some(Value::Int(limit)) => usize::try_from(*limit).unwrap_or(usize::MAX),
        Some(_) => return Err(mismatch("findAll", values)),
    };
    let mut all = Vec::new();
    for found in regex.find_iter(text).take(limit) {
        // Each match may have looked at all that follows it.
        context.meter.charge_count(1 + (text.len() - found.start()) / 100)?;
        all.push(Value::text(found.as_str()));
    }
    Ok(Value::list(all))
}
