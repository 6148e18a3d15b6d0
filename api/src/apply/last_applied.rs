//! The annotation in which `kubectl apply` without `--server-side` keeps what it applied, and the way from there.
//!
//! It tells which fields were client-side applied and still are as they were: `kubectl` may take those over without a
//! conflict. Afterwards the annotation follows what is applied, so that the way back stays open.

use serde_json::Value;

use super::compare::compare;
use super::field_set::FieldSet;
use super::{Part, Schema, extract};
use crate::object;

/// Only this manager migrates; others opt out by their name.
const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// All annotations of an object together may take this many bytes.
const BYTES_MAX: usize = 256 * 1024;

/// The fields that a manager may take over without a conflict.
pub(super) fn allowed(schema: Schema<'_>, live: &Value, manager: &str, part: Part<'_>) -> FieldSet {
    let last = object::annotation(live, ANNOTATION).filter(|_| manager == KUBECTL);
    let Some(last) = last.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return FieldSet::default();
    };
    let comparison = compare(schema, live, &last);
    let mut fields = extract(schema, &last, part);
    for changed in [&comparison.added, &comparison.modified, &comparison.removed] {
        fields = fields.difference(changed);
    }
    fields
}

/// Brings an existing annotation up to date.
pub(super) fn follow(object: &mut Value, config: &Value, manager: &str) {
    if manager != KUBECTL || object::annotation(object, ANNOTATION).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let text = format!("{applied}\n");
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        if text.len() > BYTES_MAX {
            annotations.remove(ANNOTATION);
        } else {
            annotations.insert(ANNOTATION.to_owned(), text.into());
        }
    }
}
