//! Measurements, for people: `cargo nextest run -p coracle-store --features test-disk --run-ignored only --no-capture speed`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_store::{Operation, Options, Precondition, RealDisk, Store, Write};

const KEYS: u64 = 10_000;
const VALUE_BYTES: usize = 1_024;

fn value_of(key: u64) -> Write {
    let operation = Operation::Put { json: vec![b'x'; VALUE_BYTES].into(), splice_offset: 0, tags: [].into() };
    Write { key: format!("pods/default/{key}").into(), operation, precondition: Precondition::None, frees_space: false }
}

fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let Ok(metadata) = entry.metadata() else { return 0 };
            if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}

/// Durable puts a second at some numbers of clients, and what overwriting leaves on the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn puts_and_disk() {
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let store = Store::open(Options::new(dir.path()), Arc::new(RealDisk)).await.unwrap();
    for clients in [1, 64, 256] {
        let end = Instant::now() + Duration::from_secs(5);
        let mut running = tokio::task::JoinSet::new();
        for client in 0..clients {
            let store = store.clone();
            running.spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let begin = Instant::now();
                    store
                        .write(vec![value_of((client * 7_919 + latencies.len() as u64 * 104_729) % KEYS)])
                        .await
                        .unwrap();
                    latencies.push(begin.elapsed());
                }
                latencies
            });
        }
        let mut latencies: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
        latencies.sort_unstable();
        let p99 = latencies[latencies.len() * 99 / 100];
        println!(
            "{clients} clients: {} puts/s, p50 {:?}, p99 {p99:?}",
            latencies.len() / 5,
            latencies[latencies.len() / 2]
        );
    }
    for round in 0..20 {
        for first in (0..KEYS).step_by(500) {
            store.write((first..first + 500).map(value_of).collect()).await.unwrap();
        }
        println!(
            "round {round}: {} MiB on disk, {} in the log",
            disk_bytes(dir.path()) >> 20,
            store.status().log_bytes >> 20
        );
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let checkpoint = std::fs::metadata(dir.path().join("checkpoint.redb")).unwrap().len();
    let live = KEYS * VALUE_BYTES as u64;
    println!(
        "settled: {} MiB, checkpoint {} MiB, {} MiB live",
        disk_bytes(dir.path()) >> 20,
        checkpoint >> 20,
        live >> 20
    );
}
