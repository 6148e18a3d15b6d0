//! The store's handle: opens, writes, reads, watches, shuts down.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{Fatal, LinearizableReadError, RaftError};
use openraft::raft::ReadPolicy;
use openraft::{AsyncRuntime as _, Config, Instant as _, SnapshotPolicy};
use tokio::sync::{mpsc, oneshot};

use crate::answer::{Intake, ReadIndex};
use crate::barrier::Barrier;
use crate::batcher::{Batcher, PROPOSAL_BYTES_MAX, Request};
use crate::cache::{Cache, Limits};
use crate::checkpoint::{self, Applied, Checkpoint};
use crate::disk::Disk;
use crate::election;
use crate::ephemeral::EphemeralKeys;
use crate::error::{OpenError, ReadError, ShutdownError, WriteError};
use crate::fault::{self, Mutation};
use crate::link::{Directory, Link, Links};
use crate::log::Log;
use crate::machine::Machine;
use crate::membership::{self, MemberStatus};
use crate::options::Options;
use crate::peers::{Call, Member};
use crate::raft::{Group, Raft};
use crate::record::Revision;
use crate::role::{self, Role};
use crate::runtime::{self, Instant, Runtime, WatchReceiver};
use crate::snapshot::Snapshot;
use crate::watch::{TooOld, Watch, WatchRequest};
use crate::write::{Outcome, Write};

/// Callers' requests that may wait for the batcher.
const REQUESTS_MAX: usize = 4_096;
/// Longest wait for a group of one to lead itself.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a leader and a quorum.
const QUORUM_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before a leader that did not answer is asked again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Replicated, revisioned, watchable keys. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) member: Member,
    pub(crate) raft: Raft,
    pub(crate) log: Log,
    pub(crate) ephemeral: EphemeralKeys,
    pub(crate) roles: WatchReceiver<Role>,
    pub(crate) intake: Intake,
    pub(crate) changes: membership::Turn,
    cache: Arc<Cache>,
    pub(crate) checkpoint: Checkpoint,
    links: Links,
    reads: Barrier<()>,
    terms: Barrier<u64>,
    requests: mpsc::Sender<Request>,
    /// Held as long as the store is open.
    _lock: Box<dyn Send + Sync>,
}

/// How a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub member: Member,
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
    /// Whether the disk is so full that writes which need space are refused, or soon will be.
    pub lacks_space: bool,
    /// How the disk failed, if it did: nothing is written any more.
    pub failure: Option<String>,
}

