//! What tests of a store on bad hardware need: a disk that loses, tears, fails and stalls on demand, from a seed; errors put into the
//! store's own code; names for the places where a crash matters.
//!
//! Mutations and observers belong to the thread that sets them, so a test that uses them runs its store on a runtime of one thread.

mod content;
mod names;
mod random;
mod runtime;
mod seeded_disk;
mod stalled;

use std::collections::BTreeMap;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::VoteRequest;

pub use crate::fault::{Mutation, Point};
use crate::peers::Member;
use crate::raft::Vote;
use crate::store::Store;
pub use random::Random;
pub use runtime::Runtime;
pub(crate) use runtime::start_thread;
pub use seeded_disk::{Failure, SeededDisk};
pub use stalled::Stalled;

/// Puts an error into the code of stores that run on this thread, or takes it out.
pub fn mutate(mutation: Option<Mutation>) {
    crate::fault::switch::mutate(mutation);
}

/// Has `observer` called at each point that this thread comes to. The disk's operations on it are points too, and are not stalled then.
pub fn observe(observer: Option<Box<dyn Fn(Point)>>) {
    crate::fault::switch::observe(observer);
}

/// Has another member, which has a longer log, ask for this one's vote and get it. Gives the term of the vote; `None` if the disk failed.
pub async fn grant_vote(store: &Store) -> Option<u64> {
    let (raft, id) = store.raft();
    let (term, mut last) = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        (metrics.current_term + 1, metrics.last_applied?)
    };
    last.index += 1_000_000;
    let request = VoteRequest { vote: Vote::new(term, id + 1), last_log_id: Some(last), leadership_transfer: true };
    let response = raft.vote(request).await.ok()?;
    assert!(response.vote_granted, "a member votes for one that has a longer log");
    Some(term)
}

/// Has this member lead again after it has granted a vote.
pub async fn lead_again(store: &Store) {
    let (raft, id) = store.raft();
    let _ = raft.trigger().elect(false).await;
    let _ = raft.wait(None).metrics(|metrics| metrics.current_leader == Some(id), "this member leads").await;
}

/// Makes a store of one member the leader of three of whom the others can't be reached: it leads on, and has no quorum.
pub async fn take_quorum(store: &Store) {
    let (raft, id) = store.raft();
    let members: BTreeMap<u64, _> = (id..id + 3).map(|id| (id, Member { id, ..Member::default() })).collect();
    for (learner, node) in members.iter().filter(|(member, _)| **member != id) {
        raft.add_learner(*learner, node.clone(), false).await.expect("a group of one takes in a learner");
    }
    // It is in force once it is in the log; it can't be committed, so nobody waits for it.
    let voters: Vec<u64> = members.into_keys().collect();
    let change = tokio::spawn({
        let raft = raft.clone();
        async move { raft.change_membership(voters, false).await }
    });
    let is_in_force =
        |metrics: &openraft::RaftMetrics<crate::raft::Group>| metrics.membership_config.voter_ids().count() == 3;
    raft.wait(None).metrics(is_in_force, "three voters").await.expect("the change is in the log");
    change.abort();
}
