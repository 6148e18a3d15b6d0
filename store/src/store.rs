//! The store's handle: opens, writes, reads, watches, shuts down.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{Fatal, RaftError};
use openraft::raft::ReadPolicy;
use openraft::{Config, SnapshotPolicy};
use tokio::sync::{mpsc, oneshot};

use crate::batcher::{Batcher, PROPOSAL_BYTES_MAX, Request};
use crate::cache::{Cache, Limits};
use crate::checkpoint::{self, Checkpoint};
use crate::disk::Disk;
use crate::error::{OpenError, ReadError, ShutdownError, WriteError};
use crate::fault::{self, Mutation};
use crate::log::Log;
use crate::machine::Machine;
use crate::options::Options;
use crate::raft::{Command, NoPeers, Raft};
use crate::read_barrier::ReadBarrier;
use crate::record::Revision;
use crate::snapshot::Snapshot;
use crate::watch::{TooOld, Watch, WatchRequest};
use crate::write::{Outcome, Write};

/// By how much a member that begins to lead raises the revision: more than the ephemeral revisions its predecessor may have given.
const LEADER_REVISION_STEP: Revision = 1 << 20;
/// Callers' requests that may wait for the batcher.
const REQUESTS_MAX: usize = 4_096;
/// Longest wait for a group of one to lead itself.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Replicated, revisioned, watchable keys. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    member_id: u64,
    raft: Raft,
    log: Log,
    cache: Arc<Cache>,
    checkpoint: Checkpoint,
    reads: ReadBarrier,
    requests: mpsc::Sender<Request>,
    /// Held as long as the store is open.
    _lock: Box<dyn Send + Sync>,
}

/// How a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub member_id: u64,
    /// Who leads, as far as this member knows.
    pub leader: Option<u64>,
    /// The Raft term.
    pub term: u64,
    /// The revision that readers see.
    pub revision: Revision,
    /// Bytes of the Raft log on the disk.
    pub log_bytes: u64,
    /// Keys, durable and ephemeral.
    pub keys: usize,
    /// How the disk failed, if it did: nothing is written any more.
    pub failure: Option<String>,
}

impl Store {
    /// Opens the store in `options.dir`, as a group of one if it is new.
    pub async fn open(options: Options, disk: Arc<dyn Disk>) -> Result<Store, OpenError> {
        let dir = &options.dir;
        disk.create_dir_all(dir).map_err(|cause| OpenError::File { path: dir.clone(), cause })?;
        let lock = lock(dir, disk.as_ref())?;
        let (checkpoint, snapshot, applied) = Checkpoint::open(&checkpoint::path(dir), &disk, &options)?;
        let log = Log::open(dir.join("log"), disk, options.segment_bytes)?;
        let limits = Limits {
            events_max: options.history_events_max,
            bytes_max: options.history_bytes_max,
            queue_max: options.watch_queue_events_max,
        };
        let cache = Arc::new(Cache::new(snapshot, limits));
        let commits = checkpoint.durable();
        let machine = Machine::new(cache.clone(), checkpoint.clone(), options.is_ephemeral, applied);
        let raft = start(&options, log.clone(), machine).await?;
        lead(&raft, &cache).await?;
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let batcher = Batcher {
            raft: raft.clone(),
            log: log.clone(),
            cache: cache.clone(),
            is_ephemeral: options.is_ephemeral,
            requests: receiver,
            commits,
            log_bytes_max: options.segment_bytes / 4,
            durable_revision: cache.snapshot().revision,
        };
        tokio::spawn(batcher.run());
        let reads = ReadBarrier::default();
        let shared =
            Shared { member_id: options.member_id, raft, log, cache, checkpoint, reads, requests, _lock: lock };
        Ok(Store { shared: Arc::new(shared) })
    }

    /// Does the writes, each decided by itself and in order, and returns what became of each once a quorum has them on disk. Only of
    /// `TooLarge` is it known that nothing happened.
    pub async fn write(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, WriteError> {
        if let Some(bytes) = writes.iter().map(Write::weight).find(|bytes| *bytes > PROPOSAL_BYTES_MAX) {
            return Err(WriteError::TooLarge { bytes, limit: PROPOSAL_BYTES_MAX });
        }
        let mut outcomes = Vec::with_capacity(writes.len());
        for part in parts(writes) {
            let (answer, outcome) = oneshot::channel();
            self.shared.requests.send(Request { writes: part, answer }).await.map_err(|_| WriteError::Stopped)?;
            outcomes.extend(outcome.await.map_err(|_| WriteError::Stopped)??);
        }
        Ok(outcomes)
    }

    /// All keys as this member knows them.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.cache.snapshot()
    }

    /// All keys, at least as new as anything acknowledged before the call (ReadIndex).
    pub async fn read(&self) -> Result<Snapshot, ReadError> {
        if fault::is_mutated(Mutation::SkipReadIndex) {
            return Ok(self.snapshot());
        }
        let confirm = async || self.shared.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map(drop);
        match self.shared.reads.pass(confirm).await {
            Ok(()) => Ok(self.snapshot()),
            // Nobody else can have acknowledged anything.
            Err(RaftError::Fatal(Fatal::StorageError(_))) if self.is_alone() => Ok(self.snapshot()),
            Err(RaftError::Fatal(Fatal::Stopped)) => Err(ReadError::Stopped),
            Err(error) => Err(ReadError::NoQuorum(error.to_string())),
        }
    }

