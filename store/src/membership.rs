//! Who belongs to the group. A new member first takes over the state, as a learner, and votes once it has caught up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::raft::Precondition;
use openraft::{AsyncRuntime as _, ChangeMembers, Instant as _, RaftMetrics};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::MembershipError;
use crate::link::{Link, Links};
use crate::peers::{Call, Member};
use crate::raft::{Group, Raft, StoredMembership};
use crate::role::Role;
use crate::runtime::{Instant, Runtime, WatchReceiver};
use crate::store::Store;

/// Longest wait for a change that is under way, and then for one's own.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for signs of life of those who are to go on without a member.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Time between two attempts to tell the others where this member is reached, and the longest wait for an answer.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(500);
/// Wait before it is tried again to settle the members.
const SETTLE_INTERVAL: Duration = Duration::from_millis(100);
/// A learner that lacks no more entries may vote.
const LAG_MAX: u64 = 64;

/// Where changes wait for each other: some are made in two steps, between which no other may come.
pub(crate) type Turn = Arc<Mutex<()>>;

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
        members(&self.shared.raft.metrics().borrow_watched())
    }

    /// Takes a member into the group, under a number of its own; it votes as soon as it has caught up. For the leader only.
    pub async fn add_member(&self, name: &str, address: &str) -> Result<Member, MembershipError> {
        let raft = &self.shared.raft;
        let (turn, membership) = begin(raft, &self.shared.changes).await?;
        if let Some((_, member)) = membership.membership().nodes().find(|(_, member)| member.name == name) {
            return Err(MembershipError::Exists(member.clone()));
        }
        // Each change takes a later position in the log than the one before it, so no number is given twice. The founder's is 1.
        let id = membership.log_id().map_or(0, |last_change| last_change.index) + 2;
        let member = Member { id, name: name.to_owned(), address: address.to_owned() };
        let nodes = BTreeMap::from([(id, member.clone())]);
        change(raft, turn, &membership, ChangeMembers::AddNodes(nodes), true).await?;
        Ok(member)
    }

    /// Takes a member out of the group, unless too few of the others answer to go on without it. For the leader only; if it is that one,
    /// another will lead.
    pub async fn remove_member(&self, name: &str) -> Result<Member, MembershipError> {
        let raft = &self.shared.raft;
        let (turn, membership) = begin(raft, &self.shared.changes).await?;
        let found = membership.membership().nodes().find(|(_, member)| member.name == name);
        let (id, member) = found.ok_or_else(|| MembershipError::Unknown(name.to_owned()))?;
        let voters: BTreeSet<u64> = membership.membership().voter_ids().collect();
        if voters == BTreeSet::from([*id]) {
            return Err(MembershipError::LastVoter(member.clone()));
        }
        if voters.contains(id) {
            let rest: BTreeSet<u64> = voters.iter().copied().filter(|voter| voter != id).collect();
            let asked = Instant::now();
            // Who does not lead hears that below.
            let go_on = |metrics: &RaftMetrics<Group>| {
                metrics.heartbeat.is_none() || 2 * silent(metrics, &rest, asked).len() < rest.len()
            };
            if raft.wait(Some(SILENCE_MAX)).metrics(go_on, "enough members answer").await.is_err() {
                let silent = silent(&raft.metrics().borrow_watched(), &rest, asked);
                return Err(MembershipError::QuorumAtRisk { member: member.clone(), silent });
            }
        }
        let removal = match voters.contains(id) {
            true => ChangeMembers::RemoveVoters(BTreeSet::from([*id])),
            false => ChangeMembers::RemoveNodes(BTreeSet::from([*id])),
        };
        change(raft, turn, &membership, removal, false).await?;
        Ok(member.clone())
    }

    /// Notes where a member is reached from now on. For the leader only.
    pub async fn move_member(&self, member: Member) -> Result<(), MembershipError> {
        note_move(&self.shared.raft, &self.shared.changes, member).await
    }

    /// Lets another member lead: the voter that lacks least. Does nothing if there is none, or if this member doesn't lead.
    pub async fn hand_over(&self) {
        hand_over(&self.shared.raft).await;
    }
}

