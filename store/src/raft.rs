//! The consensus library's types as this store uses them. Nothing of them leaves the crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use openraft::Membership;
use openraft::type_config::alias;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::machine::Machine;
use crate::peers::Member;
use crate::record::Revision;
use crate::runtime::Runtime;
use crate::write::{Outcome, Write};

openraft::declare_raft_types!(
    /// What the Raft group agrees on.
    pub(crate) Group: D = Command, R = Answer, Node = Member, AsyncRuntime = Runtime
);

pub(crate) type LogId = alias::LogIdOf<Group>;
pub(crate) type Entry = alias::EntryOf<Group>;
pub(crate) type Vote = alias::VoteOf<Group>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<Group>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Group>;
pub(crate) type RaftSnapshot = alias::SnapshotOf<Group, Image>;
pub(crate) type Raft = openraft::Raft<Group, Machine>;

/// What a group of one has agreed on when it begins: an entry that names its member.
pub(crate) fn beginning(member: &Member) -> (LogId, StoredMembership) {
    let log_id = LogId::new(*Vote::new(0, member.id).leader_id(), 0);
    let membership = Membership::new(vec![BTreeSet::from([member.id])], BTreeMap::from([(member.id, member.clone())]))
        .expect("the only voter is a node");
    (log_id, StoredMembership::new(Some(log_id), membership))
}

/// One proposal: writes of many callers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Command {
    /// The leader's revision when it proposed; ephemeral writes may have raised it beyond what the log knows.
    pub(crate) revision_floor: Revision,
    /// Decided one by one; shared, as the log, the replication and the machine each take the entry.
    pub(crate) writes: Arc<[Write]>,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writes after {}", self.writes.len(), self.revision_floor)
    }
}

/// What became of a proposal's writes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer(pub(crate) Vec<Outcome>);
