//! Gives the pods that wait to the scheduler, and writes down what it says.

use coracle_api::object;
use coracle_scheduler::{Node, PodRequest, Reason, Snapshot, plan};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::events::{Note, Severity, record};
use super::{Outcome, update_status, whole_second};
use crate::driver::view::Object;
use crate::driver::world::World;
use crate::objects::ObjectWrite;

/// How many placements of a turn get an event of their own; those of a burst say nothing that the pods don't.
const EVENTS_MAX: usize = 100;
/// How many pods that can't be placed are told so in one turn.
const REFUSALS_MAX: usize = 500;
const COMPONENT: &str = "default-scheduler";

/// Places every pod that waits.
pub fn reconcile(world: &World, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let requests: Vec<PodRequest> = world
        .pending()
        .filter_map(|object| Some(PodRequest { key: object.key.clone(), shape: object.pod()?.shape.clone() }))
        .collect();
    if requests.is_empty() {
        return outcome;
    }
    let plan = plan(&snapshot(world), &requests);
    for (key, node) in &plan.bindings {
        let Some(pod) = world.get(key) else { continue };
        outcome.write(ObjectWrite::Bind {
            namespace: pod.meta.namespace.to_string(),
            name: pod.meta.name.to_string(),
            uid: pod.meta.uid.to_string(),
            node: node.to_string(),
        });
        if outcome.events.len() < EVENTS_MAX {
            let message = format!("Successfully assigned {}/{} to {node}", pod.meta.namespace, pod.meta.name);
            let note =
                Note { component: COMPONENT, severity: Severity::Normal, reason: "Scheduled", message: &message };
            outcome.events.push(record(world, pod, note, now));
        }
    }
    let mut refusals = 0;
    for (key, reason) in &plan.unschedulable {
        let Some(pod) = world.get(key) else { continue };
        if refusals < REFUSALS_MAX {
            refusals += usize::from(refuse(world, pod, reason, now, &mut outcome));
        } else {
            outcome.wake(now);
            break;
        }
    }
    outcome
}

/// The nodes, and what their pods take of them.
fn snapshot(world: &World) -> Snapshot {
    let nodes = world.range("nodes/").filter(|object| object.meta.deleting.is_none());
    let nodes = nodes.filter_map(|object| {
        let requested = world.seats(&object.meta.name).map(|seats| seats.requested.clone()).unwrap_or_default();
        Some(Node { info: object.node()?.info.clone(), requested })
    });
    Snapshot { nodes: nodes.collect() }
}

/// Tells a pod why it has to wait, unless it knows; says whether anything was written. The figures alone don't count as
/// news: they change with every pod that is placed.
fn refuse(world: &World, pod: &Object, reason: &Reason, now: Timestamp, outcome: &mut Outcome) -> bool {
    let known = pod.pod().and_then(|pod| pod.unschedulable.as_deref());
    if known.is_some_and(|known| known.starts_with(&reason.summary())) {
        return false;
    }
    let message = reason.to_string();
    let mut whole = pod.decode();
    let conditions = object::list_at(&whole, &["status", "conditions"]).iter();
    let (old, mut conditions): (Vec<Value>, Vec<Value>) =
        conditions.cloned().partition(|condition| object::str_at(condition, &["type"]) == Some("PodScheduled"));
    let since = old.first().filter(|old| object::str_at(old, &["status"]) == Some("False"));
    let since = since.and_then(|old| old.get("lastTransitionTime").cloned());
    conditions.push(json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastProbeTime": null,
        "lastTransitionTime": since.unwrap_or_else(|| object::timestamp(whole_second(now)).into()),
    }));
    let status = object::child_mut(&mut whole, "status");
    status.insert("conditions".to_owned(), conditions.into());
    status.entry("phase").or_insert_with(|| "Pending".into());
    outcome.write(update_status(pod, whole["status"].take()));
    let note =
        Note { component: COMPONENT, severity: Severity::Warning, reason: "FailedScheduling", message: &message };
    outcome.events.push(record(world, pod, note, now));
    true
}

#[cfg(test)]
mod tests;
