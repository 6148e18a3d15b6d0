//! What evaluations may cost: a limit for each and one for all those of a request.
//!
//! A unit is about the work of one step: a variable, a selection, an operator, an element gone through, ten bytes of a text.
//! Deliberately absent: time. The same evaluation costs the same everywhere.

use std::cell::Cell;

use super::EvaluationError;

/// The most that one evaluation may cost.
const CALL_COST_MAX: u64 = 1_000_000;
/// The most that the evaluations of one request may cost together, unless it is said otherwise.
const REQUEST_COST_MAX: u64 = 10_000_000;

/// What is left of what the evaluations of a request may cost.
#[derive(Debug)]
pub struct Budget {
    left: Cell<u64>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::of(REQUEST_COST_MAX)
    }
}

impl Budget {
    /// So many units.
    pub fn of(cost: u64) -> Budget {
        Budget { left: Cell::new(cost) }
    }
}

/// Charges one evaluation.
#[derive(Debug)]
pub(super) struct Meter<'e> {
    left: Cell<u64>,
    budget: &'e Budget,
}

impl<'e> Meter<'e> {
    pub(super) fn new(budget: &'e Budget) -> Meter<'e> {
        Meter { left: Cell::new(CALL_COST_MAX), budget }
    }

    pub(super) fn charge(&self, cost: u64) -> Result<(), EvaluationError> {
        let left = self.left.get().checked_sub(cost).ok_or(EvaluationError::CallCost)?;
        self.left.set(left);
        let left = self.budget.left.get().checked_sub(cost).ok_or(EvaluationError::RequestCost)?;
        self.budget.left.set(left);
        Ok(())
    }

    /// Charges for going through a text.
    pub(super) fn charge_bytes(&self, bytes: usize) -> Result<(), EvaluationError> {
        self.charge_count(bytes / 10)
    }

    /// Charges for elements gone through.
    pub(super) fn charge_count(&self, count: usize) -> Result<(), EvaluationError> {
        self.charge(u64::try_from(count).unwrap_or(u64::MAX))
    }
}
