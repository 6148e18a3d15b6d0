//! The LimitRanges of a namespace: what its pods ask for where they don't say, and how much pods and claims may ask for.

use std::collections::BTreeMap;

use coracle_api::kinds::{LIMIT_RANGE, PERSISTENT_VOLUME_CLAIM, POD};
use coracle_api::object;
use coracle_api::quantity::Quantity;
use coracle_api::status::{self, Status};
use serde_json::{Map, Value};

use super::Attributes;
use crate::amounts::{self, Amounts};
use crate::objects::decode_record;

/// Says on a pod what it was given.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// A bound on one resource: what breaks it is returned in words.
type Rule = fn(&str, &str, Quantity, Option<&Quantity>, Option<&Quantity>) -> Option<String>;

/// Gives the containers of a new pod the default requests and limits.
pub(super) fn admit(attributes: &Attributes<'_>, pod: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
    if *attributes.kind != POD {
        return Ok(());
    }
    for range in ranges(attributes) {
        let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
        for limit in object::list_at(&range, &["spec", "limits"]) {
            if object::str_at(limit, &["type"]) == Some("Container") {
                requests.extend(entries(limit, "defaultRequest"));
                limits.extend(entries(limit, "default"));
            }
        }
        let mut notes = Vec::new();
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter(|container| container.is_object()) {
                let name = object::str_at(container, &["name"]).unwrap_or_default().to_owned();
                for (list, word, defaults) in [("requests", "request", &requests), ("limits", "limit", &limits)] {
                    let given = give(container, list, defaults);
                    if !given.is_empty() {
                        notes.push(format!("{} {word} for {what} {name}", given.join(", ")));
                    }
                }
            }
        }
        if !notes.is_empty() {
            object::set_annotation(pod, ANNOTATION, format!("LimitRanger plugin set: {}", notes.join("; ")));
            // The quality of service follows from the requests and limits.
            object::child_mut(pod, "status").remove("qosClass");
            POD.default(pod);
        }
    }
    Ok(())
}

/// Refuses a pod or claim that is out of bounds. A pod's containers never change, so that only a new one is looked at.
pub(super) fn check(attributes: &Attributes<'_>, old: Option<&Value>, new: &Value) -> Result<(), Status> {
    let is_pod = *attributes.kind == POD && old.is_none();
    if !is_pod && *attributes.kind != PERSISTENT_VOLUME_CLAIM {
        return Ok(());
    }
    for range in ranges(attributes) {
        let limits = object::list_at(&range, &["spec", "limits"]).iter();
        let errors: Vec<String> =
            limits.flat_map(|limit| if is_pod { pod_errors(limit, new) } else { claim_errors(limit, new) }).collect();
        if let [error] = errors.as_slice() {
            return Err(status::forbidden(attributes.kind, attributes.name, error));
        } else if !errors.is_empty() {
            let because = format!("[{}]", errors.join(", "));
            return Err(status::forbidden(attributes.kind, attributes.name, &because));
        }
    }
    Ok(())
}

fn ranges(attributes: &Attributes<'_>) -> Vec<Value> {
    let prefix = LIMIT_RANGE.prefix(attributes.namespace);
    attributes.snapshot.range(&prefix, None).map(|record| decode_record(record)).collect()
}

fn entries(limit: &Value, list: &str) -> Map<String, Value> {
    limit.get(list).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Adds to a container's list what it lacks; returns the names of that.
fn give(container: &mut Value, list: &str, defaults: &BTreeMap<String, Value>) -> Vec<String> {
    if defaults.is_empty() {
        return Vec::new();
    }
    object::child_mut(container, "resources");
    let has = object::child_mut(&mut container["resources"], list);
    let missing: Vec<String> = defaults.keys().filter(|resource| !has.contains_key(*resource)).cloned().collect();
    has.extend(missing.iter().map(|resource| (resource.clone(), defaults[resource].clone())));
    missing
}

fn pod_errors(limit: &Value, pod: &Value) -> Vec<String> {
    match object::str_at(limit, &["type"]) {
        Some("Container") => {
            let containers = ["containers", "initContainers"].map(|list| object::list_at(pod, &["spec", list]));
            let of = |container: &Value| {
                let [requests, limits] =
                    ["requests", "limits"].map(|list| amounts::read(container, &["resources", list]));
                out_of_bounds(limit, "Container", &requests, &limits)
            };
            containers.into_iter().flatten().flat_map(of).collect()
        }
        Some("Pod") => {
            let [requests, limits] = ["requests", "limits"].map(|list| amounts::of_pod(pod, list));
            out_of_bounds(limit, "Pod", &requests, &limits)
        }
        _ => Vec::new(),
    }
}

/// A claim only has requests.
fn claim_errors(limit: &Value, claim: &Value) -> Vec<String> {
    const TYPE: &str = "PersistentVolumeClaim";
    if object::str_at(limit, &["type"]) != Some(TYPE) {
        return Vec::new();
    }
    let requests = amounts::read(claim, &["spec", "resources", "requests"]);
    let least = amounts::read(limit, &["min"]).into_iter();
    let least = least.filter_map(|(resource, bound)| at_least(TYPE, &resource, bound, requests.get(&resource), None));
    let most = amounts::read(limit, &["max"]).into_iter();
    let most = most.filter_map(|(resource, bound)| match requests.get(&resource) {
        None => Some(format!("maximum {resource} usage per {TYPE} is {bound}.  No request is specified")),
        Some(request) if *request > bound => {
            Some(format!("maximum {resource} usage per {TYPE} is {bound}, but request is {request}"))
        }
        Some(_) => None,
    });
    least.chain(most).collect()
}

fn out_of_bounds(limit: &Value, what: &str, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let each = |list: &str, rule: Rule| {
        let bounds = amounts::read(limit, &[list]).into_iter();
        let broken =
            bounds.filter_map(|(name, bound)| rule(what, &name, bound, requests.get(&name), limits.get(&name)));
        broken.collect::<Vec<String>>()
    };
    [each("min", at_least), each("max", at_most), each("maxLimitRequestRatio", in_proportion)].concat()
}

fn at_least(
    what: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let start = format!("minimum {name} usage per {what} is {bound}");
    match (request, limit) {
        (None, _) => Some(format!("{start}.  No request is specified")),
        (Some(request), _) if *request < bound => Some(format!("{start}, but request is {request}")),
        (_, Some(limit)) if *limit < bound => Some(format!("{start}, but limit is {limit}")),
        _ => None,
    }
}

fn at_most(
    what: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let start = format!("maximum {name} usage per {what} is {bound}");
    match (request, limit) {
        (_, None) => Some(format!("{start}.  No limit is specified")),
        (_, Some(limit)) if *limit > bound => Some(format!("{start}, but limit is {limit}")),
        (Some(request), _) if *request > bound => Some(format!("{start}, but request is {request}")),
        _ => None,
    }
}

fn in_proportion(
    what: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let start = format!("{name} max limit to request ratio per {what} is {bound}");
    let (request, limit) = (request.filter(|request| !request.is_zero()), limit.filter(|limit| !limit.is_zero()));
    match (request, limit) {
        (None, _) => Some(format!("{start}, but no request is specified or request is 0")),
        (_, None) => Some(format!("{start}, but no limit is specified or limit is 0")),
        (Some(request), Some(limit)) => {
            let ratio = limit.ratio_to(*request)?;
            let highest = bound.ratio_to(Quantity::from_units(1))?;
            (ratio > highest).then(|| format!("{start}, but provided ratio is {ratio:.6}"))
        }
    }
}
