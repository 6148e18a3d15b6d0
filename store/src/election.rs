//! When a member stands for election: once the leader's lease and a time-out of its own are over; or at the end of the lease, if the line
//! on which the leader sends broke, as it does when its process ends.
//!
//! Deliberately absent: deciding that the leader is gone. Nobody votes who has heard of it within its lease, and members are asked
//! whether they would vote before a term begins (pre-vote): whoever stands too soon disturbs nobody.

use std::ops::Range;
use std::time::Duration;

use openraft::AsyncRuntime as _;

use crate::raft::Raft;
use crate::runtime::Runtime;

/// Time between two signs of life that a leader gives.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);
/// What a member waits beyond the lease, drawn each time. Votes are to be answered within the shortest of them, a sync included.
pub(crate) const TIMEOUT: Range<Duration> = Duration::from_millis(400)..Duration::from_millis(600);
/// How long nobody votes after a sign of life; the consensus library takes the longest time-out for it.
const LEASE: Duration = TIMEOUT.end;

/// The line from the leader broke: stands for election when its lease is over, unless it is heard of until then.
pub(crate) fn stand_after_lease(raft: &Raft) {
    let raft = raft.clone();
    Runtime::spawn(async move {
        // The others may have heard of it a little later.
        Runtime::sleep(LEASE + HEARTBEAT_INTERVAL).await;
        let _ = raft.trigger().elect(true).await;
    });
}
