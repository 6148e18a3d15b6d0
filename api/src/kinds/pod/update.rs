//! What may change about a pod once it exists.

use serde_json::Value;

use super::validate::SECONDS_MAX;
use crate::kinds::check::{self, Errors};
use crate::object;
use crate::validation::FieldError;

const ONLY: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(crate) fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    for list in ["containers", "initContainers"] {
        if object::list_at(new, &["spec", list]).len() != object::list_at(old, &["spec", list]).len() {
            let detail = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(format!("spec.{list}"), detail));
            return;
        }
    }
    let count = errors.len();
    deadline(new, old, errors);
    tolerations(new, old, errors);
    if errors.len() > count {
        return;
    }
    let changed = changed_fields(new, old);
    if !changed.is_empty() {
        errors.push(FieldError::forbidden("spec", format!("{ONLY}\nchanged: {}", changed.join(", "))));
    }
}

fn deadline(new: &Value, old: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.activeDeadlineSeconds";
    let seconds = |pod| object::i64_at(pod, &["spec", "activeDeadlineSeconds"]);
    match (seconds(new), seconds(old)) {
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(PATH, Value::Null, detail));
        }
        (Some(new), Some(old)) if old < new => {
            errors.push(FieldError::invalid(PATH, new, "must be less than or equal to previous value"));
        }
        (new, _) => check::within(errors, PATH, new, 0, SECONDS_MAX),
    }
}

fn tolerations(new: &Value, old: &Value, errors: &mut Errors) {
    let list = |pod| object::list_at(pod, &["spec", "tolerations"]);
    let same = |new: &Value, old: &Value| {
        ["key", "operator", "value", "effect"].iter().all(|field| check::text(new, field) == check::text(old, field))
    };
    if list(old).iter().any(|old| list(new).iter().all(|new| !same(new, old))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden("spec.tolerations", detail));
    }
}

/// The fields of the spec that differ and may not, as paths of at most one level below a container.
fn changed_fields(new: &Value, old: &Value) -> Vec<String> {
    let mut changed = Vec::new();
    let grace = |pod| object::i64_at(pod, &["spec", "terminationGracePeriodSeconds"]).unwrap_or(0);
    let grace_is_mended = grace(old) < 0 && grace(new) == 1;
    for field in differing(&new["spec"], &old["spec"]) {
        match field {
            "activeDeadlineSeconds" | "tolerations" => {}
            "terminationGracePeriodSeconds" if grace_is_mended => {}
            "containers" | "initContainers" => {
                let pairs = object::list_at(new, &["spec", field]).iter().zip(object::list_at(old, &["spec", field]));
                for (index, (new, old)) in pairs.enumerate() {
                    let fields = differing(new, old).into_iter().filter(|field| *field != "image");
                    changed.extend(fields.map(|inner| format!("spec.{field}[{index}].{inner}")));
                }
            }
            _ => changed.push(format!("spec.{field}")),
        }
    }
    changed
}

/// The fields of two objects whose values differ; null and absent are the same, and so is an empty list or map.
fn differing<'a>(new: &'a Value, old: &'a Value) -> Vec<&'a str> {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let null = &Value::Null;
    let mut fields: Vec<&str> =
        [new, old].into_iter().flat_map(|value| check::entries(value, &[])).map(|(field, _)| field).collect();
    fields.sort_unstable();
    fields.dedup();
    fields.retain(|field| {
        let (new, old) = (new.get(*field).unwrap_or(null), old.get(*field).unwrap_or(null));
        new != old && !(is_empty(new) && is_empty(old))
    });
    fields
}
