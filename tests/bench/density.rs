//! Idle pods by the ten thousand on one host, made through the API: what they cost the server and the host in memory, how fast they come, and
//! how soon one of them answers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coracle_tests::{Cluster, Host, host, root, up};
use serde_json::Value;

use crate::report::{Report, percentile, resident_mb};

/// How many pods there are in the end.
const PODS: &str = "CORACLE_BENCH_PODS";
const STEPS: usize = 4;
const REQUESTS: usize = 1_000;
/// Freed memory goes back to the system, and the last events are written.
const REST: Duration = Duration::from_secs(5);

/// Starts a server and a host apart, and scales one Deployment. The server's own host takes no pods, but its ingress reaches them.
pub(crate) fn measure() -> Result<Report> {
    let pods: usize = std::env::var(PODS).with_context(|| format!("${PODS}"))?.parse()?;
    let dir = tempfile::tempdir_in(crate::report::results_dir()?)?;
    let (server_dir, host_dir) = (dir.path().join("server"), dir.path().join("host"));
    let ranges = ["--cluster-cidr", "127.128.0.0/9", "--node-cidr-mask-size", "14"];
    let server = Cluster::spawn(up(&server_dir).args(ranges), &server_dir);
    let own: Value = serde_json::from_str(&server.wasmctl(&["get", "nodes", "-o", "json"]).ok())?;
    let own = own["items"][0]["metadata"]["name"].as_str().context("the server's own node")?.to_owned();
    server.wasmctl(&["node", "cordon", &own]).ok();
    let token = server.wasmctl(&["token", "create"]).ok();
    let join = format!("{}@{}", token.trim(), server.address("api"));
    let host = Host::spawn(host(&host_dir).args(["--join", &join, "--name", "dense"]));
    let hello = root().join("examples/hello/hello.wat");
    let hello = hello.to_str().context("the path is UTF-8")?;

    let mut report = Report::new("density", &["pods/s", "server MB", "host MB", "ms p50", "ms p99"]);
    let mut sizes: Vec<(f64, f64)> = Vec::new();
    let mut before = 0;
    for step in 0..=STEPS {
        let replicas = (pods * step / STEPS).max(1);
        let began = Instant::now();
        let count = replicas.to_string();
        server.wasmctl(&["deploy", hello, "--replicas", &count, "--timeout", "3600"]).ok();
        let rate = (replicas - before) as f64 / began.elapsed().as_secs_f64();
        std::thread::sleep(REST);
        let (server_mb, host_mb) = (resident_mb(server.process_id())?, resident_mb(host.process_id())?);
        sizes.push((server_mb, host_mb));
        let mut times = ask(&server)?;
        let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
        report.row(format!("{replicas} pods"), &[rate, server_mb, host_mb, p50, p99]);
        before = replicas;
    }
    let [(server_first, host_first), .., (server_last, host_last)] = sizes[..] else { unreachable!("there are steps") };
    // What a process takes with one pod does not come with each of the others.
    let projected = |first: f64, last: f64| first + (last - first) * 99_999.0 / (pods.max(2) - 1) as f64;
    let (server_mb, host_mb) = (projected(server_first, server_last), projected(host_first, host_last));
    report.at_most("MB of a host with 100,000 pods", host_mb, 600.0);
    report.at_most("MB of host and server together", server_mb + host_mb, 2_500.0);
    Ok(report)
}

/// Milliseconds of requests one after the other, each to whatever pod the ingress chooses.
fn ask(cluster: &Cluster) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let began = Instant::now();
        let (status, text) = cluster.try_get("hello.localhost", "/")?;
        ensure!(status == 200, "{status}: {text}");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}
