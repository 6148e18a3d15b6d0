//! The API server: writes and reads a second, a long list, memory, and how soon thousands of watchers hear of a change.
//!
//! Beside a real kube-apiserver's recorded figures: version 1.20 with etcd on 2 cores made 947 ConfigMaps a second for 16 clients, p50 12 ms, p99 121 ms,
//! in 373 MB.

mod connection;
mod watchers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coracle_tests::Cluster;
use serde_json::json;

use crate::report::{Report, percentile, processor_us, resident_mb, summary};
pub(crate) use connection::{Connection, Target};

const PEER_CREATES_PER_SECOND: f64 = 947.0;
const OBJECTS: u64 = 10_000;
const WARM_UP_OBJECTS: u64 = 1_000;
const ROUND: Duration = Duration::from_secs(5);
const CLIENTS: [usize; 2] = [1, 16];
const LISTS: usize = 10;
pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";

/// Fills a fresh cluster, then reads and watches it.
pub(crate) fn measure() -> Result<Report> {
    let cluster = Cluster::start();
    let target = Arc::new(Target::of(&cluster.dir().join("kubeconfig"))?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut report = Report::new("api", &["per second", "p50 ms", "p99 ms"]);
        let empty_mb = resident_mb(cluster.process_id())?;
        // What connections and requests take is there before the objects are.
        create_objects(&target, "warm", WARM_UP_OBJECTS).await?;
        let warm_mb = resident_mb(cluster.process_id())?;
        let servers_before = processor_us(cluster.process_id())?;
        let own_before = processor_us(std::process::id())?;
        let created = create_objects(&target, "small", OBJECTS).await?;
        let server_us = (processor_us(cluster.process_id())? - servers_before) / OBJECTS as f64;
        let own_us = (processor_us(std::process::id())? - own_before) / OBJECTS as f64;
        let full_mb = resident_mb(cluster.process_id())?;
        let mut connection = Connection::open(&target).await?;
        let one = connection.get("/api/v1/namespaces/default/configmaps/small-00000").await?;
        let memory = (full_mb - warm_mb) * 1e6 / OBJECTS as f64 / one.len() as f64;
        report.row("create ConfigMaps, 16 clients", &created);
        report.row("processor µs a create: the server's, the clients'", &[0.0, server_us, own_us]);
        for clients in CLIENTS {
            report.row(format!("get, {clients} clients"), &repeat(&target, clients, Call::Get).await?);
            report.row(format!("patch, {clients} clients"), &repeat(&target, clients, Call::Patch).await?);
            report.row(format!("create, {clients} clients"), &repeat(&target, clients, Call::Create).await?);
        }
        report.row("list 10,000 pods", &list_pods(&target).await?);
        let narrow = watchers::one_each(&target).await?;
        report.row("1,000 writes/s, 5,000 watchers of an object each", &narrow);
        let wide = watchers::all_of_one(&target).await?;
        report.row("one write, 5,000 watchers of it", &wide);
        report.row("resident MB: empty, and with 10,000 small objects", &[0.0, empty_mb, full_mb]);
        report.at_least("creates/s beside kube-apiserver's", created[0] / PEER_CREATES_PER_SECOND, 10.0);
        report.at_most("ms for a create, p99, 16 clients", created[2], 10.0);
        report.at_most("resident MB with 10,000 small objects", full_mb, 100.0);
        report.at_most("bytes in memory per byte of a small object", memory, 3.0);
        report.at_most("ms to a watcher, p99, 1,000 writes/s", narrow[2], 50.0);
        report.at_most("ms to 5,000 watchers, p99", wide[2], 50.0);
        Ok(report)
    })
}

fn config_map(name: &str) -> Vec<u8> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "app": "bench", "tier": "test" } },
        "data": { "greeting": "hello", "color": "blue", "text": "x".repeat(100) },
    });
    object.to_string().into_bytes()
}

/// Creates `count` ConfigMaps from 16 clients.
async fn create_objects(target: &Arc<Target>, name: &'static str, count: u64) -> Result<[f64; 3]> {
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS[1] {
        let (target, next) = (target.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&target).await?;
            let mut times = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return anyhow::Ok(times);
                }
                let body = config_map(&format!("{name}-{index:05}"));
                let began = Instant::now();
                connection.send("POST", "/api/v1/namespaces/default/configmaps", JSON, &body).await?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }));
    }
    summary(tasks, began).await
}

#[derive(Clone, Copy)]
enum Call {
    Get,
    Patch,
    Create,
}

/// One call after the other on each client's connection.
async fn repeat(target: &Arc<Target>, clients: usize, call: Call) -> Result<[f64; 3]> {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    let began = Instant::now();
    let mut tasks = Vec::new();
    for client in 0..clients as u64 {
        let target = target.clone();
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&target).await?;
            let mut times = Vec::new();
            let mut index = client * 613;
            while began.elapsed() < ROUND {
                index = (index + 1) % OBJECTS;
                let path = format!("/api/v1/namespaces/default/configmaps/small-{index:05}");
                let sent = Instant::now();
                match call {
                    Call::Get => drop(connection.get(&path).await?),
                    Call::Patch => {
                        let body = format!(r#"{{"data":{{"count":"{}"}}}}"#, times.len());
                        connection.send("PATCH", &path, MERGE, body.as_bytes()).await?;
                    }
                    Call::Create => {
                        let body = config_map(&format!("more-{}", NAMES.fetch_add(1, Ordering::Relaxed)));
                        connection.send("POST", "/api/v1/namespaces/default/configmaps", JSON, &body).await?;
                    }
                }
                times.push(sent.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times)
        }));
    }
    summary(tasks, began).await
}

/// Lists 10,000 pods that nobody schedules.
async fn list_pods(target: &Arc<Target>) -> Result<[f64; 3]> {
    let mut connection = Connection::open(target).await?;
    for start in (0..OBJECTS).step_by(500) {
        let items: Vec<_> = (start..start + 500)
            .map(|index| {
                let pod = json!({
                    "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("p-{index:05}"), "namespace": "default" },
                    "spec": { "schedulerName": "nobody", "containers": [{ "name": "c", "image": "registry.example/c:1" }] },
                });
                json!({ "verb": "create", "object": pod })
            })
            .collect();
        let batch = json!({ "apiVersion": "coracle.dev/v1", "kind": "Batch", "items": items });
        connection.send("POST", "/apis/coracle.dev/v1/batches", JSON, batch.to_string().as_bytes()).await?;
    }
    let mut times = Vec::new();
    for _ in 0..LISTS {
        let began = Instant::now();
        let bytes = connection.get("/api/v1/namespaces/default/pods").await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(bytes.len() > OBJECTS as usize * 200, "the list holds {} bytes only", bytes.len());
    }
    let rate = LISTS as f64 * 1e3 / times.iter().sum::<f64>();
    Ok([rate, percentile(&mut times, 0.5), percentile(&mut times, 0.99)])
}

/// A number out of the first `"NAME":"…"` of some JSON.
fn text_number(json: &[u8], name: &str) -> Result<u64> {
    let text = std::str::from_utf8(json)?;
    let (_, rest) = text.split_once(&format!("\"{name}\":\"")).with_context(|| format!("no {name} in {text}"))?;
    let (number, _) = rest.split_once('"').context("an unfinished string")?;
    Ok(number.parse()?)
}
