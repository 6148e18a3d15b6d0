//! A life of a store from its opening to its end, with a crash tried at every point on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use coracle_store::testing::{Failure, Point, Random, SeededDisk, Stalled, grant_vote, lead_again, observe};
use coracle_store::{Outcome, Precondition, Store, Write};
use parking_lot::Mutex;
use tokio::sync::mpsc as async_mpsc;

use super::promises::Promises;
use super::{Crash, options};
use crate::{delete, put};

const CLIENTS: u64 = 3;
/// Batches that a client writes in a life, at most.
const BATCHES_MAX: u64 = 40;
/// Operations in which a disk's failure falls.
const OPERATIONS: u64 = 250;
/// More steps than a write's answer takes from the log to its client.
const STEPS: usize = 64;

pub(super) struct Life {
    disk: SeededDisk,
    shared: Arc<Shared>,
}

type Counts = BTreeMap<Point, u64>;

struct Shared {
    promises: Mutex<Promises>,
    counts: Mutex<Counts>,
    crashes: mpsc::SyncSender<Crash>,
}

impl Life {
    pub(super) fn new(disk: SeededDisk, promises: Promises, counts: Counts, crashes: mpsc::SyncSender<Crash>) -> Life {
        let (promises, counts) = (Mutex::new(promises), Mutex::new(counts));
        Life { disk, shared: Arc::new(Shared { promises, counts, crashes }) }
    }

    /// Gives the disk that it leaves, what it has promised, and how often it came to each point.
    pub(super) async fn live(self, random: &mut Random) -> Result<(SeededDisk, Promises, Counts), String> {
        let Life { disk, shared } = self;
        let failures = [Failure::PowerCut, Failure::Error, Failure::Sync, Failure::Sync, Failure::Full];
        let failure = failures.get(random.below(8) as usize).map(|failure| (random.below(OPERATIONS), *failure));
        if let Some((operations, failure)) = failure {
            disk.fail_after(operations, failure);
        }
        let mark = shared.counts.lock().values().sum::<u64>();
        println!("after crash {mark} a life with {failure:?}");
        let crashing = tokio::spawn(crash_at_stalls(disk.stall(), disk.clone(), shared.clone()));
        observe(Some(Box::new({
            let (disk, shared) = (disk.clone(), shared.clone());
            move |point| shared.crash(&disk, point)
        })));
        if let Ok(store) = Store::open(options(), Arc::new(disk.clone())).await {
            // It is the main line of this test: what it finds is checked like any other's.
            let promises = shared.promises.lock().clone();
            promises.check(&store).await?;
            shared.promises.lock().settle(&store);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let random = Random::new(random.below(u64::MAX));
                    tokio::spawn(write_on(store.clone(), disk.clone(), client, random, shared.clone()))
                })
                .collect();
            if random.once_in(2) {
                vote(&store, &shared).await;
            }
            for client in clients {
                client.await.map_err(|panic| panic.to_string())?;
            }
            let next = end(&store, &disk, random).await;
            observe(None);
            let _ = crashing.await;
            return Ok((next, shared.promises.lock().clone(), shared.counts.lock().clone()));
        }
        observe(None);
        let next = if random.once_in(2) { disk.restart() } else { disk.reopen() };
        let _ = crashing.await;
        Ok((next, shared.promises.lock().clone(), shared.counts.lock().clone()))
    }
}

/// Votes for another member, and leads again, while clients write.
async fn vote(store: &Store, shared: &Shared) {
    let Some(term) = grant_vote(store).await else { return };
    shared.promises.lock().grant(term);
    lead_again(store).await;
}

/// A shutdown, the end of the process, or the end of the machine.
async fn end(store: &Store, disk: &SeededDisk, random: &mut Random) -> SeededDisk {
    match random.below(3) {
        0 => {
            let _ = store.shutdown().await;
            disk.reopen()
        }
        1 => {
            let disk = disk.reopen();
            let _ = store.shutdown().await;
            disk
        }
        _ => {
            disk.cut_power();
            let _ = store.shutdown().await;
            disk.restart()
        }
    }
}

impl Shared {
    fn crash(&self, disk: &SeededDisk, point: Point) {
        if disk.is_crashed() {
            return;
        }
        let number = {
            let mut counts = self.counts.lock();
            *counts.entry(point).or_default() += 1;
            counts.values().sum()
        };
        let promises = self.promises.lock().clone();
        let _ = self.crashes.send(Crash { number, point, disk: disk.fork(), promises });
    }
}

/// Tries a crash at each operation of the store's threads, once everyone who can be answered without it has been.
async fn crash_at_stalls(mut stalls: async_mpsc::UnboundedReceiver<Stalled>, disk: SeededDisk, shared: Arc<Shared>) {
    while let Some(stalled) = stalls.recv().await {
        for _ in 0..STEPS {
            tokio::task::yield_now().await;
        }
        shared.crash(&disk, stalled.point);
    }
}

/// Writes batches, of puts or of deletions, until the disk fails.
async fn write_on(store: Store, disk: SeededDisk, client: u64, mut random: Random, shared: Arc<Shared>) {
    for _ in 0..random.below(BATCHES_MAX) {
        let writes = batch(client, &mut random);
        shared.promises.lock().ask(client, &writes);
        let Ok(outcomes) = store.write(writes).await else { return };
        shared.promises.lock().answer(client, &outcomes);
        if outcomes.contains(&Outcome::NoSpace) && random.once_in(3) {
            disk.set_capacity(None);
        }
    }
}

fn batch(client: u64, random: &mut Random) -> Vec<Write> {
    if random.once_in(8) {
        return vec![put(&format!("leases/{client}"), "renewed", Precondition::None)];
    }
    let is_deletion = random.once_in(4);
    let first = random.below(8);
    (first..first + 1 + random.below(3))
        .map(|key| {
            let key = format!("pods/{client}/{key}");
            let value = random.below(1_000).to_string().repeat(1 + random.below(60) as usize);
            if is_deletion { delete(&key, Precondition::None) } else { put(&key, &value, Precondition::None) }
        })
        .collect()
}
