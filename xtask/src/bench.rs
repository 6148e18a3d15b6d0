//! `cargo xtask bench NAME`: one promise of SPECIFICATION.md, measured beside its peer in one run. Prints a table and writes
//! `target/bench/NAME.json`. The measuring is in `tests/bench/`; here the peers are installed and everything is built for release.

use anyhow::Result;
use clap::ValueEnum;

use crate::process::{cargo, stage, target_dir};
use crate::{guests, languages, peers};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(required = true)]
    names: Vec<Name>,
    /// How often `cluster` kills a leader, and a host
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// How many pods `density` runs
    #[arg(long, default_value_t = 100_000)]
    pods: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The API server's writes, reads, lists, watchers and memory
    Api,
    /// Three members beside etcd's: durable writes, and what a lost leader and a lost host cost (needs root)
    Cluster,
    /// How soon components answer that are not in memory, or were just pushed, the latter beside `wasmtime serve`
    Cold,
    /// From a Linux container's creation to running, beside podman (needs root)
    ContainerStart,
    /// 100,000 idle pods on one host: memory, and how fast they come
    Density,
    /// Pods that compute beside each other and beside a handler
    Fairness,
    /// How soon instances start: hellos in Rust, JavaScript and Python
    Instantiate,
    /// Requests/s and latency of a hello component, beside `wasmtime serve` and native code
    Serve,
    /// 5,000 hosts' signs of life: what they cost, and how soon it is known that many have ended
    Nodes,
    /// From a pod's creation to Ready, alone and in a burst of 1,000
    PodStart,
    /// How soon a command runs again, and what traps cost the handlers beside
    Restart,
    /// Durable puts/s and latency of the store, beside etcd on the same disk
    Store,
    /// How soon `wasmctl up` is ready, its memory, the binary's size
    Up,
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Name::Api => "api",
            Name::Cluster => "cluster",
            Name::Cold => "cold",
            Name::ContainerStart => "container-start",
            Name::Density => "density",
            Name::Fairness => "fairness",
            Name::Serve => "serve",
            Name::Instantiate => "instantiate",
            Name::Nodes => "nodes",
            Name::PodStart => "pod-start",
            Name::Restart => "restart",
            Name::Store => "store",
            Name::Up => "up",
        }
    }
}

/// Sets up and measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let guests = guests::build()?;
    stage("wasmctl for release", cargo().args(["build", "--quiet", "--release"]))?;
    let mut bench = cargo();
    if [Name::Serve, Name::Fairness, Name::Restart].iter().any(|name| args.names.contains(name)) {
        peers::debian(&[("wrk", "wrk")])?;
        bench.env("CORACLE_TEST_KUBECTL", peers::kubectl(37)?);
    }
    if [Name::Cold, Name::Serve].iter().any(|name| args.names.contains(name)) {
        bench.env("CORACLE_BENCH_WASMTIME", peers::wasmtime()?);
    }
    if args.names.contains(&Name::Cold) {
        bench.env("CORACLE_TEST_KUBECTL", peers::kubectl(37)?);
    }
    if [Name::Cold, Name::Instantiate].iter().any(|name| args.names.contains(name)) {
        bench.env("CORACLE_TEST_LANGUAGES", languages::build(&languages::tests(None)?)?);
    }
    if args.names.contains(&Name::Store) || args.names.contains(&Name::Cluster) {
        peers::debian(&[("etcd", "etcd-server")])?;
    }
    if args.names.contains(&Name::ContainerStart) {
        peers::debian(&[("crun", "crun"), ("busybox", "busybox-static"), ("podman", "podman")])?;
        bench.env("CORACLE_TEST_KUBECTL", peers::kubectl(37)?);
    }
    if args.names.contains(&Name::Cluster) {
        peers::debian(&[("ip", "iproute2")])?;
    }
    let target_dir = target_dir();
    bench
        .args(["bench", "--quiet", "--package", "coracle-tests", "--bench", "bench", "--"])
        .args(args.names.iter().map(|name| name.as_str()))
        .env("CORACLE_TEST_GUESTS", guests)
        .env("CORACLE_TEST_WASMCTL", target_dir.join("release/wasmctl"))
        .env("CORACLE_BENCH_KILLS", args.kills.to_string())
        .env("CORACLE_BENCH_PODS", args.pods.to_string())
        .env("CORACLE_BENCH_RESULTS", target_dir.join("bench"))
        .env("RUST_BACKTRACE", "0");
    stage("benchmark", &mut bench)?;
    Ok(())
}
