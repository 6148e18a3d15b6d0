//! Whether this member leads, kept true of the cache: a new leader raises the revision and forgets what its predecessor kept in memory,
//! before it is told to anybody that it leads.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::{WatchReceiver as _, WatchSender as _};
use openraft::raft::ReadPolicy;
use openraft::{AsyncRuntime as _, ServerState};

use crate::cache::Cache;
use crate::raft::{Command, Raft};
use crate::record::Revision;
use crate::runtime::{Runtime, WatchSender};

/// By how much a member that begins to lead raises the revision: more than the ephemeral revisions its predecessor may have given.
const LEADER_REVISION_STEP: Revision = 1 << 20;

/// Wait before a member that could not begin to lead tries again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Who leads, as far as this member knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// This member does, since it was elected in `term`, and its state holds all that was acknowledged before.
    Leads { term: u64 },
    /// Another member does, or nobody.
    Follows { leader: Option<u64> },
}

impl Role {
    /// Does this member lead?
    pub(crate) fn leads(&self) -> bool {
        matches!(self, Role::Leads { .. })
    }
}

/// Keeps `roles` true as long as consensus runs.
pub(crate) async fn follow(raft: Raft, cache: Arc<Cache>, roles: WatchSender<Role>) {
    let mut metrics = raft.server_metrics();
    loop {
        let (leads, term, leader) = {
            let metrics = metrics.borrow_and_update();
            (metrics.state == ServerState::Leader, metrics.vote.leader_id.term, metrics.current_leader)
        };
        let before = *roles.borrow_watched();
        if leads && before != (Role::Leads { term }) {
            roles.send_if_different(Role::Follows { leader: None });
            let begin = async {
                let begun = lead(&raft, &cache).await;
                if let Err(error) = &begun {
                    // It may lead on all the same: too few members may have answered for a moment.
                    tracing::debug!(error, term, "this member does not lead yet, or not any more");
                    Runtime::sleep(RETRY_INTERVAL).await;
                }
                begun.is_ok()
            };
            tokio::select! {
                biased;
                begun = begin => match begun {
                    true => drop(roles.send_if_different(Role::Leads { term })),
                    false => continue,
                },
                changed = metrics.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
        } else if !leads {
            let leader = leader.filter(|leader| leader != raft.node_id());
            if roles.send_if_different(Role::Follows { leader }) && before.leads() {
                cache.forget_ephemeral().await;
            }
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until this member has applied its whole log, then begins a range of revisions that nobody has used.
async fn lead(raft: &Raft, cache: &Cache) -> Result<(), String> {
    raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map_err(|error| error.to_string())?;
    let revision_floor = cache.snapshot().revision + LEADER_REVISION_STEP;
    let command = Command { revision_floor, writes: Arc::default() };
    raft.client_write(command).await.map_err(|error| error.to_string())?;
    cache.forget_ephemeral().await;
    Ok(())
}
