//! Durable writes through the API: ConfigMaps of 1 KiB, replaced again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::api::{Connection, JSON, Target};
use crate::report::summary;
use crate::store::{CLIENTS, KEYS, VALUE_BYTES};

const COLLECTION: &str = "/api/v1/namespaces/default/configmaps";

/// Makes the ConfigMaps that are replaced later.
pub(super) async fn prepare(target: &Arc<Target>) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS[1] {
        let (target, next) = (target.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&target).await?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= KEYS {
                    return anyhow::Ok(());
                }
                connection.send("POST", COLLECTION, JSON, &config_map(index, 0)).await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Replaces as fast as answers come, each client on a connection of its own: replacements/s, p50 and p99 in milliseconds.
pub(super) async fn update_for(target: &Arc<Target>, clients: usize, time: Duration) -> Result<[f64; 3]> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Connection::open(target).await?);
    }
    let began = Instant::now();
    let tasks = connections.into_iter().enumerate().map(|(client, mut connection)| {
        tokio::spawn(async move {
            let mut times = Vec::new();
            let mut index = client as u64 * 613;
            while began.elapsed() < time {
                index = (index + 7_919) % KEYS;
                let sent = Instant::now();
                // What is there already would not be written.
                let value = began.elapsed().as_nanos() as u64;
                connection
                    .send("PUT", &format!("{COLLECTION}/{}", name(index)), JSON, &config_map(index, value))
                    .await?;
                times.push(sent.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times)
        })
    });
    summary(tasks.collect(), began).await
}

/// One replacement.
pub(super) async fn update(connection: &mut Connection, value: u64) -> Result<()> {
    connection.send("PUT", &format!("{COLLECTION}/{}", name(0)), JSON, &config_map(0, value)).await.map(drop)
}

fn name(index: u64) -> String {
    format!("bench-{index:05}")
}

fn config_map(index: u64, value: u64) -> Vec<u8> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name(index) },
        "data": { "value": format!("{value:0>VALUE_BYTES$}") },
    });
    object.to_string().into_bytes()
}
