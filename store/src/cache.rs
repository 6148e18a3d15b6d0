//! The state that everyone sees: the current snapshot, the latest events, the watchers. Changed only by `commit`, under one lock, a batch
//! at a time; read without any lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, mpsc, watch};

use crate::ephemeral::EphemeralKeys;
use crate::hub::{Hub, Watcher};
use crate::record::{Record, Revision};
use crate::snapshot::Snapshot;
use crate::watch::{Change, Event, TooOld, Watch, WatchRequest};
use crate::write::{Operation, Outcome, Write};

/// The watch cache.
#[derive(Debug)]
pub(crate) struct Cache {
    current: RwLock<Snapshot>,
    feed: Mutex<Feed>,
    drafting: Arc<AsyncMutex<()>>,
    revision: watch::Sender<Revision>,
    limits: Limits,
}

/// What is kept for watches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) events_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) queue_max: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) ephemeral: EphemeralKeys,
}

#[derive(Debug, Default)]
struct Feed {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// No event after this revision is missing from `events`.
    complete_after: Revision,
    /// The same of ephemeral keys: what another leader kept in memory is not known here.
    ephemeral_after: Revision,
    hub: Hub,
    is_closed: bool,
}

/// Changes to the snapshot that nobody sees yet.
#[derive(Debug)]
pub(crate) struct Draft {
    snapshot: Snapshot,
    events: Vec<Arc<Event>>,
    /// There is one draft at a time.
    _turn: OwnedMutexGuard<()>,
}

impl Feed {
    fn begin(revision: Revision) -> Feed {
        Feed { complete_after: revision, ephemeral_after: revision, ..Feed::default() }
    }
}

impl Cache {
    /// A cache that begins with `snapshot`; what came before can't be watched.
    pub(crate) fn new(snapshot: Snapshot, limits: Limits) -> Cache {
        let feed = Feed::begin(snapshot.revision);
        let (revision, _) = watch::channel(snapshot.revision);
        Cache { current: RwLock::new(snapshot), feed: Mutex::new(feed), drafting: Arc::default(), revision, limits }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.current.read().clone()
    }