    /// What consensus is asked by tests, and this member's number.
    #[cfg(any(test, feature = "test-disk"))]
    pub(crate) fn raft(&self) -> (&Raft, u64) {
        (&self.shared.raft, self.shared.member_id)
    }

    /// Is this the only member?
    fn is_alone(&self) -> bool {
        self.shared.raft.metrics().borrow_watched().membership_config.voter_ids().eq([self.shared.member_id])
    }

    /// All keys at `revision` or later; waits until this member has them.
    pub async fn wait_for(&self, revision: Revision) -> Result<Snapshot, ReadError> {
        let mut revisions = self.shared.cache.revisions();
        revisions.wait_for(|current| *current >= revision).await.map_err(|_| ReadError::Stopped)?;
        Ok(self.snapshot())
    }

    /// Every change asked for, in order, from `request.after` on.
    pub fn watch(&self, request: WatchRequest) -> Result<Watch, TooOld> {
        self.shared.cache.watch(request)
    }

    /// How the store is.
    pub fn status(&self) -> Status {
        let metrics = self.shared.raft.metrics();
        let (leader, term, failure) = {
            let metrics = metrics.borrow_watched();
            let failure = match &metrics.running_state {
                Err(Fatal::StorageError(error)) => Some(error.to_string()),
                _ => None,
            };
            (metrics.current_leader, metrics.current_term, failure)
        };
        let snapshot = self.snapshot();
        Status {
            member_id: self.shared.member_id,
            leader,
            term,
            revision: snapshot.revision,
            log_bytes: self.shared.log.size_bytes(),
            keys: snapshot.count(""),
            failure,
        }
    }

    /// Ends all watches, writes a checkpoint and stops. The other handles fail from then on.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        self.shared.cache.close();
        // Each part is stopped, also if one before it has failed.
        let raft = self.shared.raft.shutdown().await.map_err(|error| ShutdownError(error.to_string()));
        let checkpoint = self.shared.checkpoint.stop().await.map_err(|error| ShutdownError(error.to_string()));
        let log = self.shared.log.stop().await.map_err(|error| ShutdownError(error.to_string()));
        raft.and(checkpoint).and(log)
    }
}

fn lock(dir: &Path, disk: &dyn Disk) -> Result<Box<dyn Send + Sync>, OpenError> {
    let path = dir.join("lock");
    disk.lock(&path).map_err(|cause| match cause.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(dir.to_owned()),
        _ => OpenError::File { path, cause },
    })
}

async fn start(options: &Options, log: Log, machine: Machine) -> Result<Raft, OpenError> {
    let config = Config {
        cluster_name: "coracle".to_owned(),
        heartbeat_interval: 100,
        election_timeout_min: 500,
        election_timeout_max: 1_000,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 1,
        enable_pre_vote: Some(true),
        ..Config::default()
    };
    let failed = |error: &dyn std::fmt::Display| OpenError::Consensus(error.to_string());
    let config = Arc::new(config.validate().map_err(|error| failed(&error))?);
    let raft = Raft::new(options.member_id, config, NoPeers, log, machine).await.map_err(|error| failed(&error))?;
    if !raft.is_initialized().await.map_err(|error| failed(&error))? {
        let members = BTreeMap::from([(options.member_id, openraft::impls::BasicNode::default())]);
        raft.initialize(members).await.map_err(|error| failed(&error))?;
    } else if !raft.is_leader() {
        // A group of one need not wait for anybody's silence.
        raft.trigger().elect(true).await.map_err(|error| failed(&error))?;
    }
    Ok(raft)
}

/// Waits until this member leads and has applied its whole log, then begins a range of revisions that nobody has used.
async fn lead(raft: &Raft, cache: &Cache) -> Result<(), OpenError> {
    let failed = |error: String| OpenError::Consensus(error);
    let waiting = raft.wait(Some(START_TIMEOUT));
    waiting
        .metrics(|metrics| metrics.current_leader == Some(metrics.id), "this member leads")
        .await
        .map_err(|error| failed(error.to_string()))?;
    raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map_err(|error| failed(error.to_string()))?;
    let revision_floor = cache.snapshot().revision + LEADER_REVISION_STEP;
    let command = Command { revision_floor, writes: Vec::new() };
    raft.client_write(command).await.map_err(|error| failed(error.to_string()))?;
    // Watches that began before lack the ephemeral keys' changes.
    cache.reset(cache.snapshot());
    Ok(())
}

/// Cuts a caller's writes so that each part fits into a proposal.
fn parts(writes: Vec<Write>) -> Vec<Vec<Write>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for write in writes {
        bytes += write.weight();
        if bytes > PROPOSAL_BYTES_MAX && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            bytes = write.weight();
        }
        part.push(write);
    }
    parts.push(part);
    parts
}
