//! What volumes and claims share: access modes, volume modes, storage classes.

use serde_json::Value;

use super::cells;
use super::check::{self, Errors};
use crate::object;
use crate::validation::{self, FieldError};

const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
/// The annotation that named the class before there was a field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// `RWO,ROX`, always in the same order.
pub(crate) fn access_modes(list: &[Value]) -> String {
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| list.iter().any(|found| found.as_str() == Some(mode));
    short.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The class of a volume or claim; empty without one.
pub(crate) fn class(object: &Value) -> Value {
    match object::annotation(object, CLASS_ANNOTATION) {
        Some(class) => class.into(),
        None => cells::text_or(object, &["spec", "storageClassName"], ""),
    }
}

/// Whether a claim says which class it wants, be it none.
pub fn states_class(claim: &Value) -> bool {
    object::annotation(claim, CLASS_ANNOTATION).is_some()
        || object::str_at(claim, &["spec", "storageClassName"]).is_some()
}

pub(crate) fn volume_mode(object: &Value) -> Value {
    cells::text_or(object, &["spec", "volumeMode"], "<unset>")
}

/// The phase, unless the object is on its way out.
pub(crate) fn phase(object: &Value) -> Value {
    if object::is_deleting(object) { "Terminating".into() } else { cells::text_or(object, &["status", "phase"], "") }
}

/// Appends what is wrong with the access modes; `missing` says what is wrong with none.
pub(crate) fn validate_access_modes(spec: &Value, missing: &str, errors: &mut Errors) {
    const PATH: &str = "spec.accessModes";
    let modes: Vec<&str> = object::list_at(spec, &["accessModes"]).iter().filter_map(Value::as_str).collect();
    if modes.is_empty() {
        errors.push(FieldError::required(PATH, missing));
    }
    for mode in modes.iter().filter(|mode| !ACCESS_MODES.contains(mode)) {
        errors.push(FieldError::not_supported(PATH, *mode, ACCESS_MODES));
    }
    let is_alone = |mode: &&str| *mode == "ReadWriteOncePod";
    if modes.iter().any(is_alone) && modes.iter().any(|mode| ACCESS_MODES.contains(mode) && !is_alone(mode)) {
        errors.push(FieldError::forbidden(PATH, "may not use ReadWriteOncePod with other access modes"));
    }
}

pub(crate) fn validate_class(spec: &Value, errors: &mut Errors) {
    let class = check::text(spec, "storageClassName");
    check::optional(errors, "spec.storageClassName", class, validation::dns1123_subdomain);
}

pub(crate) fn validate_volume_mode(spec: &Value, errors: &mut Errors) {
    let mode = check::text(spec, "volumeMode");
    if !mode.is_empty() {
        check::one_of(errors, "spec.volumeMode", mode, VOLUME_MODES);
    }
}
