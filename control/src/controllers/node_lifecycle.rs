//! Notices nodes that fall silent, and moves their pods elsewhere.
//!
//! Silence is measured from the moment this process last saw a sign of life, by its own clock: a node's clock doesn't
//! matter, and a control plane that just started gives every node a full term.

mod eviction;

use coracle_api::{kinds, object};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::events::{Note, Severity, record};
use super::{Outcome, delete_with, update_status, whole_second};
use crate::driver::view::{Node, Object};
use crate::driver::world::World;
use crate::objects::DeleteOptions;
use eviction::{evict, stamp_taints};

/// How long a pod may name a node that isn't there.
pub const NODE_EXPECTED: SignedDuration = SignedDuration::from_secs(40);
const DELETIONS_MAX: usize = 500;
const SILENT: &str = "NodeStatusUnknown";
const COMPONENT: &str = "node-controller";

/// Looks at one node.
pub fn reconcile(world: &World, name: &str, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(object) = world.find(&kinds::NODE, "", name) else {
        forget_pods(world, name, now, &mut outcome);
        return outcome;
    };
    let Some(node) = object.node() else { return outcome };
    if stamp_taints(object, node, now, &mut outcome) {
        return outcome;
    }
    let silent_at = world.heartbeat(name).map(|at| at + world.settings.node_monitor_grace_period);
    match (silent_at.filter(|at| *at > now), node.ready.as_str()) {
        (None, "Unknown") => {}
        (None, _) => lose(world, object, node, now, &mut outcome),
        (Some(silent_at), "Unknown") if node.ready_reason == SILENT => {
            let message = "the host renews its lease again";
            set_ready(object, ["True", "KubeletReady", message], now, &mut outcome);
            outcome.wake(silent_at);
            return outcome;
        }
        (Some(silent_at), _) => outcome.wake(silent_at),
    }
    evict(world, node, now, &mut outcome);
    outcome
}

fn lose(world: &World, object: &Object, node: &Node, now: Timestamp, outcome: &mut Outcome) {
    let says = match node.ready.as_str() {
        "" => ["Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status."],
        _ => ["Unknown", SILENT, "Kubelet stopped posting node status."],
    };
    set_ready(object, says, now, outcome);
    let message = format!("Node {} status is now: NodeNotReady", object.meta.name);
    let note = Note { component: COMPONENT, severity: Severity::Normal, reason: "NodeNotReady", message: &message };
    outcome.events.push(record(world, object, note, now));
}

fn set_ready(object: &Object, [status, reason, message]: [&str; 3], now: Timestamp, outcome: &mut Outcome) {
    let mut whole = object.decode();
    let conditions = object::list_at(&whole, &["status", "conditions"]).iter();
    let mut conditions: Vec<Value> =
        conditions.filter(|condition| object::str_at(condition, &["type"]) != Some("Ready")).cloned().collect();
    let time = object::timestamp(whole_second(now));
    conditions.push(json!({
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": time, "lastTransitionTime": time,
    }));
    object::child_mut(&mut whole, "status").insert("conditions".to_owned(), conditions.into());
    outcome.write(update_status(object, whole["status"].take()));
}

/// Deletes the pods of a node that is no more; nobody is left to confirm.
fn forget_pods(world: &World, node: &str, now: Timestamp, outcome: &mut Outcome) {
    for pod in world.seats(node).into_iter().flat_map(|seats| seats.pods.values()) {
        let at = pod.meta.created + NODE_EXPECTED;
        if at > now {
            outcome.wake(at);
        } else if outcome.writes.len() < DELETIONS_MAX {
            let uid = Some(pod.meta.uid.to_string());
            let options = DeleteOptions { grace_period_seconds: Some(0), uid, ..DeleteOptions::default() };
            outcome.write(delete_with(pod, options));
        } else {
            outcome.wake(now);
        }
    }
}

#[cfg(test)]
mod tests;
