//! Requests through the ingress to a Rust hello component, a fresh instance for each, beside `wasmtime serve` tuned and a native hello.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use coracle_tests::{Cluster, eventually, example};

use crate::load::{self, Load};
use crate::native;
use crate::report::{Report, percentile};

const ROUNDS: usize = 5;
const SECONDS: u32 = 4;
/// What makes the peer fast: memory that is reset rather than mapped anew, and only where it was touched.
const TUNED: [&str; 5] = [
    "-Opooling-allocator=y",
    "-Opooling-memory-keep-resident=2097152",
    "-Opooling-table-keep-resident=524288",
    "-Opooling-pagemap-scan=y",
    "-Scli",
];

/// Runs the three in turn, several times over.
pub(crate) fn measure() -> Result<Report> {
    let cluster = Cluster::start();
    let component = example("hello_rust.wasm");
    let file = component.to_str().context("the example's path is not UTF-8")?;
    cluster.wasmctl(&["deploy", file, "--name", "hello"]).ok();
    eventually("hello answers", || (cluster.try_get("hello.localhost", "/").ok()?.0 == 200).then_some(()));
    let ingress: SocketAddr = cluster.address("ingress").parse()?;
    let peer = Peer::start(file)?;
    let native = native::start()?;

    let mut runs: [Vec<Load>; 3] = Default::default();
    for round in 0..=ROUNDS {
        let round_runs = [
            load::run(ingress, "hello.localhost", SECONDS)?,
            load::run(peer.addr, "localhost", SECONDS)?,
            load::run(native, "localhost", SECONDS)?,
        ];
        // The first round warms all of them up.
        if round > 0 {
            runs.iter_mut().zip(round_runs).for_each(|(runs, run)| runs.push(run));
        }
    }
    let [ours, theirs, limit] = runs.map(|runs| median(&runs));
    let mut report = Report::new("serve", &["requests/s", "p50 ms", "p99 ms"]);
    for (what, load) in [
        ("coracle, through the ingress, fresh instance a request", ours),
        ("wasmtime serve 48.0.8 tuned, fresh instance a request", theirs),
        ("native hyper, no component", limit),
    ] {
        report.row(what, &[load.requests_per_second, load.p50_ms, load.p99_ms]);
    }
    report.at_least("requests/s beside wasmtime serve", ours.requests_per_second / theirs.requests_per_second, 1.3);
    report.at_most("p99 beside wasmtime serve", ours.p99_ms / theirs.p99_ms, 1.0);
    Ok(report)
}

fn median(runs: &[Load]) -> Load {
    let of = |value: fn(&Load) -> f64| percentile(&mut runs.iter().map(value).collect::<Vec<_>>(), 0.5);
    Load {
        requests_per_second: of(|run| run.requests_per_second),
        p50_ms: of(|run| run.p50_ms),
        p99_ms: of(|run| run.p99_ms),
    }
}

/// A running `wasmtime serve`.
struct Peer {
    process: Child,
    addr: SocketAddr,
}

impl Peer {
    fn start(component: &str) -> Result<Peer> {
        let wasmtime = std::env::var_os("CORACLE_BENCH_WASMTIME").context("run this with `cargo xtask bench`")?;
        // It does not say which port it took, so a free one is found for it.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut process = Command::new(wasmtime)
            .arg("serve")
            .args(TUNED)
            .args(["--addr", &addr.to_string(), component])
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take().context("it is piped")?;
        let peer = Peer { process, addr };
        let mut lines = BufReader::new(stderr).lines();
        let first = lines.next().context("wasmtime serve ended at once")??;
        anyhow::ensure!(first.starts_with("Serving HTTP"), "wasmtime serve: {first}");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
