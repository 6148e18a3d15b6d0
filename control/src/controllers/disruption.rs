//! Counts the pods of a disruption budget, and says how many may go.
//!
//! Deliberately absent: evicting anything, and events: what went wrong is in the budget's condition.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::kind::Subresource;
use coracle_api::{kinds, object};
use jiff::Timestamp;

use super::replica_set::count;
use super::{Outcome, update_status};
use crate::disruption::{BudgetStatus, DELETION_TIMEOUT};
use crate::driver::view::{DisruptionBudget, IntOrPercent, Object};
use crate::driver::world::World;

/// Brings the status of one budget up to date.
pub fn reconcile(world: &World, key: &Arc<str>, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(object) = world.get(key).filter(|object| object.meta.deleting.is_none()) else { return outcome };
    let Some(budget) = object.disruption_budget() else { return outcome };
    let prefix = kinds::POD.prefix(Some(&object.meta.namespace));
    let pods: Vec<&Arc<Object>> = world.range(&prefix).filter(|pod| pod.matches(&budget.selector)).collect();
    let disrupted = disrupted(budget, &pods, now, &mut outcome);
    let is_healthy = |pod: &&&Arc<Object>| {
        pod.meta.deleting.is_none() && !disrupted.contains_key(&*pod.meta.name) && world.is_ready(pod)
    };
    let healthy = count(pods.iter().filter(is_healthy).count());
    let mut status = BudgetStatus { conditions: budget.status.conditions.clone(), ..BudgetStatus::default() };
    let failure = match wanted(world, budget, &pods) {
        Ok((expected, desired)) => {
            status.observed_generation = object.meta.generation;
            status.current_healthy = healthy;
            status.desired_healthy = desired;
            status.expected_pods = expected;
            status.disruptions_allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
            status.disrupted_pods = disrupted;
            None
        }
        // What was counted before stays, but no pod may go.
        Err(failure) => {
            status = BudgetStatus { disruptions_allowed: 0, ..budget.status.clone() };
            status.observed_generation = object.meta.generation;
            Some(failure)
        }
    };
    status.conclude(object.meta.generation, failure, now);
    if status != budget.status {
        let status = serde_json::to_value(&status).expect("invariant: a status is plain data");
        outcome.write(update_status(object, status));
    }
    outcome
}

/// The pods whose eviction was allowed a short while ago and that nobody has begun to delete.
fn disrupted(
    budget: &DisruptionBudget,
    pods: &[&Arc<Object>],
    now: Timestamp,
    outcome: &mut Outcome,
) -> BTreeMap<String, Timestamp> {
    let mut disrupted = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.meta.deleting.is_none()) {
        let Some(evicted_at) = budget.status.disrupted_pods.get(&*pod.meta.name) else { continue };
        let expires_at = *evicted_at + DELETION_TIMEOUT;
        if expires_at > now {
            disrupted.insert(pod.meta.name.to_string(), *evicted_at);
            outcome.wake(expires_at);
        }
    }
    disrupted
}

/// How many pods there should be, and how many of them healthy.
fn wanted(world: &World, budget: &DisruptionBudget, pods: &[&Arc<Object>]) -> Result<(i64, i64), String> {
    match (&budget.max_unavailable, &budget.min_available) {
        (Some(max_unavailable), _) => {
            let expected = scale(world, pods)?;
            Ok((expected, (expected - max_unavailable.of(expected, true)).max(0)))
        }
        (None, Some(IntOrPercent::Int(number))) => Ok((count(pods.len()), *number)),
        (None, Some(percent)) => {
            let expected = scale(world, pods)?;
            Ok((expected, percent.of(expected, true)))
        }
        (None, None) => Ok((0, 0)),
    }
}

/// How many pods the controllers of these want, each asked once. Pods without a controller don't count.
fn scale(world: &World, pods: &[&Arc<Object>]) -> Result<i64, String> {
    let mut scales: BTreeMap<&str, i64> = BTreeMap::new();
    for pod in pods {
        let Some(owner) = pod.meta.controller() else { continue };
        let found = world.by_uid(&owner.uid).and_then(|owner| replicas(world, owner));
        let (uid, replicas) = found.ok_or_else(|| format!("found no controllers for pod {:?}", pod.meta.name))?;
        scales.insert(uid, replicas);
    }
    Ok(scales.values().sum())
}

/// The uid and the replicas of what scales these pods: the deployment rather than one of its replica sets.
fn replicas<'a>(world: &'a World, owner: &'a Object) -> Option<(&'a str, i64)> {
    if let Some(set) = owner.replica_set() {
        let deployment = owner.meta.controller().and_then(|above| world.by_uid(&above.uid));
        return Some(match deployment.and_then(|above| Some((above, above.deployment()?))) {
            Some((above, deployment)) => (&above.meta.uid, deployment.replicas),
            None => (&owner.meta.uid, set.replicas),
        });
    }
    let is_scaled = owner.kind.has(Subresource::Scale);
    is_scaled.then(|| (&*owner.meta.uid, object::i64_at(&owner.decode(), &["spec", "replicas"]).unwrap_or(1)))
}

#[cfg(test)]
mod tests;
