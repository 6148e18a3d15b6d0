//! Gathers the writes of all callers into proposals: while one is on its way to the disk, the next one fills.

use std::sync::Arc;
use std::time::Duration;

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, Fatal, RaftError};
use openraft::impls::ProgressResponder;
use tokio::sync::{mpsc, oneshot, watch};

use crate::cache::Cache;
use crate::checkpoint;
use crate::ephemeral::EphemeralKeys;
use crate::error::WriteError;
use crate::log::{Log, is_full};
use crate::membership;
use crate::raft::{Command, Group, Raft, Vote};
use crate::role::Role;
use crate::runtime::{Instant, WatchReceiver};
use crate::write::{Outcome, Write};

/// The largest proposal.
pub(crate) const PROPOSAL_BYTES_MAX: usize = 4 << 20;
/// How long a leader whose disk is full goes on when it leads again: those it gave way to have no space either, or did not answer.
const GIVE_WAY_INTERVAL: Duration = Duration::from_secs(30);
/// Ephemeral revisions after which a proposal without writes tells the log how far the counter is.
const EPHEMERAL_REVISIONS_MAX: u64 = 1 << 19;

/// One caller's writes, and where its answer goes.
pub(crate) struct Request {
    pub(crate) writes: Vec<Write>,
    pub(crate) answer: oneshot::Sender<Result<Written, WriteError>>,
}

/// What became of one caller's writes.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) outcomes: Vec<Outcome>,
    /// The term in which some were decided in memory: they count only if this member still leads in it.
    pub(crate) ephemeral_term: Option<u64>,
}

pub(crate) struct Batcher {
    pub(crate) raft: Raft,
    pub(crate) log: Log,
    pub(crate) cache: Arc<Cache>,
    pub(crate) ephemeral: EphemeralKeys,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) roles: WatchReceiver<Role>,
    /// The term in which it is not known of a proposal whether it will be done: ephemeral writes, which would be given the same
    /// revision, are refused in it.
    pub(crate) doubtful_term: Option<u64>,
    /// Tells of each checkpoint.
    pub(crate) commits: watch::Receiver<Option<checkpoint::State>>,
    /// A log that is larger is purged at the next checkpoint.
    pub(crate) log_bytes_max: u64,
    pub(crate) durable_revision: u64,
    /// When it last let another member lead, as its own disk was full.
    pub(crate) gave_way: Option<Instant>,
}

