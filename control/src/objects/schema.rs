//! Bodies against their kind's schema: wrong types are refused always, unknown fields as the request wants it.

use coracle_api::kind::Kind;
use coracle_api::schema::{self, Definition};
use coracle_api::status::Status;
use coracle_api::{decode, object};
use serde_json::Value;

use super::modify::unfit_patch;
use super::options::{FieldValidation, WriteOptions};

/// The warnings about a whole body.
pub(super) fn check(kind: &Kind, body: &Value, options: &WriteOptions) -> Result<Vec<String>, Status> {
    if options.trusted {
        return Ok(Vec::new());
    }
    let unfit = |error: &str| decode::unfit(object::api_version(body), object::kind(body), kind.kind, error);
    let unknown = unknown_fields(kind, body).map_err(|error| unfit(&error))?;
    match options.field_validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(decode::complaints(&unknown, &[])),
        FieldValidation::Strict => {
            decode::strict_error(&unknown, &[]).map_or(Ok(Vec::new()), |error| Err(unfit(&error)))
        }
    }
}

/// The warnings about what a patch made of an object; fields that were unknown before don't count.
pub(super) fn check_patched(
    kind: &Kind,
    old: &Value,
    new: &Value,
    body: &[u8],
    options: &WriteOptions,
) -> Result<Vec<String>, Status> {
    if options.trusted {
        return Ok(Vec::new());
    }
    let mut unknown = unknown_fields(kind, new).map_err(|error| unfit_patch(body, error))?;
    if !unknown.is_empty() {
        let before = unknown_fields(kind, old).unwrap_or_default();
        unknown.retain(|path| !before.contains(path));
    }
    match options.field_validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(decode::complaints(&unknown, &[])),
        FieldValidation::Strict => {
            decode::strict_error(&unknown, &[]).map_or(Ok(Vec::new()), |error| Err(unfit_patch(body, error)))
        }
    }
}

/// A kind's schema.
pub(super) fn definition(kind: &Kind) -> &'static Definition {
    schema::definition(kind.definition).expect("invariant: every kind has a definition, checked by a test")
}

/// The paths of unknown fields, or what is wrong with a known one.
fn unknown_fields(kind: &Kind, object: &Value) -> Result<Vec<String>, String> {
    let problems = schema::check(definition(kind), object);
    if let Some(wrong) = problems.iter().find(|problem| !problem.is_unknown()) {
        return Err(wrong.to_string());
    }
    Ok(problems.into_iter().map(|problem| problem.path).collect())
}