/// The group's members by name.
pub(crate) fn members(metrics: &RaftMetrics<Group>) -> Vec<MemberStatus> {
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
                // Of who has not answered since this member leads, nothing is known.
                lag: matching.copied().flatten().map(|at| last.saturating_sub(at.index)),
                silence: heard.map(|heard| heard.elapsed()),
            }
        })
        .collect();
    members.sort_by(|a, b| a.member.name.cmp(&b.member.name));
    members
}

/// Lets another voter lead, if there is one and this member leads; false if there is none.
pub(crate) async fn hand_over(raft: &Raft) -> bool {
    let next = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let Some(replication) = &metrics.replication else { return false };
        let voters = metrics.membership_config.voter_ids().filter(|id| id != raft.node_id());
        voters.max_by_key(|id| replication.get(id).copied().flatten())
    };
    let Some(next) = next else { return false };
    if raft.trigger().transfer_leader(next).await.is_ok() {
        let handed = raft.wait(Some(Duration::from_secs(1)));
        let _ = handed.metrics(|metrics| metrics.current_leader != Some(metrics.id), "another member leads").await;
    }
    true
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

/// Those of these members that the leader has not heard of since.
fn silent(metrics: &RaftMetrics<Group>, members: &BTreeSet<u64>, since: Instant) -> Vec<Member> {
    let is_silent = |status: &MemberStatus| {
        let id = status.member.id;
        id != metrics.id && members.contains(&id) && status.silence.is_none_or(|silence| silence > since.elapsed())
    };
    self::members(metrics).into_iter().filter(is_silent).map(|status| status.member).collect()
}

/// Waits for one's turn; gives the membership to decide on.
async fn begin(raft: &Raft, changes: &Turn) -> Result<(OwnedMutexGuard<()>, Arc<StoredMembership>), MembershipError> {
    let turn = Runtime::timeout(CHANGE_TIMEOUT, changes.clone().lock_owned()).await;
    let turn = turn.map_err(|_| MembershipError::Busy)?;
    Ok((turn, settled(raft).await))
}

/// Lets the others know where a member is reached now. For the leader only.
pub(crate) async fn note_move(raft: &Raft, changes: &Turn, member: Member) -> Result<(), MembershipError> {
    let (turn, membership) = begin(raft, changes).await?;
    match membership.membership().get_node(&member.id) {
        None => return Err(MembershipError::Unknown(member.name)),
        Some(known) if *known == member => return Ok(()),
        Some(_) => {}
    }
    let nodes = BTreeMap::from([(member.id, member)]);
    change(raft, turn, &membership, ChangeMembers::SetNodes(nodes), true).await
}

/// Makes a change that was decided on this membership, unless another one came between. With `retain`, voters that are removed stay
/// as learners. A leader that is being removed, and is about to find out, makes none any more. The change goes on, and keeps its turn,
/// when nobody waits for it any more: half of it must not be left.
async fn change(
    raft: &Raft,
    turn: OwnedMutexGuard<()>,
    decided_on: &StoredMembership,
    change: ChangeMembers<u64, Member>,
    retain: bool,
) -> Result<(), MembershipError> {
    if decided_on.membership().get_node(raft.node_id()).is_none() {
        return Err(MembershipError::NotLeader { leader: None });
    }
    // Consensus would log it as its own error.
    if !raft.is_leader() {
        let leader = members(&raft.metrics().borrow_watched()).into_iter().find(|status| status.is_leader);
        return Err(MembershipError::NotLeader { leader: leader.map(|status| status.member) });
    }
    let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: *decided_on.log_id() };
    let raft = raft.clone();
    let changing = Runtime::spawn(async move {
        let _turn = turn;
        raft.change_membership_if(change, retain, [unchanged]).await.map(drop).map_err(failure)
    });
    match Runtime::timeout(CHANGE_TIMEOUT, changing).await {
        Ok(changed) => changed.unwrap_or_else(|failed| Err(MembershipError::Failed(failed.to_string()))),
        Err(_) => Err(MembershipError::NoQuorum { waited_s: CHANGE_TIMEOUT.as_secs() }),
    }
}

