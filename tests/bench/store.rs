//! Durable puts over the network: the store behind a small server, beside etcd on the same disk, both spoken to in etcd's own protocol by the same client.

mod rpc;
mod server;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rpc::Connection;
pub(crate) use server::{FOUNDER, READY, VERB, serve};

use crate::report::{Report, percentile, summary};

pub(crate) const CLIENTS: [usize; 3] = [1, 64, 256];
pub(crate) const ROUNDS: usize = 3;
const ROUND_SECONDS: u64 = 4;
pub(crate) const KEYS: u64 = 10_000;
pub(crate) const VALUE_BYTES: usize = 1_024;
const OVERWRITES: u64 = 1_000_000;
/// How long a server may take to answer its first put.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the two in turn, with more and more clients; then overwrites until the disk shows what is kept.
pub(crate) fn measure() -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dir = tempfile::tempdir_in(crate::report::results_dir()?)?;
    let ours = Server::start_store(&dir.path().join("store"))?;
    let etcd = Server::start_etcd(&dir.path().join("etcd"))?;
    let mut report = Report::new("store", &["puts/s", "p50 ms", "p99 ms"]);
    let mut figures = Vec::new();
    for clients in CLIENTS {
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (runs, server) in runs.iter_mut().zip([&ours, &etcd]) {
                runs.push(runtime.block_on(put_for(server.addr, clients, Duration::from_secs(ROUND_SECONDS)))?);
            }
        }
        let [ours, etcd] = runs.map(|runs| median(&runs));
        for (name, [rate, p50, p99]) in [("coracle-store", ours), ("etcd", etcd)] {
            report.row(format!("{name}, {clients} clients"), &[rate, p50, p99]);
        }
        figures.push((ours, etcd));
    }
    let per_key = |addr| runtime.block_on(overwrite(addr));
    per_key(ours.addr)?;
    let live_bytes = KEYS * (VALUE_BYTES as u64 + key(0).len() as u64);
    let settled = settled_bytes(&dir.path().join("store"));
    report
        .row("bytes on disk per live byte after 1,000,000 overwrites", &[settled as f64 / live_bytes as f64, 0.0, 0.0]);
    let [(one, one_etcd), (many, many_etcd), _] = figures[..] else { unreachable!("one pair for each of CLIENTS") };
    report.at_least("puts/s beside etcd, 1 client", one[0] / one_etcd[0], 1.0);
    report.at_least("puts/s beside etcd, 64 clients", many[0] / many_etcd[0], 3.0);
    report.at_most("p99 beside etcd, 64 clients", many[2] / many_etcd[2], 1.0);
    report.at_most("disk bytes per live byte", settled as f64 / live_bytes as f64, 3.0);
    Ok(report)
}

pub(crate) fn median(runs: &[[f64; 3]]) -> [f64; 3] {
    std::array::from_fn(|index| percentile(&mut runs.iter().map(|run| run[index]).collect::<Vec<_>>(), 0.5))
}

fn key(index: u64) -> String {
    format!("/registry/configmaps/default/bench-{index:05}")
}

/// Puts as fast as answers come, each client on a connection of its own: puts/s, p50 and p99 in milliseconds.
pub(crate) async fn put_for(addr: SocketAddr, clients: usize, time: Duration) -> Result<[f64; 3]> {
    let value = Arc::new(vec![b'x'; VALUE_BYTES]);
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Connection::open(addr).await?);
    }
    let started = Instant::now();
    let tasks = connections.into_iter().enumerate().map(|(index, mut connection)| {
        let value = value.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 1);
            while started.elapsed() < time {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let began = Instant::now();
                connection.put(key((random >> 33) % KEYS).as_bytes(), &value).await?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times)
        })
    });
    summary(tasks.collect(), started).await
}

/// Overwrites every key again and again.
async fn overwrite(addr: SocketAddr) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let value = Arc::new(vec![b'y'; VALUE_BYTES]);
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS[2] {
        let mut connection = Connection::open(addr).await?;
        let (next, value) = (next.clone(), value.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= OVERWRITES {
                    return anyhow::Ok(());
                }
                connection.put(key(index % KEYS).as_bytes(), &value).await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// What a folder takes on the disk once that no longer falls.
fn settled_bytes(dir: &Path) -> u64 {
    let mut least = u64::MAX;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        let now = disk_bytes(dir);
        if now < least {
            (least, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    disk_bytes(dir)
}

fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// A server in a process of its own.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    fn start_store(dir: &Path) -> Result<Server> {
        let addr = free_addr()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(VERB).arg(addr.to_string()).arg(dir);
        Server::start(command, addr)
    }

    fn start_etcd(dir: &Path) -> Result<Server> {
        let (addr, peer) = (free_addr()?, free_addr()?);
        let (client_url, peer_url) = (format!("http://{addr}"), format!("http://{peer}"));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(dir).args(["--listen-client-urls", &client_url]);
        command.args(["--advertise-client-urls", &client_url, "--listen-peer-urls", &peer_url]);
        command.args(["--initial-advertise-peer-urls", &peer_url]);
        command.args(["--initial-cluster", &format!("default={peer_url}"), "--log-level", "error"]);
        Server::start(command, addr)
    }

    fn start(mut command: Command, addr: SocketAddr) -> Result<Server> {
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let server = Server { process, addr };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let began = Instant::now();
        loop {
            let first = runtime.block_on(async { Connection::open(addr).await?.put(b"/ready", b"{}").await });
            match first {
                Ok(()) => return Ok(server),
                Err(error) if began.elapsed() > START_TIMEOUT => {
                    return Err(error.context("the server does not answer"));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_addr() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
