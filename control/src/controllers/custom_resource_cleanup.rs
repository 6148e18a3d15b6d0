//! Deletes the objects of a definition that is being deleted, then lets the definition go.

use coracle_api::kinds::custom_resource_definition::{Condition, FINALIZER};
use coracle_api::object;
use jiff::Timestamp;

use super::{Outcome, delete, update, update_status};
use crate::driver::world::World;

/// How many objects are deleted in one turn; the rest follow as those go.
const DELETIONS_MAX: usize = 500;

const IN_PROGRESS: Condition<'_> = Condition {
    name: "Terminating",
    holds: true,
    reason: "InstanceDeletionInProgress",
    message: "CustomResource deletion is in progress",
};

/// Brings one definition closer to its end, if it is to end.
pub fn reconcile(world: &World, key: &str, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let definition = world.get(key).filter(|definition| definition.meta.deleting.is_some());
    let Some(definition) = definition.filter(|definition| definition.meta.has_finalizer(FINALIZER)) else {
        return outcome;
    };
    // A definition is named like the resource it defines.
    let prefix = format!("{}/", definition.meta.name);
    let mut objects = world.range(&prefix).peekable();
    let mut new = definition.decode();
    if objects.peek().is_none() {
        object::remove_finalizer(&mut new, FINALIZER);
        outcome.write(update(definition, new));
        return outcome;
    }
    let former = new["status"].clone();
    IN_PROGRESS.set(&mut new, now);
    if new["status"] != former {
        outcome.write(update_status(definition, new["status"].take()));
    }
    objects.filter(|object| object.meta.deleting.is_none()).take(DELETIONS_MAX).for_each(|object| {
        outcome.write(delete(object));
    });
    outcome
}

#[cfg(test)]
mod tests;
