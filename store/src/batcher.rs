//! Gathers the writes of all callers into proposals: while one is on its way to the disk, the next one fills.

use std::collections::HashMap;
use std::sync::Arc;

use openraft::errors::{ClientWriteError, Fatal, RaftError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::cache::Cache;
use crate::checkpoint;
use crate::error::WriteError;
use crate::log::{Log, is_full};
use crate::raft::{Command, Group, Raft};
use crate::write::{Outcome, Write};

/// The largest proposal.
pub(crate) const PROPOSAL_BYTES_MAX: usize = 4 << 20;
/// Ephemeral revisions after which a proposal without writes tells the log how far the counter is.
const EPHEMERAL_REVISIONS_MAX: u64 = 1 << 19;

/// One caller's writes, and where its answer goes.
pub(crate) struct Request {
    pub(crate) writes: Vec<Write>,
    pub(crate) answer: oneshot::Sender<Result<Vec<Outcome>, WriteError>>,
}

pub(crate) struct Batcher {
    pub(crate) raft: Raft,
    pub(crate) log: Log,
    pub(crate) cache: Arc<Cache>,
    pub(crate) is_ephemeral: fn(&str) -> bool,
    pub(crate) requests: mpsc::Receiver<Request>,
    /// Tells of each checkpoint.
    pub(crate) commits: watch::Receiver<Option<checkpoint::State>>,
    /// A log that is larger is purged at the next checkpoint.
    pub(crate) log_bytes_max: u64,
    pub(crate) durable_revision: u64,
}

impl Batcher {
    /// Runs until every handle of the store is gone.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.gather(request).await,
                    None => return,
                },
                Ok(()) = self.commits.changed() => self.purge().await,
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

    /// Decides a batch: its durable writes as one proposal, then its ephemeral ones in memory.
    async fn serve(&mut self, mut batch: Vec<Request>) {
        let mut durable = Vec::new();
        let mut ephemeral = Vec::new();
        for (request, writes) in batch.iter_mut().map(|request| std::mem::take(&mut request.writes)).enumerate() {
            for (position, write) in writes.into_iter().enumerate() {
                let kind = if (self.is_ephemeral)(&write.key) { &mut ephemeral } else { &mut durable };
                kind.push(((request, position), write));
            }
        }
        let mut outcomes = HashMap::new();
        if !durable.is_empty() {
            let (places, writes): (Vec<_>, Vec<_>) = durable.into_iter().unzip();
            match self.propose(writes).await {
                Ok(answer) => outcomes.extend(places.into_iter().zip(answer)),
                Err(error) => {
                    for request in batch {
                        let _ = request.answer.send(Err(error.clone()));
                    }
                    return;
                }
            }
        }
        if !ephemeral.is_empty() {
            let mut draft = self.cache.draft().await;
            outcomes.extend(ephemeral.into_iter().map(|(place, write)| (place, draft.write(write))));
            let revision = draft.revision();
            self.cache.commit(draft);
            if revision - self.durable_revision > EPHEMERAL_REVISIONS_MAX
                && let Err(error) = self.propose(Vec::new()).await
            {
                tracing::warn!(%error, "the log does not know how far the revision is; it is told at the next write");
            }
        }
        for (number, request) in batch.into_iter().enumerate() {
            let answer = (0..).map_while(|position| outcomes.remove(&(number, position))).collect();
            let _ = request.answer.send(Ok(answer));
        }
    }

    /// Decides writes as one proposal; leaves out those for which the disk has no space.
    async fn propose(&mut self, writes: Vec<Write>) -> Result<Vec<Outcome>, WriteError> {
        if self.reserve(&writes).await? {
            return self.commit(writes).await;
        }
        let is_kept: Vec<bool> = writes.iter().map(Write::frees_space).collect();
        let kept: Vec<Write> = writes.into_iter().filter(Write::frees_space).collect();
        let outcomes = if self.reserve(&kept).await? { self.commit(kept).await? } else { Vec::new() };
        let mut outcomes = outcomes.into_iter();
        let outcome = |is_kept: bool| is_kept.then(|| outcomes.next()).flatten().unwrap_or(Outcome::NoSpace);
        Ok(is_kept.into_iter().map(outcome).collect())
    }

    /// Is there space for these writes?
    async fn reserve(&self, writes: &[Write]) -> Result<bool, WriteError> {
        match self.log.reserve(weight(writes), writes.iter().all(Write::frees_space)).await {
            Ok(()) => Ok(true),
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(WriteError::DiskFailed(error.to_string())),
        }
    }

    async fn commit(&mut self, writes: Vec<Write>) -> Result<Vec<Outcome>, WriteError> {
        let command = Command { revision_floor: self.cache.snapshot().revision(), writes };
        let answer = self.raft.client_write(command).await.map_err(failure)?;
        self.durable_revision = self.cache.snapshot().revision();
        Ok(answer.data.0)
    }
}

fn weight(writes: &[Write]) -> usize {
    writes.iter().map(Write::weight).sum()
}

fn failure(error: RaftError<Group, ClientWriteError<Group>>) -> WriteError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            WriteError::NotLeader { leader: forward.leader_id }
        }
        RaftError::Fatal(Fatal::StorageError(error)) => WriteError::DiskFailed(error.to_string()),
        RaftError::APIError(_) | RaftError::Fatal(_) => WriteError::Stopped,
    }
}
