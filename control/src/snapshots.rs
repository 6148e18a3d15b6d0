//! Recent snapshots by revision, so that the pages of one list all show the same moment.
//!
//! Deliberately absent: time. A fixed number is kept; a list that takes longer than that many others starts anew.

use std::collections::VecDeque;

use coracle_store::{Revision, Snapshot};
use parking_lot::Mutex;

/// How many moments are kept.
const KEPT_MAX: usize = 64;

/// The snapshots that unfinished lists may ask for.
#[derive(Default)]
pub(crate) struct Snapshots {
    kept: Mutex<VecDeque<(Revision, Snapshot)>>,
}

impl Snapshots {
    /// Keeps a snapshot, and forgets the one longest unused.
    pub(crate) fn keep(&self, snapshot: &Snapshot) {
        let mut kept = self.kept.lock();
        kept.retain(|(revision, _)| *revision != snapshot.revision());
        kept.push_back((snapshot.revision(), snapshot.clone()));
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }

    /// The snapshot at a revision, if it's still there.
    pub(crate) fn get(&self, revision: Revision) -> Option<Snapshot> {
        self.kept.lock().iter().find(|(kept, _)| *kept == revision).map(|(_, snapshot)| snapshot.clone())
    }
}
