//! Ten thousand power cuts: at every operation of stores that are written to, on disks that drop, tear, fail, fill up and stall, the
//! disk is copied as a power cut would leave it, and a store opened on the copy must keep what had been promised until then.
//!
//! `CORACLE_CRASHES` and `CORACLE_SEED` set how many, and which. The mutations of our own code at the end show that this finds errors.

mod life;
mod promises;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use coracle_store::testing::{Mutation, Point, Random, SeededDisk, mutate, take_quorum};
use coracle_store::{EphemeralKeys, Options, Precondition, ReadError, Store};
use parking_lot::Mutex;

use self::life::Life;
use self::promises::Promises;
use super::{put, write};

const POINTS: [Point; 7] =
    [Point::Open, Point::Append, Point::Vote, Point::Apply, Point::Snapshot, Point::Purge, Point::Compaction];
/// Longer than any sound store takes to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// A disk as a power cut leaves it, and what had been promised by then.
struct Crash {
    number: u64,
    point: Point,
    disk: SeededDisk,
    promises: Promises,
}

/// What is broken besides the disk.
#[derive(Clone, Copy, Default)]
struct Breakage {
    mutation: Option<Mutation>,
    lies_about_sync: bool,
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn nothing_acknowledged_is_lost() {
    let seed = from_environment("CORACLE_SEED", 20_261_121);
    let crashes = from_environment("CORACLE_CRASHES", 10_000);
    let counts = run(seed, crashes, Breakage::default())
        .unwrap_or_else(|loss| panic!("{loss} (tried with CORACLE_SEED={seed})"));
    println!("{counts:?}");
    for point in POINTS {
        let count = counts.get(&point).copied().unwrap_or_default();
        assert!(count >= crashes / 200, "{point:?} was hit {count} times only: {counts:?}");
    }
}

#[test]
fn a_sync_that_lies_is_found() {
    let found = run(7, 2_000, Breakage { lies_about_sync: true, ..Breakage::default() });
    assert!(found.is_err(), "a store without syncs must lose something");
}

#[test]
fn mutations_of_our_own_code_are_found() {
    for mutation in [Mutation::AcknowledgeBeforeSync, Mutation::PurgeTooFar, Mutation::ApplyTwice, Mutation::ForgetVote]
    {
        let found = run(11, 4_000, Breakage { mutation: Some(mutation), ..Breakage::default() });
        println!("{mutation:?}: {}", found.expect_err(&format!("{mutation:?} must be found")));
    }
}

#[tokio::test]
async fn a_leader_without_a_quorum_answers_no_reads() {
    assert_eq!(read_without_quorum().await, Ok(()));
    mutate(Some(Mutation::SkipReadIndex));
    assert!(read_without_quorum().await.is_err(), "a read that skips ReadIndex must be found");
}

async fn read_without_quorum() -> Result<(), String> {
    let store = Store::open(options(), Arc::new(SeededDisk::new(1))).await.expect("the store opens");
    write(&store, put("pods/a/1", "x", Precondition::None)).await;
    take_quorum(&store).await;
    match store.read().await {
        Err(ReadError::NoQuorum(_)) => Ok(()),
        answered => Err(format!("a leader that nobody follows answered {answered:?}")),
    }
}

fn options() -> Options {
    Options {
        ephemeral: EphemeralKeys::under("leases/"),
        segment_bytes: 8 << 10,
        checkpoint_interval_ms: 2,
        checkpoint_slack_bytes: 8 << 10,
        ..Options::new("/store")
    }
}

/// Lives through `crashes` crashes; gives how often each point was hit, or what was lost.
fn run(seed: u64, crashes: u64, breakage: Breakage) -> Result<BTreeMap<Point, u64>, String> {
    let verifiers = thread::available_parallelism().map_or(2, usize::from);
    let (sender, receiver) = mpsc::sync_channel::<Crash>(2 * verifiers);
    let receiver = Mutex::new(receiver);
    let loss: Mutex<Option<String>> = Mutex::default();
    let is_over = Arc::new(AtomicBool::new(false));
    let counts = thread::scope(|scope| {
        for _ in 0..verifiers {
            scope.spawn(|| {
                mutate(breakage.mutation);
                let runtime = runtime();
                loop {
                    let Ok(crash) = receiver.lock().recv() else { return };
                    if is_over.load(Ordering::Relaxed) {
                        continue;
                    }
                    let (number, point) = (crash.number, crash.point);
                    if let Err(reason) = runtime.block_on(verify(crash)) {
                        is_over.store(true, Ordering::Relaxed);
                        loss.lock().get_or_insert(format!("crash {number}, at {point:?}: {reason}"));
                    }
                }
            });
        }
        let driver = scope.spawn(|| {
            mutate(breakage.mutation);
            runtime().block_on(drive(seed, crashes, breakage, sender, is_over.clone()))
        });
        driver.join().unwrap_or_else(|_| Err("a thread of the store panicked".to_owned()))
    });
    loss.into_inner().map_or(counts, Err)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// One life of the store after another, on one disk.
async fn drive(
    seed: u64,
    crashes: u64,
    breakage: Breakage,
    sender: mpsc::SyncSender<Crash>,
    is_over: Arc<AtomicBool>,
) -> Result<BTreeMap<Point, u64>, String> {
    let mut disk = SeededDisk::new(seed);
    if breakage.lies_about_sync {
        disk.lie_about_sync();
    }
    let mut random = Random::new(seed ^ 0xdead_beef);
    let mut promises = Promises::default();
    let mut counts = BTreeMap::new();
    while counts.values().sum::<u64>() < crashes && !is_over.load(Ordering::Relaxed) {
        let life = Life::new(disk, promises, counts, sender.clone());
        (disk, promises, counts) = life.live(&mut random).await?;
    }
    Ok(counts)
}

/// Opens a store on what a crash left, and holds it to what was promised.
async fn verify(crash: Crash) -> Result<(), String> {
    let Crash { disk, promises, .. } = crash;
    // A task of its own, because a broken store makes libraries panic.
    let verification = tokio::spawn(async move {
        let options = Options { checkpoint_interval_ms: 60_000, ..options() };
        let opening = Store::open(options, Arc::new(disk.clone()));
        let store = tokio::time::timeout(OPEN_TIMEOUT, opening).await.map_err(|_| "it does not open".to_owned())?;
        let store = store.map_err(|error| error.to_string())?;
        let result = promises.check(&store).await;
        disk.cut_power();
        let _ = store.shutdown().await;
        result
    });
    verification.await.map_err(|panic| panic.to_string())?
}
