//! The durable copy of the state, in redb: written every few seconds in one two-phase commit, read whole at the next start.
//!
//! The log covers what happened since. What is durable here is also the Raft snapshot: the log may be purged so far and no further. A
//! task of its own has it written; it sleeps while nothing changes.

mod database;
mod worker;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::AsyncRuntime as _;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot, watch};

use crate::disk::Disk;
use crate::ephemeral::EphemeralKeys;
use crate::error::OpenError;
use crate::options::Options;
use crate::peers::Member;
use crate::raft::{self, LogId, StoredMembership};
use crate::record::Revision;
use crate::runtime::Runtime;
use crate::snapshot::Snapshot;
use crate::watch::{Change, Event};

/// A file takes at most so many times the bytes of its records,
pub(crate) const ROOM_FACTOR: u64 = 2;
/// and what an empty one takes.
pub(crate) const ROOM_BYTES_MIN: u64 = 1 << 20;

/// How far the log has been applied.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) log_id: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) revision: Revision,
}

/// All keys, and how far the log had been applied then.
pub(crate) type State = (Snapshot, Applied);

/// The file's place in a store's folder.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("checkpoint.redb")
}

/// Makes the file of a group that begins with this state; durable when this returns. As the state is not in the log, the log counts as
/// purged that far: whoever joins is sent the state.
pub(crate) fn create(path: &Path, disk: Arc<dyn Disk>, snapshot: Snapshot, member: &Member) -> io::Result<()> {
    let (log_id, membership) = raft::beginning(member);
    let applied = Applied { log_id: Some(log_id), membership, revision: snapshot.revision };
    database::Database::new(path, disk, 0).commit(&database::Changes::new(), &(snapshot, applied), |_| true)
}

/// Handle of the checkpoint's task, which ends with the last handle.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    shared: Arc<Shared>,
    _guard: Arc<Guard>,
}

#[derive(Debug)]
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.pending.lock().is_stopping = true;
        self.0.wake.notify_one();
    }
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Notify,
    /// What the file holds for certain; nothing before the first commit ever.
    durable: watch::Sender<Option<State>>,
    ephemeral: EphemeralKeys,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file_bytes: Arc<AtomicU64>,
}

impl Shared {
    /// Looks how long the file is.
    fn measure(&self) {
        let found = self.disk.open(&self.path, false).and_then(|file| file.len());
        self.file_bytes.store(found.unwrap_or(0), Ordering::Relaxed);
    }
}

/// What the next commit is to write.
#[derive(Debug, Default)]
struct Pending {
    changes: database::Changes,
    state: Option<State>,
    /// It is not what is there with the changes, but something else.
    is_replacement: bool,
    /// Who waits for the commit; with someone waiting it is made at once.
    waiting: Vec<oneshot::Sender<io::Result<()>>>,
    is_stopping: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.state.is_none() && !self.is_urgent()
    }

    /// Does somebody wait for it?
    fn is_urgent(&self) -> bool {
        !self.waiting.is_empty() || self.is_stopping
    }
}

impl Checkpoint {
    /// Opens the database, reads all of it, and starts the task.
    pub(crate) fn open(
        path: &Path,
        disk: &Arc<dyn Disk>,
        options: &Options,
    ) -> Result<(Checkpoint, Snapshot, Applied), OpenError> {
        let database = database::Database::new(path, disk.clone(), options.checkpoint_slack_bytes);
        let (snapshot, applied) = database.load()?;
        let durable = applied.log_id.is_some().then(|| (snapshot.clone(), applied.clone()));
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            wake: Notify::new(),
            durable: watch::Sender::new(durable),
            ephemeral: options.ephemeral,
            path: path.to_owned(),
            disk: disk.clone(),
            file_bytes: Arc::default(),
        });
        shared.measure();
        let interval = Duration::from_millis(options.checkpoint_interval_ms);
        Runtime::spawn(worker::run(shared.clone(), database, interval));
        let guard = Arc::new(Guard(shared.clone()));
        Ok((Checkpoint { shared, _guard: guard }, snapshot, applied))
    }

    /// How long the file is.
    pub(crate) fn file_bytes(&self) -> Arc<AtomicU64> {
        self.shared.file_bytes.clone()
    }

    /// What the file holds for certain, and a way to wait for the next commit.
    pub(crate) fn durable(&self) -> watch::Receiver<Option<State>> {
        self.shared.durable.subscribe()
    }

    /// Notes what was applied, and what came of it; returns at once.
    pub(crate) fn note(&self, events: &[Arc<Event>], state: State) {
        let mut pending = self.shared.pending.lock();
        for event in events.iter().filter(|event| !self.shared.ephemeral.contains(&event.record.key)) {
            let value = (event.change == Change::Put).then(|| event.record.clone());
            pending.changes.insert(event.record.key.clone(), value);
        }
        pending.state = Some(state);
        self.shared.wake.notify_one();
    }

    /// Whether everything could be replaced by this: consensus, once it is told to, has no way back.
    ///
    /// # Errors
    /// The disk has no room for it beside what is there.
    pub(crate) async fn find_room(&self, snapshot: &Snapshot) -> io::Result<()> {
        let bytes: usize = snapshot.records.values().map(|record| record.weight()).sum();
        let bytes = ROOM_FACTOR * bytes as u64 + ROOM_BYTES_MIN;
        let (path, disk) = (self.shared.path.with_extension("room"), self.shared.disk.clone());
        let found = Runtime::spawn_blocking(move || {
            let reserved = disk.open(&path, true)?.allocate(bytes);
            disk.remove(&path)?;
            reserved
        });
        found.await.unwrap_or_else(|_| Err(io::Error::other("looking for room broke off")))
    }

    /// Replaces everything; returns when that is durable.
    pub(crate) async fn replace(&self, snapshot: &Snapshot, applied: &Applied) -> io::Result<()> {
        {
            let mut pending = self.shared.pending.lock();
            pending.is_replacement = true;
            pending.changes.clear();
            pending.state = Some((snapshot.clone(), applied.clone()));
        }
        self.ask(false).await
    }

    /// Makes everything noted durable, and ends the task.
    pub(crate) async fn stop(&self) -> io::Result<()> {
        self.ask(true).await
    }

    async fn ask(&self, is_stopping: bool) -> io::Result<()> {
        let (sender, done) = oneshot::channel();
        {
            let mut pending = self.shared.pending.lock();
            if pending.is_stopping {
                return Err(io::Error::other("the checkpoint has stopped"));
            }
            pending.waiting.push(sender);
            pending.is_stopping = is_stopping;
        }
        self.shared.wake.notify_one();
        done.await.unwrap_or_else(|_| Err(io::Error::other("the checkpoint has stopped")))
    }
}
