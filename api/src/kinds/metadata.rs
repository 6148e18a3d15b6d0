//! The rules that the metadata of every kind follows.

use serde_json::Value;

use crate::kind::Kind;
use crate::validation::FieldError;

pub(crate) fn validate(_: &Kind, _: &Value, _: &mut Vec<FieldError>) {}

pub(crate) fn validate_update(_: &Kind, _: &Value, _: &Value, _: &mut Vec<FieldError>) {}
