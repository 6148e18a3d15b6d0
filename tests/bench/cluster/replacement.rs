//! How long the pods of a host that is killed are missing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coracle_api::kinds;
use coracle_client::{Client, Config, ListOptions};
use coracle_tests::{ControlPlane, Host, Machine, Network, PATIENCE};
use serde_json::Value;

use super::requests::Kill;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Hosts on machines of their own. The last one has the ingress that is asked, and is never killed.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
    name: String,
    machine: Machine,
    dir: PathBuf,
    host: Option<Host>,
}

impl Workers {
    /// Lets machines join as hosts.
    pub(super) fn start(network: &mut Network, folder: &Path, plane: &ControlPlane, count: usize) -> Workers {
        let workers = (1..=count).map(|number| {
            let name = format!("host-{number}");
            let (machine, dir) = (network.machine(), folder.join(&name));
            let host = Host::spawn(machine.host(&dir).args(["--join", &plane.invitation("host"), "--name", &name]));
            Worker { name, machine, dir, host: Some(host) }
        });
        Workers(workers.collect())
    }

    /// Where requests arrive.
    pub(super) fn ingress(&self) -> SocketAddr {
        let last = self.0.last().expect("there is a host");
        (last.machine.address(), 8080).into()
    }
}

/// Kills hosts, each time until as many pods as before are ready on those that are left.
pub(super) fn measure(plane: &ControlPlane, workers: &mut Workers, runs: usize, replicas: usize) -> Result<Vec<Kill>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(Config::load(Some(&plane.dir(0).join("kubeconfig")))?)?;
    let mut kills = Vec::new();
    for _ in 0..runs {
        let nodes = runtime.block_on(until_ready(&client, replicas, ""))?;
        let pods_of = |worker: &Worker| nodes.iter().filter(|node| **node == worker.name).count();
        let (_, mortal) = workers.0.split_last_mut().context("there are hosts")?;
        let victim = mortal.iter_mut().max_by_key(|worker| pods_of(worker)).context("there are hosts to kill")?;
        ensure!(pods_of(victim) > 0, "all pods are on the host that must not be killed: {nodes:?}");
        let began = Instant::now();
        victim.host = None;
        runtime.block_on(until_ready(&client, replicas, &victim.name))?;
        kills.push(Kill { began, felt_ms: began.elapsed().as_secs_f64() * 1e3 });
        victim.host = Some(Host::spawn(&mut victim.machine.host(&victim.dir)));
    }
    Ok(kills)
}

/// Waits until so many pods are ready, and none of the lost host's count; gives the nodes they are on.
async fn until_ready(client: &Client, replicas: usize, lost: &str) -> Result<Vec<String>> {
    let pods = kinds::by_any_name("pods").context("pods are built in")?;
    let began = Instant::now();
    loop {
        let list = client.list(pods, Some("default"), &ListOptions::default()).await?;
        let nodes: Vec<String> =
            list.items.iter().filter(|pod| is_ready(pod)).map(node).filter(|node| node != lost).collect();
        if nodes.len() == replicas {
            return Ok(nodes);
        }
        ensure!(began.elapsed() < PATIENCE, "{} of {replicas} pods are ready after {PATIENCE:?}", nodes.len());
        tokio::time::sleep(INTERVAL).await;
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let is_true = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    is_true && pod["metadata"]["deletionTimestamp"].is_null()
}

fn node(pod: &Value) -> String {
    pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
}
