//! The Raft log: append-only segment files with group commit.
//!
//! Votes, entries, truncations and purges are items of one stream, so that one sync makes all of them durable in order. A thread of
//! its own writes: it takes everything that waits, writes it as one frame, syncs once, and only then tells the callers. After a failed
//! sync nothing is acknowledged any more (what the disk then holds is unknown); the process must start again. Entries are kept in memory
//! until they are purged.

mod frame;
mod recovery;
mod segment;
mod storage;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::Disk;
use crate::error::OpenError;
use crate::fault::{self, Point};
use crate::raft::{Entry, Group, LogId, Vote};

/// One thing that the log remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Item {
    /// An entry, after all before it.
    Entry(Arc<Entry>),
    /// The latest vote.
    Vote(Vote),
    /// Entries after this index are void.
    TruncateAfter(Option<u64>),
    /// Entries up to this one are gone: the checkpoint covers them.
    Purge(LogId),
}

/// What the log holds now.
#[derive(Debug, Default)]
struct Contents {
    entries: BTreeMap<u64, Arc<Entry>>,
    vote: Option<Vote>,
    purged: Option<LogId>,
}

impl Contents {
    fn last(&self) -> Option<LogId> {
        self.entries.last_key_value().map(|(_, entry)| entry.log_id).or(self.purged)
    }

    fn apply(&mut self, item: Item) {
        match item {
            Item::Entry(entry) => drop(self.entries.insert(entry.log_id.index, entry)),
            Item::Vote(vote) => self.vote = Some(vote),
            Item::TruncateAfter(index) => drop(self.entries.split_off(&index.map_or(0, |index| index + 1))),
            Item::Purge(log_id) => {
                self.entries = self.entries.split_off(&(log_id.index + 1));
                self.purged = Some(log_id);
            }
        }
    }
}

/// Who is told when a job is durable.
enum Done {
    Raft(IOFlushed<Group>),
    Caller(oneshot::Sender<io::Result<()>>),
    Nobody,
}

impl Done {
    fn tell(self, result: io::Result<()>) {
        match self {
            Done::Raft(callback) => callback.io_completed(result),
            Done::Caller(caller) => drop(caller.send(result)),
            Done::Nobody => {}
        }
    }
}

/// What space is reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It must leave room on the disk for another checkpoint: only that gives space back.
    Growth,
    /// It takes what there is.
    FreeingSpace,
}

enum Job {
    Write(Vec<Item>, Done),
    /// Try to reserve space for a frame of so many bytes.
    Reserve(u64, Purpose, oneshot::Sender<io::Result<()>>),
    Stop(oneshot::Sender<io::Result<()>>),
}

/// Handle of the log.
#[derive(Clone)]
pub(crate) struct Log {
    contents: Arc<Mutex<Contents>>,
    jobs: mpsc::UnboundedSender<Job>,
    /// The largest frame for which space is reserved on the disk.
    room: Arc<AtomicU64>,
    /// Bytes of all segments in use.
    size: Arc<AtomicU64>,
    lacks_space: Arc<AtomicBool>,
    failure: watch::Receiver<Option<String>>,
    segment_bytes: u64,
}

impl Log {
    /// Opens the log in `dir`, recovering what a crash has left. `checkpoint_bytes` is how long the checkpoint is at the time.
    pub(crate) fn open(
        dir: PathBuf,
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
        checkpoint_bytes: Arc<AtomicU64>,
    ) -> Result<Log, OpenError> {
        fault::enter(Point::Open);
        let recovered = recovery::recover(&dir, disk.as_ref())?;
        let contents = Arc::new(Mutex::new(recovered.contents));
        let (jobs, queue) = mpsc::unbounded_channel();
        let (room, size) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let lacks_space = Arc::new(AtomicBool::new(false));
        let (failure, told) = watch::channel(None);
        let log = Log {
            contents: contents.clone(),
            jobs,
            room: room.clone(),
            size: size.clone(),
            lacks_space: lacks_space.clone(),
            failure: told,
            segment_bytes,
        };
        let (segments, next_sequence) = (recovered.segments, recovered.next_sequence);
        writer::start(
            writer::Setup {
                dir,
                disk,
                segment_bytes,
                checkpoint_bytes,
                segments,
                next_sequence,
                contents,
                room,
                size,
                lacks_space,
                failure,
            },
            queue,
        )?;
        Ok(log)
    }

    /// Makes sure that a proposal fits on the disk before it is made, as an append that fails stops the store. What doesn't free space
    /// must leave half a segment to what does, and all must leave some to votes and purges.
    pub(crate) async fn reserve(&self, bytes: usize, frees_space: bool) -> io::Result<()> {
        let margin = if frees_space { self.segment_bytes / 16 } else { self.segment_bytes / 2 };
        let wanted = bytes as u64 + margin;
        if self.room.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let (sender, done) = oneshot::channel();
        let purpose = if frees_space { Purpose::FreeingSpace } else { Purpose::Growth };
        self.send(Job::Reserve(wanted, purpose, sender))?;
        done.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Is none of the entries purged that come after this one?
    pub(crate) fn goes_on_after(&self, log_id: Option<&LogId>) -> bool {
        let purged = self.contents.lock().purged;
        purged.is_none_or(|purged| log_id.is_some_and(|log_id| log_id.index >= purged.index))
    }

    /// Does this entry come after all that the log knows of?
    pub(crate) fn ends_before(&self, log_id: Option<&LogId>) -> bool {
        self.contents.lock().last().as_ref() < log_id
    }

    /// Has this member voted, for itself or another? It has before it applies anything that consensus gave it.
    pub(crate) fn has_vote(&self) -> bool {
        self.contents.lock().vote.is_some()
    }

    /// Bytes that the log takes on the disk.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Is the disk too full for the log to grow by another segment? What is reserved may hold some writes more.
    pub(crate) fn lacks_space(&self) -> bool {
        self.lacks_space.load(Ordering::Relaxed)
    }

    /// How a write or a sync failed, if one did. Consensus hears of it when it next writes.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Waits until a write or a sync fails, and says how; for ever if the log is stopped before.
    pub(crate) async fn wait_to_fail(&self) -> String {
        match self.failure.clone().wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            _ => std::future::pending().await,
        }
    }

    /// Writes what waits and ends the thread.
    pub(crate) async fn stop(&self) -> io::Result<()> {
        let (sender, done) = oneshot::channel();
        self.send(Job::Stop(sender))?;
        done.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn write(&self, items: Vec<Item>) -> io::Result<()> {
        let (sender, done) = oneshot::channel();
        self.send(Job::Write(items, Done::Caller(sender)))?;
        done.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| stopped())
    }
}

/// Is it the want of space that failed?
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn stopped() -> io::Error {
    io::Error::other("the log has stopped")
}