impl Store {
    /// Opens the store in `options.dir`. A group of one leads when this returns; as one of several members it may have to wait for
    /// the others.
    pub async fn open(options: Options, disk: Arc<dyn Disk>) -> Result<Store, OpenError> {
        let dir = &options.dir;
        disk.create_dir_all(dir).map_err(|cause| OpenError::File { path: dir.clone(), cause })?;
        let lock = lock(dir, disk.as_ref())?;
        let (checkpoint, snapshot, applied) = Checkpoint::open(&checkpoint::path(dir), &disk, &options)?;
        let log = open_log(&options, disk, &checkpoint, (&snapshot, &applied)).await?;
        let limits = Limits {
            events_max: options.history_events_max,
            bytes_max: options.history_bytes_max,
            queue_max: options.watch_queue_events_max,
            queue_bytes_max: options.watch_queue_bytes_max,
            ephemeral: options.ephemeral,
        };
        let cache = Arc::new(Cache::new(snapshot, limits));
        let commits = checkpoint.durable();
        let machine = Machine::new(cache.clone(), checkpoint.clone(), options.ephemeral, applied);
        let links = Links { peers: options.peers.clone(), directory: Directory::default(), log: log.clone() };
        let (raft, is_alone) = start(&options, links.clone(), log.clone(), machine).await?;
        let (role, mut roles) = runtime::watch(Role::Follows { leader: None });
        Runtime::spawn(role::follow(raft.clone(), cache.clone(), role));
        let changes = membership::Turn::default();
        let own = options.member.clone();
        Runtime::spawn(membership::keep(raft.clone(), changes.clone(), own, links.clone(), roles.clone()));
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let batcher = Batcher {
            raft: raft.clone(),
            log: log.clone(),
            cache: cache.clone(),
            ephemeral: options.ephemeral,
            requests: receiver,
            roles: roles.clone(),
            doubtful_term: None,
            commits,
            log_bytes_max: options.segment_bytes / 4,
            durable_revision: cache.snapshot().revision,
            gave_way: None,
        };
        Runtime::spawn(batcher.run());
        let shared = Shared {
            member: options.member,
            raft,
            log,
            ephemeral: options.ephemeral,
            roles: roles.clone(),
            intake: Intake::default(),
            changes,
            cache,
            checkpoint,
            links,
            reads: Barrier::default(),
            terms: Barrier::default(),
            requests,
            _lock: lock,
        };
        let store = Store { shared: Arc::new(shared) };
        if is_alone {
            let leads = roles.wait_until(Role::leads);
            match Runtime::timeout(START_TIMEOUT, leads).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(OpenError::Consensus("it stopped at once".to_owned())),
                Err(elapsed) => {
                    return Err(OpenError::Consensus(format!("this member does not lead itself: {elapsed}")));
                }
            }
        }
        Ok(store)
    }

    /// Does the writes, each decided by itself and in order, and returns what became of each once a quorum has them on disk. Only of
    /// `TooLarge` is it known that nothing happened.
    pub async fn write(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, WriteError> {
        if let Some(bytes) = writes.iter().map(Write::weight).find(|bytes| *bytes > PROPOSAL_BYTES_MAX) {
            return Err(WriteError::TooLarge { bytes, limit: PROPOSAL_BYTES_MAX });
        }
        // Soon somebody will lead; whoever it is can be told to the caller.
        if *self.shared.roles.borrow_watched() == (Role::Follows { leader: None }) {
            let _ = self.leader().await;
        }
        let mut outcomes = Vec::with_capacity(writes.len());
        for part in parts(writes) {
            let written = Runtime::timeout(QUORUM_TIMEOUT, self.write_part(part)).await;
            match written.map_err(|_| self.no_quorum())? {
                Ok(written) => outcomes.extend(written),
                // The parts before it were written.
                Err(WriteError::NotLeader { .. }) if !outcomes.is_empty() => return Err(WriteError::LeaderChanged),
                Err(error) => return Err(error),
            }
        }
        Ok(outcomes)
    }

    async fn write_part(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, WriteError> {
        let (answer, written) = oneshot::channel();
        self.shared.requests.send(Request { writes, answer }).await.map_err(|_| WriteError::Stopped)?;
        let written = written.await.map_err(|_| WriteError::Stopped)??;
        // Of a single member it need not be asked.
        if let Some(term) = written.ephemeral_term
            && !self.is_alone()
            && self.shared.terms.pass(async || Box::pin(self.confirm_term()).await).await? != term
        {
            return Err(WriteError::LeaderChanged);
        }
        Ok(written.outcomes)
    }

    /// Waits until a quorum says that this member leads, and gives the term.
    async fn confirm_term(&self) -> Result<u64, WriteError> {
        loop {
            match self.shared.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
                Ok(index) => return Ok(index.log_id().committed_leader_id().term),
                Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                    Runtime::sleep(RETRY_INTERVAL).await;
                }
                Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => {
                    return Err(WriteError::LeaderChanged);
                }
                Err(RaftError::Fatal(Fatal::StorageError(error))) => {
                    return Err(WriteError::DiskFailed(error.to_string()));
                }
                Err(RaftError::Fatal(_)) => return Err(WriteError::Stopped),
            }
        }
    }

    fn no_quorum(&self) -> WriteError {
        let is_silent = |status: &MemberStatus| status.silence.is_none_or(|silence| silence > QUORUM_TIMEOUT / 2);
        let others = self.members().into_iter().filter(|status| status.member.id != self.shared.member.id);
        let silent = others.filter(is_silent).map(|status| status.member).collect();
        WriteError::NoQuorum { waited_s: QUORUM_TIMEOUT.as_secs(), silent }
    }

    /// Waits until this member leads, and gives `None`, or knows who else does.
    ///
    /// # Errors
    /// Nobody leads for some seconds.
    pub async fn leader(&self) -> Result<Option<Member>, ReadError> {
        let mut roles = self.shared.roles.clone();
        let known = roles.wait_until(|role| *role != Role::Follows { leader: None });
        match Runtime::timeout(QUORUM_TIMEOUT, known).await {
            Ok(Ok(role)) => match role {
                Role::Leads { .. } => Ok(None),
                Role::Follows { leader } => {
                    let member = leader.and_then(|id| self.find_member(id));
                    member.map(Some).ok_or_else(|| ReadError::NoQuorum("the leader is not known here".to_owned()))
                }
            },
            Ok(Err(_)) => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::NoQuorum(format!("nobody has led for {} s", QUORUM_TIMEOUT.as_secs()))),
        }
    }

    /// Does this member lead?
    pub fn is_leader(&self) -> bool {
        self.shared.roles.borrow_watched().leads()
    }

    /// Waits until this member leads; gives `false` when the store has stopped.
    pub async fn wait_to_lead(&self) -> bool {
        let mut roles = self.shared.roles.clone();
        roles.wait_until(Role::leads).await.is_ok()
    }

    /// Whether it was not shut down, and its disk has not failed.
    pub fn is_running(&self) -> bool {
        self.shared.raft.metrics().borrow_watched().running_state.is_ok()
    }

    /// Waits until the leadership that this member has, if any, is over.
    pub async fn wait_to_follow(&self) {
        let mut roles = self.shared.roles.clone();
        let term = *roles.borrow_and_update();
        if term.leads() {
            let _ = roles.wait_until(|role| *role != term).await;
        }
    }

    /// This member.
    pub fn member(&self) -> &Member {
        &self.shared.member
    }

    fn find_member(&self, id: u64) -> Option<Member> {
        self.shared.raft.metrics().borrow_watched().membership_config.membership().get_node(&id).cloned()
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
        // Boxed: the futures of all readers would otherwise be as deep as this one.
        let confirmed = self.shared.reads.pass(async || Box::pin(self.confirm()).await);
        // Whose turn is yet to come when no quorum answers has waited as long as who had it, and hears the same.
        match Runtime::timeout(QUORUM_TIMEOUT + RETRY_INTERVAL, confirmed).await {
            Ok(confirmed) => confirmed?,
            Err(_) => return Err(unconfirmed()),
        }
        Ok(self.snapshot())
    }

    /// Waits until this member knows all that had been acknowledged before the call.
    async fn confirm(&self) -> Result<(), ReadError> {
        let deadline = Instant::now() + QUORUM_TIMEOUT;
        loop {
            let asked = Runtime::timeout_at(deadline, self.ask_leader()).await;
            match asked {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(ReadError::NoQuorum(_))) if Instant::now() + RETRY_INTERVAL < deadline => {
                    Runtime::sleep(RETRY_INTERVAL).await;
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(unconfirmed()),
            }
        }
    }

    async fn ask_leader(&self) -> Result<(), ReadError> {
        let raft = &self.shared.raft;
        let Some(leader) = self.leader().await? else {
            return match raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
                Ok(_) => Ok(()),
                // Nobody else can have acknowledged anything.
                Err(RaftError::Fatal(Fatal::StorageError(_))) if self.is_alone() => Ok(()),
                Err(RaftError::Fatal(Fatal::Stopped)) => Err(ReadError::Stopped),
                Err(error) => Err(ReadError::NoQuorum(error.to_string())),
            };
        };
        let link = Link::new(self.shared.links.clone(), leader);
        let index: ReadIndex =
            link.ask(Call::ReadIndex, &()).await.map_err(|error| ReadError::NoQuorum(error.to_string()))?;
        let applied = raft.wait(Some(QUORUM_TIMEOUT)).applied_index_at_least(Some(index.log_id.index), "a read").await;
        applied.map_err(|error| ReadError::NoQuorum(error.to_string()))?;
        self.shared.cache.raise(index.revision);
        Ok(())
    }

    /// What consensus is asked by tests, and this member's number.
    #[cfg(any(test, feature = "test-disk"))]
    pub(crate) fn raft(&self) -> (&Raft, u64) {
        (&self.shared.raft, self.shared.member.id)
    }

    /// Is this the only member?
    fn is_alone(&self) -> bool {
        self.shared.raft.metrics().borrow_watched().membership_config.voter_ids().eq([self.shared.member.id])
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
            (metrics.current_leader, metrics.current_term, disk_failure(&metrics.running_state))
        };
        let snapshot = self.snapshot();
        Status {
            member: self.shared.member.clone(),
            leader,
            term,
            revision: snapshot.revision,
            log_bytes: self.shared.log.size_bytes(),
            keys: snapshot.count(""),
            lacks_space: self.shared.log.lacks_space(),
            failure: failure.or_else(|| self.shared.log.failure()),
        }
    }

    /// Waits until the disk fails, or consensus ends other than by [`Store::shutdown`], if that ever happens, and says how. From then on
    /// nothing is written here, and nothing new is learnt.
    pub async fn wait_to_fail(&self) -> String {
        tokio::select! {
            biased;
            failure = self.wait_for_consensus_to_end() => failure,
            failure = self.shared.log.wait_to_fail() => format!("its disk failed: {failure}"),
        }
    }

    async fn wait_for_consensus_to_end(&self) -> String {
        // These end with consensus, too, and change seldom: the others change with each write, which would wake whoever waits here.
        let mut metrics = self.shared.raft.server_metrics();
        while metrics.changed().await.is_ok() {}
        let state = self.shared.raft.metrics().borrow_watched().running_state.clone();
        match state {
            Ok(()) | Err(Fatal::Panicked) => "consensus panicked, and the log says where".to_owned(),
            Err(Fatal::Stopped) => std::future::pending().await,
            Err(Fatal::StorageError(error)) => format!("its disk failed: {error}"),
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

/// What the disk said as it failed, if that is why consensus has ended.
fn disk_failure(state: &Result<(), Fatal<Group>>) -> Option<String> {
    match state {
        Err(Fatal::StorageError(error)) => Some(error.to_string()),
        _ => None,
    }
}

fn unconfirmed() -> ReadError {
    ReadError::NoQuorum(format!("no quorum answered within {} s", QUORUM_TIMEOUT.as_secs()))
}

fn lock(dir: &Path, disk: &dyn Disk) -> Result<Box<dyn Send + Sync>, OpenError> {
    let path = dir.join("lock");
    disk.lock(&path).map_err(|cause| match cause.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(dir.to_owned()),
        _ => OpenError::File { path, cause },
    })
}

/// Opens the log, which must fit the checkpoint and the state that was found in it.
async fn open_log(
    options: &Options,
    disk: Arc<dyn Disk>,
    checkpoint: &Checkpoint,
    (snapshot, applied): (&Snapshot, &Applied),
) -> Result<Log, OpenError> {
    let (path, checkpoint_path) = (options.dir.join("log"), checkpoint::path(&options.dir));
    let last = applied.log_id.as_ref();
    let log = Log::open(path.clone(), disk, options.segment_bytes, checkpoint.file_bytes())?;
    if !log.goes_on_after(last) {
        let reason = "it lacks, or is missing, what the log no longer holds".to_owned();
        return Err(OpenError::Damaged { path: checkpoint_path, reason });
    }
    // Only a restored store begins with a checkpoint, and that one is of index 0.
    if last.is_some_and(|log_id| log_id.index > 0) && !log.has_vote() {
        let reason = "it is empty or gone, and the checkpoint beside it is of later".to_owned();
        return Err(OpenError::Damaged { path, reason });
    }
    if log.ends_before(last) {
        // Consensus has the log begin after it, at once and for good. If a sync failed, though, what was found may be in the system's
        // memory only.
        let replaced = checkpoint.replace(snapshot, applied).await;
        replaced.map_err(|cause| OpenError::File { path: checkpoint_path, cause })?;
    }
    Ok(log)
}

/// Starts consensus; tells whether this member is the only one.
async fn start(options: &Options, links: Links, log: Log, machine: Machine) -> Result<(Raft, bool), OpenError> {
    let milliseconds = |time: Duration| time.as_millis() as u64;
    let config = Config {
        cluster_name: "coracle".to_owned(),
        heartbeat_interval: milliseconds(election::HEARTBEAT_INTERVAL),
        election_timeout_min: milliseconds(election::TIMEOUT.start),
        election_timeout_max: milliseconds(election::TIMEOUT.end),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 1,
        enable_pre_vote: Some(true),
        // The others may have entries that the leader had not written when it crashed: in the same term it would write other ones there.
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    let failed = |error: &dyn std::fmt::Display| OpenError::Consensus(error.to_string());
    let config = Arc::new(config.validate().map_err(|error| failed(&error))?);
    let raft = Raft::new(options.member.id, config, links, log, machine).await.map_err(|error| failed(&error))?;
    if !raft.is_initialized().await.map_err(|error| failed(&error))? {
        if options.is_founder {
            let members = BTreeMap::from([(options.member.id, options.member.clone())]);
            raft.initialize(members).await.map_err(|error| failed(&error))?;
        }
        return Ok((raft, options.is_founder));
    }
    let is_other = |member: &MemberStatus| member.member.id != options.member.id;
    if options.is_unsure && membership::members(&raft.metrics().borrow_watched()).iter().any(is_other) {
        let _ = raft.shutdown().await;
        return Err(OpenError::Unsure(options.dir.clone()));
    }
    let is_alone = raft.voter_ids().eq([options.member.id]);
    if is_alone && !raft.is_leader() {
        // It need not wait for anybody's silence.
        raft.trigger().elect(true).await.map_err(|error| failed(&error))?;
    }
    Ok((raft, is_alone))
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
