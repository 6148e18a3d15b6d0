//! A custom resource definition: a kind that users define.
//!
//! Deliberately absent: conversion by webhooks, which is refused.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::custom;
use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::check::{self, Errors, text};
use crate::kinds::{cells, pod::default};
use crate::object;
use crate::validation::{self, FieldError};

mod version;

/// Holds a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// A condition that a definition can be in.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'a> {
    /// Its type: `NamesAccepted`, `Established` or `Terminating`.
    pub name: &'a str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: &'a str,
    /// Why, in a sentence.
    pub message: &'a str,
}

/// The condition of a definition that somebody deleted.
pub const TERMINATING: Condition<'_> = Condition {
    name: "Terminating",
    holds: true,
    reason: "InstanceDeletionPending",
    message: "CustomResourceDefinition marked for deletion; CustomResource deletion will be in progress",
};

impl Condition<'_> {
    /// Notes the condition in a definition's status; a change of whether it holds gets the date.
    pub fn set(&self, definition: &mut Value, now: Timestamp) {
        let status = object::child_mut(definition, "status");
        let mut conditions =
            status.remove("conditions").and_then(|found| found.as_array().cloned()).unwrap_or_default();
        let holds = if self.holds { "True" } else { "False" };
        let former = conditions.iter().position(|condition| condition["type"] == self.name);
        let since = former.map(|index| &conditions[index]).filter(|former| former["status"] == holds);
        let since = since.map_or_else(|| object::timestamp(now).into(), |former| former["lastTransitionTime"].clone());
        let condition = json!({
            "type": self.name, "status": holds, "lastTransitionTime": since, "reason": self.reason, "message": self.message,
        });
        match former {
            Some(index) => conditions[index] = condition,
            None => conditions.push(condition),
        }
        status.insert("conditions".to_owned(), conditions.into());
    }
}

const APPROVAL: &str = "api-approved.kubernetes.io";
const SCOPES: &[&str] = &["Cluster", "Namespaced"];

pub(crate) const KIND: Kind = Kind {
    group: "apiextensions.k8s.io",
    version: "v1",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    namespaced: false,
    definition: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[cells::NAME, cells::CREATED_AT];

fn default(definition: &mut Value) {
    let storage = storage_version(definition).to_owned();
    let spec = object::child_mut(definition, "spec");
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
        let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        default::set_text(names, "singular", &kind.to_lowercase());
        default::set_text(names, "listKind", &format!("{kind}List"));
    }
    default::set(spec, "conversion", json!({ "strategy": "None" }));
    let status = object::child_mut(definition, "status");
    default::set(status, "acceptedNames", json!({ "kind": "", "plural": "" }));
    default::set(status, "conditions", json!([]));
    note_stored_version(status, storage);
}

/// Every version that objects were ever stored in is noted, until somebody has rewritten them all.
fn note_stored_version(status: &mut Map<String, Value>, storage: String) {
    default::set(status, "storedVersions", json!([]));
    if let Some(stored) = status.get_mut("storedVersions").and_then(Value::as_array_mut)
        && !storage.is_empty()
        && stored.iter().all(|version| version != storage.as_str())
    {
        stored.push(storage.into());
    }
}

fn versions(definition: &Value) -> &[Value] {
    object::list_at(definition, &["spec", "versions"])
}

fn storage_version(definition: &Value) -> &str {
    let stored = versions(definition).iter().find(|version| object::bool_at(version, &["storage"]) == Some(true));
    stored.map_or("", |version| text(version, "name"))
}

