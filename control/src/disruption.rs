//! What disruption budgets say: the status they carry, and whether it lets a pod be evicted.
//!
//! Deliberately absent: counting pods, which is the disruption controller's, and writing, which is the eviction's.

use std::collections::BTreeMap;

use coracle_api::kinds::POD_DISRUPTION_BUDGET;
use coracle_api::status::{self, Status};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::controllers::whole_second;
use crate::driver::view::{DisruptionBudget, Object, Phase};

/// How long an evicted pod counts as gone although it is still there.
pub const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// How many evictions a budget remembers.
const DISRUPTED_PODS_MAX: usize = 2_000;
/// When to ask again about a budget that nobody has looked at so far.
const UNOBSERVED_RETRY_SECONDS: u32 = 10;
/// The one condition of a budget.
const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";
const SYNC_FAILED: &str = "SyncFailed";

/// The status of a disruption budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetStatus {
    /// The generation this speaks of.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// Pods whose eviction was allowed and that are still there, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub disrupted_pods: BTreeMap<String, Timestamp>,
    /// How many pods may go now.
    pub disruptions_allowed: i64,
    /// How many pods are healthy.
    pub current_healthy: i64,
    /// How many must be.
    pub desired_healthy: i64,
    /// How many there should be.
    pub expected_pods: i64,
    /// `DisruptionAllowed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<BudgetCondition>,
}

/// A condition of a disruption budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetCondition {
    /// `DisruptionAllowed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`.
    pub status: String,
    /// The generation this speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// When the status last changed.
    pub last_transition_time: Timestamp,
    /// `SufficientPods`, `InsufficientPods` or `SyncFailed`.
    pub reason: String,
    /// What went wrong.
    #[serde(default)]
    pub message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl BudgetStatus {
    /// Says in the condition whether any pod may go; `failure` is why that could not be found out.
    pub fn conclude(&mut self, generation: i64, failure: Option<String>, now: Timestamp) {
        let (status, reason) = match (&failure, self.disruptions_allowed) {
            (Some(_), _) => ("False", SYNC_FAILED),
            (None, 0) => ("False", "InsufficientPods"),
            (None, _) => ("True", "SufficientPods"),
        };
        let known = self.conditions.iter().position(|condition| condition.kind == DISRUPTION_ALLOWED);
        let old = known.map(|index| self.conditions.remove(index));
        let since = old.filter(|old| old.status == status).map(|old| old.last_transition_time);
        self.conditions.push(BudgetCondition {
            kind: DISRUPTION_ALLOWED.to_owned(),
            status: status.to_owned(),
            observed_generation: generation,
            last_transition_time: since.unwrap_or_else(|| whole_second(now)),
            reason: reason.to_owned(),
            message: failure.unwrap_or_default(),
        });
    }

    fn failure(&self) -> Option<&str> {
        let failed =
            |condition: &&BudgetCondition| condition.kind == DISRUPTION_ALLOWED && condition.reason == SYNC_FAILED;
        self.conditions.iter().find(failed).map(|condition| condition.message.as_str())
    }
}

/// What an eviction costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, whatever becomes of the pod meanwhile.
    Free,
    /// Nothing, as long as the pod is as it was seen: it isn't healthy.
    FreeAsSeen,
    /// The budget's status becomes this, before the pod goes.
    Charged(BudgetStatus),
}

/// Decides on the eviction of a pod that these budgets select.
pub fn judge(pod: &Object, budgets: &[Object], now: Timestamp) -> Result<Verdict, Status> {
    let Some(view) = pod.pod() else { return Ok(Verdict::Free) };
    if view.is_over() || pod.meta.deleting.is_some() {
        return Ok(Verdict::Free);
    }
    if view.phase == Phase::Pending {
        return Ok(Verdict::FreeAsSeen);
    }
    let (object, budget) = match budgets {
        [] => return Ok(Verdict::Free),
        [object] => match object.disruption_budget() {
            Some(budget) => (object, budget),
            None => return Err(status::internal(format!("the budget {} cannot be read", object.meta.name))),
        },
        _ => return Err(too_many_budgets()),
    };
    if !view.ready && (budget.lets_unhealthy_go || is_met(&budget.status)) {
        return Ok(Verdict::FreeAsSeen);
    }
    charge(object, budget, &pod.meta.name, now).map(Verdict::Charged)
}

/// Whether enough pods are healthy, so that one which isn't may go.
fn is_met(status: &BudgetStatus) -> bool {
    status.desired_healthy > 0 && status.current_healthy >= status.desired_healthy
}

fn charge(object: &Object, budget: &DisruptionBudget, pod: &str, now: Timestamp) -> Result<BudgetStatus, Status> {
    let (name, mut status) = (&object.meta.name, budget.status.clone());
    if status.observed_generation < object.meta.generation {
        let because = format!("The disruption budget {name} is still being processed by the server.");
        return Err(status::disruption_budget(because, UNOBSERVED_RETRY_SECONDS));
    }
    if status.disrupted_pods.len() >= DISRUPTED_PODS_MAX {
        let because = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(status::forbidden(&POD_DISRUPTION_BUDGET, name, because));
    }
    if status.disruptions_allowed <= 0 {
        let because = match status.failure() {
            Some(failure) => format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {failure}"
            ),
            None => format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status.desired_healthy, status.current_healthy
            ),
        };
        return Err(status::disruption_budget(because, 0));
    }
    status.disruptions_allowed -= 1;
    status.disrupted_pods.insert(pod.to_owned(), whole_second(now));
    status.conclude(object.meta.generation, None, now);
    Ok(status)
}

fn too_many_budgets() -> Status {
    let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    Status { message: message.to_owned(), reason: String::new(), details: None, ..status::internal("") }
}

#[cfg(test)]
mod tests;
