//! Writes a service's Endpoints object: what its endpoint slices say, for clients that know nothing newer.
//!
//! Deliberately absent: services without a selector (their Endpoints are somebody else's, and `endpoint_slice` mirrors them).

use std::collections::BTreeMap;
use std::net::IpAddr;

use coracle_api::{kinds, object};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::endpoint_slice::{HEADLESS, own_labels, target};
use super::{Outcome, delete, update, whole_second};
use crate::driver::view::{Object, Service};
use crate::driver::world::World;
use crate::objects::ObjectWrite;

/// The label that says who writes an Endpoints object.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// The annotation that says when the last change was written.
const CHANGED_AT: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// The annotation on an object that lacks addresses which are too many.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const ADDRESSES_MAX: usize = 1_000;
/// An object of more addresses is costly to write, so that changes are gathered for a while.
const LARGE: usize = 100;
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// Addresses that share their ports.
#[derive(Default)]
struct Subset {
    ready: Vec<Value>,
    other: Vec<Value>,
}

/// Whether it was written here.
pub fn is_managed(endpoints: &Object) -> bool {
    endpoints.meta.labels.get(MANAGED_BY).is_some_and(|manager| &**manager == MANAGER)
}

/// Rewrites the Endpoints object of a service if it isn't as it should be; deletes it when the service is gone.
pub fn reconcile(world: &World, key: &str, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let Some((namespace, name)) = key.split_once('/').and_then(|(_, rest)| rest.split_once('/')) else {
        return outcome;
    };
    let found = world.find(&kinds::ENDPOINTS, namespace, name).filter(|found| found.meta.deleting.is_none());
    let Some(object) = world.get(key).filter(|object| object.meta.deleting.is_none()) else {
        found.into_iter().for_each(|found| outcome.write(delete(found)));
        return outcome;
    };
    let Some(service) = object.service().filter(|service| !service.selector.is_empty() && !service.is_external_name)
    else {
        return outcome;
    };
    let (subsets, count) = subsets(world, object, service);
    let labels = labels(object, service);
    let (whole, is_over) = (found.map(|found| found.decode()), count > ADDRESSES_MAX);
    let mut endpoints = whole.clone().unwrap_or_else(|| {
        let metadata = json!({"name": name, "namespace": namespace});
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata})
    });
    endpoints["metadata"]["labels"] = labels;
    if object::list_at(&endpoints, &["subsets"]) != subsets {
        endpoints["subsets"] = Value::Array(subsets);
    }
    if is_over {
        object::set_annotation(&mut endpoints, OVER_CAPACITY, "truncated");
    } else if let Some(annotations) = endpoints.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(OVER_CAPACITY);
    }
    if whole.as_ref() == Some(&endpoints) {
        return outcome;
    }
    let changed_at = object::annotation(&endpoints, CHANGED_AT).and_then(|at| at.parse::<Timestamp>().ok());
    if let Some(may_change_at) = changed_at.map(|at| at + PAUSE).filter(|at| count > LARGE && *at > now) {
        outcome.wake(may_change_at);
        return outcome;
    }
    object::set_annotation(&mut endpoints, CHANGED_AT, object::timestamp(whole_second(now)));
    outcome.write(match found {
        Some(found) => update(found, endpoints),
        None => ObjectWrite::Create { kind: &kinds::ENDPOINTS, object: endpoints }.into(),
    });
    outcome
}

/// The subsets there should be, and how many addresses there are, those that are too many included.
fn subsets(world: &World, object: &Object, service: &Service) -> (Vec<Value>, usize) {
    let mut found: BTreeMap<Vec<Option<u16>>, Subset> = BTreeMap::new();
    let is_ready = |pod: &Object| service.publish_not_ready || world.is_ready(pod);
    let mut pods: Vec<(bool, IpAddr, &Object)> = Vec::new();
    for pod in world.pods_with_labels(&object.meta.namespace, &service.selector) {
        let Some(view) = pod.pod().filter(|view| !view.is_over()) else { continue };
        let Some(ip) = view.ip.as_deref().and_then(|ip| ip.parse().ok()) else { continue };
        if pod.meta.deleting.is_none() || service.publish_not_ready {
            pods.push((is_ready(pod), ip, pod));
        }
    }
    let count = pods.len();
    let order = |(ready, ip, pod): &(bool, IpAddr, &Object), other: &(bool, IpAddr, &Object)| {
        (!ready, ip, &*pod.meta.uid).cmp(&(!other.0, &other.1, &*other.2.meta.uid))
    };
    // Of many thousands only those that are written need be in order.
    if count > ADDRESSES_MAX {
        pods.select_nth_unstable_by(ADDRESSES_MAX, order);
        pods.truncate(ADDRESSES_MAX);
    }
    pods.sort_unstable_by(order);
    for (ready, ip, pod) in pods {
        let Some(view) = pod.pod() else { continue };
        let numbers: Vec<Option<u16>> = service.ports.iter().map(|port| target(port, view)).collect();
        if !numbers.is_empty() && numbers.iter().all(Option::is_none) {
            continue;
        }
        let subset = found.entry(numbers).or_default();
        let list = if ready { &mut subset.ready } else { &mut subset.other };
        list.push(address(ip, pod, view.node.as_deref()));
    }
    (found.into_iter().map(|(numbers, subset)| subset.spelled(service, &numbers)).collect(), count)
}

fn address(ip: IpAddr, pod: &Object, node: Option<&str>) -> Value {
    let meta = &pod.meta;
    let mut address = json!({
        "ip": ip.to_string(),
        "targetRef": {"kind": "Pod", "namespace": &*meta.namespace, "name": &*meta.name, "uid": &*meta.uid},
    });
    if let Some(node) = node {
        address["nodeName"] = node.into();
    }
    address
}

impl Subset {
    fn spelled(self, service: &Service, numbers: &[Option<u16>]) -> Value {
        let mut subset = Map::new();
        let ports = service.ports.iter().zip(numbers).filter_map(|(port, number)| {
            let mut spelled = json!({"port": (*number)?, "protocol": port.protocol.as_deref().unwrap_or("TCP")});
            if !port.name.is_empty() {
                spelled["name"] = port.name.as_str().into();
            }
            if let Some(protocol) = &port.app_protocol {
                spelled["appProtocol"] = protocol.as_str().into();
            }
            Some(spelled)
        });
        let lists = [("addresses", self.ready), ("notReadyAddresses", self.other), ("ports", ports.collect())];
        for (field, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            subset.insert(field.to_owned(), Value::Array(list));
        }
        Value::Object(subset)
    }
}

fn labels(object: &Object, service: &Service) -> Value {
    let mut labels = own_labels(object);
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    if service.is_headless {
        labels.insert(HEADLESS.to_owned(), "".into());
    }
    Value::Object(labels)
}

#[cfg(test)]
mod tests;
