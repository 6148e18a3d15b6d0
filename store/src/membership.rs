//! Who belongs to the group. A new member first takes over the state, as a learner, and votes once it has caught up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::Precondition;
use openraft::{AsyncRuntime as _, ChangeMembers, Instant as _};

use crate::error::MembershipError;
use crate::link::{Link, Links};
use crate::peers::{Call, Member};
use crate::raft::{Group, Raft, StoredMembership};
use crate::role::Role;
use crate::runtime::{Runtime, WatchReceiver};
use crate::store::Store;

/// Longest wait for a change that is under way.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two attempts to tell the others where this member is reached, and the longest wait for an answer.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(500);
/// Wait before it is tried again to let a learner vote.
const PROMOTE_INTERVAL: Duration = Duration::from_millis(100);
/// A learner that lacks no more entries may vote.
const LAG_MAX: u64 = 64;

/// A member, as the one that leads sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The member.
    pub member: Member,
    /// It votes; else it is taking over the state.
    pub is_voter: bool,
    /// It leads.
    pub is_leader: bool,
    /// Entries of the log that it is known to lack; known to the leader only.
    pub lag: Option<u64>,
    /// Time since it last answered the leader; known to the leader only.
    pub silence: Option<Duration>,
}

impl Store {
    /// The group's members by name.
    pub fn members(&self) -> Vec<MemberStatus> {
        let metrics = self.shared.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let last = metrics.last_log_index.unwrap_or_default();
        let mut members: Vec<MemberStatus> = membership
            .nodes()
            .map(|(id, member)| {
                let matching = metrics.replication.as_ref().and_then(|replication| replication.get(id));
                let heard = metrics.heartbeat.as_ref().and_then(|heartbeat| heartbeat.get(id)).copied().flatten();
                MemberStatus {
                    member: member.clone(),
                    is_voter: voters.contains(id),
                    is_leader: metrics.current_leader == Some(*id),
                    lag: matching.map(|at| last.saturating_sub(at.map_or(0, |at| at.index))),
                    silence: heard.map(|heard| heard.elapsed()),
                }
            })
            .collect();
        members.sort_by(|a, b| a.member.name.cmp(&b.member.name));
        members
    }

    /// Takes a member into the group, under a number of its own; it votes as soon as it has caught up. For the leader only.
    pub async fn add_member(&self, name: &str, address: &str) -> Result<Member, MembershipError> {
        let raft = &self.shared.raft;
        let membership = settled(raft).await;
        if let Some((_, member)) = membership.membership().nodes().find(|(_, member)| member.name == name) {
            return Err(MembershipError::Exists(member.clone()));
        }
        // Each change takes a later position in the log than the one before it, so no number is given twice. The founder's is 1.
        let id = membership.log_id().map_or(0, |last_change| last_change.index) + 2;
        let member = Member { id, name: name.to_owned(), address: address.to_owned() };
        let nodes = BTreeMap::from([(id, member.clone())]);
        change(raft, &membership, ChangeMembers::AddNodes(nodes), true).await?;
        Ok(member)
    }

    /// Takes a member out of the group. For the leader only; if it is that one, another will lead.
    pub async fn remove_member(&self, name: &str) -> Result<Member, MembershipError> {
        let raft = &self.shared.raft;
        let membership = settled(raft).await;
        let found = membership.membership().nodes().find(|(_, member)| member.name == name);
        let (id, member) = found.ok_or_else(|| MembershipError::Unknown(name.to_owned()))?;
        let voters: BTreeSet<u64> = membership.membership().voter_ids().collect();
        if voters == BTreeSet::from([*id]) {
            return Err(MembershipError::LastVoter(member.clone()));
        }
        let removal = match voters.contains(id) {
            true => ChangeMembers::RemoveVoters(BTreeSet::from([*id])),
            false => ChangeMembers::RemoveNodes(BTreeSet::from([*id])),
        };
        change(raft, &membership, removal, false).await?;
        Ok(member.clone())
    }

    /// Lets another member lead: the voter that lacks least. Does nothing if there is none, or if this member doesn't lead.
    pub async fn hand_over(&self) {
        let raft = &self.shared.raft;
        let next = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            let Some(replication) = &metrics.replication else { return };
            let voters = metrics.membership_config.voter_ids().filter(|id| id != raft.node_id());
            voters.max_by_key(|id| replication.get(id).copied().flatten())
        };
        let Some(next) = next else { return };
        if raft.trigger().transfer_leader(next).await.is_ok() {
            let handed = raft.wait(Some(Duration::from_secs(1)));
            let _ = handed.metrics(|metrics| metrics.current_leader != Some(metrics.id), "another member leads").await;
        }
    }
}

