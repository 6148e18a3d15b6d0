//! Three servers on machines of their own (network namespaces on a bridge), beside three members of etcd likewise, on the same disk: durable
//! writes, and how long a lost leader and a lost host are felt, by writers and by those who ask pods.
//!
//! The stores are asked the same, by the same client: puts of bytes over gRPC without TLS, their members too without TLS. Servers as users run them are
//! asked more than etcd: PUTs of ConfigMaps over HTTPS, which they decode, admit and validate, and pass on to each other by mutual TLS.

mod etcd;
mod failover;
mod replacement;
mod requests;
mod stores;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use coracle_tests::{ControlPlane, Network, eventually, root};
use etcd::Etcd;
use replacement::Workers;
use requests::{Kill, Requests};
use stores::Stores;

use crate::api::Target;
use crate::report::{Report, percentile};
use crate::store::{self, CLIENTS, ROUNDS};

/// How often a leader, and a host, is killed.
const KILLS: &str = "CORACLE_BENCH_KILLS";
const ROUND: Duration = Duration::from_secs(4);
const MEMBERS: u8 = 3;
const REPLICAS: usize = 6;

/// Writes first, then kills.
pub(crate) fn measure() -> Result<Report> {
    let kills: usize = std::env::var(KILLS).with_context(|| format!("${KILLS}"))?.parse()?;
    let dir = tempfile::tempdir_in(crate::report::results_dir()?)?;
    let mut network = Network::start();
    let mut plane = ControlPlane::start(&mut network, dir.path(), MEMBERS);
    let mut report = Report::new("cluster", &["per second", "p50 ms", "p99 ms", "failed"]);
    {
        let etcd = Etcd::start(&mut network, &dir.path().join("etcd"), MEMBERS)?;
        let stores = Stores::start(&mut network, &dir.path().join("stores"), MEMBERS)?;
        measure_writes(&mut report, &plane, &stores, &etcd)?;
    }

    let mut workers = Workers::start(&mut network, dir.path(), &plane, 3);
    let hello = root().join("examples/hello/hello.wat");
    let replicas = REPLICAS.to_string();
    plane.wasmctl(&["deploy", hello.to_str().context("the path is UTF-8")?, "--replicas", &replicas]).ok();
    let requests = Requests::start(workers.ingress(), "hello.localhost");
    eventually("pods answer", || (requests.answered() > 100).then_some(()));

    let leaders = failover::measure(&mut plane, kills)?;
    let to_write_s = row(&mut report, "from kill -9 of the leader to the next acknowledged write", &leaders) / 1e3;
    let at_leaders = requests.failed(&leaders);
    report.row("  requests to pods that failed meanwhile", &[f64::NAN, f64::NAN, f64::NAN, at_leaders as f64]);
    let hosts = replacement::measure(&plane, &mut workers, kills, REPLICAS)?;
    let to_ready_s = row(&mut report, "from kill -9 of a host to its pods' replacements Ready", &hosts) / 1e3;
    let at_hosts = requests.failed(&hosts);
    report.row("  requests to pods that failed meanwhile", &[f64::NAN, f64::NAN, f64::NAN, at_hosts as f64]);
    report.row("requests to pods all the while", &[requests.per_second(), f64::NAN, f64::NAN, f64::NAN]);
    report.at_most("s from a leader's kill to a write, p99", to_write_s, 2.0);
    report.at_most("s from a host's kill to replacements, p99", to_ready_s, 12.0);
    report.at_most("requests failed that others could have served", (at_leaders + at_hosts) as f64, 0.0);
    Ok(report)
}

/// How long each kill was felt; gives the p99.
fn row(report: &mut Report, what: &str, kills: &[Kill]) -> f64 {
    let mut times: Vec<f64> = kills.iter().map(|kill| kill.felt_ms).collect();
    let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    report.row(format!("{what}, {} times", kills.len()), &[f64::NAN, p50, p99, f64::NAN]);
    p99
}

/// Writes to the three leaders in turn, with more and more clients.
fn measure_writes(report: &mut Report, plane: &ControlPlane, stores: &Stores, etcd: &Etcd) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let servers = Arc::new(Target::of(&plane.dir(plane.leader()).join("kubeconfig"))?);
    let theirs = etcd.leader()?;
    runtime.block_on(writes::prepare(&servers))?;
    for clients in CLIENTS {
        let mut runs = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            runs[0].push(runtime.block_on(store::put_for(stores.leader(), clients, ROUND))?);
            runs[1].push(runtime.block_on(store::put_for(theirs, clients, ROUND))?);
            runs[2].push(runtime.block_on(writes::update_for(&servers, clients, ROUND))?);
        }
        let [stores, etcd, servers] = runs.map(|runs| store::median(&runs));
        let names =
            ["coracle-store: 1 KiB put", "etcd: 1 KiB put", "wasmctl server: ConfigMap of 1 KiB replaced by HTTPS"];
        for (name, [rate, p50, p99]) in names.into_iter().zip([stores, etcd, servers]) {
            report.row(format!("{name}, {clients} clients of the leader"), &[rate, p50, p99, 0.0]);
        }
        if clients == CLIENTS[1] {
            report.at_least("puts/s of the store beside etcd, 64 clients", stores[0] / etcd[0], 2.0);
            report.at_most("p99 of the store beside etcd, 64 clients", stores[2] / etcd[2], 1.0);
            report.at_least("writes/s of whole servers beside etcd, 64 clients", servers[0] / etcd[0], 2.0);
        }
    }
    Ok(())
}
