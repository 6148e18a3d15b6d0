//! Keeps as many pods of one template as a replica set asks for, or a replication controller.

use coracle_api::{kinds, names, object};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::events::{Note, Severity, record};
use super::{Key, Outcome, Write, delete, update, update_status, whole_second};
use crate::driver::view::{Condition, Object, Phase, Pod, ReplicaSet, ReplicaSetStatus};
use crate::driver::world::World;
use crate::objects::ObjectWrite;

/// How many pods are made in one turn, so that the first are placed and started while the rest are made.
const CREATIONS_MAX: usize = 250;
/// How many pods of a turn get an event of their own.
const EVENTS_MAX: usize = 10;
const FAILURE: &str = "ReplicaFailure";

/// Makes the pods that are missing, deletes those that are too many, and writes down how many there are.
pub fn reconcile(world: &World, key: &str, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(object) = world.get(key) else { return outcome };
    let Some(set) = object.replica_set() else { return outcome };
    let failure = world.failure(&Key::ReplicaSet(object.key.clone()));
    let owned: Vec<&Object> = world.controlled(&object.meta.uid, &kinds::POD).map(AsRef::as_ref).collect();
    let (mine, strangers): (Vec<&Object>, Vec<&Object>) = owned.into_iter().partition(|pod| pod.matches(&set.selector));
    let active: Vec<&Object> = mine.into_iter().filter(|pod| is_active(pod)).collect();

    if object.meta.deleting.is_none() {
        release(object, &strangers, &mut outcome);
        let adopted = adopt(world, object, set, &mut outcome);
        let wanted = usize::try_from(set.replicas).unwrap_or(0);
        let found = active.len() + adopted;
        if let Some(failure) = failure.filter(|failure| failure.retry_at > now) {
            outcome.wake(failure.retry_at);
        } else if found < wanted {
            create(world, object, (wanted - found).min(CREATIONS_MAX), now, &mut outcome);
        } else {
            remove(world, object, &active, (found - wanted).min(active.len()), now, &mut outcome);
        }
    }
    observe(world, object, set, &active, now, &mut outcome);
    outcome
}

fn is_active(object: &Object) -> bool {
    object.meta.deleting.is_none() && object.pod().is_some_and(|pod| !pod.is_over())
}

/// Lets go of pods whose labels don't match any longer.
fn release(set: &Object, strangers: &[&Object], outcome: &mut Outcome) {
    for pod in strangers.iter().filter(|pod| pod.meta.deleting.is_none()) {
        let mut new = pod.decode();
        let others = object::list_at(&new, &["metadata", "ownerReferences"]).iter();
        let others = others.filter(|owner| object::str_at(owner, &["uid"]) != Some(&*set.meta.uid)).cloned().collect();
        object::set_owner_references(&mut new, others);
        outcome.write(update(pod, new));
    }
}

/// Takes over matching pods that nothing manages; says how many.
fn adopt(world: &World, owner: &Object, set: &ReplicaSet, outcome: &mut Outcome) -> usize {
    let prefix = kinds::POD.prefix(Some(&owner.meta.namespace));
    let orphans = world.orphans(&prefix).filter(|pod| is_active(pod) && pod.matches(&set.selector));
    let before = outcome.writes.len();
    for pod in orphans {
        let mut new = pod.decode();
        let mut owners = object::list_at(&new, &["metadata", "ownerReferences"]).to_vec();
        owners.push(controller_reference(owner));
        object::set_owner_references(&mut new, owners);
        outcome.write(update(pod, new));
    }
    outcome.writes.len() - before
}

