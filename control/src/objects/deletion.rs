//! What a deletion does: remove the object, or mark it and let finalizers and its grace period run.

use coracle_api::kind::Kind;
use coracle_api::kinds::{
    CUSTOM_RESOURCE_DEFINITION, NAMESPACE, POD, REPLICATION_CONTROLLER, custom_resource_definition,
};
use coracle_api::object;
use coracle_api::status::{self, Status};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::options::{DeleteOptions, Propagation};
use super::prepare::Change;

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// The grace period of a pod that states none.
const POD_GRACE_SECONDS: i64 = 30;
/// Namespaces the cluster can't do without.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// Decides on a deletion.
pub(super) fn decide(
    kind: &Kind,
    old: &Value,
    options: &DeleteOptions,
    trusted: bool,
    now: Timestamp,
) -> Result<Change, Status> {
    let name = object::name(old);
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object::uid(old)) {
        return Err(status::conflict_uid(kind, name, uid, object::uid(old)));
    }
    if *kind == NAMESPACE && IMMORTAL.contains(&name) && !trusted {
        return Err(status::forbidden(kind, name, "this namespace may not be deleted"));
    }
    let mut new = old.clone();
    // As in Kubernetes, what a replication controller owns stays unless it is said what becomes of it.
    let usual = (*kind == REPLICATION_CONTROLLER).then_some(Propagation::Orphan);
    propagate(&mut new, options.propagation.or(usual));
    if *kind == CUSTOM_RESOURCE_DEFINITION && !object::is_deleting(old) {
        // Its objects go first.
        object::add_finalizer(&mut new, custom_resource_definition::FINALIZER);
        custom_resource_definition::TERMINATING.set(&mut new, now);
    }
    let grace = grace_period(kind, old, options);
    if is_held(&new) || grace > 0 {
        return Ok(mark(new, old, grace, now));
    }
    Ok(Change::Remove)
}

/// Whether nothing holds a deleted object any longer.
pub(super) fn is_complete(object: &Value) -> bool {
    let grace = object::i64_at(object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
    object::is_deleting(object) && grace == 0 && !is_held(object)
}

/// Whether finalizers keep the object; a Namespace has some in its spec, too.
fn is_held(object: &Value) -> bool {
    let in_spec = is_namespace(object) && !object::list_at(object, &["spec", "finalizers"]).is_empty();
    in_spec || object::finalizers(object).next().is_some()
}

fn is_namespace(object: &Value) -> bool {
    (object::api_version(object), object::kind(object)) == (NAMESPACE.version, NAMESPACE.kind)
}

fn propagate(object: &mut Value, propagation: Option<Propagation>) {
    let wanted = match propagation {
        None => return,
        Some(Propagation::Background) => None,
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Orphan) => Some(ORPHAN),
    };
    for finalizer in [FOREGROUND, ORPHAN] {
        if wanted == Some(finalizer) {
            object::add_finalizer(object, finalizer);
        } else {
            object::remove_finalizer(object, finalizer);
        }
    }
}

/// Seconds to wait for the host. Only a running pod on a node has any.
fn grace_period(kind: &Kind, old: &Value, options: &DeleteOptions) -> i64 {
    if *kind != POD {
        return 0;
    }
    let is_assigned = object::str_at(old, &["spec", "nodeName"]).is_some_and(|node| !node.is_empty());
    let is_over = matches!(object::str_at(old, &["status", "phase"]), Some("Succeeded" | "Failed"));
    if !is_assigned || is_over {
        return 0;
    }
    let stated = object::i64_at(old, &["spec", "terminationGracePeriodSeconds"]);
    let asked = options.grace_period_seconds.or(stated).unwrap_or(POD_GRACE_SECONDS);
    // As in Kubernetes, a negative period means the shortest.
    if asked < 0 { 1 } else { asked }
}

fn mark(mut new: Value, old: &Value, grace: i64, now: Timestamp) -> Change {
    let started = match object::deletion_timestamp(old) {
        None => now,
        Some(ends) => {
            let given = object::i64_at(old, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
            if grace >= given {
                return if new == *old { Change::Nothing } else { Change::Mark(new) };
            }
            after(ends, -given)
        }
    };
    object::set_deletion(&mut new, after(started, grace), grace);
    let generation = object::generation(&new);
    if generation > 0 && !object::is_deleting(old) {
        object::set_generation(&mut new, generation + 1);
    }
    if is_namespace(&new) {
        object::child_mut(&mut new, "status").insert("phase".to_owned(), "Terminating".into());
    }
    Change::Mark(new)
}

fn after(start: Timestamp, seconds: i64) -> Timestamp {
    start.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(start)
}