/// Keeps the membership true: where this member is reached, and, if it leads, who may vote.
pub(crate) async fn keep(raft: Raft, changes: Turn, own: Member, links: Links, mut roles: WatchReceiver<Role>) {
    tokio::join!(announce(&raft, &changes, &own, &links, roles.clone()), async {
        while roles.wait_until(Role::leads).await.is_ok() {
            let term = *roles.borrow_watched();
            tokio::select! {
                biased;
                () = settle(&raft, &changes) => return,
                changed = roles.wait_until(|role| *role != term) => if changed.is_err() { return },
            }
        }
    });
}

/// Keeps the directory true, and says where this member is reached until whoever leads knows, whenever the group thinks otherwise.
async fn announce(raft: &Raft, changes: &Turn, own: &Member, links: &Links, roles: WatchReceiver<Role>) {
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
            if let Err(error) = note_move(raft, changes, own.clone()).await {
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

/// As long as this member leads: lets the learners vote that have caught up, and ends what a leader before it began.
async fn settle(raft: &Raft, changes: &Turn) {
    let (mut metrics, mut settings) = (raft.metrics(), raft.server_metrics());
    loop {
        // The metrics change with each write, these do not.
        while is_settled(&settings.borrow_and_update().membership_config) {
            if settings.changed().await.is_err() {
                return;
            }
        }
        let may_vote = caught_up(&metrics.borrow_and_update());
        if (!may_vote.is_empty() || is_between(&settings.borrow_and_update().membership_config))
            && let Err(error) = take_a_step(raft, changes).await
        {
            tracing::debug!(%error, "the members are not settled yet");
            // The metrics change with each answer, this one's too.
            Runtime::sleep(SETTLE_INTERVAL).await;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

async fn take_a_step(raft: &Raft, changes: &Turn) -> Result<(), MembershipError> {
    let (turn, membership) = begin(raft, changes).await?;
    let may_vote = caught_up(&raft.metrics().borrow_watched());
    // Of a change that was left halfway nobody new makes the other half.
    if is_between(&membership) {
        return change(raft, turn, &membership, ChangeMembers::AddVoterIds(BTreeSet::new()), false).await;
    }
    if may_vote.is_empty() {
        return Ok(());
    }
    change(raft, turn, &membership, ChangeMembers::AddVoterIds(may_vote), true).await
}

fn is_settled(membership: &StoredMembership) -> bool {
    membership.membership().learner_ids().next().is_none() && !is_between(membership)
}

/// Whether it is that of a change between its two steps, in which the voters of before and after it must agree.
fn is_between(membership: &StoredMembership) -> bool {
    membership.membership().get_joint_config().len() > 1
}

/// The learners that may vote.
fn caught_up(metrics: &RaftMetrics<Group>) -> BTreeSet<u64> {
    let last = metrics.last_log_index.unwrap_or_default();
    let has_caught_up = |id: &u64| {
        let replication = metrics.replication.as_ref()?;
        let at = replication.get(id).copied().flatten()?;
        (at.index + LAG_MAX >= last).then_some(*id)
    };
    metrics.membership_config.membership().learner_ids().filter_map(|id| has_caught_up(&id)).collect()
}

fn failure(error: RaftError<Group, ClientWriteError<Group>>) -> MembershipError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            MembershipError::NotLeader { leader: forward.leader_node }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_))) => {
            MembershipError::Busy
        }
        other => MembershipError::Failed(other.to_string()),
    }
}
