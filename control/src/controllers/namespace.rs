//! Furnishes namespaces, and empties those that are being deleted.

use coracle_api::kinds;
use serde_json::{Value, json};

use super::{Outcome, delete, update};
use crate::driver::view::Object;
use crate::driver::world::World;
use crate::objects::ObjectWrite;

/// How many objects of a namespace are deleted in one turn.
const DELETIONS_MAX: usize = 500;
/// What stands for the deletion of its content.
const OWN_FINALIZER: &str = "kubernetes";
const CA_CONFIG_MAP: &str = "kube-root-ca.crt";
const CA_DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
    endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
    distributions of Kubernetes clusters.";

/// Brings one namespace closer to what it should be.
pub fn reconcile(world: &World, name: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(namespace) = world.find(&kinds::NAMESPACE, "", name) else { return outcome };
    if namespace.meta.deleting.is_some() {
        terminate(world, namespace, &mut outcome);
    } else {
        furnish(world, name, &mut outcome);
    }
    outcome
}

/// Every namespace has a service account and the cluster's CA certificate.
fn furnish(world: &World, namespace: &str, outcome: &mut Outcome) {
    if world.find(&kinds::SERVICE_ACCOUNT, namespace, "default").is_none() {
        let metadata = json!({"name": "default", "namespace": namespace});
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
        outcome.write(ObjectWrite::Create { kind: &kinds::SERVICE_ACCOUNT, object });
    }
    let data = json!({"ca.crt": &*world.settings.ca_pem});
    match world.find(&kinds::CONFIG_MAP, namespace, CA_CONFIG_MAP) {
        None => {
            let annotations = json!({"kubernetes.io/description": CA_DESCRIPTION});
            let metadata = json!({"name": CA_CONFIG_MAP, "namespace": namespace, "annotations": annotations});
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
            outcome.write(ObjectWrite::Create { kind: &kinds::CONFIG_MAP, object });
        }
        Some(map) => {
            let mut object = map.decode();
            if map.meta.deleting.is_none() && object.get("data") != Some(&data) {
                object["data"] = data;
                outcome.write(update(map, object));
            }
        }
    }
}

/// Deletes what is in the namespace; once nothing is, lets the namespace itself go.
fn terminate(world: &World, namespace: &Object, outcome: &mut Outcome) {
    let kinds = kinds::ALL.iter().copied().chain(world.custom_kinds()).filter(|kind| kind.namespaced);
    let mut is_empty = true;
    for kind in kinds {
        let prefix = kind.prefix(Some(&namespace.meta.name));
        for object in world.range(&prefix) {
            is_empty = false;
            if object.meta.deleting.is_none() && outcome.writes.len() < DELETIONS_MAX {
                outcome.write(delete(object));
            }
        }
    }
    if !is_empty {
        return;
    }
    let mut object = namespace.decode();
    let finalizers = object.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut);
    // Those of others are theirs to take out, as in Kubernetes.
    let is_changed = finalizers.is_some_and(|finalizers| {
        let count = finalizers.len();
        finalizers.retain(|finalizer| finalizer != OWN_FINALIZER);
        finalizers.len() < count
    });
    if is_changed {
        outcome.write(update(namespace, object));
    }
}

#[cfg(test)]
mod tests;
