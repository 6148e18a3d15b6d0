//! The rules that the metadata of every kind follows.
//!
//! Deliberately absent: `managedFields` and `resourceVersion`, which are the API server's own matter.

use serde_json::Value;

use crate::kind::{Kind, NameRule};
use crate::kinds::check::{self, Errors};
use crate::kinds::{self, CUSTOM_RESOURCE_DEFINITION};
use crate::object;
use crate::validation::{self, FieldError};

const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// The finalizers that Kubernetes itself has.
pub(crate) const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

pub(crate) fn validate(kind: &Kind, object: &Value, errors: &mut Errors) {
    let rule = match kind.name_rule {
        NameRule::Dns1123Subdomain => validation::dns1123_subdomain,
        NameRule::Dns1123Label => validation::dns1123_label,
        NameRule::Dns1035Label => validation::dns1035_label,
        NameRule::PathSegment => validation::path_segment,
    };
    if let Some(prefix) = object::generate_name(object) {
        let whole = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |start| format!("{start}a"));
        let messages = rule(&whole).into_iter();
        errors.extend(messages.map(|message| FieldError::invalid("metadata.generateName", prefix, message)));
    }
    match object::name(object) {
        "" => errors.push(FieldError::required("metadata.name", "name or generateName is required")),
        name => check::follows(errors, "metadata.name", name, rule),
    }
    match (kind.namespaced, object::namespace(object)) {
        (true, Some(namespace)) => {
            check::follows(errors, "metadata.namespace", namespace, validation::dns1123_label);
        }
        (true, None) => errors.push(FieldError::required("metadata.namespace", "")),
        (false, Some(_)) => errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type")),
        (false, None) => {}
    }
    validate_parts(object, are_finalizers_free(kind), errors);
}

pub(crate) fn validate_update(kind: &Kind, new: &Value, old: &Value, errors: &mut Errors) {
    if object::is_deleting(old) {
        let added: Vec<&str> =
            object::finalizers(new).filter(|new| object::finalizers(old).all(|old| old != *new)).collect();
        if !added.is_empty() {
            let listed: Vec<String> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                listed.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        let value = |object| object::get(object, &["metadata", field]).filter(|value| !value.is_null());
        // What the writer left out stays as it is.
        if value(new).is_some() {
            check::immutable(errors, &format!("metadata.{field}"), value(new), value(old));
        }
    }
    validate_parts(new, are_finalizers_free(kind), errors);
}

/// Kinds that users define, and their definitions, may have finalizers of any name.
fn are_finalizers_free(kind: &Kind) -> bool {
    *kind == CUSTOM_RESOURCE_DEFINITION || !kinds::is_built_in(kind)
}

pub(crate) fn validate_parts(object: &Value, are_finalizers_free: bool, errors: &mut Errors) {
    check::labels(errors, "metadata.labels", object::get(object, &["metadata", "labels"]));
    validate_annotations(object::get(object, &["metadata", "annotations"]), "metadata.annotations", errors);
    validate_owner_references(object, errors);
    validate_finalizers(object, are_finalizers_free, errors);
}

pub(crate) fn validate_annotations(map: Option<&Value>, path: &str, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in map.and_then(Value::as_object).into_iter().flatten() {
        let messages = validation::qualified_name(&key.to_lowercase()).into_iter();
        errors.extend(messages.map(|message| FieldError::invalid(path, key.as_str(), message)));
        match value.as_str() {
            Some(value) => bytes += key.len() + value.len(),
            None => errors.push(FieldError::type_invalid(path, value.clone(), "must be a string")),
        }
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

fn validate_owner_references(object: &Value, errors: &mut Errors) {
    const PATH: &str = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for owner in object::owner_references(object) {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            let error =
                FieldError::invalid(format!("{PATH}.apiVersion"), owner.api_version, "version must not be empty");
            errors.push(error);
        }
        for (field, value) in [("kind", owner.kind), ("name", owner.name), ("uid", owner.uid)] {
            if value.is_empty() {
                errors.push(FieldError::invalid(format!("{PATH}.{field}"), value, "must not be empty"));
            }
        }
        if owner.kind == "Event" && owner.api_version == "v1" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(PATH, format!("{}/{}", owner.kind, owner.name), detail));
        }
        if owner.controller {
            let current = format!("{}/{}", owner.kind, owner.name);
            if let Some(first) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and \
                     {current}"
                );
                let value = object::get(object, &["metadata", "ownerReferences"]).cloned().unwrap_or_default();
                errors.push(FieldError::invalid(PATH, value, detail));
            }
            controller.get_or_insert(current);
        }
    }
}

fn validate_finalizers(object: &Value, are_free: bool, errors: &mut Errors) {
    const PATH: &str = "metadata.finalizers";
    for finalizer in object::finalizers(object) {
        check::follows(errors, PATH, finalizer, validation::qualified_name);
        if !are_free && !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(PATH, finalizer, detail));
        }
    }
    let has = |name| object::finalizers(object).any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let value = object::get(object, &["metadata", "finalizers"]).cloned().unwrap_or_default();
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(PATH, value, detail));
    }
}
