//! The replicated state machine: applies committed proposals to the cache, and tells the checkpoint what has changed.
//!
//! Applying is deterministic: it reads the proposal and the durable keys, nothing else.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use openraft::entry::RaftPayload as _;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};

use crate::cache::Cache;
use crate::checkpoint::{Applied, Checkpoint};
use crate::ephemeral::EphemeralKeys;
use crate::fault::{self, Mutation, Point};
use crate::image::Image;
use crate::raft::{Answer, Group, LogId, RaftSnapshot, SnapshotMeta, StoredMembership};

#[derive(Debug)]
pub(crate) struct Machine {
    cache: Arc<Cache>,
    checkpoint: Checkpoint,
    ephemeral: EphemeralKeys,
    applied: Applied,
}

impl Machine {
    /// A machine that goes on from what the checkpoint holds; the cache holds the same.
    pub(crate) fn new(
        cache: Arc<Cache>,
        checkpoint: Checkpoint,
        ephemeral: EphemeralKeys,
        applied: Applied,
    ) -> Machine {
        Machine { cache, checkpoint, ephemeral, applied }
    }

    /// What the checkpoint holds for certain.
    fn durable(&self) -> Option<RaftSnapshot> {
        let state = self.checkpoint.durable().borrow().clone();
        let (snapshot, applied) = state?;
        let meta = SnapshotMeta { last_log_id: applied.log_id, last_membership: applied.membership };
        Some(RaftSnapshot { meta, snapshot: Image { snapshot, ephemeral: self.ephemeral } })
    }
}

impl RaftStateMachine<Group> for Machine {
    type SnapshotData = Image;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied.log_id, self.applied.membership.clone()))
    }

    async fn apply<Entries>(&mut self, mut entries: Entries) -> Result<(), io::Error>
    where
        Entries: Stream<Item = Result<EntryResponder<Group>, io::Error>> + Unpin + OptionalSend,
    {
        let before = self.applied.log_id;
        let mut draft = self.cache.draft().await;
        draft.rebase(self.applied.revision);
        let mut answers = Vec::new();
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.applied.log_id = Some(entry.log_id);
            if let Some(membership) = entry.payload.get_membership() {
                self.applied.membership = StoredMembership::new(self.applied.log_id, membership);
            }
            let answer = match entry.payload {
                EntryPayload::Normal(command) => {
                    draft.raise(command.revision_floor);
                    Answer(command.writes.iter().map(|write| draft.write(write)).collect())
                }
                EntryPayload::Blank | EntryPayload::Membership(_) => Answer::default(),
            };
            if let Some(responder) = responder {
                answers.push((responder, answer));
            }
        }
        self.applied.revision = draft.revision();
        let mut noted = self.applied.clone();
        if fault::is_mutated(Mutation::ApplyTwice) {
            noted.log_id = before;
        }
        self.checkpoint.note(draft.events(), (draft.snapshot().clone(), noted));
        // Who is answered must find what it wrote.
        self.cache.commit(draft);
        fault::reach(Point::Apply);
        for (responder, answer) in answers {
            responder.send(answer);
        }
        Ok(())
    }

    /// There is nothing to build: the checkpoint is the snapshot.
    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        let mut snapshot = self.durable()?;
        if fault::is_mutated(Mutation::PurgeTooFar) {
            snapshot.meta.last_log_id = self.applied.log_id;
        }
        Some(Builder(snapshot))
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(
            self.durable().expect("a snapshot is asked for once the log has been purged, which a checkpoint allows"),
        )
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, image: Image) -> Result<(), io::Error> {
        let snapshot = image.durable();
        self.applied =
            Applied { log_id: meta.last_log_id, membership: meta.last_membership.clone(), revision: snapshot.revision };
        self.checkpoint.replace(&snapshot, &self.applied).await?;
        self.cache.reset(snapshot);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<RaftSnapshot>, io::Error> {
        Ok(self.durable())
    }
}

/// Hands over a snapshot that is durable already.
#[derive(Debug)]
pub(crate) struct Builder(RaftSnapshot);

impl RaftSnapshotBuilder<Group> for Builder {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> Result<RaftSnapshot, io::Error> {
        Ok(self.0.clone())
    }
}
