//! The consensus library's types as this store uses them. Nothing of them leaves the crate.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use openraft::Membership;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::type_config::alias;
use serde::{Deserialize, Serialize};

use crate::machine::{Image, Machine};
use crate::record::Revision;
use crate::write::{Outcome, Write};

openraft::declare_raft_types!(
    /// What the Raft group agrees on.
    pub(crate) Group: D = Command, R = Answer
);

pub(crate) type LogId = alias::LogIdOf<Group>;
pub(crate) type Entry = alias::EntryOf<Group>;
pub(crate) type Vote = alias::VoteOf<Group>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<Group>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Group>;
pub(crate) type RaftSnapshot = alias::SnapshotOf<Group, Image>;
pub(crate) type Raft = openraft::Raft<Group, Machine>;

/// What a group of one has agreed on when it begins: an entry that names its member.
pub(crate) fn beginning(member_id: u64) -> (LogId, StoredMembership) {
    let log_id = LogId::new(*Vote::new(0, member_id).leader_id(), 0);
    let membership = Membership::new_with_defaults(vec![BTreeSet::from([member_id])], [member_id]);
    (log_id, StoredMembership::new(Some(log_id), membership))
}

/// One proposal: writes of many callers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Command {
    /// The leader's revision when it proposed; ephemeral writes may have raised it beyond what the log knows.
    pub(crate) revision_floor: Revision,
    /// Decided one by one.
    pub(crate) writes: Vec<Write>,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writes after {}", self.writes.len(), self.revision_floor)
    }
}

/// What became of a proposal's writes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer(pub(crate) Vec<Outcome>);

/// The transport of a group of one: there is nobody to reach.
#[derive(Clone, Debug)]
pub(crate) struct NoPeers;

fn nobody() -> RPCError<Group> {
    RPCError::Unreachable(Unreachable::new(&io::Error::other("this group has one member")))
}

impl RaftNetworkFactory<Group> for NoPeers {
    type Network = NoPeers;

    async fn new_client(&mut self, _target: u64, _node: &openraft::impls::BasicNode) -> NoPeers {
        NoPeers
    }
}

impl RaftNetworkV2<Group> for NoPeers {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Group>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Group>, RPCError<Group>> {
        Err(nobody())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<Group>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        Err(nobody())
    }

    async fn pre_vote(
        &mut self,
        _request: VoteRequest<Group>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        Err(nobody())
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: RaftSnapshot,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Group>, StreamingError<Group>> {
        Err(StreamingError::Unreachable(Unreachable::new(&io::Error::other("this group has one member"))))
    }
}
