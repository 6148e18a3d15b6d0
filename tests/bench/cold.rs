//! Components that are compiled and not in memory: how soon each of a thousand answers, and what it costs to have it in memory. And how soon large
//! components answer after they were pushed, beside `wasmtime serve`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coracle_tests::{Cluster, example, example_of_language};

use crate::report::{Report, percentile, resident_mb};
use crate::serve::Server;

const COMPONENTS: usize = 1_000;
/// Components leave memory after two minutes at the latest.
const IDLE_MAX: Duration = Duration::from_secs(150);
const ROUNDS: usize = 3;
const IN_MEMORY: &str = "coracle_host_components_in_memory";

pub(crate) fn measure() -> Result<Report> {
    let mut report = Report::new("cold", &["p50", "p99"]);
    let cluster = Cluster::start();
    let variants = Variants::of(&example("hello_rust.wasm"), cluster.dir())?;
    let before_mb = resident_mb(cluster.process_id())?;
    for index in 0..COMPONENTS {
        let (file, name) = (variants.write(index)?, name(index));
        cluster.wasmctl(&["deploy", file.to_str().context("a path of UTF-8")?, "--name", &name]).ok();
        std::fs::remove_file(file)?;
    }
    ask_all(&cluster)?;
    ensure!(cluster.host_figure(IN_MEMORY) == COMPONENTS as u64, "all components are in memory");
    let loaded_mb = resident_mb(cluster.process_id())?;
    let mut warm = ask_all(&cluster)?;
    let began = Instant::now();
    while cluster.host_figure(IN_MEMORY) > 0 {
        ensure!(began.elapsed() < IDLE_MAX, "the components stay in memory");
        std::thread::sleep(Duration::from_secs(1));
    }
    let idle_mb = resident_mb(cluster.process_id())?;
    let mut cold = ask_all(&cluster)?;
    let per_component_kib = |mb: f64| mb * 1e6 / 1024.0 / COMPONENTS as f64;
    let (loaded_kib, idle_kib) = (per_component_kib(loaded_mb - before_mb), per_component_kib(idle_mb - before_mb));
    let [cold_p50, cold_p99] = [0.5, 0.99].map(|share| percentile(&mut cold, share));
    let [warm_p50, warm_p99] = [0.5, 0.99].map(|share| percentile(&mut warm, share));
    report.row("ms of a request to a component in memory", &[warm_p50, warm_p99]);
    report.row("ms of a request to one that is only on disk", &[cold_p50, cold_p99]);
    report.row(format!("KiB for each of {COMPONENTS} components in memory, with its pod"), &[loaded_kib, f64::NAN]);
    report.row("KiB for each when it has left memory, with its pod", &[idle_kib, f64::NAN]);
    report.at_most("ms: first request of a component on disk, p99", cold_p99, 1.0);
    report.at_most("ms to come back into memory, p50", cold_p50 - warm_p50, 0.3);
    report.at_most("KiB for a component in memory", loaded_kib, 300.0);

    let languages = [
        ("JavaScript", "hello-javascript.wasm", "of the peer's time, JavaScript"),
        ("Python", "hello-python.wasm", "of the peer's time, Python"),
    ];
    for (what, file, target) in languages {
        let variants = Variants::of(&example_of_language(file), cluster.dir())?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let file = variants.write(round)?;
            let file = file.to_str().context("a path of UTF-8")?;
            let (name, began) = (format!("{}-{round}", what.to_lowercase()), Instant::now());
            cluster.wasmctl(&["deploy", file, "--name", &name]).ok();
            ensure!(cluster.try_get(&format!("{name}.localhost"), "/")?.0 == 200, "{what} answers");
            ours.push(began.elapsed().as_secs_f64() * 1e3);
            let began = Instant::now();
            let peer = Server::wasmtime(file, &["-Scli"])?;
            ensure!(coracle_tests::try_get(peer.addr, "localhost", "/")?.0 == 200, "{what} answers its peer");
            theirs.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let [ours, theirs] = [ours, theirs].map(|mut times| percentile(&mut times, 0.5));
        report.row(format!("ms from push to first answer, {what}"), &[ours, f64::NAN]);
        report.row(format!("  of wasmtime serve 48.0.8, {what}"), &[theirs, f64::NAN]);
        report.at_most(target, ours / theirs, 0.5);
    }
    Ok(report)
}

fn name(index: usize) -> String {
    format!("component-{index}")
}

/// Milliseconds of a request to each component.
fn ask_all(cluster: &Cluster) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for index in 0..COMPONENTS {
        let host = format!("{}.localhost", name(index));
        let began = Instant::now();
        let (status, text) = cluster.try_get(&host, "/")?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(status == 200, "{host}: {status} {text}");
    }
    Ok(times)
}

/// A component over and over, each time with another digest: with a custom section of its own.
struct Variants {
    component: Vec<u8>,
    dir: PathBuf,
}

impl Variants {
    fn of(file: &Path, dir: &Path) -> Result<Variants> {
        Ok(Variants { component: std::fs::read(file)?, dir: dir.to_owned() })
    }

    fn write(&self, index: usize) -> Result<PathBuf> {
        let number = format!("{index:06}");
        let mut bytes = self.component.clone();
        // Section 0, its length, the name's length, the name; each length is one byte.
        bytes.extend([&[0, 1 + number.len() as u8, number.len() as u8], number.as_bytes()].concat());
        let file = self.dir.join("variant.wasm");
        std::fs::write(&file, bytes)?;
        Ok(file)
    }
}
