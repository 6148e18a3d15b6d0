//! Power cuts at a thousand points: nothing acknowledged is lost, and revisions never fall. With a sync that lies, this finds the loss.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use coracle_store::testing::{Random, SeededDisk};
use coracle_store::{Options, Outcome, Precondition, Store};

use super::put;

const CRASHES: u64 = 1_000;

/// What a run has been promised: for each key the last acknowledged revision, and the last revision at all.
#[derive(Default)]
struct Promises {
    acknowledged: BTreeMap<String, u64>,
    last_revision: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let seed = std::env::var("CORACLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    if let Err(loss) = run(seed, CRASHES, false).await {
        panic!("{loss} (seed {seed}: set CORACLE_SEED to run it again)");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_lies_is_found_out() {
    assert!(run(7, CRASHES, true).await.is_err(), "a store without syncs must lose something");
}

async fn run(seed: u64, crashes: u64, lies: bool) -> Result<(), String> {
    let mut disk = SeededDisk::new(seed);
    if lies {
        disk.lie_about_sync();
    }
    let mut random = Random::new(seed ^ 0xdead_beef);
    let mut promises = Promises::default();
    for crash in 0..crashes {
        disk.crash_after(random.below(120));
        // A task of its own, because a disk that lies can make a library panic.
        let round = {
            let disk = disk.clone();
            tokio::spawn(async move {
                work(&disk, &mut random, &mut promises).await;
                let disk = disk.restart();
                verify(&disk, &mut promises).await.map(|()| (disk, random, promises))
            })
        };
        let after = round.await.map_err(|panic| format!("crash {crash}: {panic}"))?;
        (disk, random, promises) = after.map_err(|loss| format!("crash {crash}: {loss}"))?;
    }
    Ok(())
}

fn options() -> Options {
    Options {
        segment_bytes: 32 << 10,
        log_entries_max: 20,
        checkpoint_interval_ms: 3,
        ..Options::new(Path::new("/store"))
    }
}

/// Writes until the power goes.
async fn work(disk: &SeededDisk, random: &mut Random, promises: &mut Promises) {
    let Ok(store) = Store::open(options(), Arc::new(disk.clone())).await else { return };
    while !disk.is_crashed() {
        let keys: Vec<String> = (0..1 + random.below(4)).map(|_| format!("pods/a/{}", random.below(20))).collect();
        let writes =
            keys.iter().map(|key| put(key, &format!("v{}", random.below(1_000)), Precondition::None)).collect();
        let Ok(outcomes) = store.write(writes).await else { break };
        for (key, outcome) in keys.into_iter().zip(outcomes) {
            let Outcome::Written(record) = outcome else { continue };
            promises.last_revision = promises.last_revision.max(record.revision);
            promises.acknowledged.insert(key, record.revision);
        }
    }
    let _ = store.shutdown().await;
}

/// Opens the store again and holds it to its promises.
async fn verify(disk: &SeededDisk, promises: &mut Promises) -> Result<(), String> {
    let store = Store::open(options(), Arc::new(disk.clone())).await.map_err(|error| error.to_string())?;
    let snapshot = store.read().await.map_err(|error| error.to_string())?;
    if snapshot.revision() < promises.last_revision {
        return Err(format!("revision {} after {}", snapshot.revision(), promises.last_revision));
    }
    for (key, revision) in &promises.acknowledged {
        match snapshot.get(key) {
            Some(record) if record.revision >= *revision => {}
            found => {
                return Err(format!(
                    "{key} was acknowledged at {revision} and is {:?}",
                    found.map(|record| record.revision)
                ));
            }
        }
    }
    promises.last_revision = snapshot.revision();
    store.shutdown().await.map_err(|error| error.to_string())
}
