//! Is there an order of all operations on one key in which each answer is right, and that no client could tell from the clock?
//!
//! A search after Wing and Gong: of the operations that began before any that is left had ended, one must be the next. One without an
//! answer may have happened at any time after it began, or never. There may be many of those, so what makes no difference is not tried:
//! which of two alike happened, and what failed already with fewer of them.
//!
//! Deliberately absent: several keys at once; a revision orders those.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use coracle_store::{Precondition, Revision};

/// What a key holds: a value, which no two writes have in common, and its revision.
pub(super) type Held = Option<(u64, Revision)>;

/// Stands for all values that nobody saw.
const UNSEEN: u64 = u64::MAX;

/// What a client wants of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Put(u64, Precondition),
    Delete(Precondition),
    Read,
}

/// What it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Written(Revision),
    Deleted(Revision),
    Conflict(Held),
    Found(Held),
}

/// One operation on one key.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) action: Action,
    pub(super) began: u64,
    /// When it ended and how; unknown if the client was not told.
    pub(super) ended: Option<(u64, Answer)>,
}

/// All operations, by key.
#[derive(Default)]
pub(super) struct History {
    clock: u64,
    keys: BTreeMap<String, Vec<Operation>>,
}

/// An operation that has begun.
#[derive(Clone)]
pub(super) struct Begun {
    key: String,
    place: usize,
}

impl History {
    pub(super) fn begin(&mut self, key: &str, action: Action) -> Begun {
        self.clock += 1;
        let operations = self.keys.entry(key.to_owned()).or_default();
        operations.push(Operation { action, began: self.clock, ended: None });
        Begun { key: key.to_owned(), place: operations.len() - 1 }
    }

    pub(super) fn end(&mut self, begun: &Begun, answer: Answer) {
        self.clock += 1;
        self.keys.get_mut(&begun.key).expect("it has begun")[begun.place].ended = Some((self.clock, answer));
    }

    /// It is certain that nothing has happened.
    pub(super) fn void(&mut self, begun: &Begun) {
        self.keys.get_mut(&begun.key).expect("it has begun")[begun.place].action = Action::Read;
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.keys.iter().try_for_each(|(key, operations)| {
            check(operations).map_err(|operations| format!("no order explains what happened to {key}:\n{operations}"))
        })
    }
}

/// What a key holds in one order of the operations so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    value: Option<u64>,
    /// The last change's revision, or, as it was not answered, a lower bound.
    revision: Revision,
    is_bound: bool,
}

impl State {
    fn is(self, held: Held) -> Option<State> {
        match held {
            None => self.value.is_none().then_some(self),
            Some((value, revision)) => {
                let fits = if self.is_bound { revision >= self.revision } else { revision == self.revision };
                (self.value == Some(value) && fits).then_some(State { revision, is_bound: false, ..self })
            }
        }
    }

    fn allows(self, precondition: Precondition) -> bool {
        match precondition {
            Precondition::None => true,
            Precondition::Absent => self.value.is_none(),
            Precondition::Present => self.value.is_some(),
            Precondition::Revision(revision) => {
                let fits = if self.is_bound { revision >= self.revision } else { revision == self.revision };
                self.value.is_some() && fits
            }
        }
    }

    fn changed(self, value: Option<u64>, revision: Option<Revision>) -> Option<State> {
        match revision {
            Some(revision) => (revision > self.revision || self.is_bound && revision >= self.revision)
                .then_some(State { value, revision, is_bound: false }),
            None => Some(State { value, revision: self.revision + 1, is_bound: true }),
        }
    }

    /// The state after an operation, if it could be the next.
    fn after(self, operation: &Operation) -> Option<State> {
        let answer = operation.ended.map(|(_, answer)| answer);
        let (precondition, value) = match operation.action {
            Action::Read => {
                return match answer {
                    Some(Answer::Found(held)) => self.is(held),
                    _ => Some(self),
                };
            }
            Action::Put(value, precondition) => (precondition, Some(value)),
            Action::Delete(precondition) => (precondition, None),
        };
        let is_done = self.allows(precondition) && (value.is_some() || self.value.is_some());
        match answer {
            Some(Answer::Written(revision)) if value.is_some() && is_done => self.changed(value, Some(revision)),
            Some(Answer::Deleted(revision)) if value.is_none() && is_done => self.changed(value, Some(revision)),
            Some(Answer::Conflict(held)) => {
                let known = self.is(held)?;
                let is_refused = !known.allows(precondition) || (value.is_none() && known.value.is_none());
                is_refused.then_some(known)
            }
            None if is_done => self.changed(value, None),
            _ => None,
        }
    }
}

