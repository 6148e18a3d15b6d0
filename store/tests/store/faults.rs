//! One disk failing at a time: full, broken at a sync, stalled.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coracle_store::testing::{Failure, SeededDisk};
use coracle_store::{Disk, DiskFile, Options, Outcome, Precondition, Store, WatchRequest, Write, WriteError};

use super::{delete, options, put, write};

fn small(checkpoint_interval_ms: u64) -> Options {
    Options { segment_bytes: 64 << 10, checkpoint_interval_ms, ..options(Path::new("/store")) }
}

async fn open(disk: &SeededDisk, checkpoint_interval_ms: u64) -> Store {
    Store::open(small(checkpoint_interval_ms), Arc::new(disk.clone())).await.expect("the store opens")
}

/// Puts until there is no space; gives the keys that were put.
async fn fill(store: &Store) -> Vec<String> {
    for number in 0..10_000 {
        let key = format!("pods/a/{number}");
        if write(store, put(&key, &"x".repeat(400), Precondition::None)).await == Outcome::NoSpace {
            return (0..number).map(|number| format!("pods/a/{number}")).collect();
        }
    }
    panic!("a full disk refuses puts at last");
}

#[tokio::test]
async fn a_full_disk_refuses_puts_takes_deletions_and_clears_by_itself() {
    let disk = SeededDisk::new(1);
    // No checkpoint, and so no purge: what is kept for deletions must do.
    let store = open(&disk, 600_000).await;
    write(&store, put("pods/a/first", &"x".repeat(50_000), Precondition::None)).await;
    assert!(!store.status().lacks_space);
    disk.set_capacity(Some(disk.used_bytes()));
    let keys = fill(&store).await;
    assert!(store.status().lacks_space);
    assert_eq!(store.read().await.unwrap().count("pods/"), keys.len() + 1);
    // Writes of one batch are decided one by one: a refused one holds up no other.
    let marked = Write { frees_space: true, ..put(&keys[0], "being deleted", Precondition::None) };
    let mixed =
        vec![put("pods/a/new", &"x".repeat(400), Precondition::None), marked, delete(&keys[1], Precondition::None)];
    let outcomes = store.write(mixed).await.unwrap();
    assert!(
        matches!(outcomes.as_slice(), [Outcome::NoSpace, Outcome::Written(_), Outcome::Deleted { .. }]),
        "{outcomes:?}"
    );
    let leased = write(&store, put("leases/h1", "x", Precondition::None)).await;
    assert!(matches!(leased, Outcome::Written(_)), "{leased:?}");
    for key in keys.iter().filter(|key| **key != keys[1]) {
        let deleted = write(&store, delete(key, Precondition::None)).await;
        assert!(matches!(deleted, Outcome::Deleted { .. }), "{deleted:?}");
    }
    disk.set_capacity(None);
    assert!(matches!(write(&store, put("pods/a/again", "x", Precondition::None)).await, Outcome::Written(_)));
}

/// Nobody makes the disk larger: what is deleted gives back what the next checkpoint needs.
#[tokio::test]
async fn what_is_deleted_on_a_full_disk_makes_room() {
    let disk = SeededDisk::new(1);
    disk.set_capacity(Some(16 << 20));
    let store = open(&disk, 10).await;
    let key = |number: usize| format!("pods/a/{number}");
    let put = async |number| write(&store, put(&key(number), &"x".repeat(20_000), Precondition::None)).await;
    let mut count = 0;
    while put(count).await != Outcome::NoSpace {
        count += 1;
        assert!(count < 10_000, "a full disk refuses puts at last");
    }
    // Most of it is of use, all the same.
    assert!(count * 20_000 > 1 << 20, "{count}");
    for number in 0..count {
        write(&store, delete(&key(number), Precondition::None)).await;
    }
    let cleared = async {
        while put(count).await == Outcome::NoSpace {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), cleared).await.expect("it clears by itself");
}

