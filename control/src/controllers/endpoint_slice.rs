//! Writes down what is behind a service, at which addresses and ports: its pods, or, where it selects none, what its Endpoints
//! object says.
//!
//! Deliberately absent: the service's own address.

use std::collections::{BTreeMap, HashMap, HashSet};

use coracle_api::{kinds, names, object};
use serde_json::{Map, Value, json};

use super::replica_set::controller_reference;
use super::{Outcome, delete, update};
use crate::driver::view::{IntOrPercent, Object, Pod, Service, ServicePort};
use crate::driver::world::World;
use crate::objects::ObjectWrite;

mod mirror;

/// The label that names a slice's service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that says who writes a slice.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const MIRROR: &str = "endpointslicemirroring-controller.k8s.io";
/// The label of an Endpoints object that isn't to be mirrored.
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
/// The label of what belongs to a service without an address.
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";
/// Small slices, so that a change rewrites little; the API allows ten times as many.
const ENDPOINTS_MAX: usize = 100;

/// The slices of one address family and one list of ports.
#[derive(Default)]
struct Group {
    endpoints: Vec<(String, Value)>,
    slices: Vec<Slice>,
}

/// A slice as it is, and as it will be.
struct Slice {
    key: Option<std::sync::Arc<str>>,
    whole: Value,
    endpoints: Vec<Value>,
    is_changed: bool,
}

/// What the endpoints of a slice share: the address family and the ports, as the slice spells them.
type Signature = (&'static str, String);

/// Rewrites those slices of a service that aren't as they should be.
pub fn reconcile(world: &World, key: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(object) = world.get(key).filter(|object| object.meta.deleting.is_none()) else { return outcome };
    let Some(service) = object.service().filter(|service| !service.is_external_name) else { return outcome };
    let wanted =
        if service.selector.is_empty() { mirror::wanted(world, object) } else { Some(wanted(world, object, service)) };
    if let Some(wanted) = wanted {
        arrange(world, wanted, &mut outcome);
    }
    outcome
}

/// What the slices should say, and whose they are.
struct Wanted<'a> {
    owner: &'a Object,
    manager: &'static str,
    labels: Map<String, Value>,
    groups: BTreeMap<Signature, Group>,
}

fn arrange(world: &World, wanted: Wanted<'_>, outcome: &mut Outcome) {
    let Wanted { owner, manager, mut labels, mut groups } = wanted;
    labels.insert(SERVICE_NAME.to_owned(), Value::from(&*owner.meta.name));
    labels.insert(MANAGED_BY.to_owned(), manager.into());
    let labels = Value::Object(labels);
    if groups.is_empty() {
        groups.insert(("IPv4", "[]".to_owned()), Group::default());
    }
    for slice in world.controlled(&owner.meta.uid, &kinds::ENDPOINT_SLICE) {
        let is_managed = slice.meta.labels.get(MANAGED_BY).is_some_and(|found| &**found == manager);
        if !is_managed || slice.meta.deleting.is_some() {
            continue;
        }
        let whole = slice.decode();
        match groups.get_mut(&signature(&whole)) {
            None => outcome.write(delete(slice)),
            Some(group) => group.slices.push(Slice::found(slice, whole)),
        }
    }
    let changed = world.dependents(&owner.meta.uid).map_or(0, |dependents| dependents.changed);
    let prefix = format!("{}-", owner.meta.name);
    let mut free = (0..)
        .map(|ordinal| names::generated_name(&prefix, &owner.meta.uid, changed, ordinal))
        .filter(|name| world.find(&kinds::ENDPOINT_SLICE, &owner.meta.namespace, name).is_none());
    for ((family, ports), group) in groups {
        for slice in group.arranged() {
            write(world, owner, slice, (family, &ports), &labels, &mut free, outcome);
        }
    }
}

/// The pods that a service selects.
fn wanted<'a>(world: &World, object: &'a Object, service: &Service) -> Wanted<'a> {
    let mut groups: BTreeMap<Signature, Group> = BTreeMap::new();
    let mut spelled: HashMap<Vec<Option<u16>>, String> = HashMap::new();
    for found in world.pods_with_labels(&object.meta.namespace, &service.selector) {
        let Some(pod) = found.pod().filter(|pod| !pod.is_over()) else { continue };
        let Some(ip) = &pod.ip else { continue };
        let numbers: Vec<Option<u16>> = service.ports.iter().map(|port| target(port, pod)).collect();
        let ports = spelled.entry(numbers).or_insert_with_key(|numbers| spell(&service.ports, numbers)).clone();
        let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
        let (serving, terminating) = (world.is_ready(found), found.meta.deleting.is_some());
        let mut endpoint = json!({
            "addresses": [&**ip],
            "conditions": {
                "ready": service.publish_not_ready || (serving && !terminating),
                "serving": serving || service.publish_not_ready,
                "terminating": terminating,
            },
            "targetRef": {
                "kind": "Pod", "namespace": &*found.meta.namespace, "name": &*found.meta.name, "uid": &*found.meta.uid,
            },
        });
        if let Some(node) = &pod.node {
            endpoint["nodeName"] = Value::from(&**node);
        }
        groups.entry((family, ports)).or_default().endpoints.push((found.meta.uid.to_string(), endpoint));
    }
    let mut labels = own_labels(object);
    if service.is_headless {
        labels.insert(HEADLESS.to_owned(), "".into());
    }
    Wanted { owner: object, manager: MANAGER, labels, groups }
}

