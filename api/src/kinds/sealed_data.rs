//! What config maps and secrets share: a limit on their size, and a flag that seals them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::kinds::check::Errors;
use crate::object;
use crate::validation::FieldError;

const BYTES_MAX: usize = 1024 * 1024;
const SEALED: &str = "field is immutable when `immutable` is set";

/// How many bytes a base64 text stands for; `None` where it isn't base64. Go's decoder skips line breaks, so this does.
pub(crate) fn decoded_length(value: &Value) -> Option<usize> {
    let text = value.as_str()?;
    let decoded =
        if text.contains(['\r', '\n']) { BASE64.decode(text.replace(['\r', '\n'], "")) } else { BASE64.decode(text) };
    decoded.ok().map(|bytes| bytes.len())
}

pub(crate) fn validate_size(path: &str, bytes: usize, errors: &mut Errors) {
    if bytes > BYTES_MAX {
        errors.push(FieldError::too_long(path, BYTES_MAX));
    }
}

pub(crate) fn validate_immutable(new: &Value, old: &Value, fields: &[&str], errors: &mut Errors) {
    let is_sealed = |object| object::bool_at(object, &["immutable"]) == Some(true);
    if !is_sealed(old) {
        return;
    }
    if !is_sealed(new) {
        errors.push(FieldError::forbidden("immutable", SEALED));
    }
    let has_content = |value: &&Value| value.as_object().is_some_and(|map| !map.is_empty());
    for field in fields {
        if new.get(*field).filter(has_content) != old.get(*field).filter(has_content) {
            errors.push(FieldError::forbidden(*field, SEALED));
        }
    }
}