/// The log goes on where the checkpoint ends, and says nothing of what was before.
#[tokio::test]
async fn a_store_without_its_checkpoint_is_not_opened() {
    let disk = SeededDisk::new(1);
    let store = open(&disk, 10).await;
    let first = Path::new("/store/log/00000001.log");
    let mut number = 0;
    while disk.open(first, false).is_ok() {
        write(&store, put(&format!("pods/a/{number}"), &"x".repeat(20_000), Precondition::None)).await;
        number += 1;
    }
    store.shutdown().await.unwrap();
    disk.remove(Path::new("/store/checkpoint.redb")).unwrap();
    let opened = Store::open(small(10), Arc::new(disk.clone())).await;
    let refused = opened.err().expect("it is refused").to_string();
    assert!(refused.contains("/store/checkpoint.redb is damaged") && refused.contains("no longer holds"), "{refused}");
}

/// A checkpoint that is ahead of the log has the log begin after it. It may be one that was put in its place, but not for good, as the
/// sync after that failed.
#[tokio::test]
async fn a_log_begins_after_a_checkpoint_that_power_cuts_leave_there() {
    let checkpoint = Path::new("/store/checkpoint.redb");
    let ahead = SeededDisk::new(1);
    let store = open(&ahead, 10).await;
    for number in 0..10 {
        write(&store, put(&format!("pods/a/{number}"), "x", Precondition::None)).await;
    }
    store.shutdown().await.unwrap();
    let file = ahead.open(checkpoint, false).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();

    for seed in 0..20 {
        let disk = SeededDisk::new(seed);
        open(&disk, 10).await.shutdown().await.unwrap();
        let path = checkpoint.with_extension("new");
        let file = disk.open(&path, true).unwrap();
        file.set_len(0).and_then(|()| file.write_at(&bytes, 0)).and_then(|()| file.sync()).unwrap();
        disk.sync_dir(Path::new("/store")).unwrap();
        disk.rename(&path, checkpoint).unwrap();
        let store = open(&disk, 600_000).await;
        disk.cut_power();
        drop(store);
        let store = open(&disk.restart(), 10).await;
        assert_eq!(store.snapshot().count("pods/"), 10, "{seed}");
    }
}

/// What was in a segment is not guessed, whichever of them is gone.
#[tokio::test]
async fn a_store_without_a_segment_of_its_log_is_not_opened() {
    let path = |number: u64| PathBuf::from(format!("/store/log/{number:08}.log"));
    for (gone, told) in [(1, "/store/log is damaged: entry "), (2, "00000003.log is damaged: frame ")] {
        let disk = SeededDisk::new(1);
        // Without a checkpoint, no segment goes by itself.
        let store = open(&disk, 600_000).await;
        let mut count = 0;
        while disk.open(&path(4), false).is_err() {
            write(&store, put(&format!("pods/a/{count}"), &"x".repeat(20_000), Precondition::None)).await;
            count += 1;
        }
        store.shutdown().await.unwrap();
        disk.remove(&path(gone)).unwrap();
        let opened = Store::open(small(600_000), Arc::new(disk.reopen())).await;
        let refused = opened.err().expect("it is refused").to_string();
        assert!(refused.contains(told), "{refused}");
    }
}

#[tokio::test]
async fn a_store_without_its_log_is_not_opened() {
    let disk = SeededDisk::new(1);
    let store = open(&disk, 10).await;
    for number in 0..50 {
        write(&store, put(&format!("pods/a/{number}"), "x", Precondition::None)).await;
    }
    store.shutdown().await.unwrap();
    for name in disk.list(Path::new("/store/log")).unwrap() {
        disk.remove(&Path::new("/store/log").join(name)).unwrap();
    }
    let opened = Store::open(small(10), Arc::new(disk.clone())).await;
    let refused = opened.err().expect("it is refused").to_string();
    assert!(refused.contains("/store/log is damaged: it is empty or gone"), "{refused}");
}

