//! Assigning a pod to a node.

use coracle_api::kind::Kind;
use coracle_api::object;
use coracle_api::status::{self, Status};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The pod, assigned.
pub(super) fn assign(kind: &Kind, old: &Value, uid: &str, node: &str, now: Timestamp) -> Result<Value, Status> {
    let name = object::name(old);
    if !uid.is_empty() && uid != object::uid(old) {
        return Err(status::conflict_uid(kind, name, uid, object::uid(old)));
    }
    if object::is_deleting(old) {
        return Err(status::conflict_because(
            kind,
            name,
            &format!("pod {name} is being deleted, cannot be assigned to a host"),
        ));
    }
    if let Some(found) = object::str_at(old, &["spec", "nodeName"]).filter(|found| !found.is_empty()) {
        let cause = format!("pod {name} is already assigned to node {found:?}");
        return Err(status::conflict_because(kind, name, &cause));
    }
    if node.is_empty() {
        return Err(status::bad_request("target.name: Required value: the node to assign the pod to"));
    }
    let mut pod = old.clone();
    object::child_mut(&mut pod, "spec").insert("nodeName".to_owned(), node.into());
    let conditions = object::list_at(&pod, &["status", "conditions"]);
    let others = conditions.iter().filter(|condition| object::str_at(condition, &["type"]) != Some("PodScheduled"));
    let scheduled = json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": object::timestamp(now),
        "observedGeneration": object::generation(old),
    });
    let conditions = others.cloned().chain([scheduled]).collect();
    object::child_mut(&mut pod, "status").insert("conditions".to_owned(), Value::Array(conditions));
    Ok(pod)
}

/// The Binding that assigns the pod.
pub(super) fn binding(pod: &Value, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": { "name": object::name(pod), "namespace": object::namespace(pod) },
        "target": { "kind": "Node", "name": node },
    })
}
