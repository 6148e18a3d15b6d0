//! Soak: a cluster under mixed load, with pods that come, misbehave and go, must not grow: neither its memory, nor its files, nor its
//! mappings, nor its threads. A test runs 2 minutes; `cargo xtask soak` as long as wanted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coracle_tests::{Cluster, eventually, example, root, status_field, try_get};

/// How long it takes, unless it is said.
const SECONDS: u64 = 120;
const VISITORS: usize = 2;
const PAUSE: Duration = Duration::from_millis(2);
/// Pods that come and go in each round.
const REPLICAS: &str = "20";

#[test]
fn nothing_grows_while_pods_come_and_go() {
    let seconds = std::env::var("CORACLE_SOAK_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let cluster = Cluster::start();
    furnish(&cluster);
    let visitors = Visitors::start(&cluster);
    let (began, time) = (Instant::now(), Duration::from_secs(seconds));
    let mut sizes = Vec::new();
    while began.elapsed() < time {
        live(&cluster);
        sizes.push((began.elapsed(), Sizes::of(cluster.process_id())));
    }
    println!("{} rounds, {} answers", sizes.len(), visitors.end());
    // The first third fills what is bounded: histories of changes, warm instances, pools of connections.
    let is_settled = |at: &Duration| *at > time / 3;
    let settled: Vec<_> = sizes.iter().filter(|(at, _)| is_settled(at)).map(|(_, sizes)| sizes).collect();
    assert!(settled.len() >= 4, "{} rounds are too few to tell", sizes.len());
    let (early, late) = settled.split_at(settled.len() / 2);
    for (what, allowed) in [("MB", 48), ("files", 32), ("mappings", 128), ("threads", 8)] {
        let (before, after) = (median(early, what), median(late, what));
        println!("{what}: {before} in the second third, {after} in the last");
        assert!(after <= before + before / 10 + allowed, "{what} grew from {before} to {after}");
    }
}

/// What is there all the while.
fn furnish(cluster: &Cluster) {
    let hello = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["deploy", hello.to_str().unwrap(), "--replicas", "2"]).ok();
    let (zoo, job) = (example("zoo.wasm"), example("job.wasm"));
    cluster.wasmctl(&["deploy", zoo.to_str().unwrap(), "--memory", "64Mi"]).ok();
    cluster.wasmctl(&["push", job.to_str().unwrap(), "job:1"]).ok();
}

/// A round: pods come, are asked, misbehave, run to their end, are rolled over, and go.
fn live(cluster: &Cluster) {
    let component = example("hello_rust.wasm");
    let component = component.to_str().unwrap();
    cluster.wasmctl(&["deploy", component, "--name", "guest", "--replicas", REPLICAS]).ok();
    for path in ["/memory", "/handles", "/recursion", "/headers", "/"] {
        cluster.get("zoo.localhost", path);
        assert_eq!(cluster.get("guest.localhost", "/").0, 200);
    }
    cluster.wasmctl(&["deploy", component, "--name", "guest", "--replicas", REPLICAS, "--env", "ROUND=2"]).ok();
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: once}, spec: {restartPolicy: Never, containers: \
               [{name: job, image: 'registry.coracle.internal/job:1', args: ['3', files]}]}}";
    cluster.kubectl_with(pod, &["apply", "-f", "-"]).ok();
    eventually("the pod has run", || {
        let phase = cluster.kubectl(&["get", "pod", "once", "-o", "jsonpath={.status.phase}"]).stdout;
        matches!(phase.as_str(), "Succeeded" | "Failed").then_some(())
    });
    cluster.kubectl(&["logs", "once"]).ok();
    cluster.kubectl(&["delete", "pod/once", "deployment/guest", "service/guest", "ingress/guest"]).ok();
    eventually("the pods are gone", || {
        let pods = cluster.kubectl(&["get", "pods", "-l", "app=guest", "-o", "name"]).ok();
        pods.is_empty().then_some(())
    });
    // They would stay for an hour.
    cluster.kubectl(&["delete", "--raw", "/api/v1/namespaces/default/events"]).ok();
}

/// Who asks all the while.
struct Visitors {
    is_over: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Visitors {
    fn start(cluster: &Cluster) -> Visitors {
        let (is_over, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let ask = |ingress: String, is_over: Arc<AtomicBool>, answers: Arc<AtomicU64>| {
            while !is_over.load(Ordering::Relaxed) {
                let (status, text) = try_get(&ingress, "hello.localhost", "/").expect("hello answers");
                assert_eq!((status, text.as_str()), (200, "Hello from Coracle!\n"));
                answers.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        };
        let threads = (0..VISITORS)
            .map(|_| {
                let (ingress, is_over, answers) =
                    (cluster.address("ingress").to_owned(), is_over.clone(), answers.clone());
                std::thread::spawn(move || ask(ingress, is_over, answers))
            })
            .collect();
        Visitors { is_over, answers, threads }
    }

    /// Gives how many answers there were.
    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("hello always answered"));
        self.answers.load(Ordering::Relaxed)
    }
}

/// How large a process is.
struct Sizes(BTreeMap<&'static str, u64>);

impl Sizes {
    fn of(process: u32) -> Sizes {
        let of_process = |name: &str| PathBuf::from(format!("/proc/{process}/{name}"));
        let mappings = std::fs::read_to_string(of_process("maps")).unwrap().lines().count();
        Sizes(BTreeMap::from([
            ("MB", status_field(process, "RssAnon") >> 10),
            ("files", std::fs::read_dir(of_process("fd")).unwrap().count() as u64),
            ("mappings", mappings as u64),
            ("threads", status_field(process, "Threads")),
        ]))
    }
}

fn median(sizes: &[&Sizes], what: &str) -> u64 {
    let mut values: Vec<u64> = sizes.iter().map(|sizes| sizes.0[what]).collect();
    values.sort_unstable();
    values[values.len() / 2]
}
