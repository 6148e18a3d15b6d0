//! Watches: every change after a revision, in order, none lost and none twice, or an explicit end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::record::{Record, Revision, Tag};

/// What a watch is to report.
#[derive(Clone, Debug)]
pub struct WatchRequest {
    /// `""` for everything, a prefix that ends in `/`, or one key.
    pub prefix: String,
    /// Only records that have, or had until the change, this tag.
    pub tag: Option<Tag>,
    /// Only changes after this revision.
    pub after: Revision,
}

/// Kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key has a value, new or other than before.
    Put,
    /// The key has no value any more.
    Delete,
}

/// One change of one key.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub change: Change,
    /// The new value; for a deletion the last value, under the deletion's revision.
    pub record: Arc<Record>,
    /// The value until then.
    pub previous: Option<Arc<Record>>,
}

impl Event {
    /// About how many bytes it keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        self.record.weight() + self.previous.as_ref().map_or(0, |previous| previous.weight())
    }
}

/// The changes asked for are not kept any more: list again, and watch from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {requested} ({oldest})")]
pub struct TooOld {
    /// The revision asked for.
    pub requested: Revision,
    /// The oldest one that can be asked for.
    pub oldest: Revision,
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Its reader fell behind too far. Nobody waits for a slow watcher.
    #[error("the watch was too slow and has lost events")]
    TooSlow,
    /// The store is shut down, or its keys, or the ephemeral ones among them, are not those that were watched any more: it took over a
    /// state, or ceased to lead.
    #[error("the store has stopped, or what it holds was replaced")]
    Closed,
}

/// A watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    pub(crate) backlog: VecDeque<Arc<Event>>,
    pub(crate) events: mpsc::Receiver<Arc<Event>>,
    /// Bytes of the events that wait.
    pub(crate) queued_bytes: Arc<AtomicUsize>,
    pub(crate) lagged: Arc<AtomicBool>,
}

impl Watch {
    /// The next change; waits for it.
    pub async fn next(&mut self) -> Result<Arc<Event>, WatchError> {
        if let Some(event) = self.backlog.pop_front() {
            return Ok(event);
        }
        match self.events.recv().await {
            Some(event) => Ok(self.taken(event)),
            None => Err(self.end()),
        }
    }

    /// The next change if there is one already.
    pub fn try_next(&mut self) -> Option<Result<Arc<Event>, WatchError>> {
        if let Some(event) = self.backlog.pop_front() {
            return Some(Ok(event));
        }
        match self.events.try_recv() {
            Ok(event) => Some(Ok(self.taken(event))),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(Err(self.end())),
        }
    }

    fn taken(&self, event: Arc<Event>) -> Arc<Event> {
        self.queued_bytes.fetch_sub(event.weight(), Ordering::AcqRel);
        event
    }

    fn end(&self) -> WatchError {
        if self.lagged.load(Ordering::Acquire) { WatchError::TooSlow } else { WatchError::Closed }
    }
}
