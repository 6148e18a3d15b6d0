//! The worker's part of a process: the node agent, the ingress, and the routes between them.
//!
//! Knows the control plane only as its client, wherever it is.

mod joining;
mod membership;
mod neighbours;
mod news;
mod renewal;
mod routes;
mod servers;

pub(crate) use joining::join;
pub(crate) use membership::{Membership, MembershipFile};

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use coracle_api::{kinds, object};
use coracle_client::{Client, Config, ListOptions, WatchEvent, WatchOptions};
use coracle_host::agent::{self, HostError, HostOptions, PodHandlers};
use coracle_host::disk_quota::DiskQuota;
use coracle_host::linux::LinuxRuntime;
use coracle_host::node::is_deleted;
use coracle_host::runtimes::Runtimes;
use coracle_host::server::ServerIdentity;
use coracle_host::wasm::WasmRuntime;
use coracle_net::{Ingress, IngressOptions, Limits, Metrics, Outgoing, RoutingTable, Running, Transport};
use coracle_registry::{Endpoints, PullOptions, Puller, Reference};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::daemon::{self, STOP_GRACE, address_failure, listening};
use crate::failure::{Failure, Result, chain};
use crate::host_flags::HostFlags;

/// How long a host may take to report itself ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// What to do with a host that is none any more.
pub(crate) const JOIN_AGAIN: &str =
    "let it join anew: make a token with `wasmctl token create`, and start with --join TOKEN@HOST:PORT";
/// Pods that one host takes.
const PODS_MAX: u32 = 100_000;

/// What a host is started with.
pub(crate) struct Options {
    /// The node's name, as its certificate has it.
    pub(crate) node_name: String,
    /// Where images, logs and volumes are kept.
    pub(crate) data_dir: PathBuf,
    /// What pods may have of the machine.
    pub(crate) flags: HostFlags,
    /// The API servers, `https://HOST:PORT`: the one that is asked first, and others.
    pub(crate) api_urls: Vec<String>,
    /// Who the host is, for the API server and for those who ask the host.
    pub(crate) identity: ServerIdentity,
    /// Where other machines reach the host.
    pub(crate) address: IpAddr,
    pub(crate) ingress_addr: SocketAddr,
    /// Where the host keeps what it learns and gets, if that is anywhere.
    pub(crate) file: Option<MembershipFile>,
    /// Components as they are pushed to a registry of this process.
    pub(crate) pushed: Option<mpsc::Receiver<Reference>>,
}

/// A running host.
pub(crate) struct Host {
    node_name: String,
    client: Client,
    ingress: Running,
    /// Why the node agent ended by itself.
    ended: Shared<BoxFuture<'static, Option<Arc<HostError>>>>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Host {
    /// Starts everything; see [`Host::ready`] for what it takes to get pods.
    pub(crate) fn start(options: Options) -> Result<Host> {
        daemon::raise_open_files_limit();
        let Options { node_name, data_dir, flags, api_urls, identity, address, ingress_addr, file, pushed } = options;
        let tls = identity.client_tls().map_err(Failure::new)?;
        // Every API server answers for the registry, and it's as hosts' certificates say that they may pull.
        let cluster = Endpoints { servers: api_urls.clone(), tls: Some(tls.clone()), token: None };
        let client = Client::with_tls(client_config(api_urls, &identity), tls.clone())?;
        let puller = Arc::new(Puller::new(PullOptions { cluster: Some(cluster), ..PullOptions::default() }));
        let transport = Transport::new(tls);
        let handlers = Arc::new(PodHandlers::default());
        let routes = Arc::new(ArcSwap::from_pointee(RoutingTable::default()));
        let cluster = Some(Outgoing::new(routes.clone(), handlers.clone(), transport.clone(), rand::random()));
        let clock = Arc::new(coracle_host::runtime::SystemClock);
        std::fs::create_dir_all(&data_dir).map_err(|error| Failure::file(&data_dir, &error))?;
        let quota_bytes = flags.image_disk_quota.unwrap_or_else(|| DiskQuota::default_bytes(&data_dir));
        let quota = DiskQuota::new(quota_bytes, clock.clone());
        let runtime_options = coracle_host::wasm::Options {
            cluster,
            quota: quota.clone(),
            ..coracle_host::wasm::Options::new(&data_dir)
        };
        let wasm = WasmRuntime::open(runtime_options).map_err(|error| Failure::new(chain(&error)))?;
        let runtime = Runtimes { wasm, linux: LinuxRuntime::open(&data_dir, clock.clone(), quota.clone()) };
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let metrics = Arc::new(Metrics::new(workers));
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (hears, heard) = watch::channel(true);
        // Without a file the host is part of a server's process, and what it begins with is made anew at each start.
        let (file, always) = (file.map(Arc::new), client.config().server.clone());
        let always = Some(always).filter(|_| file.is_none());
        let keeping = renewal::keep(client.clone(), identity.certificate.clone(), file.clone());
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(keeping));
        let keeping = servers::keep(client.clone(), puller.clone(), always, file);
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(keeping));
        let host = agent::run(HostOptions {
            node_name: node_name.clone(),
            internal_ip: address.to_string(),
            data_dir,
            host_paths: flags.host_paths,
            client: client.clone(),
            runtime: Arc::new(runtime),
            images: puller.clone(),
            quota,
            pushed,
            listener: TcpListener::bind((listening(address), 0))?,
            identity,
            pods_max: PODS_MAX,
            clock,
            handlers: handlers.clone(),
            ingress: metrics.clone(),
            heard: hears,
            shutdown: shutdown.clone(),
        });
        let agent = tasks.spawn(async { host.await.err().map(Arc::new) });
        let ended = async { agent.await.ok().flatten() }.boxed().shared();
        let ingress = start_ingress(ingress_addr, workers, transport, metrics, &routes)?;
        let news = news::News::of(&node_name, heard);
        let keeping = routes::keep(client.clone(), node_name.clone(), news, handlers, routes, puller, shutdown.clone());
        tasks.spawn(keeping);
        Ok(Host { node_name, client, ingress, ended, shutdown, tasks })
    }

    /// Where the ingress listens.
    pub(crate) fn ingress_addr(&self) -> SocketAddr {
        self.ingress.local_addr()
    }

    /// Waits until the host's Node says Ready.
    pub(crate) async fn ready(&self) -> Result<()> {
        let node = &self.node_name;
        tokio::select! {
            ready = is_ready(&self.client, node) => ready,
            failure = self.ended() => Err(failure),
            () = tokio::time::sleep(READY_TIMEOUT) => {
                let seconds = READY_TIMEOUT.as_secs();
                let because = why_not_ready(&self.client, node).await.map_or_else(String::new, |why| format!(": {why}"));
                Err(Failure::timed_out(format!("host {node} is not ready after {seconds} s{because}")))
            }
        }
    }

    /// Waits until the host ends by itself; gives the reason.
    pub(crate) async fn ended(&self) -> Failure {
        match self.ended.clone().await {
            None => std::future::pending().await,
            Some(error) => {
                let failure = Failure::new(chain(&*error));
                match *error {
                    HostError::Deleted { .. } => failure.hint(JOIN_AGAIN),
                    _ => failure,
                }
            }
        }
    }

    /// Stops from the outside in: no new requests, then no pods.
    pub(crate) async fn stop(self) {
        self.ingress.shutdown(STOP_GRACE).await;
        daemon::end(&self.shutdown, &self.tasks).await;
    }
}

