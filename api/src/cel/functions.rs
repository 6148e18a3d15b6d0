//! The functions there are, by name. Each looks at the types of its arguments itself.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use regex::Regex;

use super::EvaluationError;
use super::check::Type;
use super::meter::Meter;
use super::operators::no_such_overload;
use super::value::{Evaluated, Value};

mod access;
mod conversions;
mod format;
mod lists;
pub(super) mod network;
mod optionals;
mod quantities;
pub(super) mod regexes;
mod sets;
mod strings;
pub(super) mod time;
pub(super) mod url;
mod versions;

/// A function, of one form: `name(…)`, or `receiver.name(…)`.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    is_member: bool,
    /// How many arguments it takes, the receiver among them.
    arguments: RangeInclusive<usize>,
    pub(super) result: Type,
    pub(super) call: Call,
}

type Call = for<'a> fn(&Context<'_>, &[Value<'a>]) -> Evaluated<'a>;

/// What functions may use besides their arguments.
pub(super) struct Context<'e> {
    pub(super) meter: &'e Meter<'e>,
    pub(super) regexes: &'e HashMap<String, Regex>,
}

const ALL: &[&[Function]] = &[
    access::FUNCTIONS,
    conversions::FUNCTIONS,
    lists::FUNCTIONS,
    network::FUNCTIONS,
    optionals::FUNCTIONS,
    quantities::FUNCTIONS,
    regexes::FUNCTIONS,
    sets::FUNCTIONS,
    strings::FUNCTIONS,
    time::FUNCTIONS,
    url::FUNCTIONS,
    versions::FUNCTIONS,
];

/// The function of a name (`optional.of` for one of a namespace) that takes so many arguments.
pub(super) fn find(name: &str, is_member: bool, arguments: usize) -> Option<&'static Function> {
    let all = ALL.iter().copied().flatten();
    all.into_iter().find(|function| {
        (function.name, function.is_member) == (name, is_member) && function.arguments.contains(&arguments)
    })
}

/// Whether there is a function of this name, of any form.
pub(super) fn is_known(name: &str) -> bool {
    ALL.iter().copied().flatten().any(|function| function.name == name)
}

const fn global(name: &'static str, arguments: RangeInclusive<usize>, result: Type, call: Call) -> Function {
    Function { name, is_member: false, arguments, result, call }
}

const fn member(name: &'static str, arguments: RangeInclusive<usize>, result: Type, call: Call) -> Function {
    Function { name, is_member: true, arguments, result, call }
}

/// The error for arguments of types that a function doesn't take.
fn mismatch(name: &str, arguments: &[Value<'_>]) -> EvaluationError {
    let arguments: Vec<&Value<'_>> = arguments.iter().collect();
    no_such_overload(name, &arguments)
}

/// A length or position, as an integer.
fn int<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).expect("invariant: nothing is that long"))
}
