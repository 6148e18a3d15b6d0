//! How a store is set up.

use std::path::PathBuf;
use std::sync::Arc;

use crate::ephemeral::EphemeralKeys;
use crate::peers::{Member, NoPeers, Peers};

/// How to open a store; start from [`Options::new`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds all of it.
    pub dir: PathBuf,
    /// This member.
    pub member: Member,
    /// It begins a group of its own if the folder is new; else it waits until a group takes it in.
    pub is_founder: bool,
    /// The folder may be another member's: it is opened only if the group in it is of this member alone.
    pub is_unsure: bool,
    /// How other members are reached.
    pub peers: Arc<dyn Peers>,
    /// Keys that live in the leader's memory only.
    pub ephemeral: EphemeralKeys,
    /// The most events kept for watches that resume.
    pub history_events_max: usize,
    /// The most bytes of events kept for them.
    pub history_bytes_max: usize,
    /// Events a watcher may be behind before it loses its watch.
    pub watch_queue_events_max: usize,
    /// Bytes of events a watcher may be behind.
    pub watch_queue_bytes_max: usize,
    /// Size of one segment of the Raft log; it is reserved on the disk before it is used.
    pub segment_bytes: u64,
    /// Time between two checkpoints while there are changes.
    pub checkpoint_interval_ms: u64,
    /// Replaced bytes that a checkpoint's file may hold before it is written anew, or a quarter of what it holds if that is more.
    pub checkpoint_slack_bytes: u64,
}

impl Options {
    /// The only member of a group, with every key durable.
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        Options {
            dir: dir.into(),
            member: Member { id: 1, ..Member::default() },
            is_founder: true,
            is_unsure: false,
            peers: Arc::new(NoPeers),
            ephemeral: EphemeralKeys::default(),
            history_events_max: 32_768,
            history_bytes_max: 32 << 20,
            watch_queue_events_max: 65_536,
            watch_queue_bytes_max: 64 << 20,
            segment_bytes: 4 << 20,
            checkpoint_interval_ms: 1_000,
            checkpoint_slack_bytes: 1 << 20,
        }
    }
}
