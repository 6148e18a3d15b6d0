//! Notices nodes that fall silent, and moves their pods elsewhere.
//!
//! Silence is measured from the moment this process last saw a sign of life, by its own clock: a node's clock doesn't
//! matter, and a control plane that just started gives every node a full term.

use coracle_api::{kinds, object};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::events::{Note, Severity, record};
use super::{Outcome, delete, delete_with, update_status, whole_second};
use crate::driver::view::{Node, Object, View};
use crate::driver::world::{NODE_LEASES, World};
use crate::objects::DeleteOptions;

/// How long a node may be silent if its lease doesn't say.
pub const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// A lease shorter than this isn't taken at its word.
pub const GRACE_MIN: SignedDuration = SignedDuration::from_secs(5);
/// How long the pods of a silent node are left alone.
pub const EVICTION_DELAY: SignedDuration = SignedDuration::from_secs(10);
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
    let silent_at = world.heartbeat(name).unwrap_or(now) + grace(world, name);
    match (silent_at <= now, node.ready.as_str()) {
        (true, "Unknown") => {}
        (true, _) => lose(world, object, node, now, &mut outcome),
        (false, "Unknown") if node.ready_reason == SILENT => {
            let message = "the host renews its lease again";
            set_ready(object, ["True", "KubeletReady", message], now, &mut outcome);
            outcome.wake(silent_at);
            return outcome;
        }
        (false, _) => outcome.wake(silent_at),
    }
    if node.ready == "Unknown" {
        evict(world, name, node.ready_since.unwrap_or(now) + EVICTION_DELAY, now, &mut outcome);
    }
    outcome
}

fn grace(world: &World, node: &str) -> SignedDuration {
    let lease = world.find(&kinds::LEASE, NODE_LEASES, node);
    match lease.map(|lease| &lease.view) {
        Some(View::Lease(Some(seconds))) => SignedDuration::from_secs(*seconds).max(GRACE_MIN),
        _ => GRACE,
    }
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

/// Deletes the pods of a node that has been silent for long, so that they are replaced elsewhere. The node confirms when
/// it comes back.
fn evict(world: &World, node: &str, at: Timestamp, now: Timestamp, outcome: &mut Outcome) {
    let pods = world.seats(node).into_iter().flat_map(|seats| seats.pods.values());
    let mut pods = pods.filter(|pod| pod.meta.deleting.is_none()).peekable();
    if pods.peek().is_some() && at > now {
        return outcome.wake(at);
    }
    for pod in pods.by_ref().take(DELETIONS_MAX) {
        outcome.write(delete(pod));
    }
    if pods.next().is_some() {
        outcome.wake(now);
    }
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
