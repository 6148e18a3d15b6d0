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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::disk::Disk;
use crate::error::OpenError;
use crate::raft::{Entry, Group, LogId, Vote};

/// Puts are refused when less than this is reserved: room for two of the largest proposals.
const PUT_ROOM_BYTES: u64 = 10 << 20;
/// Deletions are refused when less than this is reserved.
const DELETE_ROOM_BYTES: u64 = 256 << 10;

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
}

impl Done {
    fn tell(self, result: io::Result<()>) {
        match self {
            Done::Raft(callback) => callback.io_completed(result),
            Done::Caller(caller) => drop(caller.send(result)),
        }
    }
}

enum Job {
    Write(Vec<Item>, Done),
    /// Try to reserve space for the next segment.
    Reserve(oneshot::Sender<io::Result<()>>),
    Stop(oneshot::Sender<io::Result<()>>),
}

/// Handle of the log.
#[derive(Clone)]
pub(crate) struct Log {
    contents: Arc<Mutex<Contents>>,
    jobs: mpsc::Sender<Job>,
    /// Bytes that are reserved on the disk and not used.
    room: Arc<AtomicU64>,
    /// Bytes of all segments in use.
    size: Arc<AtomicU64>,
    segment_bytes: u64,
}

impl Log {
    /// Opens the log in `dir`, recovering what a crash has left.
    pub(crate) fn open(dir: PathBuf, disk: Arc<dyn Disk>, segment_bytes: u64) -> Result<Log, OpenError> {
        let recovered = recovery::recover(&dir, disk.as_ref())?;
        let contents = Arc::new(Mutex::new(recovered.contents));
        let (jobs, queue) = mpsc::channel();
        let (room, size) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let log = Log { contents: contents.clone(), jobs, room: room.clone(), size: size.clone(), segment_bytes };
        let (segments, next_sequence) = (recovered.segments, recovered.next_sequence);
        writer::start(
            writer::Setup { dir, disk, segment_bytes, segments, next_sequence, contents, room, size },
            queue,
        )?;
        Ok(log)
    }

    /// Makes sure that a proposal fits on the disk before it is made; an append that fails would stop the store.
    pub(crate) async fn reserve(&self, is_deletion: bool) -> bool {
        let wanted = if is_deletion {
            DELETE_ROOM_BYTES.min(self.segment_bytes / 4)
        } else {
            PUT_ROOM_BYTES.min(self.segment_bytes)
        };
        if self.room.load(Ordering::Acquire) >= wanted {
            return true;
        }
        let (sender, done) = oneshot::channel();
        if self.jobs.send(Job::Reserve(sender)).is_ok() {
            let _ = done.await;
        }
        self.room.load(Ordering::Acquire) >= wanted
    }

    /// Bytes that the log takes on the disk.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
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

fn stopped() -> io::Error {
    io::Error::other("the log has stopped")
}
