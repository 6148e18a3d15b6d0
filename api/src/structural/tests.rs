#![allow(clippy::too_many_lines, reason = "these are tables of tests")]

mod parsing;
mod rules;
mod values;

use serde_json::Value;

use super::Schema;
use crate::validation::FieldError;
use crate::yaml;

fn value(text: &str) -> Value {
    yaml::parse_all(text).unwrap().pop().unwrap_or_default()
}

fn lines(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}