impl Batcher {
    /// Runs until every handle of the store is gone.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.commits.changed() => self.purge().await,
                request = self.requests.recv() => match request {
                    Some(request) => self.gather(request).await,
                    None => return,
                },
            }
        }
    }

    /// Drops from the log, and from memory, what the checkpoint covers, once that is worth a frame.
    async fn purge(&self) {
        if self.log.size_bytes() > self.log_bytes_max
            && let Err(error) = self.raft.trigger().snapshot().await
        {
            tracing::debug!(%error, "the log is not purged");
        }
    }

    /// Serves a request together with those that wait behind it.
    async fn gather(&mut self, first: Request) {
        let mut size = weight(&first.writes);
        let mut batch = vec![first];
        let mut rest = None;
        while size < PROPOSAL_BYTES_MAX {
            let Ok(request) = self.requests.try_recv() else { break };
            size += weight(&request.writes);
            if size > PROPOSAL_BYTES_MAX {
                rest = Some(request);
                break;
            }
            batch.push(request);
        }
        self.serve(batch).await;
        if let Some(request) = rest {
            self.serve(vec![request]).await;
        }
    }

    /// Decides a batch, if this member leads.
    async fn serve(&mut self, mut batch: Vec<Request>) {
        let writes = batch.iter_mut().map(|request| std::mem::take(&mut request.writes)).collect();
        let role = *self.roles.borrow_watched();
        let answers = match role {
            Role::Leads { term } => self.decide(writes, term).await,
            Role::Follows { leader } => Err(WriteError::NotLeader { leader }),
        };
        match answers {
            Ok(answers) => {
                batch.into_iter().zip(answers).for_each(|(request, answer)| drop(request.answer.send(Ok(answer))))
            }
            Err(error) => batch.into_iter().for_each(|request| drop(request.answer.send(Err(error.clone())))),
        }
    }

    /// Decides the writes of several requests: the durable ones as one proposal, then the ephemeral ones in memory.
    async fn decide(&mut self, requests: Vec<Vec<Write>>, term: u64) -> Result<Vec<Written>, WriteError> {
        let ephemeral_keys = self.ephemeral;
        let is_ephemeral = |write: &Write| ephemeral_keys.contains(&write.key);
        let ephemeral_term = |writes: &Vec<Write>| writes.iter().any(is_ephemeral).then_some(term);
        let shapes: Vec<_> = requests.iter().map(|writes| (writes.len(), ephemeral_term(writes))).collect();
        let (ephemeral, durable): (Vec<_>, Vec<_>) =
            requests.into_iter().flatten().enumerate().partition(|(_, write)| is_ephemeral(write));
        let mut outcomes: Vec<Option<Outcome>> = vec![None; durable.len() + ephemeral.len()];
        if !durable.is_empty() {
            let (places, writes): (Vec<usize>, Vec<_>) = durable.into_iter().unzip();
            let decided = self.propose(writes, term).await?;
            places.into_iter().zip(decided).for_each(|(place, outcome)| outcomes[place] = Some(outcome));
        }
        if !ephemeral.is_empty() {
            if self.doubtful_term == Some(term) {
                return Err(WriteError::NotLeader { leader: None });
            }
            let mut draft = self.cache.draft().await;
            ephemeral.into_iter().for_each(|(place, write)| outcomes[place] = Some(draft.write(&write)));
            let revision = draft.revision();
            self.cache.commit(draft);
            if revision - self.durable_revision > EPHEMERAL_REVISIONS_MAX
                && let Err(error) = self.propose(Vec::new(), term).await
            {
                tracing::warn!(%error, "the log does not know how far the revision is; it is told at the next write");
            }
        }
        let mut outcomes = outcomes.into_iter().map(|outcome| outcome.expect("each write has its outcome"));
        let written =
            |(length, ephemeral_term)| Written { outcomes: outcomes.by_ref().take(length).collect(), ephemeral_term };
        Ok(shapes.into_iter().map(written).collect())
    }

    /// Decides writes as one proposal; leaves out those for which the disk has no space.
    async fn propose(&mut self, writes: Vec<Write>, term: u64) -> Result<Vec<Outcome>, WriteError> {
        if self.reserve(&writes).await? {
            return self.commit(writes, term).await;
        }
        if self.give_way().await {
            return Err(WriteError::NotLeader { leader: None });
        }
        let is_kept: Vec<bool> = writes.iter().map(Write::frees_space).collect();
        let kept: Vec<Write> = writes.into_iter().filter(Write::frees_space).collect();
        let outcomes = if self.reserve(&kept).await? { self.commit(kept, term).await? } else { Vec::new() };
        let mut outcomes = outcomes.into_iter();
        let outcome = |is_kept: bool| is_kept.then(|| outcomes.next()).flatten().unwrap_or(Outcome::NoSpace);
        Ok(is_kept.into_iter().map(outcome).collect())
    }

    /// Lets another member lead, whose disk may have space; false if there is none, or it was tried just now.
    async fn give_way(&mut self) -> bool {
        if self.gave_way.is_some_and(|since| since.elapsed() < GIVE_WAY_INTERVAL) {
            return false;
        }
        self.gave_way = Some(Instant::now());
        membership::hand_over(&self.raft).await
    }

    /// Is there space for these writes?
    async fn reserve(&self, writes: &[Write]) -> Result<bool, WriteError> {
        match self.log.reserve(weight(writes), writes.iter().all(Write::frees_space)).await {
            Ok(()) => Ok(true),
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(WriteError::DiskFailed(error.to_string())),
        }
    }

    async fn commit(&mut self, writes: Vec<Write>, term: u64) -> Result<Vec<Outcome>, WriteError> {
        let command = Command { revision_floor: self.cache.snapshot().revision(), writes: writes.into() };
        let (responder, answer) = ProgressResponder::complete_only();
        self.doubtful_term = Some(term);
        // Only as the leader of this term: as that of a later one the member first raises the revision.
        let leader = Vote::new_committed(term, *self.raft.node_id()).leader_id;
        let proposed = self.raft.write(command).responder(responder).with_leader(leader).await;
        proposed.map_err(|error| failure(RaftError::Fatal(error)))?;
        // Consensus drops those who wait when it ends.
        let answer = answer.await.map_err(|_| self.end())?;
        let answer = answer.map_err(|error| failure(RaftError::APIError(error)));
        if !matches!(answer, Err(WriteError::LeaderChanged)) {
            self.doubtful_term = None;
        }
        let answer = answer?;
        self.durable_revision = self.cache.snapshot().revision();
        Ok(answer.data.0)
    }

    /// Why consensus has ended.
    fn end(&self) -> WriteError {
        let fatal = self.raft.metrics().borrow_watched().running_state.clone().err().unwrap_or(Fatal::Stopped);
        failure(RaftError::Fatal(fatal))
    }
}

fn weight(writes: &[Write]) -> usize {
    writes.iter().map(Write::weight).sum()
}

/// Why consensus did not do a write.
fn failure(error: RaftError<Group, ClientWriteError<Group>>) -> WriteError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            WriteError::NotLeader { leader: forward.leader_id }
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => WriteError::LeaderChanged,
        RaftError::Fatal(Fatal::StorageError(error)) => WriteError::DiskFailed(error.to_string()),
        RaftError::APIError(_) | RaftError::Fatal(_) => WriteError::Stopped,
    }
}
