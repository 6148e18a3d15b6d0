//! Bodies against their kind's schema: wrong types are refused always, unknown fields as the request wants it.

use coracle_api::apply::Schema;
use coracle_api::kind::Kind;
use coracle_api::schema::{self, Definition};
use coracle_api::status::Status;
use coracle_api::{decode, object};
use serde_json::Value;

use super::modify::unfit_patch;
use super::options::FieldValidation;
use super::prepare::Request;

/// The warnings about a whole body: the object, or its Scale.
pub(super) fn check(request: &Request, kind: &Kind, body: &mut Value) -> Result<Vec<String>, Status> {
    let options = &request.options;
    if options.trusted {
        return Ok(Vec::new());
    }
    let unknown = unknown_fields(request, kind, body);
    let unfit = |error: &str| decode::unfit(object::api_version(body), object::kind(body), kind.kind, error);
    let unknown = unknown.map_err(|error| unfit(&error))?;
    match options.field_validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(decode::complaints(&unknown, &options.duplicates)),
        FieldValidation::Strict => {
            let error = decode::strict_error(&unknown, &options.duplicates);
            error.map_or(Ok(Vec::new()), |error| Err(unfit(&error)))
        }
    }
}

/// The warnings about what a patch made of an object, or its Scale; fields that were unknown before don't count.
pub(super) fn check_patched(
    request: &Request,
    kind: &Kind,
    old: &Value,
    new: &mut Value,
    body: &[u8],
) -> Result<Vec<String>, Status> {
    let options = &request.options;
    if options.trusted {
        return Ok(Vec::new());
    }
    let mut unknown = unknown_fields(request, kind, new).map_err(|error| unfit_patch(body, error))?;
    if !unknown.is_empty() {
        let before = unknown_fields(request, kind, &mut old.clone()).unwrap_or_default();
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

/// The schema of the kind that a request is about.
pub(super) fn of(request: &Request) -> Schema<'_> {
    match &request.custom {
        Some(custom) => Schema::Custom(&custom.schema),
        None => Schema::BuiltIn(definition(request.kind)),
    }
}

fn definition(kind: &Kind) -> &'static Definition {
    schema::definition(kind.definition).expect("invariant: every built-in kind has a definition, checked by a test")
}

/// Takes out unknown fields and returns their paths, or says what is wrong with a known one. Nulls in lists and maps become empty values.
fn unknown_fields(request: &Request, kind: &Kind, object: &mut Value) -> Result<Vec<String>, String> {
    if let Some(custom) = request.custom.as_ref().filter(|_| request.kind == kind) {
        return custom.prune(object);
    }
    let definition = definition(kind);
    let problems = schema::check(definition, object);
    if !problems.is_empty() {
        schema::prune(definition, object);
    }
    // Of a long list only the beginning is there: what is wrong may be further on.
    let left = if problems.is_empty() { Vec::new() } else { schema::check(definition, object) };
    if let Some(wrong) = left.iter().find(|problem| problem.is_refused()) {
        return Err(wrong.to_string());
    }
    Ok(problems.into_iter().filter(schema::Problem::is_unknown).map(|problem| problem.path).collect())
}
