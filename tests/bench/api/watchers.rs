//! How long a change takes from the call that makes it to those who watch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::connection::{Connection, Target};
use super::{JSON, MERGE, config_map, text_number};
use crate::report::percentile;

const WATCHERS: u64 = 5_000;
const STREAMS_PER_CONNECTION: u64 = 100;
const WRITES_PER_SECOND: u32 = 1_000;
const SECONDS: u32 = 5;
const WIDE_WRITES: usize = 20;
const COLLECTION: &str = "/api/v1/namespaces/default/configmaps";

/// Each watcher watches one object of its own, as each host watches its own pods.
pub(super) async fn one_each(target: &Arc<Target>) -> Result<[f64; 3]> {
    let epoch = Instant::now();
    let (times, mut heard) = mpsc::unbounded_channel();
    let revision = revision(target).await?;
    let watchers = (0..WATCHERS).map(|index| {
        format!("{COLLECTION}?watch=true&resourceVersion={revision}&fieldSelector=metadata.name%3Dsmall-{index:05}")
    });
    let tasks = open(target, watchers.collect(), epoch, times).await?;
    let mut connection = Connection::open(target).await?;
    let count = WRITES_PER_SECOND * SECONDS;
    let began = Instant::now();
    for write in 0..count {
        tokio::time::sleep_until((began + write * (Duration::from_secs(1) / WRITES_PER_SECOND)).into()).await;
        let path = format!("{COLLECTION}/small-{:05}", u64::from(write) % WATCHERS);
        touch(&mut connection, &path, epoch).await?;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    let mut found = Vec::new();
    while found.len() < count as usize {
        found.push(heard.recv().await.context("the watchers ended")?);
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    Ok([rate, percentile(&mut found, 0.5), percentile(&mut found, 0.99)])
}

/// All watch the same object.
pub(super) async fn all_of_one(target: &Arc<Target>) -> Result<[f64; 3]> {
    let epoch = Instant::now();
    let mut connection = Connection::open(target).await?;
    connection.send("POST", COLLECTION, JSON, &config_map("wide")).await?;
    let (times, mut heard) = mpsc::unbounded_channel();
    let revision = revision(target).await?;
    let path = format!("{COLLECTION}?watch=true&resourceVersion={revision}&fieldSelector=metadata.name%3Dwide");
    let tasks = open(target, vec![path; WATCHERS as usize], epoch, times).await?;
    let mut found = Vec::new();
    let began = Instant::now();
    for _ in 0..WIDE_WRITES {
        touch(&mut connection, &format!("{COLLECTION}/wide"), epoch).await?;
        for _ in 0..WATCHERS {
            found.push(heard.recv().await.context("the watchers ended")?);
        }
    }
    let rate = WIDE_WRITES as f64 / began.elapsed().as_secs_f64();
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    Ok([rate, percentile(&mut found, 0.5), percentile(&mut found, 0.99)])
}

async fn revision(target: &Arc<Target>) -> Result<u64> {
    let list = Connection::open(target).await?.get(&format!("{COLLECTION}?limit=1")).await?;
    text_number(&list, "resourceVersion")
}

/// Writes the time into an object.
async fn touch(connection: &mut Connection, path: &str, epoch: Instant) -> Result<()> {
    let body = format!(r#"{{"data":{{"sent":"{}"}}}}"#, epoch.elapsed().as_micros());
    connection.send("PATCH", path, MERGE, body.as_bytes()).await?;
    Ok(())
}

/// Opens all watches, and reports the milliseconds that each change took.
async fn open(
    target: &Arc<Target>,
    paths: Vec<String>,
    epoch: Instant,
    times: mpsc::UnboundedSender<f64>,
) -> Result<Vec<tokio::task::JoinHandle<()>>> {
    let mut tasks = Vec::new();
    for paths in paths.chunks(STREAMS_PER_CONNECTION as usize) {
        let mut connection = Connection::open(target).await?;
        connection.watch(paths).await?;
        tasks.push(tokio::spawn(listen(connection, epoch, times.clone())));
    }
    Ok(tasks)
}

async fn listen(mut connection: Connection, epoch: Instant, times: mpsc::UnboundedSender<f64>) {
    while let Ok(events) = connection.next().await {
        report(&events, epoch, &times);
    }
}

fn report(events: &Bytes, epoch: Instant, times: &mpsc::UnboundedSender<f64>) {
    for event in events.split(|byte| *byte == b'\n').filter(|event| !event.is_empty()) {
        let Ok(sent_us) = text_number(event, "sent") else { continue };
        let took_us = (epoch.elapsed().as_micros() as u64).saturating_sub(sent_us);
        let _ = times.send(took_us as f64 / 1e3);
    }
}
