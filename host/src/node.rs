//! The host as a Node object, and the lease that shows it is alive.
//!
//! Deliberately absent: deciding that a node is lost. The control plane does, from the lease. And coming back after the Node was deleted: the
//! machine has to join again.

use std::sync::Arc;
use std::time::Duration;

use coracle_api::join::NODE_DELETED;
use coracle_api::{kinds, object};
use coracle_client::{Client, Error, InformerEvent, ListOptions, PatchKind, WriteOptions};
use coracle_net::addresses::Cidr;
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::pod::environment::Allocatable;
use crate::runtime::Clock;
use crate::status::seconds;

/// What the lease says. How long a host may be silent before it counts as lost, the control plane knows.
pub const LEASE_SECONDS: u64 = 5;
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// How long a server may take to renew the lease before another one is asked: there must be time for that one.
const RENEW_TIMEOUT: Duration = Duration::from_millis(1_500);
const LEASE_NAMESPACE: &str = "kube-node-lease";
const RUNTIME_LABEL: &str = "coracle.dev/runtime.wasm";
/// Pods of one host unless said otherwise.
pub const PODS_DEFAULT: u32 = 100_000;

/// What a node is and has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its address, as other machines reach it.
    pub internal_ip: String,
    /// Where its log server listens.
    pub port: u16,
    /// Most pods, should it have addresses for so many.
    pub pods: u32,
    /// What the machine has.
    pub machine: Machine,
}

/// What a machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Processors that this process may use.
    pub cpus: u64,
    /// Memory.
    pub memory_bytes: u64,
    /// Size of the file system that holds the data.
    pub disk_bytes: u64,
    /// `/etc/machine-id`, or empty.
    pub machine_id: String,
    /// This boot.
    pub boot_id: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// The system's name.
    pub os_image: String,
}

impl Machine {
    /// Looks at the machine; what cannot be found out stays empty.
    pub fn look(data_dir: &std::path::Path) -> Machine {
        let text = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let release = text("/etc/os-release");
        let os_image = release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))
            .map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned());
        Machine {
            cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
            memory_bytes: memory_bytes(&text("/proc/meminfo")),
            disk_bytes: rustix::fs::statvfs(data_dir).map(|disk| disk.f_blocks * disk.f_frsize).unwrap_or(0),
            machine_id: text("/etc/machine-id"),
            boot_id: text("/proc/sys/kernel/random/boot_id"),
            kernel_version: text("/proc/sys/kernel/osrelease"),
            os_image,
        }
    }
}

impl Machine {
    /// What it has for pods.
    pub fn allocatable(&self) -> Allocatable {
        let whole = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        Allocatable {
            cpu_millis: whole(self.cpus.saturating_mul(1000)),
            memory_bytes: whole(self.memory_bytes),
            disk_bytes: whole(self.disk_bytes),
        }
    }
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
        << 10
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The Node object, as a host registers that joined nothing as it is part of a server's process. One that was deleted asks for the range
/// that its pods' addresses are of.
pub fn node_object(facts: &NodeFacts, range: Option<Cidr>, now: Timestamp) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": facts.name,
            "labels": labels(facts),
        },
        "spec": range.map_or_else(|| json!({}), |range| json!({ "podCIDR": range.to_string(), "podCIDRs": [range.to_string()] })),
        "status": node_status(facts, range, &Value::Null, now),
    })
}

fn labels(facts: &NodeFacts) -> Value {
    json!({
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch(),
        RUNTIME_LABEL: "true",
    })
}

/// The range of the pods' addresses that a controller gave the Node.
fn range(node: &Value) -> Option<Cidr> {
    object::str_at(node, &["spec", "podCIDR"])?.parse().ok()
}

/// The Node's status: ready once it has a range for its pods' addresses. `before` is the one in the API, whose transition
/// times are kept.
pub fn node_status(facts: &NodeFacts, range: Option<Cidr>, before: &Value, now: Timestamp) -> Value {
    let machine = &facts.machine;
    // The first and the last address are no pod's.
    let pods = range.map_or(facts.pods, |range| facts.pods.min(range.size() - 2));
    let resources = json!({
        "cpu": machine.cpus.to_string(),
        "memory": format!("{}Ki", machine.memory_bytes >> 10),
        "pods": pods.to_string(),
        "ephemeral-storage": format!("{}Ki", machine.disk_bytes >> 10),
    });
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        let known = object::list_at(before, &["conditions"])
            .iter()
            .find(|known| known["type"] == kind && known["status"] == status);
        let since =
            known.and_then(|known| known["lastTransitionTime"].as_str()).map_or_else(|| seconds(now), str::to_owned);
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": seconds(now),
            "lastTransitionTime": since,
        })
    };
    let ready = match range {
        Some(_) => condition("Ready", "True", "HostReady", "host is posting ready status"),
        None => condition("Ready", "False", "HostNotReady", "host waits for its range of pod addresses, spec.podCIDR"),
    };
    json!({
        "capacity": resources,
        "allocatable": resources,
        "conditions": [
            condition("MemoryPressure", "False", "HostHasSufficientMemory", "host has sufficient memory available"),
            condition("DiskPressure", "False", "HostHasNoDiskPressure", "host has no disk pressure"),
            condition("PIDPressure", "False", "HostHasSufficientPID", "host has sufficient PID available"),
            ready,
        ],
        "addresses": [
            { "type": "InternalIP", "address": facts.internal_ip },
            { "type": "Hostname", "address": facts.name },
        ],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": facts.port } },
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.machine_id,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel_version,
            "osImage": machine.os_image,
            "containerRuntimeVersion": "wasmtime://48.0.8",
            "kubeletVersion": "v1.36.0+coracle",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": arch(),
        },
    })
}

