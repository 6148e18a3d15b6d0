//! From the call that creates a pod to its Ready condition, on a host that has its component: one at a time, and a thousand at once.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context as _, Result};
use coracle_api::kind::Kind;
use coracle_api::kinds;
use coracle_client::{Client, Config, DeleteOptions, ListOptions, PatchKind, WatchEvent, WatchOptions, WriteOptions};
use coracle_tests::{Cluster, example};
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::report::{Report, percentile};

const LONE_PODS: usize = 200;
const BURST_PODS: usize = 1_000;
/// Creating calls on their way at the same time.
const CALLS: usize = 64;

type Changes = BoxStream<'static, Result<WatchEvent, coracle_client::Error>>;

/// Starts a cluster, and pods in it.
pub(crate) fn measure() -> Result<Report> {
    let cluster = Cluster::start();
    let component = example("hello_rust.wasm");
    let file = component.to_str().context("the example's path is not UTF-8")?;
    cluster.wasmctl(&["deploy", file, "--name", "warm"]).ok();
    let deployment = cluster.object("deployment/warm");
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().context("an image")?;
    let client = Client::new(Config::load(Some(&cluster.dir().join("kubeconfig")))?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let pods = kinds::by_any_name("pods").context("pods are built in")?;
        let bench = Bench { client, pods, image: image.to_owned() };
        let mut lone = bench.one_at_a_time().await?;
        bench.clear("lone").await?;
        let calls = bench.calls_at_once().await?;
        bench.clear("burst").await?;
        let scaled = bench.one_scaling_call().await?;
        let mut report = Report::new("pod-start", &["p50 ms", "p99 ms", "all ms"]);
        let (p50, p99) = (percentile(&mut lone, 0.5), percentile(&mut lone, 0.99));
        report.row("200 pods, one after the other", &[p50, p99, lone.iter().sum()]);
        for (what, mut times) in
            [("1,000 pods, a call each, 64 at once", calls.clone()), ("1,000 replicas, one call", scaled.clone())]
        {
            let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
            report.row(what, &[p50, p99, percentile(&mut times, 1.0)]);
        }
        report.at_most("ms from create to Ready, p50", p50, 10.0);
        report.at_most("s for 1,000 pods, a call each", percentile(&mut calls.clone(), 1.0) / 1e3, 1.0);
        report.at_most("s for 1,000 replicas", percentile(&mut scaled.clone(), 1.0) / 1e3, 1.0);
        Ok(report)
    })
}

struct Bench {
    client: Client,
    pods: &'static Kind,
    image: String,
}

impl Bench {
    /// Milliseconds from each call to Ready.
    async fn one_at_a_time(&self) -> Result<Vec<f64>> {
        let mut changes = self.changes("run=lone").await?;
        let mut times = Vec::new();
        for index in 0..LONE_PODS {
            let name = format!("lone-{index}");
            let began = Instant::now();
            self.create(&name, "lone").await?;
            while next_ready(&mut changes).await? != name {}
            times.push(millis(began));
        }
        Ok(times)
    }

    /// Milliseconds from the first call to each pod's Ready.
    async fn calls_at_once(&self) -> Result<Vec<f64>> {
        let changes = self.changes("run=burst").await?;
        let began = Instant::now();
        let all_ready = tokio::spawn(ready_times(changes, began, BURST_PODS));
        let mut calls = FuturesUnordered::new();
        for index in 0..BURST_PODS {
            if calls.len() >= CALLS {
                calls.try_next().await?;
            }
            calls.push(async move { self.create(&format!("burst-{index}"), "burst").await });
        }
        while calls.try_next().await?.is_some() {}
        all_ready.await?
    }

    /// The same for the replicas of a Deployment.
    async fn one_scaling_call(&self) -> Result<Vec<f64>> {
        let deployments = kinds::by_any_name("deployments").context("deployments are built in")?;
        let mut deployment: Value = self.client.get(deployments, Some("default"), "warm").await?;
        let template = deployment["spec"]["template"].take();
        let mut scaled = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "scaled" },
            "spec": { "replicas": 0, "selector": { "matchLabels": { "run": "scaled" } }, "template": template },
        });
        scaled["spec"]["template"]["metadata"] = json!({ "labels": { "run": "scaled" } });
        self.client.create(deployments, Some("default"), &scaled, &WriteOptions::strict()).await?;
        let changes = self.changes("run=scaled").await?;
        let began = Instant::now();
        let all_ready = tokio::spawn(ready_times(changes, began, BURST_PODS));
        let patch = json!({ "spec": { "replicas": BURST_PODS } });
        let options = WriteOptions::default();
        self.client.patch(deployments, Some("default"), "scaled", PatchKind::Merge, &patch, &options).await?;
        all_ready.await?
    }

    async fn create(&self, name: &str, run: &str) -> Result<()> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "run": run } },
            "spec": { "containers": [{
                "name": "hello", "image": self.image, "resources": { "requests": { "cpu": "1m", "memory": "1Mi" } },
            }] },
        });
        self.client.create(self.pods, Some("default"), &pod, &WriteOptions::default()).await?;
        Ok(())
    }

    async fn changes(&self, selector: &str) -> Result<Changes> {
        let list = self.client.list(self.pods, Some("default"), &ListOptions::labels(selector)).await?;
        let options = WatchOptions {
            label_selector: Some(selector.to_owned()),
            revision: Some(list.revision),
            ..WatchOptions::default()
        };
        Ok(self.client.watch(self.pods, Some("default"), &options).await?.boxed())
    }

    /// Deletes the pods of a run and waits until they are gone.
    async fn clear(&self, run: &str) -> Result<()> {
        let selected = ListOptions::labels(format!("run={run}"));
        let options = DeleteOptions { grace_period_seconds: Some(1), ..DeleteOptions::default() };
        self.client.delete_collection(self.pods, Some("default"), &selected, &options).await?;
        let mut changes = self.changes(&format!("run={run}")).await?;
        while !self.client.list(self.pods, Some("default"), &selected).await?.items.is_empty() {
            changes.next().await.context("the watch ended")??;
        }
        Ok(())
    }
}

async fn ready_times(mut changes: Changes, began: Instant, count: usize) -> Result<Vec<f64>> {
    let mut times = HashMap::new();
    while times.len() < count {
        let name = next_ready(&mut changes).await?;
        times.entry(name).or_insert_with(|| millis(began));
    }
    Ok(times.into_values().collect())
}

/// The name of the next pod seen with a true Ready condition.
async fn next_ready(changes: &mut Changes) -> Result<String> {
    loop {
        let change = changes.next().await.context("the watch ended")??;
        let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = change else { continue };
        let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        if conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True") {
            return Ok(pod["metadata"]["name"].as_str().unwrap_or_default().to_owned());
        }
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
