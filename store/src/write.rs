//! What a writer asks for, and what it gets back. Deliberately absent: transactions over several keys; each write of a batch
//! is decided by itself, in order.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::record::{Record, Revision, Tag};

/// What must hold of a key for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precondition {
    /// Nothing. (Deleting an absent key is a conflict all the same: there is nothing to delete.)
    None,
    /// The key must not exist.
    Absent,
    /// The key must exist.
    Present,
    /// The key must exist at this revision.
    Revision(Revision),
}

impl Precondition {
    pub(crate) fn holds(self, current: Option<&Record>) -> bool {
        match self {
            Precondition::None => true,
            Precondition::Absent => current.is_none(),
            Precondition::Present => current.is_some(),
            Precondition::Revision(revision) => current.is_some_and(|record| record.revision == revision),
        }
    }
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Creates or replaces the value.
    Put {
        /// The object's JSON without `resourceVersion`.
        json: Bytes,
        /// Where the revision is spliced in.
        splice_offset: u32,
        /// Index tags.
        tags: Arc<[Tag]>,
    },
    /// Removes the key.
    Delete,
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The key, such as `pods/default/web-1`.
    pub key: Arc<str>,
    /// What to do.
    pub operation: Operation,
    /// What must hold for it to be done.
    pub precondition: Precondition,
    /// It is a step towards storing less: on a full disk it may use the space kept for such writes, as every deletion may.
    #[serde(skip)]
    pub frees_space: bool,
}

/// What became of one write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The key now holds this record.
    Written(Arc<Record>),
    /// The key is gone.
    Deleted {
        /// What it held.
        last: Arc<Record>,
        /// The deletion's revision.
        revision: Revision,
    },
    /// The precondition did not hold; nothing changed.
    Conflict {
        /// What the key holds.
        current: Option<Arc<Record>>,
    },
    /// No space is left on the disk; nothing changed. Writes are taken again as soon as there is space.
    NoSpace,
}

impl Write {
    pub(crate) fn frees_space(&self) -> bool {
        self.frees_space || self.operation == Operation::Delete
    }

    /// Bytes that the write adds to a proposal, at most.
    pub(crate) fn weight(&self) -> usize {
        let value = match &self.operation {
            Operation::Put { json, tags, .. } => {
                json.len() + tags.iter().map(|tag| tag.as_str().len() + 4).sum::<usize>()
            }
            Operation::Delete => 0,
        };
        self.key.len() + value + 64
    }
}

impl Outcome {
    /// The revision that the write made, if it was made.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Outcome::Written(record) => Some(record.revision),
            Outcome::Deleted { revision, .. } => Some(*revision),
            Outcome::Conflict { .. } | Outcome::NoSpace => None,
        }
    }
}
