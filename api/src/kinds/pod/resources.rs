//! What containers ask for and may use at most, and the quality of service that follows from it.

use serde_json::{Map, Value};

use super::default::child;
use crate::kinds::check::{self, Errors};
use crate::kinds::resource_list;
use crate::object;
use crate::quantity::Quantity;
use crate::validation::FieldError;

/// Writes a container's quantities in their canonical form.
pub(crate) fn canonicalise(container: &mut Map<String, Value>) {
    let Some(resources) = child(container, "resources") else { return };
    for list in ["limits", "requests"] {
        resource_list::canonicalise(child(resources, list));
    }
}

pub(crate) fn validate(container: &Value, path: &str, errors: &mut Errors) {
    for (resource, value) in check::entries(container, &["resources", "limits"]) {
        entry(resource, value, &format!("{path}.limits[{resource}]"), errors);
    }
    for (resource, value) in check::entries(container, &["resources", "requests"]) {
        let Some(request) = entry(resource, value, &format!("{path}.requests[{resource}]"), errors) else { continue };
        let limit = object::get(container, &["resources", "limits", resource]);
        let limit = limit.and_then(|limit| Quantity::from_value(limit).ok());
        let can_overcommit = resource_list::can_overcommit(resource);
        let (path, text) = (format!("{path}.requests"), request.to_string());
        match limit {
            Some(limit) if !can_overcommit && request != limit => {
                let detail = format!("must be equal to {resource} limit of {limit}");
                errors.push(FieldError::invalid(path, text, detail));
            }
            Some(limit) if request > limit => {
                let detail = format!("must be less than or equal to {resource} limit of {limit}");
                errors.push(FieldError::invalid(path, text, detail));
            }
            None if !can_overcommit => {
                let detail = "Limit must be set for non overcommitable resources";
                errors.push(FieldError::required(path.replace(".requests", ".limits"), detail));
            }
            _ => {}
        }
    }
}

fn entry(resource: &str, value: &Value, path: &str, errors: &mut Errors) -> Option<Quantity> {
    resource_list::container_name(resource, path, errors);
    match Quantity::from_value(value) {
        Err(error) => {
            errors.push(FieldError::invalid(path, value.clone(), error.to_string()));
            None
        }
        Ok(quantity) => {
            resource_list::amount(resource, quantity, path, errors);
            Some(quantity)
        }
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`: how firmly a pod's CPU and memory are promised to it.
pub fn qos_class(pod: &Value) -> &'static str {
    let containers = ["containers", "initContainers"].map(|list| object::list_at(pod, &["spec", list]));
    let amount = |container: &Value, list: &str, resource: &str| {
        let value = object::get(container, &["resources", list, resource]);
        value.and_then(|value| Quantity::from_value(value).ok()).filter(|quantity| !quantity.is_zero())
    };
    let (mut any, mut all_bounded) = (false, true);
    for container in containers.into_iter().flatten() {
        for resource in ["cpu", "memory"] {
            let (request, limit) = (amount(container, "requests", resource), amount(container, "limits", resource));
            any |= request.is_some() || limit.is_some();
            all_bounded &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, all_bounded) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