/// Says what the operations were if no order explains them.
fn check(operations: &[Operation]) -> Result<(), String> {
    // Of a read without an answer nothing can be said.
    let counts = |operation: &&Operation| operation.ended.is_some() || !matches!(operation.action, Action::Read);
    let mut operations: Vec<Operation> = operations.iter().filter(counts).cloned().collect();
    forget_unseen(&mut operations);
    // In the order of their beginnings, so that of several alike the first is found first.
    operations.sort_by_key(|operation| operation.began);
    let mut search = Search { operations: &operations, done: vec![false; operations.len()], tried: HashMap::new() };
    if search.go_on(State::default()) {
        return Ok(());
    }
    Err(operations.iter().map(|operation| format!("  {operation:?}\n")).collect())
}

/// Values of writes without an answer that nobody ever saw are all the same to everybody.
fn forget_unseen(operations: &mut [Operation]) {
    let held = |operation: &Operation| match operation.ended?.1 {
        Answer::Conflict(held) | Answer::Found(held) => held,
        Answer::Written(_) | Answer::Deleted(_) => None,
    };
    let seen: BTreeSet<u64> = operations.iter().filter_map(held).map(|(value, _)| value).collect();
    for operation in operations.iter_mut().filter(|operation| operation.ended.is_none()) {
        match &mut operation.action {
            Action::Put(value, _) if !seen.contains(value) => *value = UNSEEN,
            _ => {}
        }
    }
}

struct Search<'a> {
    operations: &'a [Operation],
    done: Vec<bool>,
    /// By the answered operations that are done and the state after them: those without an answer that were done, too.
    tried: HashMap<(Vec<bool>, State), Vec<Vec<bool>>>,
}

