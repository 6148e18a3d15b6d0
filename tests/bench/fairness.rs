//! Pods that compute for ever beside each other and beside a handler: what the handler's clients notice, whether weights mean what they say, and
//! whether a limit holds.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use coracle_tests::{Cluster, eventually, example, guest};
use serde_json::{Value, json};

use crate::load::{self, Load};
use crate::report::Report;

const SPINNERS: usize = 8;
const LOAD_SECONDS: u32 = 10;
/// Longer than three looks of a host at what its pods use, so that the last two are of what is measured.
const SETTLED: Duration = Duration::from_secs(31);

pub(crate) fn measure() -> Result<Report> {
    let cluster = Cluster::start();
    let hello = example("hello_rust.wasm");
    cluster.wasmctl(&["deploy", hello.to_str().context("a path of UTF-8")?, "--name", "hello"]).ok();
    let spinner = guest("command-loops.wat");
    cluster.wasmctl(&["push", spinner.to_str().context("a path of UTF-8")?, "spinner:1"]).ok();
    let ingress: SocketAddr = cluster.address("ingress").parse()?;
    let mut report = Report::new("fairness", &["requests/s", "p50 ms", "p99 ms"]);
    let row = |load: Load| [load.requests_per_second, load.p50_ms, load.p99_ms];

    let quiet = load::run(ingress, "hello.localhost", LOAD_SECONDS)?;
    report.row("hello, alone", &row(quiet));
    spin(&cluster, "beside", SPINNERS, "100m", None)?;
    let beside = load::run(ingress, "hello.localhost", LOAD_SECONDS)?;
    report.row(format!("hello, beside {SPINNERS} pods that compute"), &row(beside));
    clear(&cluster, "beside");
    report.at_most("ms: p99 of hello beside pods that compute", beside.p99_ms, 3.0);

    spin(&cluster, "one", SPINNERS / 2, "100m", None)?;
    spin(&cluster, "three", SPINNERS / 2, "300m", None)?;
    sleep(SETTLED);
    let ratio = used_millis(&cluster, "three")? / used_millis(&cluster, "one")?;
    clear(&cluster, "one");
    clear(&cluster, "three");
    report.at_least("times the processor for three times the request", ratio, 2.7);
    report.at_most("times the processor for three times the request", ratio, 3.3);

    spin(&cluster, "capped", 1, "100m", Some("100m"))?;
    sleep(SETTLED);
    let capped = used_millis(&cluster, "capped")?;
    report.at_least("thousandths of a core under a limit of 100m", capped, 90.0);
    report.at_most("thousandths of a core under a limit of 100m", capped, 110.0);
    Ok(report)
}

/// Starts so many pods that compute for ever.
fn spin(cluster: &Cluster, name: &str, count: usize, request: &str, limit: Option<&str>) -> Result<()> {
    let limits = limit.map_or_else(|| json!({}), |cpu| json!({ "cpu": cpu }));
    let resources = json!({ "requests": { "cpu": request }, "limits": limits });
    let container = json!({ "name": "main", "image": "registry.coracle.internal/spinner:1", "resources": resources });
    let labels = json!({ "app": name });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": count, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    });
    let file = cluster.dir().join("spinner.json");
    std::fs::write(&file, deployment.to_string())?;
    cluster.wasmctl(&["apply", "-f", file.to_str().context("a path of UTF-8")?]).ok();
    eventually("the pods run", || {
        let deployment = cluster.object(&format!("deployment/{name}"));
        (deployment["status"]["readyReplicas"] == count).then_some(())
    });
    Ok(())
}

fn clear(cluster: &Cluster, name: &str) {
    cluster.wasmctl(&["delete", "deployment", name]).ok();
    eventually("the pods are gone", || {
        let pods = cluster.wasmctl(&["get", "pods", "-l", &format!("app={name}"), "-o", "name"]).ok();
        pods.trim().is_empty().then_some(())
    });
}

/// What the pods of a Deployment used in all over the last look, in thousandths of a core.
fn used_millis(cluster: &Cluster, name: &str) -> Result<f64> {
    let text = cluster
        .kubectl(&[
            "get",
            "--raw",
            &format!("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3D{name}"),
        ])
        .ok();
    let list: Value = serde_json::from_str(&text)?;
    let pods = list["items"].as_array().context("a list")?.iter();
    let used =
        pods.filter_map(|pod| pod["containers"][0]["usage"]["cpu"].as_str()?.strip_suffix('n')?.parse::<f64>().ok());
    Ok(used.sum::<f64>() / 1e6)
}
