//! 5,000 hosts that run nothing: what their signs of life cost the server, whether any of it is written to the log, and how soon it is known
//! that many of them have fallen silent at once.
//!
//! Each host is a connection with the certificate of its node, which renews the node's lease every second, as hosts do. Deliberately absent:
//! what else hosts ask for.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use coracle_api::object;
use coracle_client::Config;
use coracle_tests::{Server, server};
use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use parking_lot::Mutex;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::api::{Connection, JSON, MERGE, Target};
use crate::report::{Report, percentile, processor_us, resident_mb};

const HOSTS: usize = 5_000;
/// Of which so many are killed at once.
const STOPPED: usize = 500;
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_secs(30);
/// Nodes that are registered by one request.
const BATCH: usize = 500;
/// Handshakes under way at once.
const HANDSHAKES_MAX: usize = 32;
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
/// When the lease of a host says that it was renewed first; nobody goes by it.
const EPOCH: &str = "2026-11-21T10:00:00Z";

/// Lets hosts live, then kills some.
pub(crate) fn measure() -> Result<Report> {
    raise_file_limit()?;
    let dir = tempfile::tempdir_in(crate::report::results_dir()?)?;
    // The usual range has addresses for 512 hosts.
    let ranges = ["--cluster-cidr", "10.0.0.0/8", "--node-cidr-mask-size", "22"];
    let server = Server::spawn(dir.path(), server(dir.path()).args(ranges));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut report = Report::new("nodes", &["per second", "p50 ms", "p99 ms"]);
        let admin = Target::of(&dir.path().join("kubeconfig"))?;
        let mut admin = Connection::open(&admin).await?;
        register(&mut admin).await?;
        let times = Arc::new(Mutex::new(Vec::new()));
        let mut hosts = start(dir.path(), &times).await?;
        settle(&mut admin, &times).await?;

        let process = server.process_id();
        let (log_before, server_before, own_before) =
            (log_bytes(&mut admin).await?, processor_us(process)?, processor_us(std::process::id())?);
        times.lock().clear();
        let began = Instant::now();
        tokio::time::sleep(ROUND).await;
        let seconds = began.elapsed().as_secs_f64();
        let mut renewals = std::mem::take(&mut *times.lock());
        let share = |before: f64, after: f64| (after - before) / 1e6 / seconds;
        let server_cores = share(server_before, processor_us(process)?);
        let own_cores = share(own_before, processor_us(std::process::id())?);
        let log_written = log_bytes(&mut admin).await? - log_before;
        let lost = not_ready(&list(&mut admin).await?).count();

        let mut found = kill(&mut admin, &mut hosts).await?;
        let rate = renewals.len() as f64 / seconds;
        report.row("leases renewed", &[rate, percentile(&mut renewals, 0.5), percentile(&mut renewals, 0.99)]);
        report.row("processors used: the server's, the hosts'", &[f64::NAN, server_cores, own_cores]);
        report.row("resident MB of the server", &[f64::NAN, resident_mb(process)?, f64::NAN]);
        let (p50, worst) = (percentile(&mut found, 0.5), percentile(&mut found, 1.0));
        report.row(format!("from the end of {STOPPED} hosts to NotReady: p50, worst"), &[f64::NAN, p50, worst]);
        report.at_least("share of the leases renewed in time", rate / HOSTS as f64, 0.95);
        report.at_most("processors for the signs of life of 5,000 hosts", server_cores, 1.0);
        report.at_most("bytes of the log written for them", log_written, 0.0);
        report.at_most("hosts that live and are NotReady", lost as f64, 0.0);
        report.at_most("s until all that ended are NotReady", worst / 1e3, 6.0);
        Ok(report)
    })
}

/// Each host takes a socket here, and one in the server, which takes over the limit.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let needed = HOSTS as u64 + 500;
    ensure!(limit.maximum.is_none_or(|maximum| maximum >= needed), "{needed} open files are needed: `ulimit -Hn`");
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

fn name(host: usize) -> String {
    format!("host-{host:04}")
}