impl Search<'_> {
    /// Can all that were answered and are left come after this state?
    fn go_on(&mut self, state: State) -> bool {
        if self.has_failed_with_fewer(state) {
            return false;
        }
        let left = || self.operations.iter().enumerate().filter(|(place, _)| !self.done[*place]);
        let Some(end) = left().filter_map(|(_, operation)| operation.ended.map(|(end, _)| end)).min() else {
            return true;
        };
        let mut next: Vec<usize> = Vec::new();
        for (place, operation) in left().filter(|(_, operation)| operation.began < end) {
            let is_alike = |other: &usize| {
                let other = &self.operations[*other];
                other.ended.is_none() && operation.ended.is_none() && other.action == operation.action
            };
            if !next.iter().any(is_alike) {
                next.push(place);
            }
        }
        // Those without an answer come last: most never happened.
        next.sort_by_key(|place| self.operations[*place].ended.map_or(u64::MAX, |(end, _)| end));
        next.into_iter().any(|place| {
            let Some(state) = state.after(&self.operations[place]) else { return false };
            self.done[place] = true;
            let is_found = self.go_on(state);
            self.done[place] = is_found;
            is_found
        })
    }

    /// Whether this was tried before with no operation more of those without an answer. If not, it is being tried now.
    fn has_failed_with_fewer(&mut self, state: State) -> bool {
        let (mut answered, mut others) = (self.done.clone(), self.done.clone());
        for (place, operation) in self.operations.iter().enumerate() {
            let of_other_sort = if operation.ended.is_some() { &mut others } else { &mut answered };
            of_other_sort[place] = false;
        }
        let tried = self.tried.entry((answered, state)).or_default();
        let is_part = |part: &Vec<bool>| part.iter().zip(&others).all(|(part, whole)| !part || *whole);
        if tried.iter().any(is_part) {
            return true;
        }
        tried.push(others);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(began: u64, ended: impl Into<Option<u64>>, action: Action, answer: Answer) -> Operation {
        Operation { action, began, ended: ended.into().map(|end| (end, answer)) }
    }

    fn put(began: u64, ended: u64, value: u64, revision: u64) -> Operation {
        operation(began, ended, Action::Put(value, Precondition::None), Answer::Written(revision))
    }

    fn read(began: u64, ended: u64, held: Held) -> Operation {
        operation(began, ended, Action::Read, Answer::Found(held))
    }

    fn lost(began: u64, value: u64) -> Operation {
        operation(began, None, Action::Put(value, Precondition::None), Answer::Written(0))
    }

    #[test]
    fn sound_histories_are_accepted() {
        let conflict = Answer::Conflict(Some((1, 5)));
        for history in [
            vec![],
            vec![read(1, 2, None), put(3, 4, 1, 5), read(5, 6, Some((1, 5)))],
            // Two at once, in either order.
            vec![put(1, 9, 1, 6), put(2, 8, 2, 5), read(10, 11, Some((1, 6)))],
            // A read at the same time as a write may come before it or after it.
            vec![put(1, 2, 1, 5), put(3, 9, 2, 6), read(4, 5, Some((2, 6))), read(4, 6, Some((1, 5)))],
            // What was not answered happened late, or never.
            vec![lost(1, 1), read(2, 3, None), read(4, 5, Some((1, 7))), put(6, 7, 2, 9)],
            vec![lost(1, 1), put(2, 3, 2, 5), read(4, 5, Some((2, 5)))],
            vec![put(1, 2, 1, 5), operation(3, 4, Action::Put(2, Precondition::Absent), conflict)],
            vec![
                put(1, 2, 1, 5),
                operation(3, 4, Action::Delete(Precondition::Revision(5)), Answer::Deleted(6)),
                operation(5, 6, Action::Delete(Precondition::None), Answer::Conflict(None)),
            ],
        ] {
            assert_eq!(check(&history), Ok(()));
        }
    }

    #[test]
    fn bad_histories_are_found() {
        let conflict = Answer::Conflict(Some((1, 5)));
        for history in [
            // An acknowledged write is lost.
            vec![put(1, 2, 1, 5), read(3, 4, None)],
            // A read is stale.
            vec![put(1, 2, 1, 5), put(3, 4, 2, 6), read(5, 6, Some((1, 5)))],
            // Reads go back.
            vec![put(1, 9, 1, 5), read(2, 3, Some((1, 5))), read(4, 5, None)],
            // A revision falls, and one is not the write's.
            vec![put(1, 2, 1, 5), put(3, 4, 2, 4)],
            vec![put(1, 2, 1, 5), read(3, 4, Some((1, 6)))],
            // Nobody wrote it.
            vec![put(1, 2, 1, 5), read(3, 4, Some((7, 6)))],
            // What was read before it began.
            vec![read(1, 2, Some((1, 5))), lost(3, 1)],
            // Two at once took the same state for granted.
            vec![
                put(1, 2, 1, 5),
                operation(3, 9, Action::Put(2, Precondition::Revision(5)), Answer::Written(6)),
                operation(4, 8, Action::Put(3, Precondition::Revision(5)), Answer::Written(7)),
            ],
            // A conflict where there was none.
            vec![put(1, 2, 1, 5), operation(3, 4, Action::Put(2, Precondition::Present), conflict)],
            vec![operation(1, 2, Action::Put(2, Precondition::Absent), conflict)],
            // Many without an answer, and none of them explains it.
            (1..20)
                .map(|began| lost(began, began))
                .chain([put(20, 21, 20, 30), read(22, 23, Some((21, 31)))])
                .collect(),
            // It was deleted once, and told twice.
            vec![
                put(1, 2, 1, 5),
                operation(3, 4, Action::Delete(Precondition::None), Answer::Deleted(6)),
                operation(5, 6, Action::Delete(Precondition::None), Answer::Deleted(7)),
            ],
        ] {
            assert!(check(&history).is_err(), "{history:?}");
        }
    }
}