/// The number of the container port that a service port leads to on this pod; `None` where the pod doesn't name it.
pub(super) fn target(port: &ServicePort, pod: &Pod) -> Option<u16> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrPercent::Int(0)) => Some(port.port),
        Some(IntOrPercent::Int(number)) => u16::try_from(*number).ok(),
        Some(IntOrPercent::Percent(name)) => {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let declared =
                pod.ports.iter().find(|declared| *declared.name == **name && *declared.protocol == *protocol);
            declared.map(|declared| declared.port).or_else(|| name.parse().ok())
        }
    }
}

fn spell(ports: &[ServicePort], numbers: &[Option<u16>]) -> String {
    let ports = ports.iter().zip(numbers).filter_map(|(port, number)| {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let mut spelled = json!({"name": port.name, "port": (*number)?, "protocol": protocol});
        if let Some(protocol) = &port.app_protocol {
            spelled["appProtocol"] = Value::from(protocol.as_str());
        }
        Some(spelled)
    });
    Value::Array(ports.collect()).to_string()
}

fn signature(slice: &Value) -> Signature {
    let family = if object::str_at(slice, &["addressType"]) == Some("IPv6") { "IPv6" } else { "IPv4" };
    (family, Value::Array(object::list_at(slice, &["ports"]).to_vec()).to_string())
}

pub(super) fn own_labels(object: &Object) -> Map<String, Value> {
    object.meta.labels.iter().map(|(key, value)| (key.to_string(), Value::from(&**value))).collect()
}

/// What tells an endpoint from others: its pod, or else its address.
fn identity(endpoint: &Value) -> Option<&str> {
    let pod = object::str_at(endpoint, &["targetRef", "uid"]);
    pod.or_else(|| object::list_at(endpoint, &["addresses"]).first()?.as_str())
}

impl Slice {
    fn found(object: &Object, whole: Value) -> Slice {
        let endpoints = object::list_at(&whole, &["endpoints"]).to_vec();
        Slice { key: Some(object.key.clone()), whole, endpoints, is_changed: false }
    }

    fn empty() -> Slice {
        Slice { key: None, whole: Value::Null, endpoints: Vec::new(), is_changed: true }
    }
}

impl Group {
    /// Endpoints stay in their slice; new ones go where something changes anyway, then where there is room, then into new
    /// slices. What ends up empty goes, except the last slice.
    fn arranged(mut self) -> Vec<Slice> {
        let mut unplaced: HashSet<usize> = (0..self.endpoints.len()).collect();
        let by_identity: HashMap<&str, usize> =
            self.endpoints.iter().enumerate().map(|(index, (identity, _))| (identity.as_str(), index)).collect();
        for slice in &mut self.slices {
            let before = std::mem::take(&mut slice.endpoints);
            for endpoint in &before {
                let found = identity(endpoint).and_then(|identity| by_identity.get(identity));
                if let Some(index) = found.filter(|index| unplaced.remove(*index)) {
                    slice.endpoints.push(self.endpoints[*index].1.clone());
                }
            }
            slice.is_changed = slice.endpoints != before;
        }
        let mut unplaced: Vec<usize> = unplaced.into_iter().collect();
        // The last is taken first.
        unplaced.sort_unstable_by(|a, b| b.cmp(a));
        self.slices.sort_by_key(|slice| !slice.is_changed);
        let mut slices = self.slices.into_iter();
        let mut arranged = Vec::new();
        while let Some(mut slice) = slices.next().or_else(|| (!unplaced.is_empty()).then(Slice::empty)) {
            while slice.endpoints.len() < ENDPOINTS_MAX
                && let Some(index) = unplaced.pop()
            {
                slice.endpoints.push(self.endpoints[index].1.clone());
                slice.is_changed = true;
            }
            arranged.push(slice);
        }
        if arranged.is_empty() {
            arranged.push(Slice::empty());
        }
        arranged
    }
}

fn write(
    world: &World,
    owner: &Object,
    slice: Slice,
    (family, ports): (&str, &str),
    labels: &Value,
    names: &mut impl Iterator<Item = String>,
    outcome: &mut Outcome,
) {
    let Some(key) = &slice.key else {
        let name = names.next().expect("invariant: ordinals don't end");
        let ports: Value = serde_json::from_str(ports).expect("invariant: it was spelled here");
        let object = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "generateName": format!("{}-", owner.meta.name),
                "namespace": &*owner.meta.namespace,
                "labels": labels,
                "ownerReferences": [controller_reference(owner)],
            },
            "addressType": family,
            "endpoints": slice.endpoints,
            "ports": ports,
        });
        outcome.write(ObjectWrite::Create { kind: &kinds::ENDPOINT_SLICE, object });
        return;
    };
    let Some(found) = world.get(key) else { return };
    let is_relabelled = slice.whole.pointer("/metadata/labels") != Some(labels);
    let is_last = world
        .controlled(&owner.meta.uid, &kinds::ENDPOINT_SLICE)
        .all(|other| other.key == *key || other.meta.deleting.is_some());
    if slice.endpoints.is_empty() && !is_last && slice.is_changed {
        outcome.write(delete(found));
    } else if slice.is_changed || is_relabelled {
        let mut whole = slice.whole;
        whole["endpoints"] = Value::Array(slice.endpoints);
        whole["metadata"]["labels"] = labels.clone();
        outcome.write(update(found, whole));
    }
}

#[cfg(test)]
mod tests;