/// Registers all hosts, each Ready.
async fn register(admin: &mut Connection) -> Result<()> {
    let hosts: Vec<usize> = (0..HOSTS).collect();
    for (verb, hosts) in
        ["create", "updateStatus"].into_iter().flat_map(|verb| hosts.chunks(BATCH).map(move |hosts| (verb, hosts)))
    {
        let item = |host: &usize| {
            let ready =
                json!({ "type": "Ready", "status": "True", "reason": "HostReady", "lastTransitionTime": EPOCH });
            let resources = json!({ "cpu": "2", "memory": "4Gi", "pods": "100" });
            json!({ "verb": verb, "object": {
                "apiVersion": "v1", "kind": "Node",
                "metadata": { "name": name(*host), "labels": { "kubernetes.io/hostname": name(*host) } },
                "status": { "conditions": [ready], "capacity": resources, "allocatable": resources },
            } })
        };
        let items: Vec<Value> = hosts.iter().map(item).collect();
        let batch = json!({ "apiVersion": "coracle.dev/v1", "kind": "Batch", "items": items }).to_string();
        let answer = admin.send("POST", "/apis/coracle.dev/v1/batches", JSON, batch.as_bytes()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let refused = answer["items"].as_array().into_iter().flatten().find(|item| item["code"] != 200);
        ensure!(refused.is_none(), "a host was not registered: {refused:?}");
    }
    Ok(())
}

/// Lets all hosts live, their renewals spread over the interval. Each notes how many milliseconds a renewal took.
async fn start(dir: &Path, times: &Arc<Mutex<Vec<f64>>>) -> Result<Vec<JoinHandle<Result<()>>>> {
    let config = Config::load(Some(&dir.join("kubeconfig")))?;
    let pem = |file: &str| std::fs::read_to_string(dir.join("pki").join(file)).with_context(|| file.to_owned());
    let issuer = Issuer::from_ca_cert_pem(&pem("ca.crt")?, KeyPair::from_pem(&pem("ca.key")?)?)?;
    let key = KeyPair::generate()?;
    let target = |host: usize| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("system:node:{}", name(host)));
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &issuer)?.pem().into_bytes();
        Target::new(&Config { identity_pem: Some((certificate, key.serialize_pem().into_bytes())), ..config.clone() })
    };
    let targets: Vec<Target> = (0..HOSTS).map(target).collect::<Result<_>>()?;
    let connecting = targets.iter().map(Connection::open);
    let connections: Vec<Result<Connection>> = stream::iter(connecting).buffered(HANDSHAKES_MAX).collect().await;
    let began = tokio::time::Instant::now();
    let hosts = connections.into_iter().enumerate().map(|(host, connection)| {
        let first = began + RENEW_INTERVAL.mul_f64(host as f64 / HOSTS as f64);
        Ok(tokio::spawn(live(host, connection?, first, times.clone())))
    });
    hosts.collect()
}

/// One host.
async fn live(
    host: usize,
    mut connection: Connection,
    first: tokio::time::Instant,
    times: Arc<Mutex<Vec<f64>>>,
) -> Result<()> {
    let (name, epoch): (_, Timestamp) = (name(host), EPOCH.parse()?);
    let mut ticks = tokio::time::interval_at(first, RENEW_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let spec = |renewed: Timestamp| json!({ "holderIdentity": name, "leaseDurationSeconds": 5, "renewTime": object::micro_timestamp(renewed) });
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": name, "namespace": "kube-node-lease" }, "spec": spec(epoch),
    });
    ticks.tick().await;
    connection.send("POST", LEASES, JSON, lease.to_string().as_bytes()).await?;
    let path = format!("{LEASES}/{name}");
    loop {
        ticks.tick().await;
        let sent = Instant::now();
        let patch = json!({ "spec": spec(epoch + first.elapsed()) }).to_string();
        connection.send("PATCH", &path, MERGE, patch.as_bytes()).await?;
        times.lock().push(sent.elapsed().as_secs_f64() * 1e3);
    }
}

/// Waits until all hosts live, and nothing else is written.
async fn settle(admin: &mut Connection, times: &Mutex<Vec<f64>>) -> Result<()> {
    let began = Instant::now();
    loop {
        times.lock().clear();
        let log_before = log_bytes(admin).await?;
        tokio::time::sleep(2 * RENEW_INTERVAL).await;
        let is_quiet = log_bytes(admin).await? == log_before;
        if is_quiet && times.lock().len() >= HOSTS && not_ready(&list(admin).await?).next().is_none() {
            return Ok(());
        }
        ensure!(
            began.elapsed() < coracle_tests::PATIENCE,
            "{HOSTS} hosts don't live, or something is written all the time"
        );
    }
}

/// Kills hosts; gives for each after how many milliseconds those who watch were told that it is lost.
async fn kill(admin: &mut Connection, hosts: &mut Vec<JoinHandle<Result<()>>>) -> Result<Vec<f64>> {
    let nodes = list(admin).await?;
    let revision = nodes["metadata"]["resourceVersion"].as_str().context("a list has a revision")?;
    admin.watch(&[format!("/api/v1/nodes?watch=true&resourceVersion={revision}")]).await?;
    let began = Instant::now();
    for host in hosts.drain(..STOPPED) {
        if host.is_finished() {
            host.await??;
        } else {
            host.abort();
        }
    }
    let (mut found, mut unread) = (vec![None; STOPPED], Vec::new());
    while found.iter().any(Option::is_none) {
        let piece: Bytes = tokio::time::timeout(coracle_tests::PATIENCE, admin.next()).await??;
        unread.extend_from_slice(&piece);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let event: Value = serde_json::from_slice(&unread[..end])?;
            unread.drain(..=end);
            if is_ready(&event["object"]) {
                continue;
            }
            let lost = event["object"]["metadata"]["name"].as_str().and_then(|name| name.strip_prefix("host-"));
            let host: usize = lost.context("a node that is no host")?.parse()?;
            ensure!(host < STOPPED, "host {host} lives, and counts as lost");
            found[host].get_or_insert(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

async fn list(admin: &mut Connection) -> Result<Value> {
    Ok(serde_json::from_slice(&admin.get("/api/v1/nodes").await?)?)
}

fn not_ready(nodes: &Value) -> impl Iterator<Item = &Value> {
    nodes["items"].as_array().into_iter().flatten().filter(|node| !is_ready(node))
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// What the Raft log takes on the disk.
async fn log_bytes(admin: &mut Connection) -> Result<f64> {
    let metrics = admin.get("/metrics").await?;
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    let value = metrics.lines().find_map(|line| line.strip_prefix("coracle_store_log_bytes "));
    Ok(value.context("the server says how long its log is")?.parse()?)
}
