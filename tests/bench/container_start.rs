//! A Linux container from the call that creates it to running: a pod of busybox, beside `podman create` and `podman start` of the same program.
//!
//! Both have the image already, and the same limits. Needs root.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use coracle_api::kinds;
use coracle_client::{Client, Config, DeleteOptions, ListOptions, WatchEvent, WatchOptions, WriteOptions};
use coracle_tests::{Cluster, push_busybox};
use futures::StreamExt as _;
use serde_json::json;

use crate::report::{Report, percentile};

const STARTS: usize = 20;
const IMAGE: &str = "registry.coracle.internal/busybox:1";
/// crun can't take a tree of control groups of version 2 beside those of version 1: without it there, podman works, too.
const UNIFIED_BESIDE: &str = "/sys/fs/cgroup/unified";

/// Starts containers, one after the other: the first, which unpacks the image, is not counted.
pub(crate) fn measure() -> Result<Report> {
    let cluster = Cluster::start();
    push_busybox(&cluster, "busybox", "1");
    let client = Client::new(Config::load(Some(&cluster.dir().join("kubeconfig")))?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut ours = runtime.block_on(pods(&client))?;
    let mut theirs = podman()?;
    let mut report = Report::new("container-start", &["p50 ms", "worst ms"]);
    for (what, times) in [("pod, from create to running", &mut ours), ("podman create + start", &mut theirs)] {
        report.row(what, &[percentile(times, 0.5), percentile(times, 1.0)]);
    }
    report.at_least("times as fast as podman, p50", percentile(&mut theirs, 0.5) / percentile(&mut ours, 0.5), 3.0);
    Ok(report)
}

async fn pods(client: &Client) -> Result<Vec<f64>> {
    let kind = kinds::by_any_name("pods").context("pods are built in")?;
    let list = client.list(kind, Some("default"), &ListOptions::labels("run=start")).await?;
    let options = WatchOptions {
        label_selector: Some("run=start".to_owned()),
        revision: Some(list.revision),
        ..WatchOptions::default()
    };
    let mut changes = client.watch(kind, Some("default"), &options).await?.boxed();
    let mut times = Vec::new();
    for index in 0..=STARTS {
        let name = format!("start-{index}");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "run": "start" } },
            "spec": { "containers": [{
                "name": "main", "image": IMAGE, "command": ["sleep", "1000"],
                "resources": { "limits": { "cpu": "500m", "memory": "32Mi" } },
            }] },
        });
        let began = Instant::now();
        client.create(kind, Some("default"), &pod, &WriteOptions::default()).await?;
        loop {
            let change = changes.next().await.context("the watch ended")??;
            let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = change else { continue };
            if pod["metadata"]["name"] == name.as_str() && pod["status"]["phase"] == "Running" {
                break;
            }
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        client.delete(kind, Some("default"), &name, &options).await?;
    }
    Ok(times.split_off(1))
}

fn podman() -> Result<Vec<f64>> {
    let dir = tempfile::tempdir()?;
    let rootfs = dir.path().join("rootfs");
    std::fs::create_dir_all(rootfs.join("bin"))?;
    std::fs::copy("/bin/busybox", rootfs.join("bin/busybox"))?;
    std::os::unix::fs::symlink("busybox", rootfs.join("bin/sleep"))?;
    let archive = dir.path().join("rootfs.tar");
    let tar = Command::new("tar")
        .arg("--create")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(&rootfs)
        .arg(".")
        .status()?;
    ensure!(tar.success(), "tar failed");
    let run = |words: &[&str]| run_podman(dir.path(), words);
    run(&["import", archive.to_str().context("the path is UTF-8")?, "bench:1"])?;
    let mut times = Vec::new();
    for index in 0..=STARTS {
        let name = format!("start-{index}");
        let began = Instant::now();
        let create = [
            "create",
            "--name",
            &name,
            // Its own limits are beyond those that some machines' root may set.
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
            "--network",
            "none",
            "--memory",
            "32m",
            "--cpus",
            "0.5",
            "bench:1",
            "sleep",
            "1000",
        ];
        run(&create)?;
        run(&["start", &name])?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        run(&["rm", "--force", "--time", "0", &name])?;
    }
    Ok(times.split_off(1))
}

/// With storage of its own, that goes with the folder.
fn run_podman(dir: &Path, words: &[&str]) -> Result<()> {
    let hide = match Path::new(UNIFIED_BESIDE).exists() {
        true => format!("mount --make-rslave / && umount --lazy {UNIFIED_BESIDE} && "),
        false => String::new(),
    };
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        &format!("{hide}exec podman \"$@\""),
        "podman",
        "--cgroup-manager",
        "cgroupfs",
    ]);
    command.arg("--root").arg(dir.join("storage")).arg("--runroot").arg(dir.join("run")).args(["--runtime", "crun"]);
    let output = command.args(words).output().context("podman")?;
    ensure!(output.status.success(), "podman {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}
