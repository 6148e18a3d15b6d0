//! How a store is set up.

use std::path::PathBuf;

/// How to open a store; start from [`Options::new`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds all of it.
    pub dir: PathBuf,
    /// This member's number in its Raft group; a number is never used again for another member.
    pub member_id: u64,
    /// Keys that live in the leader's memory only: their writes cost no disk and are gone with the process. A pure function of the key.
    pub is_ephemeral: fn(&str) -> bool,
    /// The most events kept for watches that resume.
    pub history_events_max: usize,
    /// The most bytes of events kept for them.
    pub history_bytes_max: usize,
    /// Events a watcher may be behind before it loses its watch.
    pub watch_queue_events_max: usize,
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
            member_id: 1,
            is_ephemeral: |_| false,
            history_events_max: 32_768,
            history_bytes_max: 32 << 20,
            watch_queue_events_max: 65_536,
            segment_bytes: 4 << 20,
            checkpoint_interval_ms: 1_000,
            checkpoint_slack_bytes: 1 << 20,
        }
    }
}
