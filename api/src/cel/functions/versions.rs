//! Semantic versions, `semver("1.2.3")`; their comparisons are in `quantities`.

use std::rc::Rc;

use semver::Version;

use super::{Function, global, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    global("isSemver", 1..=1, Type::Bool, |_, arguments| match &arguments[0] {
        Value::String(text) => Ok(Value::Bool(Version::parse(text).is_ok())),
        _ => Err(mismatch("isSemver", arguments)),
    }),
    global("semver", 1..=1, Type::Semver, |_, arguments| match &arguments[0] {
        Value::String(text) => Version::parse(text)
            .map(|version| Value::Semver(Rc::new(version)))
            .map_err(|error| EvaluationError::failed(format!("{text:?} is no semantic version: {error}"))),
        _ => Err(mismatch("semver", arguments)),
    }),
    member("major", 1..=1, Type::Int, |_, arguments| part("major", arguments, |version| version.major)),
    member("minor", 1..=1, Type::Int, |_, arguments| part("minor", arguments, |version| version.minor)),
    member("patch", 1..=1, Type::Int, |_, arguments| part("patch", arguments, |version| version.patch)),
];

fn part<'a>(name: &str, arguments: &[Value<'a>], part: fn(&Version) -> u64) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Semver(version) => Ok(Value::Int(i64::try_from(part(version)).unwrap_or(i64::MAX))),
        _ => Err(mismatch(name, arguments)),
    }
}
