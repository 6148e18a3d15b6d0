//! A limit range: defaults and bounds for what the pods and claims of a namespace ask for.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::pod::default;
use crate::kinds::{cells, check, resource_list};
use crate::object;
use crate::quantity::Quantity;
use crate::validation::{self, FieldError};

const TYPES: &[&str] = &["Pod", "Container", "PersistentVolumeClaim"];
const LISTS: &[&str] = &["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "LimitRange",
    plural: "limitranges",
    singular: "limitrange",
    short_names: &["limits"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.LimitRange",
    subresources: &[],
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

const COLUMNS: &[Column] = &[cells::NAME, cells::CREATED_AT];

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    for limit in default::each(object::child_mut(object, "spec"), "limits") {
        for list in LISTS {
            resource_list::canonicalise(default::child(limit, list));
        }
        if limit.get("type").and_then(Value::as_str) == Some("Container") {
            // The highest limit is the default one, a limit is what is requested, and failing that the least there is.
            fill(limit, "default", "max");
            fill(limit, "defaultRequest", "default");
            fill(limit, "defaultRequest", "min");
        }
    }
}

/// Adds to one list what it lacks and another has.
fn fill(limit: &mut Map<String, Value>, list: &str, from: &str) {
    let Some(from) = default::child(limit, from).filter(|from| !from.is_empty()).map(|from| from.clone()) else {
        return;
    };
    default::set(limit, list, Map::new());
    if let Some(list) = default::child(limit, list) {
        from.into_iter().for_each(|(resource, quantity)| default::set(list, &resource, quantity));
    }
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let mut types = HashSet::new();
    for (index, limit) in object::list_at(object, &["spec", "limits"]).iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        let limit_type = check::text(limit, "type");
        type_name(limit_type, &format!("{path}.type"), errors);
        check::unique(errors, &mut types, &format!("{path}.type"), limit_type);
        let mut resources = BTreeSet::new();
        for list in LISTS {
            let is_default = list.starts_with("default");
            if limit_type == "Pod" && is_default && check::entries(limit, &[list]).next().is_some() {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(format!("{path}.{list}"), detail));
                continue;
            }
            for (resource, _) in resource_list::readable(limit, list, &path, errors) {
                let rule = if matches!(limit_type, "Pod" | "Container") {
                    resource_list::container_name
                } else {
                    resource_list::name
                };
                rule(resource, &format!("{path}.{list}[{resource}]"), errors);
                resources.insert(resource);
            }
        }
        let has_storage = |list: &str| object::get(limit, &[list, "storage"]).is_some();
        if limit_type == "PersistentVolumeClaim" && !has_storage("min") && !has_storage("max") {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.push(FieldError::required(format!("{path}.limits"), detail));
        }
        resources.into_iter().for_each(|resource| coherent(limit, resource, &path, errors));
    }
}

fn type_name(limit_type: &str, path: &str, errors: &mut Vec<FieldError>) {
    let count = errors.len();
    check::follows(errors, path, limit_type, validation::qualified_name);
    if errors.len() == count && !limit_type.contains('/') && !TYPES.contains(&limit_type) {
        errors.push(FieldError::invalid(path, limit_type, "must be a standard limit type or fully qualified"));
    }
}

/// For one resource: min ≤ defaultRequest ≤ default ≤ max, and a ratio that these allow.
fn coherent(limit: &Value, resource: &str, path: &str, errors: &mut Vec<FieldError>) {
    let get = |list: &str| limit.get(list).and_then(|list| resource_list::quantity(list, resource));
    let [min, max, default, request, ratio] =
        ["min", "max", "default", "defaultRequest", "maxLimitRequestRatio"].map(get);
    let mut ordered =
        |low: Option<Quantity>, high: Option<Quantity>, list: &str, value: Option<Quantity>, what: [&str; 2]| {
            if let (Some(low), Some(high), Some(value)) = (low, high, value)
                && low > high
            {
                let detail = format!("{} value {low} is greater than {} value {high}", what[0], what[1]);
                errors.push(FieldError::invalid(format!("{path}.{list}[{resource}]"), value.to_string(), detail));
            }
        };
    ordered(min, max, "min", min, ["min", "max"]);
    ordered(min, request, "defaultRequest", request, ["min", "default request"]);
    ordered(request, max, "defaultRequest", request, ["default request", "max"]);
    ordered(request, default, "defaultRequest", request, ["default request", "default limit"]);
    ordered(min, default, "default", min, ["min", "default"]);
    ordered(default, max, "default", max, ["default", "max"]);
    if let Some(ratio) = ratio {
        let path = format!("{path}.maxLimitRequestRatio[{resource}]");
        if ratio < Quantity::from_units(1) {
            let detail = format!("ratio {ratio} is less than 1");
            errors.push(FieldError::invalid(path.as_str(), ratio.to_string(), detail));
        }
        if let (Some(min), Some(max)) = (min, max)
            && let Some(highest) = max.ratio_to(min)
            && ratio.ratio_to(Quantity::from_units(1)) > Some(highest)
        {
            let detail = format!("ratio {ratio} is greater than max/min = {highest:.6}");
            errors.push(FieldError::invalid(path, ratio.to_string(), detail));
        }
    }
    if let (Some(default), Some(request)) = (default, request)
        && !resource_list::can_overcommit(resource)
        && default != request
    {
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {resource}");
        errors.push(FieldError::invalid(format!("{path}.defaultRequest[{resource}]"), request.to_string(), detail));
    }
}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