/// Whether the API servers say that the Node of this host was deleted. Where none answers, nobody says so.
pub(crate) async fn was_deleted(membership: &Membership) -> Result<bool> {
    let identity = membership.identity(1.0)?;
    let tls = identity.client_tls().map_err(Failure::new)?;
    let client = Client::with_tls(client_config(membership.api_urls(), &identity), tls)?;
    let path = format!("/api/v1/nodes/{}", membership.node);
    Ok(client.fetch::<serde_json::Value>(&path).await.is_err_and(|error| is_deleted(&error)))
}

/// This machine in a few words: `2 CPU, 23.4 GiB, wasm`.
pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let info = rustix::system::sysinfo();
    let bytes = info.totalram as f64 * f64::from(info.mem_unit);
    format!("{cpus} CPU, {:.1} GiB, wasm", bytes / f64::from(1 << 30))
}

fn client_config(mut servers: Vec<String>, identity: &ServerIdentity) -> Config {
    let other_servers = servers.split_off(1.min(servers.len()));
    Config {
        server: servers.pop().unwrap_or_default(),
        other_servers,
        ca_pem: identity.ca_pem.clone(),
        identity_pem: None,
        token: None,
        namespace: "default".to_owned(),
        context: "host".to_owned(),
        cluster: serde_json::Map::new(),
    }
}

fn start_ingress(
    addr: SocketAddr,
    workers: usize,
    transport: Arc<Transport>,
    metrics: Arc<Metrics>,
    routes: &Arc<ArcSwap<RoutingTable>>,
) -> Result<Running> {
    let options = IngressOptions {
        addr,
        workers,
        routes: routes.clone(),
        transport,
        metrics,
        seed: rand::random(),
        limits: Limits::default(),
    };
    Ingress::start(options).map_err(|error| address_failure("--ingress-addr", addr, &error))
}

/// What a host's Node says of why it is not Ready, where it can be asked.
async fn why_not_ready(client: &Client, node: &str) -> Option<String> {
    let found = client.get(&kinds::NODE, None, node).await.ok()?;
    let conditions = object::list_at(&found, &["status", "conditions"]).iter();
    let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready")?;
    Some(object::str_at(ready, &["message"])?.to_owned())
}

async fn is_ready(client: &Client, node: &str) -> Result<()> {
    let fields = format!("metadata.name={node}");
    let list = client.list(&kinds::NODE, None, &ListOptions::fields(&fields)).await?;
    if list.items.iter().any(crate::rollout::is_ready) {
        return Ok(());
    }
    let options =
        WatchOptions { field_selector: Some(fields), revision: Some(list.revision), ..WatchOptions::default() };
    let mut changes = client.watch(&kinds::NODE, None, &options).await?;
    while let Some(change) = changes.next().await {
        if let WatchEvent::Added(node) | WatchEvent::Modified(node) = change?
            && crate::rollout::is_ready(&node)
        {
            return Ok(());
        }
    }
    Err(Failure::new(format!("the watch of host {node} ended before it was ready")))
}