    /// Tells when the revision changes.
    pub(crate) fn revisions(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// Begins changes; waits for the end of other changes under way.
    pub(crate) async fn draft(&self) -> Draft {
        let turn = self.drafting.clone().lock_owned().await;
        Draft { snapshot: self.snapshot(), events: Vec::new(), _turn: turn }
    }

    /// Makes a draft visible and tells the watchers.
    pub(crate) fn commit(&self, draft: Draft) {
        let Draft { mut snapshot, events, _turn } = draft;
        let mut feed = self.feed.lock();
        let revision = {
            let mut current = self.current.write();
            snapshot.revision = snapshot.revision.max(current.revision);
            *current = snapshot;
            current.revision
        };
        for event in events {
            feed.hub.send(&event);
            feed.bytes += event.record.weight();
            feed.events.push_back(event);
        }
        while feed.events.len() > self.limits.events_max || feed.bytes > self.limits.bytes_max {
            let Some(event) = feed.events.pop_front() else { break };
            feed.bytes -= event.record.weight();
            feed.complete_after = event.record.revision;
        }
        drop(feed);
        self.revision.send_replace(revision);
    }

    /// Replaces everything, as an installed snapshot does; all watches end.
    pub(crate) fn reset(&self, snapshot: Snapshot) {
        let revision = snapshot.revision;
        let mut feed = self.feed.lock();
        *self.current.write() = snapshot;
        *feed = Feed::begin(revision);
        drop(feed);
        self.revision.send_replace(revision);
    }

    /// Lets readers know that nothing up to `revision` is missing.
    pub(crate) fn raise(&self, revision: Revision) {
        let _feed = self.feed.lock();
        let raised = {
            let mut current = self.current.write();
            current.revision = current.revision.max(revision);
            current.revision
        };
        self.revision.send_replace(raised);
    }

    /// Drops the ephemeral keys, and ends the watches that may be of them.
    pub(crate) async fn forget_ephemeral(&self) {
        let Some(prefix) = self.limits.ephemeral.prefix() else { return };
        let _turn = self.drafting.lock().await;
        let mut feed = self.feed.lock();
        let mut current = self.current.write();
        current.remove_all(prefix);
        current.note_change(prefix);
        feed.ephemeral_after = current.revision;
        feed.hub.end(|watched| self.limits.ephemeral.meets(watched));
    }

    pub(crate) fn watch(&self, request: WatchRequest) -> Result<Watch, TooOld> {
        let mut feed = self.feed.lock();
        let oldest = match self.limits.ephemeral.meets(&request.prefix) {
            true => feed.complete_after.max(feed.ephemeral_after),
            false => feed.complete_after,
        };
        if request.after < oldest {
            return Err(TooOld { requested: request.after, oldest });
        }
        let first = feed.events.partition_point(|event| event.record.revision <= request.after);
        let backlog = feed.events.range(first..).filter(|event| is_asked_for(event, &request)).cloned().collect();
        let (sender, events) = mpsc::channel(self.limits.queue_max);
        let (lagged, queued_bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        if !feed.is_closed {
            let watcher = Watcher {
                events: sender,
                queued_bytes: queued_bytes.clone(),
                queued_bytes_max: self.limits.queue_bytes_max,
                lagged: lagged.clone(),
            };
            feed.hub.add(&request.prefix, request.tag, watcher);
        }
        Ok(Watch { backlog, events, queued_bytes, lagged })
    }

    /// Ends every watch, now and in future.
    pub(crate) fn close(&self) {
        let mut feed = self.feed.lock();
        feed.is_closed = true;
        feed.hub.close();
    }
}

fn is_asked_for(event: &Event, request: &WatchRequest) -> bool {
    let key = &event.record.key;
    let by_key = if request.prefix.is_empty() || request.prefix.ends_with('/') {
        key.starts_with(&request.prefix)
    } else {
        **key == *request.prefix
    };
    by_key
        && request.tag.as_ref().is_none_or(|tag| {
            event.record.tags.contains(tag) || event.previous.as_ref().is_some_and(|record| record.tags.contains(tag))
        })
}

impl Draft {
    /// Goes on from the log's own revision: the cache's may be ahead of it.
    pub(crate) fn rebase(&mut self, revision: Revision) {
        self.snapshot.revision = revision;
    }

    /// The next revision is greater than `floor`.
    pub(crate) fn raise(&mut self, floor: Revision) {
        self.snapshot.revision = self.snapshot.revision.max(floor);
    }

    pub(crate) fn revision(&self) -> Revision {
        self.snapshot.revision
    }

    /// Decides and does one write. A pure function of the draft and the write, so that every member decides alike.
    pub(crate) fn write(&mut self, write: &Write) -> Outcome {
        let current = self.snapshot.records.get(&*write.key).cloned();
        if !write.precondition.holds(current.as_deref()) {
            return Outcome::Conflict { current };
        }
        match &write.operation {
            Operation::Put { json, splice_offset, tags } => {
                self.snapshot.revision += 1;
                let key = current.as_ref().map_or(&write.key, |record| &record.key).clone();
                // Most records have none, and share that.
                let tags = if tags.is_empty() { Arc::default() } else { tags.clone() };
                let (json, revision) = (json.clone(), self.snapshot.revision);
                let record = Arc::new(Record { key, json, splice_offset: *splice_offset, tags, revision });
                self.snapshot.records.insert(record.key.clone(), record.clone());
                self.snapshot.note_change(&record.key);
                self.events.push(Arc::new(Event { change: Change::Put, record: record.clone(), previous: current }));
                Outcome::Written(record)
            }
            Operation::Delete => {
                let Some(last) = current else { return Outcome::Conflict { current: None } };
                self.snapshot.revision += 1;
                let revision = self.snapshot.revision;
                self.snapshot.records.remove(&*last.key);
                self.snapshot.note_change(&last.key);
                let record = Arc::new(Record { revision, ..(*last).clone() });
                self.events.push(Arc::new(Event { change: Change::Delete, record, previous: Some(last.clone()) }));
                Outcome::Deleted { last, revision }
            }
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(crate) fn events(&self) -> &[Arc<Event>] {
        &self.events
    }
}