/// Who belongs to the group, once a change under way is through. One that takes too long is left to the next change to refuse.
async fn settled(raft: &Raft) -> Arc<StoredMembership> {
    let mut metrics = raft.server_metrics();
    let wait = async {
        loop {
            {
                let metrics = metrics.borrow_and_update();
                if metrics.membership_config == metrics.committed_membership_config {
                    return;
                }
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    };
    let _ = Runtime::timeout(CHANGE_TIMEOUT, wait).await;
    raft.metrics().borrow_watched().membership_config.clone()
}

/// Lets the others know where a member is reached now. For the leader only.
pub(crate) async fn note_move(raft: &Raft, member: Member) -> Result<(), MembershipError> {
    let membership = settled(raft).await;
    match membership.membership().get_node(&member.id) {
        None => return Err(MembershipError::Unknown(member.name)),
        Some(known) if *known == member => return Ok(()),
        Some(_) => {}
    }
    let nodes = BTreeMap::from([(member.id, member)]);
    change(raft, &membership, ChangeMembers::SetNodes(nodes), true).await
}

/// Makes a change that was decided on this membership, unless another one came between. With `retain`, voters that are removed stay
/// as learners. A leader that is being removed, and is about to find out, makes none any more.
async fn change(
    raft: &Raft,
    decided_on: &StoredMembership,
    change: ChangeMembers<u64, Member>,
    retain: bool,
) -> Result<(), MembershipError> {
    if decided_on.membership().get_node(raft.node_id()).is_none() {
        return Err(MembershipError::NotLeader { leader: None });
    }
    let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: *decided_on.log_id() };
    raft.change_membership_if(change, retain, [unchanged]).await.map(drop).map_err(failure)
}

/// Keeps the membership true: where this member is reached, and, if it leads, who may vote.
pub(crate) async fn keep(raft: Raft, own: Member, links: Links, mut roles: WatchReceiver<Role>) {
    tokio::join!(announce(&raft, &own, &links, roles.clone()), async {
        while roles.wait_until(Role::leads).await.is_ok() {
            let term = *roles.borrow_watched();
            tokio::select! {
                biased;
                () = promote(&raft) => return,
                changed = roles.wait_until(|role| *role != term) => if changed.is_err() { return },
            }
        }
    });
}

/// Keeps the directory true, and says where this member is reached until whoever leads knows, whenever the group thinks otherwise.
async fn announce(raft: &Raft, own: &Member, links: &Links, roles: WatchReceiver<Role>) {
    let mut metrics = raft.server_metrics();
    loop {
        let membership = metrics.borrow_and_update().membership_config.clone();
        *links.directory.lock() = membership.membership().nodes().map(|(id, member)| (*id, member.clone())).collect();
        if membership.membership().get_node(&own.id).is_none_or(|known| known == own) {
            if metrics.changed().await.is_err() {
                return;
            }
            continue;
        }
        if roles.borrow_watched().leads() {
            if let Err(error) = note_move(raft, own.clone()).await {
                tracing::debug!(%error, "where this member is reached is not known to the others yet");
            }
        } else {
            for (_, other) in membership.membership().nodes().filter(|(id, _)| **id != own.id) {
                let link = Link::new(links.clone(), other.clone());
                let asked = Runtime::timeout(ANNOUNCE_INTERVAL, link.ask::<()>(Call::Announce, own)).await;
                if asked.is_ok_and(|answer| answer.is_ok()) {
                    break;
                }
            }
        }
        if raft.metrics().borrow_watched().running_state.is_err() {
            return;
        }
        Runtime::sleep(ANNOUNCE_INTERVAL).await;
    }
}

/// As long as this member leads: lets the learners vote that have caught up.
async fn promote(raft: &Raft) {
    let (mut metrics, mut settings) = (raft.metrics(), raft.server_metrics());
    loop {
        // The metrics change with each write, these do not.
        while settings.borrow_and_update().membership_config.membership().learner_ids().next().is_none() {
            if settings.changed().await.is_err() {
                return;
            }
        }
        let (membership, caught_up) = {
            let metrics = metrics.borrow_and_update();
            let last = metrics.last_log_index.unwrap_or_default();
            let membership = metrics.membership_config.clone();
            let has_caught_up = |id: &u64| {
                let replication = metrics.replication.as_ref()?;
                let at = replication.get(id).copied().flatten()?;
                (at.index + LAG_MAX >= last).then_some(*id)
            };
            let caught_up: BTreeSet<u64> =
                membership.membership().learner_ids().filter_map(|id| has_caught_up(&id)).collect();
            (membership, caught_up)
        };
        if !caught_up.is_empty()
            && let Err(error) = change(raft, &membership, ChangeMembers::AddVoterIds(caught_up), true).await
        {
            tracing::debug!(%error, "a learner can't vote yet");
            // The metrics change with each answer, this one's too.
            Runtime::sleep(PROMOTE_INTERVAL).await;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

fn failure(error: RaftError<Group, ClientWriteError<Group>>) -> MembershipError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            MembershipError::NotLeader { leader: forward.leader_node }
        }
        other => MembershipError::Failed(other.to_string()),
    }
}
