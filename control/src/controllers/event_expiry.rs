//! Forgets events an hour after they last happened, as Kubernetes does.

use jiff::{SignedDuration, Timestamp};

use super::{Outcome, delete};
use crate::driver::world::World;

const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Expiry may be late by so much, and in return comes in batches.
const SLACK: SignedDuration = SignedDuration::from_secs(60);
const DELETIONS_MAX: usize = 500;

/// Deletes the oldest events, and asks to be woken when the next is due.
pub fn reconcile(world: &World, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    for (last_seen, key) in world.events_by_age() {
        if *last_seen + KEPT > now || outcome.writes.len() == DELETIONS_MAX {
            outcome.wake((*last_seen + KEPT + SLACK).max(now));
            break;
        }
        if let Some(event) = world.get(key).filter(|event| event.meta.deleting.is_none()) {
            outcome.write(delete(event));
        }
    }
    outcome
}
