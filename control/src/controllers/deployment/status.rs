//! What a deployment says of itself, in the words that `kubectl rollout status` and `kubectl wait` know.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::rollout::Limits;
use crate::controllers::whole_second;
use crate::driver::view::{Condition, Deployment, DeploymentStatus, Object, ReplicaSet};

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const RESUMED: &str = "DeploymentResumed";

/// What the replica sets say.
pub(super) struct Observed {
    new: Option<Arc<str>>,
    replicas: i64,
    updated: i64,
    ready: i64,
    available: i64,
    wanted: i64,
    failure: Option<Condition>,
}

impl Observed {
    pub(super) fn new<'a>(
        new: Option<(Arc<str>, &'a ReplicaSet)>,
        old: impl Iterator<Item = &'a ReplicaSet>,
    ) -> Observed {
        let mut observed = Observed {
            updated: new.as_ref().map_or(0, |(_, set)| set.status.replicas),
            new: new.as_ref().map(|(name, _)| name.clone()),
            replicas: 0,
            ready: 0,
            available: 0,
            wanted: 0,
            failure: None,
        };
        for set in new.iter().map(|(_, set)| *set).chain(old) {
            observed.replicas += set.status.replicas;
            observed.ready += set.status.ready_replicas;
            observed.available += set.status.available_replicas;
            observed.wanted += set.replicas;
            let mut failures = set.status.conditions.iter().filter(|condition| condition.kind == REPLICA_FAILURE);
            observed.failure = observed.failure.or(failures.next().cloned());
        }
        observed
    }

    fn counts(&self, spec: &Deployment, object: &Object) -> DeploymentStatus {
        DeploymentStatus {
            observed_generation: object.meta.generation,
            replicas: self.replicas,
            updated_replicas: self.updated,
            ready_replicas: self.ready,
            available_replicas: self.available,
            unavailable_replicas: (self.wanted - self.available).max(0),
            conditions: spec.status.conditions.clone(),
            collision_count: spec.status.collision_count,
        }
    }
}

/// Whether every pod is of the newest template and available.
pub(super) fn is_complete(spec: &Deployment, object: &Object, observed: &Observed) -> bool {
    let counts = observed.counts(spec, object);
    [counts.updated_replicas, counts.replicas, counts.available_replicas]
        .into_iter()
        .all(|count| count == spec.replicas)
}

/// A status, and when to look at it again.
pub(super) struct Next {
    pub(super) status: DeploymentStatus,
    pub(super) wake_at: Option<Timestamp>,
}

/// The next status. `created` names a replica set that is being made in this turn.
pub(super) fn next(
    spec: &Deployment,
    object: &Object,
    limits: &Limits,
    observed: &Observed,
    created: Option<&str>,
    refusal: Option<&str>,
    now: Timestamp,
) -> Next {
    let mut status = observed.counts(spec, object);
    let at = whole_second(now);
    set(&mut status, availability(limits, observed), at);
    let mut wake_at = None;
    if spec.progress_deadline_seconds.is_none() {
        status.conditions.retain(|condition| condition.kind != PROGRESSING);
    } else {
        if let Some(condition) = progress(spec, object, observed, &status, created, now) {
            set(&mut status, condition, at);
        }
        wake_at = deadline(spec, &status).filter(|_| !is_complete(spec, object, observed));
    }
    let failure =
        refusal.map(|refusal| condition(REPLICA_FAILURE, "True", "ReplicaSetCreateError", refusal.to_owned()));
    match observed.failure.clone().or(failure) {
        Some(failure) => set(&mut status, failure, at),
        None => status.conditions.retain(|condition| condition.kind != REPLICA_FAILURE),
    }
    Next { status, wake_at }
}

fn availability(limits: &Limits, observed: &Observed) -> Condition {
    if observed.available >= limits.available_min() {
        condition(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned())
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message)
    }
}

/// What to say about the progress of the rollout, where there is anything new to say.
fn progress(
    spec: &Deployment,
    object: &Object,
    observed: &Observed,
    status: &DeploymentStatus,
    created: Option<&str>,
    now: Timestamp,
) -> Option<Condition> {
    let current = spec.status.conditions.iter().find(|condition| condition.kind == PROGRESSING);
    let reason = current.map_or("", |condition| condition.reason.as_str());
    if spec.paused {
        let is_said = matches!(reason, PAUSED | TIMED_OUT);
        return (!is_said).then(|| condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused".to_owned()));
    }
    if reason == PAUSED {
        return Some(condition(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed".to_owned()));
    }
    if let Some(name) = created {
        let message = format!("Created new replica set {name:?}");
        return Some(condition(PROGRESSING, "True", "NewReplicaSetCreated", message));
    }
    let subject = match &observed.new {
        Some(name) => format!("ReplicaSet {name:?}"),
        None => format!("Deployment {:?}", &*object.meta.name),
    };
    let was = &spec.status;
    if is_complete(spec, object, observed) {
        let is_said = reason == COMPLETE && status.replicas == status.updated_replicas;
        let message = format!("{subject} has successfully progressed.");
        return (!is_said || current.is_none_or(|current| current.message != message))
            .then(|| condition(PROGRESSING, "True", COMPLETE, message));
    }
    // A finished rollout that merely loses and regains pods doesn't start to progress again.
    if reason == COMPLETE && status.replicas == status.updated_replicas && was.replicas == was.updated_replicas {
        return None;
    }
    let old_before = was.replicas - was.updated_replicas;
    let has_progressed = status.updated_replicas > was.updated_replicas
        || status.replicas - status.updated_replicas < old_before
        || status.ready_replicas > was.ready_replicas
        || status.available_replicas > was.available_replicas;
    if has_progressed {
        return Some(condition(PROGRESSING, "True", "ReplicaSetUpdated", format!("{subject} is progressing.")));
    }
    match current {
        None if observed.new.is_some() => {
            let message = format!("Found new replica set {:?}", observed.new.as_deref().unwrap_or_default());
            Some(condition(PROGRESSING, "True", "FoundNewReplicaSet", message))
        }
        Some(_) if reason != TIMED_OUT && deadline(spec, was).is_some_and(|deadline| deadline <= now) => {
            let message = format!("{subject} has timed out progressing.");
            Some(condition(PROGRESSING, "False", TIMED_OUT, message))
        }
        _ => None,
    }
}

/// When a rollout that makes no progress counts as failed.
fn deadline(spec: &Deployment, status: &DeploymentStatus) -> Option<Timestamp> {
    let current = status.conditions.iter().find(|condition| condition.kind == PROGRESSING)?;
    if matches!(current.reason.as_str(), COMPLETE | TIMED_OUT | PAUSED) {
        return None;
    }
    Some(current.last_update_time? + SignedDuration::from_secs(spec.progress_deadline_seconds?))
}

fn condition(kind: &str, status: &str, reason: &str, message: String) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        last_update_time: None,
        last_transition_time: None,
        reason: reason.to_owned(),
        message,
    }
}

/// Sets a condition. One that says the same as before keeps its times; `Progressing` notes every step.
fn set(status: &mut DeploymentStatus, mut new: Condition, at: Timestamp) {
    let old = status.conditions.iter_mut().find(|condition| condition.kind == new.kind);
    new.last_update_time = Some(at);
    new.last_transition_time = Some(at);
    match old {
        None => status.conditions.push(new),
        Some(old) => {
            let is_same = old.status == new.status && old.reason == new.reason && old.message == new.message;
            if is_same && new.kind != PROGRESSING {
                return;
            }
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time;
            }
            *old = new;
        }
    }
}
