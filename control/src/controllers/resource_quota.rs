//! Reports what a quota allows and what is used of it.
//!
//! Deliberately absent: refusing anything. Admission does that, and counts for itself.

use std::sync::Arc;

use serde_json::json;

use super::{Outcome, update_status};
use crate::amounts;
use crate::driver::world::World;
use crate::quota::{Quota, to_value};

/// Brings the status of one quota up to date.
pub fn reconcile(world: &World, key: &Arc<str>) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(object) = world.get(key).filter(|object| object.meta.deleting.is_none()) else { return outcome };
    let whole = object.decode();
    let quota = Quota::read(&whole);
    let mut used = quota.nothing();
    for kind in quota.kinds(world.custom_kinds()) {
        for counted in world.range(&kind.prefix(Some(&object.meta.namespace))) {
            amounts::add(&mut used, &quota.share(counted.usage()));
        }
    }
    let status = json!({"hard": to_value(&quota.hard), "used": to_value(&used)});
    if whole.get("status") != Some(&status) {
        outcome.write(update_status(object, status));
    }
    outcome
}

#[cfg(test)]
mod tests;
