//! Deletes what nobody owns any longer, and carries out foreground and orphaning deletions.

use coracle_api::kind::Kind;
use coracle_api::{kinds, object};
use serde_json::Value;

use super::{Outcome, delete, delete_with, update};
use crate::driver::view::{Object, Owner};
use crate::driver::world::World;
use crate::objects::{DeleteOptions, Propagation};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// How many dependents are dealt with in one turn; the rest follow as those go.
const WRITES_MAX: usize = 500;

/// Looks at one object: is it garbage, does it wait for what it owns?
pub fn reconcile(world: &World, key: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(object) = world.get(key) else { return outcome };
    if object.meta.deleting.is_some() {
        if object.meta.has_finalizer(ORPHAN) {
            orphan_dependents(world, object, &mut outcome);
        } else if object.meta.has_finalizer(FOREGROUND) {
            delete_dependents(world, object, &mut outcome);
        }
    } else if !object.meta.owners.is_empty() {
        collect(world, object, &mut outcome);
    }
    outcome
}

/// Deletes the object if none of its owners is left; forgets those that are gone otherwise.
fn collect(world: &World, object: &Object, outcome: &mut Outcome) {
    let (present, gone): (Vec<&Owner>, Vec<&Owner>) =
        object.meta.owners.iter().partition(|owner| may_exist(world, object, owner));
    let is_leaving = |owner: &&Owner| {
        world
            .by_uid(&owner.uid)
            .is_some_and(|owner| owner.meta.deleting.is_some() && owner.meta.has_finalizer(FOREGROUND))
    };
    if present.is_empty() {
        outcome.write(delete(object));
    } else if present.iter().all(is_leaving) {
        // Its own dependents go first, too.
        let propagation = world.dependents(&object.meta.uid).filter(|dependents| !dependents.members.is_empty());
        let propagation = propagation.map(|_| Propagation::Foreground);
        let uid = Some(object.meta.uid.to_string());
        outcome.write(delete_with(object, DeleteOptions { propagation, uid, ..DeleteOptions::default() }));
    } else if !gone.is_empty() {
        forget_owners(object, |uid| gone.iter().any(|owner| *owner.uid == *uid), outcome);
    }
}

/// Whether the owner is there, as far as anybody can tell: of kinds that aren't known here nothing is believed.
fn may_exist(world: &World, object: &Object, owner: &Owner) -> bool {
    let is_its = |kind: &'static Kind| kind.kind == &*owner.kind && kind.api_version() == *owner.api_version;
    if !kinds::ALL.iter().copied().chain(world.custom_kinds()).any(is_its) {
        return true;
    }
    world.by_uid(&owner.uid).is_some_and(|found| {
        found.kind.kind == &*owner.kind
            && found.meta.name == owner.name
            && (found.meta.namespace.is_empty() || found.meta.namespace == object.meta.namespace)
    })
}

/// Deletes what the object owns; once nothing that blocks it is left, lets the object go.
fn delete_dependents(world: &World, object: &Object, outcome: &mut Outcome) {
    let dependents = world.dependents(&object.meta.uid).into_iter().flat_map(|dependents| dependents.members.values());
    let mut is_blocked = false;
    for dependent in dependents {
        let mut references = dependent.meta.owners.iter().filter(|owner| owner.uid == object.meta.uid);
        is_blocked |= references.any(|owner| owner.block_owner_deletion);
        if dependent.meta.deleting.is_none() && outcome.writes.len() < WRITES_MAX {
            collect(world, dependent, outcome);
        }
    }
    if !is_blocked {
        remove_finalizer(object, FOREGROUND, outcome);
    }
}

/// Makes what the object owns its own master, then lets the object go.
fn orphan_dependents(world: &World, object: &Object, outcome: &mut Outcome) {
    let dependents = world.dependents(&object.meta.uid).into_iter().flat_map(|dependents| dependents.members.values());
    for dependent in dependents.take(WRITES_MAX) {
        forget_owners(dependent, |uid| *uid == *object.meta.uid, outcome);
    }
    if outcome.writes.is_empty() {
        remove_finalizer(object, ORPHAN, outcome);
    }
}

fn forget_owners(object: &Object, is_forgotten: impl Fn(&str) -> bool, outcome: &mut Outcome) {
    let mut new = object.decode();
    let owners = object::list_at(&new, &["metadata", "ownerReferences"]).iter();
    let kept: Vec<Value> =
        owners.filter(|owner| !object::str_at(owner, &["uid"]).is_some_and(&is_forgotten)).cloned().collect();
    object::set_owner_references(&mut new, kept);
    outcome.write(update(object, new));
}

fn remove_finalizer(object: &Object, finalizer: &str, outcome: &mut Outcome) {
    let mut new = object.decode();
    object::remove_finalizer(&mut new, finalizer);
    outcome.write(update(object, new));
}

#[cfg(test)]
mod tests;
