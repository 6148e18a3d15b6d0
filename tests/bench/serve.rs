//! Requests through the ingress to Rust hello components, beside `wasmtime serve` and a native hello: a fresh instance of WASI 0.2 for each, one
//! that is reused, and those of 0.3, which answer several at once.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use coracle_tests::{Cluster, eventually, example, wasmctl_path};

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

/// Lets an instance answer as many requests as it can.
const REUSE: &str = r#"{"spec":{"template":{"metadata":{"annotations":{"coracle.dev/instance-reuse":"1000000"}}}}}"#;

/// Runs all in turn, several times over.
pub(crate) fn measure() -> Result<Report> {
    let cluster = Cluster::start();
    let file = |name| example(name).to_str().map(str::to_owned).context("the example's path is not UTF-8");
    let (hello, concurrent) = (file("hello_rust.wasm")?, file("hello_concurrent.wasm")?);
    for (name, file) in [("hello", &hello), ("reused", &hello), ("concurrent", &concurrent)] {
        cluster.wasmctl(&["deploy", file, "--name", name]).ok();
    }
    cluster.kubectl(&["patch", "deployment", "reused", "--type=merge", "-p", REUSE]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/reused", "--timeout=60s"]).ok();
    for host in ["hello.localhost", "reused.localhost", "concurrent.localhost"] {
        eventually("each answers", || (cluster.try_get(host, "/").ok()?.0 == 200).then_some(()));
    }
    let ingress: SocketAddr = cluster.address("ingress").parse()?;
    let direct = Server::wasmctl(&hello)?;
    let peer = Server::wasmtime(&hello, &TUNED)?;
    let untuned_peer = Server::wasmtime(&hello, &["-Scli"])?;
    let concurrent_peer = Server::wasmtime(&concurrent, &TUNED)?;
    let native = native::start()?;
    let contenders = [
        ("coracle, through the ingress, fresh instance a request", ingress, "hello.localhost"),
        ("coracle, `wasmctl run`, fresh instance a request", direct.addr, "localhost"),
        ("wasmtime serve 48.0.8 tuned, fresh instance a request", peer.addr, "localhost"),
        ("wasmtime serve 48.0.8 as it comes, fresh instance a request", untuned_peer.addr, "localhost"),
        ("coracle, through the ingress, instances reused", ingress, "reused.localhost"),
        ("coracle, through the ingress, WASI 0.3", ingress, "concurrent.localhost"),
        ("wasmtime serve 48.0.8 tuned, WASI 0.3", concurrent_peer.addr, "localhost"),
        ("native hyper, no component", native, "localhost"),
    ];
    let mut runs: [Vec<Load>; 8] = Default::default();
    for round in 0..=ROUNDS {
        for ((_, addr, host), runs) in contenders.iter().zip(&mut runs) {
            let run = load::run(*addr, host, SECONDS)?;
            // The first round warms all of them up.
            if round > 0 {
                runs.push(run);
            }
        }
    }
    let loads = runs.map(|runs| median(&runs));
    let mut report = Report::new("serve", &["requests/s", "p50 ms", "p99 ms"]);
    for ((what, ..), load) in contenders.iter().zip(&loads) {
        report.row(*what, &[load.requests_per_second, load.p50_ms, load.p99_ms]);
    }
    let [fresh, direct, peer, untuned_peer, reused, concurrent, concurrent_peer, native] = loads;
    let rate = |one: Load, other: Load| one.requests_per_second / other.requests_per_second;
    report.at_least("requests/s beside wasmtime serve", rate(fresh, peer), 1.3);
    report.at_least("requests/s beside wasmtime serve as it comes", rate(fresh, untuned_peer), 3.5);
    report.at_least("requests/s through the ingress beside `wasmctl run`", rate(fresh, direct), 0.9);
    report.at_most("p99 beside wasmtime serve", fresh.p99_ms / peer.p99_ms, 1.0);
    report.at_least("requests/s beside native, instances reused", rate(reused, native), 0.55);
    report.at_least("requests/s beside native, WASI 0.3", rate(concurrent, native), 0.4);
    report.at_least("requests/s beside wasmtime serve, WASI 0.3", rate(concurrent, concurrent_peer), 1.0);
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

/// Something that serves one component, without a cluster.
pub(crate) struct Server {
    process: Child,
    pub(crate) addr: SocketAddr,
}

impl Server {
    /// Starts `wasmctl run`.
    fn wasmctl(component: &str) -> Result<Server> {
        let mut command = Command::new(wasmctl_path());
        command.args(["run", component, "--addr", "127.0.0.1:0"]).stdout(Stdio::null());
        let (process, line) = start(&mut command, "answering at http://")?;
        Ok(Server { process, addr: line.split('/').nth(2).context("an address")?.parse()? })
    }

    /// Starts `wasmtime serve`.
    pub(crate) fn wasmtime(component: &str, options: &[&str]) -> Result<Server> {
        let wasmtime = std::env::var_os("CORACLE_BENCH_WASMTIME").context("run this with `cargo xtask bench`")?;
        // It does not say which port it took, so a free one is found for it.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(wasmtime);
        command.arg("serve").args(options).args(["--addr", &addr.to_string(), component]);
        let (process, _) = start(&mut command, "Serving HTTP")?;
        Ok(Server { process, addr })
    }
}

/// Starts a server and waits for the line that says where it serves; what comes after it is dropped.
fn start(command: &mut Command, expected: &str) -> Result<(Child, String)> {
    let mut process = command.stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(process.stderr.take().context("it is piped")?).lines();
    let first = lines.next().context("the server ended at once")??;
    anyhow::ensure!(first.starts_with(expected), "{first}");
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok((process, first))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
