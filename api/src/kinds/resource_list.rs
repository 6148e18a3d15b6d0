//! Maps from resource names to quantities, as containers, volumes, limit ranges and quotas have them.

use serde_json::{Map, Value};

use super::check::{self, Errors};
use crate::object;
use crate::quantity::Quantity;
use crate::validation::{self, FieldError, NOT_NEGATIVE};

/// What a container may ask for, besides huge pages and extended resources.
const OF_CONTAINERS: &[&str] = &["cpu", "memory", "ephemeral-storage"];
/// What a quota may count, besides huge pages, extended resources and `count/…`.
const OF_QUOTAS: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
/// What quotas count in whole numbers.
const WHOLE: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Writes quantities in their canonical form, as Kubernetes does: `1000m` is `1`, and a number is a string.
pub(crate) fn canonicalise(list: Option<&mut Map<String, Value>>) {
    for (_, value) in list.into_iter().flatten() {
        if let Ok(quantity) = Quantity::from_value(value) {
            *value = quantity.to_string().into();
        }
    }
}

/// One quantity of a list; a text that is no quantity reads as absent.
pub(crate) fn quantity(list: &Value, resource: &str) -> Option<Quantity> {
    list.get(resource).and_then(|value| Quantity::from_value(value).ok())
}

/// A list whose quantities can be read; the others are reported under their paths.
pub(crate) fn readable<'a>(parent: &'a Value, list: &str, path: &str, errors: &mut Errors) -> Vec<(&'a str, Quantity)> {
    let lists = [list];
    let entries = check::entries(parent, &lists).filter_map(|(resource, value)| match Quantity::from_value(value) {
        Ok(quantity) => Some((resource, quantity)),
        Err(error) => {
            errors.push(FieldError::invalid(format!("{path}.{list}[{resource}]"), value.clone(), error.to_string()));
            None
        }
    });
    entries.collect()
}

/// Whether a request may be lower than its limit.
pub(crate) fn can_overcommit(resource: &str) -> bool {
    (!resource.contains('/') || resource.contains("kubernetes.io/")) && !resource.starts_with("hugepages-")
}

/// A name that containers, and limits of pods and containers, may use.
pub(crate) fn container_name(resource: &str, path: &str, errors: &mut Errors) {
    name(resource, path, errors);
    if !resource.contains('/') && !OF_CONTAINERS.contains(&resource) && !resource.starts_with("hugepages-") {
        errors.push(FieldError::invalid(path, resource, "must be a standard resource for containers"));
    }
}

/// A name that a quota may use.
pub(crate) fn quota_name(resource: &str, path: &str, errors: &mut Errors) {
    name(resource, path, errors);
    if !resource.contains('/') && !is_standard_for_quotas(resource) {
        errors.push(FieldError::invalid(path, resource, "must be a standard resource for quota"));
    }
}

/// A name that anything may use.
pub(crate) fn name(resource: &str, path: &str, errors: &mut Errors) {
    let count = errors.len();
    check::follows(errors, path, resource, validation::qualified_name);
    let is_standard = is_standard_for_quotas(resource) || resource == "storage";
    if errors.len() == count && !resource.contains('/') && !is_standard {
        errors.push(FieldError::invalid(path, resource, "must be a standard resource type or fully qualified"));
    }
}

/// Whether a quota knows the name by itself: it is neither counted by `count/…` nor an extended resource.
pub(crate) fn is_standard_for_quotas(resource: &str) -> bool {
    let pages = resource.strip_prefix("requests.").unwrap_or(resource);
    OF_QUOTAS.contains(&resource) || pages.starts_with("hugepages-")
}

/// Not negative, and whole where the resource comes in pieces.
pub(crate) fn amount(resource: &str, quantity: Quantity, path: &str, errors: &mut Errors) {
    if quantity.is_negative() {
        errors.push(FieldError::invalid(path, quantity.to_string(), NOT_NEGATIVE));
    }
    let is_extended =
        resource.contains('/') && !resource.contains("kubernetes.io/") && !resource.starts_with("requests.");
    if (WHOLE.contains(&resource) || is_extended) && quantity.milli() % 1000 != 0 {
        errors.push(FieldError::invalid(path, quantity.to_string(), "must be an integer"));
    }
}

/// More than nothing.
pub(crate) fn positive(quantity: Quantity, path: &str, errors: &mut Errors) {
    if quantity <= Quantity::ZERO {
        errors.push(FieldError::invalid(path, quantity.to_string(), "must be greater than zero"));
    }
}

/// The quantity at a path as text, `0` where there is none: what columns show.
pub(crate) fn text(object: &Value, path: &[&str]) -> String {
    let quantity = object::get(object, path).and_then(|value| Quantity::from_value(value).ok());
    quantity.unwrap_or(Quantity::ZERO).to_string()
}
