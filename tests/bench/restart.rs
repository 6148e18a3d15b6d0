//! What a failure costs: how soon a command that exits runs again for the first time, and what a handler that traps a thousand times a second costs
//! the handler beside it.
//!
//! The time between two runs is taken from the log: from the last line of the first to the first line of the second. Who asks for it is one
//! connection, so that no client's start takes the processor just then.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coracle_tests::{Cluster, example, guest};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{Connection, JSON, Target};
use crate::load::{self, Load};
use crate::report::{Report, percentile};

const PODS: usize = 100;
const PODS_PATH: &str = "/api/v1/namespaces/default/pods";
/// How often it is asked whether a pod has restarted, and for how long.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const RESTART_MAX: Duration = Duration::from_secs(30);
const LOAD_SECONDS: u32 = 10;
/// Clients of the handler that traps, and how often each asks.
const CLIENTS: u32 = 10;
const INTERVAL: Duration = Duration::from_millis(10);

pub(crate) fn measure() -> Result<Report> {
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut restarts = runtime.block_on(restarts(&cluster))?;
    let mut report = Report::new("restart", &["p50", "p99", "requests/s"]);
    let (p50, p99) = (percentile(&mut restarts, 0.5), percentile(&mut restarts, 0.99));
    report.row("ms until a command that exited runs again", &[p50, p99, f64::NAN]);

    for (file, name) in [("hello_rust.wasm", "hello"), ("zoo.wasm", "zoo")] {
        cluster.wasmctl(&["deploy", example(file).to_str().context("a path of UTF-8")?, "--name", name]).ok();
    }
    let ingress: SocketAddr = cluster.address("ingress").parse()?;
    let row = |load: Load| [load.p50_ms, load.p99_ms, load.requests_per_second];
    report.row("ms of hello, alone", &row(load::run(ingress, "hello.localhost", LOAD_SECONDS)?));
    let answered = beside(ingress, "/")?;
    report.row(format!("ms of hello, beside {:.0} answers/s", answered.others_per_second), &row(answered.load));
    let trapped = beside(ingress, "/trap")?;
    report.row(format!("ms of hello, beside {:.0} traps/s", trapped.others_per_second), &row(trapped.load));

    report.at_most("ms until a command that exited runs again, p99", p99, 1.0);
    report.at_least("traps/s", trapped.others_per_second, 900.0);
    let (with, without) = (trapped.load, answered.load);
    report.at_least(
        "of hello's requests/s beside answers",
        with.requests_per_second / without.requests_per_second,
        0.9,
    );
    report.at_most("of hello's p99 beside answers", with.p99_ms / without.p99_ms, 1.2);
    Ok(report)
}

/// Milliseconds between the first and the second run of each of many pods, one pod after the other.
async fn restarts(cluster: &Cluster) -> Result<Vec<f64>> {
    let prints = guest("command-prints.wat");
    cluster.wasmctl(&["push", prints.to_str().context("a path of UTF-8")?, "prints:1"]).ok();
    let mut api = Connection::open(&Target::of(&cluster.dir().join("kubeconfig"))?).await?;
    let mut times = Vec::new();
    // The first, which pulls and compiles, is not counted.
    for index in 0..=PODS {
        let name = format!("prints-{index}");
        let body = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
            "spec": { "containers": [{ "name": "main", "image": "registry.coracle.internal/prints:1" }] },
        });
        api.send("POST", PODS_PATH, JSON, body.to_string().as_bytes()).await?;
        let pod = format!("{PODS_PATH}/{name}");
        let began = Instant::now();
        while serde_json::from_slice::<Value>(&api.get(&pod).await?)?["status"]["containerStatuses"][0]["restartCount"]
            != 1
        {
            ensure!(began.elapsed() < RESTART_MAX, "{name} is not started again");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let first = api.get(&format!("{pod}/log?timestamps=true&previous=true")).await?;
        let second = api.get(&format!("{pod}/log?timestamps=true")).await?;
        let at = |line: Option<&str>| -> Result<Timestamp> {
            let (time, _) = line.and_then(|line| line.split_once(' ')).context("a line with its time")?;
            Ok(time.parse()?)
        };
        let (first, second) = (str::from_utf8(&first)?, str::from_utf8(&second)?);
        let gap = at(second.lines().next())?.duration_since(at(first.lines().last())?);
        times.push(gap.as_secs_f64() * 1e3);
        api.send("DELETE", &pod, JSON, &[]).await?;
    }
    Ok(times.split_off(1))
}

struct Beside {
    load: Load,
    others_per_second: f64,
}

/// Loads hello while others ask the zoo for a path, at a steady rate.
fn beside(ingress: SocketAddr, path: &str) -> Result<Beside> {
    let (ended, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let mut next = Instant::now();
                    while !ended.load(Relaxed) {
                        ask(ingress, path)?;
                        asked.fetch_add(1, Relaxed);
                        next += INTERVAL;
                        thread::sleep(next.saturating_duration_since(Instant::now()));
                    }
                    Ok(())
                })
            })
            .collect();
        let began = Instant::now();
        let load = load::run(ingress, "hello.localhost", LOAD_SECONDS);
        let others_per_second = asked.load(Relaxed) as f64 / began.elapsed().as_secs_f64();
        ended.store(true, Relaxed);
        for client in clients {
            client.join().expect("a client of the zoo does not panic")?;
        }
        Ok(Beside { load: load?, others_per_second })
    })
}

/// Asks once; a trap is answered with 500, everything else with 200.
fn ask(ingress: SocketAddr, path: &str) -> Result<()> {
    let mut connection = TcpStream::connect(ingress)?;
    write!(connection, "GET {path} HTTP/1.1\r\nhost: zoo.localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let expected = if path == "/trap" { "HTTP/1.1 500" } else { "HTTP/1.1 200" };
    ensure!(answer.starts_with(expected), "{path}: {answer}");
    Ok(())
}
