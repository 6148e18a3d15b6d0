//! A role: what may be done within one namespace.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Cell, Column, Kind, NameRule};
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "Role",
    plural: "roles",
    singular: "role",
    short_names: &[],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.rbac.v1.Role",
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

const COLUMNS: &[Column] =
    &[cells::NAME, Column { name: "Created At", kind: "date", cell: Cell::Computed(created_at), ..cells::AGE }];

fn created_at(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["metadata", "creationTimestamp"], cells::UNKNOWN)
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    validate_rules(object, true, errors);
}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}

/// The rules of a Role or a ClusterRole: each is about resources or about paths, the latter in ClusterRoles only.
pub(super) fn validate_rules(object: &Value, is_namespaced: bool, errors: &mut Vec<FieldError>) {
    for (index, rule) in object::list_at(object, &["rules"]).iter().enumerate() {
        let has = |field: &str| !object::list_at(rule, &[field]).is_empty();
        let path = |field: &str| format!("rules[{index}].{field}");
        if !has("verbs") {
            errors.push(FieldError::required(path("verbs"), "verbs must contain at least one value"));
        }
        if has("nonResourceURLs") {
            let mut refuse = |detail: &str| {
                errors.push(FieldError::invalid(path("nonResourceURLs"), rule["nonResourceURLs"].clone(), detail));
            };
            if is_namespaced {
                refuse("namespaced rules cannot apply to non-resource URLs");
            }
            if has("apiGroups") || has("resources") || has("resourceNames") {
                refuse("rules cannot apply to both regular resources and non-resource URLs");
            }
            continue;
        }
        if !has("apiGroups") {
            errors.push(FieldError::required(path("apiGroups"), "resource rules must supply at least one api group"));
        }
        if !has("resources") {
            errors.push(FieldError::required(path("resources"), "resource rules must supply at least one resource"));
        }
    }
}

/// The selectors of a ClusterRole that is made of others.
pub(super) fn validate_aggregation(object: &Value, errors: &mut Vec<FieldError>) {
    const PATH: &str = "aggregationRule.clusterRoleSelectors";
    let Some(aggregation) = object.get("aggregationRule").filter(|rule| !rule.is_null()) else { return };
    let selectors = object::list_at(aggregation, &["clusterRoleSelectors"]);
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(FieldError::required(PATH, detail));
    }
    for (index, selector) in selectors.iter().enumerate() {
        check::label_selector(errors, &format!("{PATH}[{index}]"), selector);
    }
}
