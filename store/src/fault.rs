//! Where tests reach into the store: errors of our own put in on purpose, and names for the places at which a crash matters.
//!
//! A production build has neither the switch nor the names' keeper: there these functions are constants.

/// An error in the store's own code that its tests have to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(unreachable_pub, reason = "`testing` exports it")]
pub enum Mutation {
    /// Entries are acknowledged before they are durable.
    AcknowledgeBeforeSync,
    /// The log is purged beyond what the checkpoint holds.
    PurgeTooFar,
    /// The checkpoint says that it holds one proposal less than it does.
    ApplyTwice,
    /// A read does not ask whether this member still leads.
    SkipReadIndex,
    /// A vote is acknowledged and not written.
    ForgetVote,
}

/// What the store is doing when a crash interrupts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(unreachable_pub, reason = "`testing` exports it")]
pub enum Point {
    /// Opening, and repairing what the last crash left.
    Open,
    /// Writing entries to the log.
    Append,
    /// Writing a vote to the log.
    Vote,
    /// An entry is applied in memory, and nobody has been told.
    Apply,
    /// Writing the checkpoint, which is also the snapshot.
    Snapshot,
    /// Purging the log.
    Purge,
    /// Shrinking the checkpoint's file.
    Compaction,
}

pub(crate) use switch::{enter, is_mutated, reach};

#[cfg(not(any(test, feature = "test-disk")))]
mod switch {
    use super::{Mutation, Point};

    pub(crate) const fn is_mutated(_mutation: Mutation) -> bool {
        false
    }

    pub(crate) const fn enter(_point: Point) {}

    pub(crate) const fn reach(_point: Point) {}
}

#[cfg(any(test, feature = "test-disk"))]
pub(crate) mod switch {
    use std::cell::{Cell, RefCell};

    use super::{Mutation, Point};

    /// What a test wants to be told of points.
    pub(crate) type Observer = Box<dyn Fn(Point)>;

    // Each test has a thread, and on it a runtime of one thread: tests don't disturb each other.
    thread_local! {
        static MUTATION: Cell<Option<Mutation>> = const { Cell::new(None) };
        static POINT: Cell<Point> = const { Cell::new(Point::Open) };
        static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
    }

    /// Is this the error to make?
    pub(crate) fn is_mutated(mutation: Mutation) -> bool {
        MUTATION.get() == Some(mutation)
    }

    pub(crate) fn mutate(mutation: Option<Mutation>) {
        MUTATION.set(mutation);
    }

    /// Names what this thread does from here on.
    pub(crate) fn enter(point: Point) {
        POINT.set(point);
    }

    pub(crate) fn current() -> Point {
        POINT.get()
    }

    pub(crate) fn observe(observer: Option<Observer>) {
        OBSERVER.set(observer);
    }

    /// Tells this thread's observer, if there is one, of a point that is not on the disk.
    pub(crate) fn reach(point: Point) {
        is_observed(point);
    }

    /// Tells this thread's observer; false if it has none.
    pub(crate) fn is_observed(point: Point) -> bool {
        OBSERVER.with_borrow(|observer| observer.as_ref().map(|observer| observer(point)).is_some())
    }
}