/// The lease, renewed now.
pub fn lease_object(name: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": name, "namespace": LEASE_NAMESPACE },
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": object::micro_timestamp(now),
        },
    })
}

/// Whether the Node in the API says what it should.
fn is_registered(facts: &NodeFacts, range: Option<Cidr>, node: &Value) -> bool {
    let status = &node["status"];
    let wanted = node_status(facts, range, &Value::Null, Timestamp::UNIX_EPOCH);
    let ready = |status: &Value| {
        let conditions = object::list_at(status, &["conditions"]).iter();
        conditions.filter(|known| known["type"] == "Ready").map(|known| known["status"].clone()).next()
    };
    ready(status) == ready(&wanted)
        && ["capacity", "addresses", "daemonEndpoints"].iter().all(|field| status[field] == wanted[field])
        && object::label(node, RUNTIME_LABEL) == Some("true")
}

/// Registers the node and keeps it so, whoever changes or deletes it, until `shutdown`; tells `given` the range of its pods'
/// addresses.
pub async fn keep_registered(
    client: Client,
    facts: Arc<NodeFacts>,
    clock: Arc<dyn Clock>,
    given: watch::Sender<Option<Cidr>>,
    shutdown: CancellationToken,
) {
    let options = ListOptions::fields(format!("metadata.name={}", facts.name));
    let mut nodes = client.informer(&kinds::NODE, None, options);
    loop {
        let event = tokio::select! {
            event = nodes.next() => event,
            () = shutdown.cancelled() => return,
        };
        let present = match event {
            None => return,
            Some(InformerEvent::Restarted(nodes)) => nodes.into_iter().next(),
            Some(InformerEvent::Applied(node)) => Some(node),
            Some(InformerEvent::Deleted(_)) => None,
        };
        // The first one is kept: pods have its addresses.
        given.send_if_modified(|given| {
            let is_new = given.is_none();
            *given = given.or_else(|| range(present.as_ref()?));
            is_new && given.is_some()
        });
        let range = *given.borrow();
        let mut is_failing = false;
        while let Err(error) = register(&client, &facts, range, present.as_ref(), clock.now()).await {
            if is_deleted(&error) {
                return;
            }
            if !std::mem::replace(&mut is_failing, true) {
                tracing::warn!(node = facts.name, %error, "the node could not be registered; trying again every second");
            }
            tokio::select! {
                () = tokio::time::sleep(RENEW_INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
            // A conflict or a deletion meanwhile comes as an event of its own.
            if error.status().is_some() {
                break;
            }
        }
    }
}

async fn register(
    client: &Client,
    facts: &NodeFacts,
    range: Option<Cidr>,
    present: Option<&Value>,
    now: Timestamp,
) -> Result<(), Error> {
    let node = match present {
        Some(node) if object::is_deleting(node) || is_registered(facts, range, node) => return Ok(()),
        Some(node) if object::label(node, RUNTIME_LABEL) == Some("true") => node.clone(),
        Some(node) => {
            let labels = json!({ "metadata": { "labels": labels(facts) } });
            let options = WriteOptions::default();
            client.patch(&kinds::NODE, None, object::name(node), PatchKind::Merge, &labels, &options).await?
        }
        None => {
            let node = node_object(facts, range, now);
            match client.create(&kinds::NODE, None, &node, &WriteOptions::default()).await {
                // That comes as an event.
                Err(error) if error.is_already_exists() => return Ok(()),
                created => return created.map(drop),
            }
        }
    };
    let patch = json!({ "status": node_status(facts, range, &node["status"], now) });
    let options = WriteOptions { subresource: Some("status"), ..WriteOptions::default() };
    client.patch(&kinds::NODE, None, &facts.name, PatchKind::Merge, &patch, &options).await?;
    Ok(())
}

/// The Node was deleted, and with it what the host may do.
#[derive(Debug, thiserror::Error)]
#[error("its Node was deleted")]
pub struct Deleted;

/// Whether a request was refused because the Node was deleted.
pub fn is_deleted(error: &Error) -> bool {
    error.status().is_some_and(|status| status.reason == NODE_DELETED)
}

/// Renews the lease about once a second until `shutdown`, or until it's told that the Node was deleted. `heard` says whether the last
/// time was answered.
pub async fn keep_alive(
    client: Client,
    facts: Arc<NodeFacts>,
    clock: Arc<dyn Clock>,
    heard: watch::Sender<bool>,
    shutdown: CancellationToken,
) -> Result<(), Deleted> {
    let client = client.with_request_timeout(RENEW_TIMEOUT);
    let mut ticks = tokio::time::interval(RENEW_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        let renewed = renew(&client, &facts.name, clock.now()).await;
        let is_heard = renewed.is_ok();
        // Whoever waits for it is woken for news only, not with each renewal.
        let is_news = heard.send_if_modified(|heard| std::mem::replace(heard, is_heard) != is_heard);
        match renewed {
            Err(error) if is_deleted(&error) => return Err(Deleted),
            Err(error) if is_news => {
                tracing::warn!(node = facts.name, %error, "the node's lease could not be renewed; trying again every second");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

async fn renew(client: &Client, name: &str, now: Timestamp) -> Result<(), Error> {
    let lease = lease_object(name, now);
    let options = WriteOptions::default();
    let patch = json!({ "spec": lease["spec"] });
    match client.patch(&kinds::LEASE, Some(LEASE_NAMESPACE), name, PatchKind::Merge, &patch, &options).await {
        Err(error) if error.is_not_found() => {
            client.create(&kinds::LEASE, Some(LEASE_NAMESPACE), &lease, &options).await.map(drop)
        }
        result => result.map(drop),
    }
}

#[cfg(test)]
mod tests;
