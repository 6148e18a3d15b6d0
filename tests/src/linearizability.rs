//! Is what clients saw of one key linearizable: is there an order of the operations, each at a moment between its call and its answer, in
//! which one copy of the key would have answered the same? The search is Wing and Gong's, with Lowe's memory of what was searched, in which
//! operations without an answer count for less: what can't be gone on from with some of them can't with more.
//!
//! Deliberately absent: several keys. Linearizability is local, so each is checked by itself.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

/// What a key holds; each write of a history writes another one.
pub type Value = u64;

/// What a client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What is there?
    Read,
    /// Be there, if nothing is.
    Create(Value),
    /// Be this instead of what is there; of just this, if that is said.
    Replace {
        /// The value that must be there.
        expected: Option<Value>,
        /// The value that is to be there.
        value: Value,
    },
    /// Be gone; only as this, if that is said.
    Delete {
        /// The value that must be there.
        expected: Option<Value>,
    },
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To a read: this is there.
    Found(Option<Value>),
    /// To a write: it is done.
    Done,
    /// To a write: nothing is done, as nothing is there.
    Missing,
    /// To a write: nothing is done, as something else is there; or, where a value was expected, as just that isn't there.
    Conflict,
    /// To a write: nothing was answered. It may have been done, be done at any later moment, or never.
    Unknown,
}

/// One operation, with the moments of its call and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub action: Action,
    /// What was answered.
    pub outcome: Outcome,
    /// When it was asked.
    pub called: u64,
    /// When it was answered, or given up.
    pub answered: u64,
}

/// Why a history is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// How many operations could be put into an order.
    pub ordered: usize,
    /// What the key held then.
    pub state: Option<Value>,
    /// The operations of which one had to be next, and none could be.
    pub stuck: Vec<Operation>,
}

impl Action {
    /// What the action makes of a key, and what is answered.
    pub fn on(self, state: Option<Value>) -> (Option<Value>, Outcome) {
        let is_as = |expected: Option<Value>| expected.is_none() || expected == state;
        match (self, state) {
            (Action::Read, _) => (state, Outcome::Found(state)),
            (Action::Create(value), None) => (Some(value), Outcome::Done),
            (Action::Replace { .. } | Action::Delete { .. }, None) => (None, Outcome::Missing),
            (Action::Replace { expected, value }, Some(_)) if is_as(expected) => (Some(value), Outcome::Done),
            (Action::Delete { expected }, Some(_)) if is_as(expected) => (None, Outcome::Done),
            (_, Some(_)) => (state, Outcome::Conflict),
        }
    }

    /// Is this answer true of a key that holds `state`?
    fn is_answered(self, state: Option<Value>, outcome: Outcome) -> bool {
        match (self, outcome) {
            (
                Action::Replace { expected: Some(value), .. } | Action::Delete { expected: Some(value) },
                Outcome::Conflict,
            ) => state != Some(value),
            _ => self.on(state).1 == outcome,
        }
    }
}

impl Operation {
    /// The last moment at which it can have been done.
    fn end(&self) -> u64 {
        if self.outcome == Outcome::Unknown { u64::MAX } else { self.answered }
    }

    /// What the key holds after it, if it can be next.
    fn next(&self, state: Option<Value>) -> Option<Option<Value>> {
        let (after, _) = self.action.on(state);
        match self.outcome {
            // Without an effect it is as if it were never done.
            Outcome::Unknown => (after != state).then_some(after),
            answered => self.action.is_answered(state, answered).then_some(after),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} operations the key holds {:?}, and none of these can be next:", self.ordered, self.state)?;
        self.stuck.iter().try_for_each(|operation| write!(f, "\n  {operation:?}"))
    }
}

/// A point of the search: which operations are in order, and what the key holds after them.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Point {
    done: Vec<u64>,
    state: Option<Value>,
}

impl Point {
    fn has(&self, index: usize) -> bool {
        self.done[index / 64] & (1 << (index % 64)) != 0
    }

    fn then(&self, index: usize, state: Option<Value>) -> Point {
        let mut done = self.done.clone();
        done[index / 64] |= 1 << (index % 64);
        Point { done, state }
    }

    fn count(&self) -> usize {
        self.done.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The operations that nothing that is not in order must come before; none is left of those that were answered if it is empty.
    fn candidates(&self, history: &[Operation]) -> Vec<usize> {
        let first = self.done.iter().take_while(|word| **word == u64::MAX).count() * 64;
        let mut end = u64::MAX;
        let mut candidates = Vec::new();
        for index in (first..history.len()).filter(|index| !self.has(*index)) {
            if history[index].called > end {
                break;
            }
            end = end.min(history[index].end());
            candidates.push(index);
        }
        if end == u64::MAX { Vec::new() } else { candidates }
    }
}

/// What was searched: by the answered operations in order and the state, those without an answer that were in order, too.
struct Searched {
    /// The operations without an answer.
    unknown: Vec<u64>,
    points: HashMap<Point, Vec<Vec<u64>>>,
}

impl Searched {
    fn new(history: &[Operation]) -> Searched {
        let mut unknown = vec![0; history.len().div_ceil(64)];
        for (index, operation) in history.iter().enumerate() {
            if operation.outcome == Outcome::Unknown {
                unknown[index / 64] |= 1 << (index % 64);
            }
        }
        Searched { unknown, points: HashMap::new() }
    }

    /// Notes a point, unless one was noted that differs in nothing but fewer operations without an answer.
    fn is_new(&mut self, point: &Point) -> bool {
        let words = || point.done.iter().zip(&self.unknown);
        let answered = Point { done: words().map(|(done, unknown)| done & !unknown).collect(), state: point.state };
        let unknown: Vec<u64> = words().map(|(done, unknown)| done & unknown).collect();
        let noted = self.points.entry(answered).or_default();
        let is_part = |part: &Vec<u64>| part.iter().zip(&unknown).all(|(part, whole)| part & !whole == 0);
        let is_new = !noted.iter().any(is_part);
        if is_new {
            noted.push(unknown);
        }
        is_new
    }
}

/// Finds an order for the operations on one key, which begins with nothing there.
///
/// # Errors
/// There is none: how far the search came.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    let mut history = history.to_vec();
    history.sort_by_key(|operation| (operation.called, operation.end()));
    let start = Point { done: vec![0; history.len().div_ceil(64)], state: None };
    let mut searched = Searched::new(&history);
    searched.is_new(&start);
    let mut points = vec![start];
    let mut furthest = None;
    while let Some(point) = points.pop() {
        let mut candidates = point.candidates(&history);
        if candidates.is_empty() {
            return Ok(());
        }
        if furthest.as_ref().is_none_or(|(count, _, _)| *count < point.count()) {
            furthest = Some((point.count(), point.state, candidates.clone()));
        }
        // What was done may be needed later, for what it makes of another state.
        let is_still = |index: &usize| {
            history[*index].outcome != Outcome::Done && history[*index].next(point.state) == Some(point.state)
        };
        // What fits here and never changes anything can't be in the way of anything later.
        if let Some(still) = candidates.iter().copied().find(is_still) {
            candidates = vec![still];
        }
        // The point pushed last is searched first: what was answered first.
        candidates.sort_by_key(|index| std::cmp::Reverse(history[*index].end()));
        for index in candidates {
            let Some(state) = history[index].next(point.state) else { continue };
            let next = point.then(index, state);
            if searched.is_new(&next) {
                points.push(next);
            }
        }
    }
    let (ordered, state, stuck) = furthest.expect("invariant: the search began somewhere");
    Err(Violation { ordered, state, stuck: stuck.into_iter().map(|index| history[index]).collect() })
}