#[tokio::test]
async fn a_failed_sync_ends_writing_and_reads_go_on() {
    let disk = SeededDisk::new(1);
    // No checkpoint: its syncs may fail without harm.
    let store = open(&disk, 600_000).await;
    let Outcome::Written(kept) = write(&store, put("pods/a/kept", "x", Precondition::None)).await else { panic!() };
    let mut watch = store.watch(WatchRequest { prefix: "pods/".into(), tag: None, after: kept.revision }).unwrap();
    disk.fail_after(0, Failure::Sync);
    for _ in 0..3 {
        let failed = store.write(vec![put("pods/a/lost", "x", Precondition::None)]).await.unwrap_err();
        assert!(matches!(failed, WriteError::DiskFailed(_)), "{failed}");
        assert!(failed.to_string().contains("until this member is started again"), "{failed}");
    }
    let snapshot = store.read().await.expect("what was acknowledged can be read");
    assert_eq!((snapshot.count("pods/"), snapshot.revision()), (1, kept.revision));
    assert!(store.status().failure.is_some());
    assert!(watch.try_next().is_none(), "what failed is never seen");
    let after = open(&disk.restart(), 600_000).await.snapshot();
    assert_eq!(after.get("pods/a/kept").unwrap(), kept);
}

#[tokio::test]
async fn a_disk_that_fails_before_anything_is_proposed_is_told_of_too() {
    let disk = SeededDisk::new(1);
    let store = open(&disk, 600_000).await;
    disk.fail_after(0, Failure::Sync);
    // More than there is room for: what fails is to reserve it, of which consensus hears nothing.
    let failed = store.write(vec![put("pods/a/large", &"x".repeat(100_000), Precondition::None)]).await.unwrap_err();
    assert!(matches!(failed, WriteError::DiskFailed(_)), "{failed}");
    let failure = tokio::time::timeout(Duration::from_secs(60), store.wait_to_fail()).await.expect("it is told");
    assert!(failure.starts_with("its disk failed: "), "{failure}");
    assert!(store.status().failure.is_some());
}

#[tokio::test]
async fn a_stalled_sync_holds_up_the_answer_and_no_reads() {
    let disk = SeededDisk::new(1);
    let store = open(&disk, 600_000).await;
    let mut stalls = disk.stall();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { write(&store, put("pods/a/1", "x", Precondition::None)).await }
    });
    drop(stalls.recv().await.expect("the log writes"));
    let sync = stalls.recv().await.expect("the log syncs");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!writing.is_finished(), "nothing is acknowledged before it is durable");
    assert_eq!(store.read().await.unwrap().count("pods/"), 0);
    drop((sync, stalls));
    let outcome = tokio::time::timeout(Duration::from_secs(60), writing).await.expect("the sync ends").unwrap();
    assert!(matches!(outcome, Outcome::Written(_)));
}

/// A disk that once doesn't remove a segment of the log.
#[derive(Debug)]
struct Sticky {
    disk: SeededDisk,
    has_stuck: AtomicBool,
}

impl Disk for Sticky {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path, create)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let sticks = path.ends_with("00000001.log") && !self.has_stuck.swap(true, Ordering::Relaxed);
        if sticks { Err(io::ErrorKind::PermissionDenied.into()) } else { self.disk.remove(path) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.available_bytes(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_removed_leaves_no_gap_in_the_log() {
    let disk = Arc::new(Sticky { disk: SeededDisk::new(1), has_stuck: AtomicBool::new(false) });
    let store = Store::open(small(1), disk.clone()).await.unwrap();
    let log = Path::new("/store/log");
    let is_there = |name: &str| disk.list(log).unwrap().iter().any(|found| found == name);
    while !disk.has_stuck.load(Ordering::Relaxed) || is_there("00000002.log") {
        write(&store, put("pods/a/1", &"x".repeat(10_000), Precondition::None)).await;
    }
    assert!(!is_there("00000001.log"), "the next purge tries again");
    let opened = Store::open(small(600_000), Arc::new(disk.disk.restart())).await.unwrap();
    assert_eq!(opened.snapshot().count("pods/"), 1);
}
