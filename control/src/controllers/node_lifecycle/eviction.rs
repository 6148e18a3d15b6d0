//! Deletes pods from a node that makes them leave, each once it no longer puts up with it. Pure.
//!
//! Deliberately absent: the taints `not-ready` and `unreachable` on the Node itself. The Ready condition says the same, and since when.

use coracle_api::object;
use coracle_scheduler::{Effect, Taint};
use jiff::{SignedDuration, Timestamp};

use super::DELETIONS_MAX;
use crate::controllers::{Outcome, delete, update};
use crate::driver::view::{Node, Object, Pod};
use crate::driver::world::World;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Something about a node that makes pods leave.
struct Cause {
    taint: Taint,
    since: Timestamp,
    /// How long pods that say nothing of it stay.
    default: SignedDuration,
}

/// Writes down since when the node has a `NoExecute` taint that does not say so; true if there was one.
pub(super) fn stamp_taints(object: &Object, node: &Node, now: Timestamp, outcome: &mut Outcome) -> bool {
    if node.no_execute.iter().all(|(_, since)| since.is_some()) {
        return false;
    }
    let mut whole = object.decode();
    for taint in whole["spec"]["taints"].as_array_mut().into_iter().flatten() {
        if taint["effect"] == "NoExecute" && taint["timeAdded"].is_null() {
            taint["timeAdded"] = object::timestamp(now).into();
        }
    }
    outcome.write(update(object, whole));
    true
}

/// Deletes the pods whose time on the node is over. The host confirms, at once or when it is back.
pub(super) fn evict(world: &World, node: &Node, now: Timestamp, outcome: &mut Outcome) {
    let causes = causes(world, node, now);
    let mut deletions = 0;
    for pod in world.seats(&node.info.name).into_iter().flat_map(|seats| seats.pods.values()) {
        let leaves_at = pod
            .pod()
            .filter(|_| pod.meta.deleting.is_none())
            .and_then(|view| leaves_at(view, pod.meta.created, &causes));
        match leaves_at {
            None => {}
            Some(at) if at > now => outcome.wake(at),
            Some(_) if deletions < DELETIONS_MAX => {
                outcome.write(delete(pod));
                deletions += 1;
            }
            Some(_) => outcome.wake(now),
        }
    }
}

fn causes(world: &World, node: &Node, now: Timestamp) -> Vec<Cause> {
    let settings = &world.settings;
    let own = node.no_execute.iter().map(|(taint, since)| Cause {
        taint: taint.clone(),
        since: since.unwrap_or(now),
        default: SignedDuration::ZERO,
    });
    let condition = match node.ready.as_str() {
        "Unknown" => Some((UNREACHABLE, settings.default_unreachable_toleration)),
        "False" => Some((NOT_READY, settings.default_not_ready_toleration)),
        _ => None,
    };
    let condition = condition.map(|(key, default)| Cause {
        taint: Taint { key: key.into(), value: "".into(), effect: Effect::NoExecute },
        since: node.ready_since.unwrap_or(now),
        default,
    });
    own.chain(condition).collect()
}

/// When the pod must go: as soon as it no longer tolerates one of the causes, which for a pod that is younger than the cause began with the
/// pod. `None` if it tolerates them for ever.
fn leaves_at(pod: &Pod, created: Timestamp, causes: &[Cause]) -> Option<Timestamp> {
    let until = |cause: &Cause| {
        let mut tolerations =
            pod.shape.tolerations.iter().filter(|toleration| toleration.tolerates(&cause.taint)).peekable();
        let tolerated = match tolerations.peek() {
            None => Some(cause.default),
            Some(_) => tolerations.filter_map(|toleration| toleration.seconds).min().map(SignedDuration::from_secs),
        };
        let since = cause.since.max(created);
        tolerated.map(|tolerated| since.saturating_add(tolerated).unwrap_or(Timestamp::MAX))
    };
    causes.iter().filter_map(until).min()
}
