//! Waits for dead processes that became this process's children, and that nobody else waits for.
//!
//! Those are what the OCI runtime starts and leaves, and what it starts within a container that ends before it ran. As long as one of the latter
//! is not waited for, the kernel does not let its container end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

const INTERVAL: Duration = Duration::from_secs(2);
/// How often one must be found dead that is no container's.
const PATIENCE: u32 = 5;

/// The children that somebody waits for.
static AWAITED: LazyLock<Mutex<BTreeSet<i32>>> = LazyLock::new(Mutex::default);

/// Held for reading while a container starts.
static STARTING: RwLock<()> = RwLock::new(());

/// Keeps dead children from being waited for here.
pub(super) fn hold() -> RwLockReadGuard<'static, ()> {
    STARTING.read()
}

/// Marks a child as one that is waited for elsewhere, as long as it lives.
#[derive(Debug)]
pub(super) struct Awaited(i32);

impl Awaited {
    pub(super) fn new(pid: i32) -> Awaited {
        AWAITED.lock().insert(pid);
        Awaited(pid)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        AWAITED.lock().remove(&self.0);
    }
}

/// Looks for them, for ever.
pub(super) async fn keep_reaping() {
    let mut seen = BTreeMap::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        // A container's first process may end before anybody knows which it is.
        let Some(_nothing_starts) = STARTING.try_write() else { continue };
        let awaited = AWAITED.lock().clone();
        let found = dead_children().filter(|pid| !awaited.contains(pid));
        seen = found.map(|pid| (pid, seen.get(&pid).map_or(1, |times| times + 1))).collect();
        for (pid, times) in &seen {
            // What this process started itself is waited for at once, unless it is itself kept from running.
            if *times >= PATIENCE || is_within_container(*pid) {
                reap(*pid);
            }
        }
    }
}

fn dead_children() -> impl Iterator<Item = i32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids =
        children.flat_map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>());
    pids.filter(|pid| is_dead(*pid))
}

/// Whether it is a zombie. The name before its state may hold anything, brackets too.
fn is_dead(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// Whether it has an id in a namespace of processes within this one's.
fn is_within_container(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = |status: &str| {
        status.lines().find_map(|line| line.strip_prefix("NSpid:")).map_or(0, |ids| ids.split_whitespace().count())
    };
    ids(&status) > ids(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn reap(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}
