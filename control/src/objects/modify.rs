//! The object that a PUT or PATCH asks for, before defaulting and validation.

use coracle_api::apply::{self, ManagedFields, Schema};
use coracle_api::kinds::{CERTIFICATE_SIGNING_REQUEST, NAMESPACE, SCALE};
use coracle_api::patch::{self as patches, PatchError, PatchKind};
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use coracle_api::{decode, object};
use jiff::Timestamp;
use serde_json::Value;

use super::options::{Configuration, Part};
use super::prepare::Request;
use super::scale::{rescaled, scale_of};
use super::{FieldValidation, ownership, prepare, schema, stamp};

/// The object with one part of it replaced by a body.
pub(super) fn replace(
    request: &Request,
    part: Part,
    old: &Value,
    mut body: Value,
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    if part == Part::Scale {
        stamp::check_type(&SCALE, &mut body)?;
        stamp::check_name(&request.name, &body)?;
        warnings.extend(schema::check(request, &SCALE, &mut body)?);
        stamp::check_uid(&SCALE, &body, old)?;
        return rescaled(request, old, &body);
    }
    stamp::check_type(request.kind, &mut body)?;
    stamp::check_namespace(request.kind, request.namespace.as_deref(), &mut body)?;
    stamp::check_name(&request.name, &body)?;
    warnings.extend(schema::check(request, request.kind, &mut body)?);
    stamp::check_uid(request.kind, &body, old)?;
    Ok(merge_part(request, part, old, body))
}

/// The object with one part of it patched.
pub(super) fn patch(
    request: &Request,
    part: Part,
    patch_kind: PatchKind,
    old: &Value,
    body: &[u8],
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    if part == Part::Scale {
        let before = scale_of(old, request.scale_paths())?;
        let mut scale = patched(request, part, patch_kind, &before, body, warnings)?;
        check_revision(request, old, &scale)?;
        stamp::check_type(&SCALE, &mut scale)?;
        stamp::check_name(&request.name, &scale)?;
        warnings.extend(schema::check_patched(request, &SCALE, &before, &mut scale, body)?);
        stamp::check_uid(&SCALE, &scale, old)?;
        return rescaled(request, old, &scale);
    }
    let mut new = patched(request, part, patch_kind, old, body, warnings)?;
    check_revision(request, old, &new)?;
    stamp::check_type(request.kind, &mut new)?;
    stamp::check_namespace(request.kind, request.namespace.as_deref(), &mut new)?;
    stamp::check_name(&request.name, &new)?;
    warnings.extend(schema::check_patched(request, request.kind, old, &mut new, body)?);
    stamp::check_uid(request.kind, &new, old)?;
    Ok(merge_part(request, part, old, new))
}

/// The object with a configuration applied to one part of it.
pub(super) fn apply(
    request: &Request,
    part: Part,
    old: &Value,
    configuration: &Configuration,
    managed: &mut ManagedFields,
    now: Timestamp,
) -> Result<Value, Status> {
    let new = ownership::apply(request, part, old, configuration, managed, now)?;
    check_revision(request, old, &new)?;
    stamp::check_uid(request.kind, &new, old)?;
    Ok(merge_part(request, part, old, new))
}

fn check_revision(request: &Request, old: &Value, new: &Value) -> Result<(), Status> {
    match prepare::stated_revision(new)? {
        Some(revision) if object::resource_version(old) != Some(revision) => {
            Err(status::conflict(request.kind, &request.name))
        }
        _ => Ok(()),
    }
}

fn patched(
    request: &Request,
    part: Part,
    patch_kind: PatchKind,
    old: &Value,
    body: &[u8],
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    let refused = |error: PatchError| error.to_status();
    if patch_kind == PatchKind::Json {
        let mut new = old.clone();
        patches::json_patch(&mut new, body).map_err(refused)?;
        return if new.is_object() {
            Ok(new)
        } else {
            Err(unfit_patch(body, "its result is not an object".to_owned()))
        };
    }
    let decoded = patches::parse(body).map_err(refused)?;
    match request.options.field_validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => warnings.extend(decode::complaints(&[], &decoded.duplicates)),
        FieldValidation::Strict => {
            if let Some(error) = decode::strict_error(&[], &decoded.duplicates) {
                return Err(unfit_patch(body, error));
            }
        }
    }
    if patch_kind == PatchKind::Strategic && part != Part::Scale {
        return match schema::of(request) {
            Schema::BuiltIn(definition) => patches::strategic_merge(old, &decoded.value, definition).map_err(refused),
            Schema::Custom(_) => {
                let apply = [apply::MEDIA_TYPE];
                let accepted: Vec<&str> = PatchKind::ACCEPTED_BY_CUSTOM.iter().copied().chain(apply).collect();
                Err(status::unsupported_media_type(&accepted))
            }
        };
    }
    let mut new = old.clone();
    patches::merge_patch(&mut new, &decoded.value);
    Ok(new)
}

/// The 422 for a patch whose result is no valid object.
pub(super) fn unfit_patch(body: &[u8], error: String) -> Status {
    let text = String::from_utf8_lossy(body).into_owned();
    status::invalid_options("", "", "", &[FieldError::invalid("patch", text, error)])
}

/// What is kept of the old object: all but the part addressed.
fn merge_part(request: &Request, part: Part, old: &Value, mut body: Value) -> Value {
    match part {
        Part::Main | Part::Scale => {
            stamp::on_update(&mut body, old, request.options.trusted);
            if request.kind.has(coracle_api::kind::Subresource::Status) {
                copy(&mut body, old, "status");
            }
            // A Namespace's own finalizers change through `/finalize` only, or by its controller; what a certificate is asked for stays.
            if [&NAMESPACE, &CERTIFICATE_SIGNING_REQUEST].contains(&request.kind) && !request.options.trusted {
                copy(&mut body, old, "spec");
            }
            body
        }
        Part::Status => {
            let mut new = old.clone();
            copy(&mut new, &body, "status");
            new
        }
        Part::Approval => {
            let mut new = old.clone();
            let conditions = body.pointer("/status/conditions").cloned().unwrap_or_default();
            object::child_mut(&mut new, "status").insert("conditions".to_owned(), conditions);
            new
        }
        Part::Finalize => {
            let mut new = old.clone();
            copy(&mut new, &body, "spec");
            new
        }
    }
}

fn copy(to: &mut Value, from: &Value, field: &str) {
    let Some(fields) = to.as_object_mut() else { return };
    match from.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}