fn validate(definition: &Value, errors: &mut Errors) {
    let spec = &definition["spec"];
    let (group, names) = (text(spec, "group"), &spec["names"]);
    let expected = format!("{}.{group}", text(names, "plural"));
    if object::name(definition) != expected {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", object::name(definition), detail));
    }
    check::required(errors, "spec.group", group, validation::dns1123_subdomain);
    if !group.is_empty() && !group.contains('.') {
        errors.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    validate_approval(definition, group, errors);
    check::one_of(errors, "spec.scope", text(spec, "scope"), SCOPES);
    if object::bool_at(spec, &["preserveUnknownFields"]) == Some(true) {
        let detail = "must be false; set x-kubernetes-preserve-unknown-fields in the schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, detail));
    }
    validate_versions(definition, errors);
    validate_names(names, errors);
    validate_conversion(&spec["conversion"], errors);
}

/// Groups of Kubernetes' own need its approval.
fn validate_approval(definition: &Value, group: &str, errors: &mut Errors) {
    let path = format!("metadata.annotations[{APPROVAL}]");
    let is_protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|protected| group == *protected || group.strip_suffix(protected).is_some_and(|rest| rest.ends_with('.')));
    match object::annotation(definition, APPROVAL) {
        _ if !is_protected => {}
        None | Some("") => {
            let detail = format!(
                "protected groups must have approval annotation {APPROVAL:?}, see \
                 https://github.com/kubernetes/enhancements/pull/1111"
            );
            errors.push(FieldError::required(path, detail));
        }
        Some(approval) => {
            let is_fit = approval.starts_with("unapproved") || approval.starts_with("https://");
            if !is_fit {
                let detail = "protected groups must have approval annotation with either a URL or a reason starting with \
                              \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111";
                errors.push(FieldError::invalid(path, approval, detail));
            }
        }
    }
}

fn validate_versions(definition: &Value, errors: &mut Errors) {
    let versions = versions(definition);
    let is_true = |version: &&Value, field: &str| object::bool_at(version, &[field]) == Some(true);
    let mut names: Vec<&str> = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let (path, name) = (format!("spec.versions[{index}]"), text(version, "name"));
        check::required(errors, &format!("{path}.name"), name, validation::dns1035_label);
        if names.contains(&name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        names.push(name);
        version::validate(version, &path, errors);
    }
    let shown: Value = names.iter().copied().collect();
    if versions.iter().filter(|version| is_true(version, "storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", shown, detail));
    }
    for (index, stored) in object::list_at(definition, &["status", "storedVersions"]).iter().enumerate() {
        if !names.iter().any(|name| stored == name) {
            let path = format!("status.storedVersions[{index}]");
            errors.push(FieldError::invalid(
                path,
                stored.clone(),
                "missing from spec.versions; must appear in spec.versions",
            ));
        }
    }
}

fn validate_names(names: &Value, errors: &mut Errors) {
    let path = |field: &str| format!("spec.names.{field}");
    for field in ["plural", "singular"] {
        check::required(errors, &path(field), text(names, field), validation::dns1035_label);
    }
    for field in ["kind", "listKind"] {
        let name = text(names, field);
        if name.is_empty() {
            errors.push(FieldError::required(path(field), ""));
        }
        let messages = validation::dns1035_label(&name.to_lowercase()).into_iter().filter(|_| !name.is_empty());
        errors.extend(messages.map(|message| {
            let detail = format!("may have mixed case, but should otherwise match: {message}");
            FieldError::invalid(path(field), name, detail)
        }));
    }
    if text(names, "kind") == text(names, "listKind") {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(path("listKind"), text(names, "listKind"), detail));
    }
    for field in ["shortNames", "categories"] {
        for (index, name) in object::list_at(names, &[field]).iter().filter_map(Value::as_str).enumerate() {
            check::follows(errors, &format!("{}[{index}]", path(field)), name, validation::dns1035_label);
        }
    }
}

fn validate_conversion(conversion: &Value, errors: &mut Errors) {
    let path = "spec.conversion.strategy";
    match text(conversion, "strategy") {
        "None" => {
            if check::is_set(conversion, "webhook") {
                let detail = "should not be set when strategy is not set to Webhook";
                errors.push(FieldError::forbidden("spec.conversion.webhook", detail));
            }
        }
        "Webhook" => {
            let detail = "conversion by webhooks is not supported by this version of Coracle; versions that differ in \
                          apiVersion only can use the strategy None";
            errors.push(FieldError::forbidden(path, detail));
        }
        other => check::one_of(errors, path, other, &["None", "Webhook"]),
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let always: [&[&str]; 2] = [&["spec", "group"], &["spec", "names", "plural"]];
    let once_established: [&[&str]; 2] = [&["spec", "scope"], &["spec", "names", "kind"]];
    let once_established = once_established.into_iter().filter(|_| custom::is_established(old));
    for path in always.into_iter().chain(once_established) {
        check::immutable(errors, &path.join("."), object::get(new, path), object::get(old, path));
    }
}
