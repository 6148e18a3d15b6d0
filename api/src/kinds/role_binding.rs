//! A role binding: who has a role within one namespace.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::pod::default as defaults;
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, BadValue, FieldError};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(crate) const KIND: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "RoleBinding",
    plural: "rolebindings",
    singular: "rolebinding",
    short_names: &[],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.rbac.v1.RoleBinding",
    subresources: &[],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::PathSegment,
    tags,
    status_on_create: false,
    awaits_controller: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string(
        "Role",
        0,
        "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the \
        RoleRef cannot be resolved, the Authorizer must return an error.",
        role,
    ),
    cells::AGE,
    Column::string("Users", 1, "Users in the roleBinding", users),
    Column::string("Groups", 1, "Groups in the roleBinding", groups),
    Column::string("ServiceAccounts", 1, "ServiceAccounts in the roleBinding", service_accounts),
];

pub(super) fn role(object: &Value, _: Timestamp) -> Value {
    let text = |field: &str| object::str_at(object, &["roleRef", field]).unwrap_or_default();
    format!("{}/{}", text("kind"), text("name")).into()
}

pub(super) fn users(object: &Value, _: Timestamp) -> Value {
    subjects(object, "User")
}

pub(super) fn groups(object: &Value, _: Timestamp) -> Value {
    subjects(object, "Group")
}

pub(super) fn service_accounts(object: &Value, _: Timestamp) -> Value {
    subjects(object, "ServiceAccount")
}

fn subjects(object: &Value, kind: &str) -> Value {
    let subjects = object::list_at(object, &["subjects"]).iter().filter(|subject| check::text(subject, "kind") == kind);
    let names = subjects.map(|subject| match kind {
        "ServiceAccount" => format!("{}/{}", check::text(subject, "namespace"), check::text(subject, "name")),
        _ => check::text(subject, "name").to_owned(),
    });
    names.collect::<Vec<_>>().join(", ").into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    if let Some(reference) = object.get_mut("roleRef").and_then(Value::as_object_mut) {
        defaults::set_text(reference, "apiGroup", GROUP);
    }
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        let is_account = check::text(subject, "kind") == "ServiceAccount";
        if let Some(subject) = subject.as_object_mut().filter(|_| !is_account) {
            defaults::set_text(subject, "apiGroup", GROUP);
        }
    }
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    validate_binding(object, &["Role", "ClusterRole"], true, errors);
}

/// The rules of a RoleBinding or a ClusterRoleBinding, which may refer to roles of these kinds.
pub(super) fn validate_binding(object: &Value, kinds: &[&str], is_namespaced: bool, errors: &mut Vec<FieldError>) {
    let reference = |field: &str| object::str_at(object, &["roleRef", field]).unwrap_or_default();
    if reference("apiGroup") != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", reference("apiGroup"), &[GROUP]));
    }
    if !kinds.contains(&reference("kind")) {
        errors.push(FieldError::not_supported("roleRef.kind", reference("kind"), kinds));
    }
    check::required(errors, "roleRef.name", reference("name"), validation::path_segment);
    for (index, subject) in object::list_at(object, &["subjects"]).iter().enumerate() {
        validate_subject(subject, &format!("subjects[{index}]"), is_namespaced, errors);
    }
}

fn validate_subject(subject: &Value, path: &str, is_namespaced: bool, errors: &mut Vec<FieldError>) {
    let text = |field: &str| check::text(subject, field);
    let at = |field: &str| format!("{path}.{field}");
    check::required(errors, &at("name"), text("name"), check::anything);
    let expected_group = match text("kind") {
        "ServiceAccount" => {
            check::optional(errors, &at("name"), text("name"), validation::dns1123_subdomain);
            ""
        }
        "User" | "Group" => GROUP,
        other => {
            return errors.push(FieldError::not_supported(at("kind"), other, &["ServiceAccount", "User", "Group"]));
        }
    };
    if text("apiGroup") != expected_group {
        errors.push(FieldError::not_supported(at("apiGroup"), text("apiGroup"), &[expected_group]));
    }
    // A RoleBinding's own namespace stands in for one that is missing.
    if text("kind") == "ServiceAccount" && !is_namespaced && text("namespace").is_empty() {
        errors.push(FieldError::required(at("namespace"), ""));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let reference = |object| {
        ["apiGroup", "kind", "name"].map(|field| object::str_at(object, &["roleRef", field]).unwrap_or_default())
    };
    let (kept, wanted) = (reference(old), reference(new));
    if kept != wanted {
        let [group, kind, name] = wanted;
        let printed = format!("rbac.RoleRef{{APIGroup:{group:?}, Kind:{kind:?}, Name:{name:?}}}");
        errors.push(FieldError::invalid("roleRef", BadValue::Printed(printed), "cannot change roleRef"));
    }
}
