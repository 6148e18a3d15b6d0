//! A resource quota: how much the objects of a namespace may ask for together.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::pod::default;
use crate::kinds::{cells, check, resource_list};
use crate::object;
use crate::validation::{FieldError, IMMUTABLE};

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// Scopes of which a pod is never in both.
const OPPOSITES: &[[&str; 2]] = &[["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
/// What quotas on pods alone count.
const OF_PODS: &[&str] = &["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ResourceQuota",
    plural: "resourcequotas",
    singular: "resourcequota",
    short_names: &["quota"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.ResourceQuota",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    cells::AGE,
    Column::string(
        "Request",
        0,
        "Request represents a minimum amount of cpu/memory that a container may consume.",
        |object, _| used_of_hard(object, false),
    ),
    Column::string(
        "Limit",
        0,
        "Limits control the maximum amount of cpu/memory that a container may use independent of contention on \
        the node.",
        limits,
    ),
];

fn limits(object: &Value, _: Timestamp) -> Value {
    used_of_hard(object, true)
}

/// `pods: 2/10, services: 0/5`, of the resources that are limits or of all others.
fn used_of_hard(object: &Value, is_limit: bool) -> Value {
    let resources: BTreeSet<&str> = check::entries(object, &["status", "hard"]).map(|(resource, _)| resource).collect();
    let parts = resources.into_iter().filter(|resource| resource.starts_with("limits.") == is_limit);
    let parts = parts.map(|resource| {
        let [used, hard] = ["used", "hard"].map(|list| resource_list::text(object, &["status", list, resource]));
        format!("{resource}: {used}/{hard}")
    });
    parts.collect::<Vec<String>>().join(", ").into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    resource_list::canonicalise(default::child(object::child_mut(object, "spec"), "hard"));
    object::child_mut(object, "status");
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    for (resource, quantity) in resource_list::readable(spec, "hard", "spec", errors) {
        let path = format!("spec.hard[{resource}]");
        resource_list::quota_name(resource, &path, errors);
        resource_list::amount(resource, quantity, &path, errors);
    }
    let listed = object::list_at(spec, &["scopes"]);
    let scopes: Vec<&str> = listed.iter().filter_map(Value::as_str).collect();
    let value = Value::Array(listed.to_vec());
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.push(FieldError::invalid("spec.scopes", value.clone(), "unsupported scope"));
        }
        fit_resources(spec, scope, "spec.scopes", &value, errors);
    }
    conflicts(&scopes, "spec.scopes", &value, errors);
    let expressions = object::list_at(spec, &["scopeSelector", "matchExpressions"]);
    for expression in expressions {
        selector(spec, expression, errors);
    }
    let selected: Vec<&str> = expressions.iter().map(|expression| check::text(expression, "scopeName")).collect();
    conflicts(&selected, "spec.scopeSelector.matchExpressions", &value, errors);
}

/// A scope selects pods, or claims: a quota on anything else can't have it.
fn fit_resources(spec: &Value, scope: &str, path: &str, value: &Value, errors: &mut Vec<FieldError>) {
    let fits = |resource: &str| match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        scope if SCOPES.contains(&scope) => OF_PODS.contains(&resource),
        _ => true,
    };
    let resources: BTreeSet<&str> = check::entries(spec, &["hard"]).map(|(resource, _)| resource).collect();
    let unfit = |resource: &&str| resource_list::is_standard_for_quotas(resource) && !fits(resource);
    for _ in resources.into_iter().filter(unfit) {
        errors.push(FieldError::invalid(path, value.clone(), "unsupported scope applied to resource"));
    }
}

fn conflicts(scopes: &[&str], path: &str, value: &Value, errors: &mut Vec<FieldError>) {
    for _ in OPPOSITES.iter().filter(|pair| pair.iter().all(|scope| scopes.contains(scope))) {
        errors.push(FieldError::invalid(path, value.clone(), "conflicting scopes"));
    }
}

fn selector(spec: &Value, expression: &Value, errors: &mut Vec<FieldError>) {
    const PATH: &str = "spec.scopeSelector.matchExpressions";
    let (scope, operator) = (check::text(expression, "scopeName"), check::text(expression, "operator"));
    if !SCOPES.contains(&scope) {
        errors.push(FieldError::invalid(format!("{PATH}.scopeName"), scope, "unsupported scope"));
    }
    fit_resources(spec, scope, PATH, &spec["scopeSelector"], errors);
    let has_values = matches!(scope, "PriorityClass" | "VolumeAttributesClass");
    if SCOPES.contains(&scope) && !has_values && operator != "Exists" {
        let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, \
                      ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                      ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.push(FieldError::invalid(format!("{PATH}.operator"), operator, detail));
    }
    let values = object::list_at(expression, &["values"]);
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(FieldError::required(format!("{PATH}.values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(FieldError::invalid(format!("{PATH}.values"), Value::Array(values.to_vec()), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.push(FieldError::invalid(format!("{PATH}.operator"), operator, "not a valid selector operator")),
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let scopes = |object| -> BTreeSet<&str> {
        object::list_at(object, &["spec", "scopes"]).iter().filter_map(Value::as_str).collect()
    };
    if scopes(new) != scopes(old) {
        let value = Value::Array(object::list_at(new, &["spec", "scopes"]).to_vec());
        errors.push(FieldError::invalid("spec.scopes", value, IMMUTABLE));
    }
}