/// The owner reference to an object from those it manages.
pub(super) fn controller_reference(owner: &Object) -> Value {
    json!({
        "apiVersion": owner.kind.api_version(), "kind": owner.kind.kind, "name": &*owner.meta.name, "uid": &*owner.meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn create(world: &World, owner: &Object, count: usize, now: Timestamp, outcome: &mut Outcome) {
    let template = owner.decode()["spec"]["template"].take();
    let prefix = format!("{}-", owner.meta.name);
    let metadata = template.get("metadata").and_then(Value::as_object);
    let kept = ["labels", "annotations", "finalizers"].into_iter();
    let kept = kept.filter_map(|field| Some((field.to_owned(), metadata?.get(field)?.clone())));
    let mut metadata: Map<String, Value> = kept.collect();
    metadata.insert("generateName".to_owned(), prefix.as_str().into());
    metadata.insert("namespace".to_owned(), Value::from(&*owner.meta.namespace));
    metadata.insert("ownerReferences".to_owned(), json!([controller_reference(owner)]));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec")});

    // Named after what the set owned when it was decided: the same decision again makes the same names.
    let changed = world.dependents(&owner.meta.uid).map_or(0, |dependents| dependents.changed);
    let names = (0..).map(|ordinal| names::generated_name(&prefix, &owner.meta.uid, changed, ordinal));
    let free = names.filter(|name| world.find(&kinds::POD, &owner.meta.namespace, name).is_none());
    let mut writes = Vec::new();
    for name in free.take(count) {
        let message = format!("Created pod: {name}");
        let mut pod = pod.clone();
        object::set_name(&mut pod, name);
        writes.push((Write::from(ObjectWrite::Create { kind: &kinds::POD, object: pod }), message));
    }
    note(world, owner, "SuccessfulCreate", writes, now, outcome);
}

fn remove(world: &World, owner: &Object, active: &[&Object], count: usize, now: Timestamp, outcome: &mut Outcome) {
    let mut ranked: Vec<(&&Object, &Pod)> = active.iter().filter_map(|object| Some((object, object.pod()?))).collect();
    ranked.sort_by_key(|(object, pod)| dispensability(world, object, pod));
    let dispensable = ranked.into_iter().take(count);
    let writes = dispensable.map(|(pod, _)| (delete(pod), format!("Deleted pod: {}", pod.meta.name)));
    note(world, owner, "SuccessfulDelete", writes.collect(), now, outcome);
}

/// Kubernetes' order: first pods without a node, then those furthest from running, not ready, of the lowest deletion
/// cost, ready for the shortest time, restarted most often, youngest.
fn dispensability(world: &World, object: &Object, pod: &Pod) -> impl Ord + use<> {
    let phase = match pod.phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        _ => 2,
    };
    let youngest = |at: Option<Timestamp>| std::cmp::Reverse(at.unwrap_or(Timestamp::MAX));
    (
        pod.node.is_some(),
        phase,
        world.is_ready(object),
        pod.deletion_cost,
        youngest(pod.ready_since),
        -pod.restarts,
        youngest(Some(object.meta.created)),
        object.meta.name.clone(),
    )
}

/// Asks for writes, with an event for each once it is done, or for the last of a burst one that stands for many.
fn note(
    world: &World,
    owner: &Object,
    reason: &str,
    writes: Vec<(Write, String)>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let (component, count) = (component(owner), writes.len());
    for (index, (write, message)) in writes.into_iter().enumerate() {
        let message = match index {
            _ if index < EVENTS_MAX => Some(message),
            _ if index + 1 == count => {
                Some(format!("(combined from similar events): {message} and {} more", count - EVENTS_MAX - 1))
            }
            _ => None,
        };
        let event = message.map(|message| {
            let note = Note { component, severity: Severity::Normal, reason, message: &message };
            record(world, owner, note, now)
        });
        outcome.write(Write { note: event, ..write });
    }
}

/// Whose events they are.
fn component(set: &Object) -> &'static str {
    if *set.kind == kinds::REPLICATION_CONTROLLER { "replication-controller" } else { "replicaset-controller" }
}

fn observe(
    world: &World,
    object: &Object,
    set: &ReplicaSet,
    active: &[&Object],
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let template_labels = set.template.pointer("/metadata/labels").and_then(Value::as_object);
    let is_labelled = |pod: &Object| {
        template_labels
            .into_iter()
            .flatten()
            .all(|(key, value)| pod.meta.labels.get(key.as_str()).map(|label| &**label) == value.as_str())
    };
    let mut status = ReplicaSetStatus {
        replicas: count(active.len()),
        fully_labeled_replicas: count(active.iter().filter(|pod| is_labelled(pod)).count()),
        observed_generation: object.meta.generation,
        conditions: set.status.conditions.clone(),
        ..ReplicaSetStatus::default()
    };
    for pod in active.iter().filter(|pod| world.is_ready(pod)) {
        status.ready_replicas += 1;
        let since = pod.pod().and_then(|pod| pod.ready_since).unwrap_or(now);
        let available_at = since + SignedDuration::from_secs(set.min_ready_seconds);
        if set.min_ready_seconds == 0 || available_at <= now {
            status.available_replicas += 1;
        } else {
            outcome.wake(available_at);
        }
    }
    match world.refusal(&Key::ReplicaSet(object.key.clone())) {
        None => status.conditions.retain(|condition| condition.kind != FAILURE),
        Some(refusal) if status.conditions.iter().any(|condition| condition.message == refusal) => {}
        Some(refusal) => {
            status.conditions.retain(|condition| condition.kind != FAILURE);
            status.conditions.push(Condition {
                kind: FAILURE.to_owned(),
                status: "True".to_owned(),
                last_update_time: None,
                last_transition_time: Some(whole_second(now)),
                reason: "FailedCreate".to_owned(),
                message: refusal.to_owned(),
            });
            let message = format!("Error creating: {refusal}");
            let (component, reason) = (component(object), "FailedCreate");
            let note = Note { component, severity: Severity::Warning, reason, message: &message };
            outcome.events.push(record(world, object, note, now));
        }
    }
    if status != set.status {
        let status = serde_json::to_value(&status).expect("invariant: a status is plain data");
        outcome.write(update_status(object, status));
    }
}

pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
