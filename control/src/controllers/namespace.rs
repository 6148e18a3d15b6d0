//! Furnishes namespaces, and empties those that are being deleted.

use std::collections::BTreeMap;

use coracle_api::{kinds, object};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Outcome, delete, update, update_status};
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
pub fn reconcile(world: &World, name: &str, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(namespace) = world.find(&kinds::NAMESPACE, "", name) else { return outcome };
    if namespace.meta.deleting.is_some() {
        terminate(world, namespace, now, &mut outcome);
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
fn terminate(world: &World, namespace: &Object, now: Timestamp, outcome: &mut Outcome) {
    let kinds = kinds::ALL.iter().copied().chain(world.custom_kinds()).filter(|kind| kind.namespaced);
    let (mut remaining, mut finalizers) = (BTreeMap::new(), BTreeMap::new());
    for kind in kinds {
        let prefix = kind.prefix(Some(&namespace.meta.name));
        for object in world.range(&prefix) {
            *remaining.entry(format!("{}.{}", kind.plural, kind.group)).or_insert(0) += 1;
            for finalizer in &object.meta.finalizers {
                *finalizers.entry(finalizer.clone()).or_insert(0) += 1;
            }
            if object.meta.deleting.is_none() && outcome.writes.len() < DELETIONS_MAX {
                outcome.write(delete(object));
            }
        }
    }
    if !remaining.is_empty() {
        // What is deleted now is most often gone at once.
        if outcome.writes.is_empty() {
            explain(namespace, &remaining, &finalizers, now, outcome);
        }
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

/// Says what keeps a namespace, in the words of Kubernetes.
fn explain(
    namespace: &Object,
    remaining: &BTreeMap<String, usize>,
    finalizers: &BTreeMap<String, usize>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let list = |counts: &BTreeMap<String, usize>, word: &str| {
        let parts = counts.iter().map(|(name, count)| format!("{name} {word} {count} resource instances"));
        parts.collect::<Vec<_>>().join(", ")
    };
    let mut status = namespace.decode()["status"].take();
    let known = object::list_at(&status, &["conditions"]).to_vec();
    let condition = |kind: &str, reason: &str, message: String| {
        let same = known.iter().find(|known| known["type"] == kind && known["status"] == "True");
        let since = same.map_or_else(|| object::timestamp(now).into(), |same| same["lastTransitionTime"].clone());
        json!({ "type": kind, "status": "True", "lastTransitionTime": since, "reason": reason, "message": message })
    };
    let message = format!("Some resources are remaining: {}", list(remaining, "has"));
    let mut conditions = vec![condition("NamespaceContentRemaining", "SomeResourcesRemain", message)];
    if !finalizers.is_empty() {
        let message = format!("Some content in the namespace has finalizers remaining: {}", list(finalizers, "in"));
        conditions.push(condition("NamespaceFinalizersRemaining", "SomeFinalizersRemain", message));
    }
    if known != conditions {
        status["conditions"] = conditions.into();
        outcome.write(update_status(namespace, status));
    }
}

#[cfg(test)]
mod tests;
