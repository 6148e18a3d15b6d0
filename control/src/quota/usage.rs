//! What one object uses of each resource that quotas can limit.

use coracle_api::kind::Kind;
use coracle_api::kinds::pod;
use coracle_api::object;
use coracle_api::quantity::Quantity;
use serde_json::Value;

use crate::amounts::{self, Amounts};

/// What separates a storage class from what is limited of it.
pub(super) const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// What an object uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(super) amounts: Amounts,
    pub(super) traits: Traits,
}

/// What scopes ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Traits {
    Pod {
        is_terminating: bool,
        is_best_effort: bool,
        priority_class: String,
    },
    Claim {
        attributes_class: String,
    },
    /// Of a kind that no scope selects.
    None,
}

impl Usage {
    /// Only of the kinds of which `reads_content` says so is the content looked at.
    pub(crate) fn of(kind: &Kind, object: &Value) -> Usage {
        let one = Quantity::from_units(1);
        let mut amounts = Amounts::from([(format!("count/{}", kind.resource()), one)]);
        let traits = match (kind.group, kind.kind) {
            ("", "Pod") => of_pod(object, &mut amounts),
            ("", "PersistentVolumeClaim") => of_claim(object, &mut amounts),
            ("", "Service") => of_service(object, &mut amounts),
            _ => Traits::None,
        };
        if kind.group.is_empty() && kind.kind != "Pod" {
            amounts.insert(kind.plural.to_owned(), one);
        }
        Usage { amounts, traits }
    }
}

/// Whether the resource is one that pods use up.
pub(super) fn is_of_pods(resource: &str) -> bool {
    let is_request = resource.starts_with("requests.") && resource != "requests.storage";
    is_request
        || matches!(resource, "pods" | "cpu" | "memory" | "ephemeral-storage")
        || resource.starts_with("limits.")
        || resource.starts_with("hugepages-")
}

/// A pod that is over uses nothing, but is still an object.
fn of_pod(pod: &Value, amounts: &mut Amounts) -> Traits {
    if !matches!(object::str_at(pod, &["status", "phase"]), Some("Succeeded" | "Failed")) {
        amounts.insert("pods".to_owned(), Quantity::from_units(1));
        let overhead = amounts::read(pod, &["spec", "overhead"]);
        let mut requests = amounts::of_pod(pod, "requests");
        amounts::add(&mut requests, &overhead);
        for (name, quantity) in requests {
            if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
                amounts.insert(name.clone(), quantity);
            }
            amounts.insert(format!("requests.{name}"), quantity);
        }
        for (name, limit) in amounts::of_pod(pod, "limits") {
            let overhead = overhead.get(&name).copied().unwrap_or(Quantity::ZERO);
            amounts.insert(format!("limits.{name}"), limit.plus(overhead));
        }
    }
    let class = object::str_at(pod, &["spec", "priorityClassName"]).unwrap_or_default();
    Traits::Pod {
        is_terminating: object::i64_at(pod, &["spec", "activeDeadlineSeconds"]).is_some_and(|seconds| seconds >= 0),
        is_best_effort: pod::qos_class(pod) == "BestEffort",
        priority_class: class.to_owned(),
    }
}

/// A claim uses what it asks for, or what it was given when that is more; its class' quotas count it, too.
fn of_claim(claim: &Value, amounts: &mut Amounts) -> Traits {
    let asked = amounts::read(claim, &["spec", "resources", "requests"]).remove("storage");
    let given = amounts::read(claim, &["status", "allocatedResources"]).remove("storage");
    let class = object::annotation(claim, "volume.beta.kubernetes.io/storage-class");
    let class = class.or_else(|| object::str_at(claim, &["spec", "storageClassName"])).filter(|name| !name.is_empty());
    let mut count = |resource: &str, quantity: Quantity| {
        amounts.insert(resource.to_owned(), quantity);
        if let Some(class) = class {
            amounts.insert(format!("{class}{OF_CLASS}{resource}"), quantity);
        }
    };
    count("persistentvolumeclaims", Quantity::from_units(1));
    if let Some(storage) = asked.max(given) {
        count("requests.storage", storage);
    }
    let class = object::str_at(claim, &["spec", "volumeAttributesClassName"]).unwrap_or_default();
    Traits::Claim { attributes_class: class.to_owned() }
}

fn of_service(service: &Value, amounts: &mut Amounts) -> Traits {
    let ports = object::list_at(service, &["spec", "ports"]);
    let has_number = |port: &&Value| object::i64_at(port, &["nodePort"]).unwrap_or(0) != 0;
    let is_allocated = object::bool_at(service, &["spec", "allocateLoadBalancerNodePorts"]).unwrap_or(true);
    let (node_ports, balancers) = match object::str_at(service, &["spec", "type"]) {
        Some("NodePort") => (ports.len(), 0),
        Some("LoadBalancer") if is_allocated => (ports.len(), 1),
        Some("LoadBalancer") => (ports.iter().filter(has_number).count(), 1),
        _ => (0, 0),
    };
    let node_ports = i64::try_from(node_ports).unwrap_or(i64::MAX);
    amounts.insert("services.nodeports".to_owned(), Quantity::from_units(node_ports));
    amounts.insert("services.loadbalancers".to_owned(), Quantity::from_units(balancers));
    Traits::None
}
