//! A whole cluster in one process: starts each part, joins them on the wire, prints what is where, and stops them in order.
//!
//! The parts meet as they would on many machines: the host, the ingress's routes and the demo are clients of the API server.

mod data_dir;
pub(crate) mod logging;
mod routes;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use coracle_api::kinds;
use coracle_client::{Client, Config, Kubeconfig, ListOptions, WatchEvent, WatchOptions};
use coracle_control::pki::{Identity, Pki};
use coracle_control::sealing::Sealer;
use coracle_control::tokens::Tokens;
use coracle_control::{ClusterFiles, Objects, SystemClock, authorizer, driver, server, signer};
use coracle_host::agent::{self, HostOptions, PodHandlers};
use coracle_host::server::ServerIdentity;
use coracle_host::wasm::WasmRuntime;
use coracle_net::addresses::Cidr;
use coracle_net::{Ingress, IngressOptions, Limits, Metrics, RoutingTable, Running};
use coracle_registry::{BlobStore, Credentials, PullOptions, Puller, ServerOptions, StoreLimits};
use coracle_store::{OpenError, Options as StoreOptions, RealDisk, Store};
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster_file::{self, Endpoints};
use crate::context::now;
use crate::demo;
use crate::failure::{Failure, Result, chain};
use crate::progress::seconds;
use data_dir::DataDir;

/// How long the parts get to end what they are doing.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long the host may take to report itself ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The user that may push to the registry.
const REGISTRY_USER: &str = "admin";

/// The addresses of this machine's pods: any of 127.0.0.0/8 can be bound without privileges.
const POD_NETWORK: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 0);
const POD_NETWORK_PREFIX: u8 = 11;
/// Pods that one host takes.
const PODS_MAX: u32 = 100_000;

/// What `wasmctl up` was asked for.
pub(crate) struct Options {
    pub(crate) data_dir: PathBuf,
    pub(crate) api_addr: SocketAddr,
    pub(crate) ingress_addr: SocketAddr,
    pub(crate) registry_addr: SocketAddr,
    pub(crate) is_demo: bool,
}

/// Where everything listens.
struct Addresses {
    api: SocketAddr,
    ingress: SocketAddr,
    registry: SocketAddr,
}

/// The running parts.
struct Cluster {
    store: Store,
    ingress: Running,
    /// Ends the host first, the servers it needs after it.
    host_shutdown: CancellationToken,
    server_shutdown: CancellationToken,
    host_tasks: TaskTracker,
    server_tasks: TaskTracker,
}

/// Runs the cluster until Ctrl-C or SIGTERM.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let result = runtime.block_on(up(options, started));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result.map(|()| ExitCode::SUCCESS)
}

async fn up(options: &Options, started: Instant) -> Result<()> {
    let mut stop = std::pin::pin!(stop_signal());
    let data_dir = DataDir::open(&options.data_dir)?;
    let (identity, is_new) = data_dir.identity()?;
    let node = format!("{}-1", identity.name);
    let news = if is_new { "new cluster" } else { "cluster" };
    println!("coracle {}  data {}  {news} \"{}\"", env!("CARGO_PKG_VERSION"), data_dir.path().display(), identity.name);
    let (cluster, addresses) = start(options, &data_dir, &identity, &node).await?;
    let admin = Client::new(Config::load(Some(&data_dir.join("kubeconfig")))?)?;
    tokio::select! {
        ready = tokio::time::timeout(READY_TIMEOUT, host_is_ready(&admin, &node)) => {
            ready.unwrap_or_else(|_| Err(Failure::timed_out(format!("host {node} is not ready after {} s", READY_TIMEOUT.as_secs()))))?;
        }
        () = &mut stop => {
            cluster.stop().await;
            return Ok(());
        }
    }
    println!("  control plane   https://{:<22} 1 member, leader", addresses.api);
    println!("  registry        http://{:<23} {}", addresses.registry, coracle_registry::CLUSTER_REGISTRY);
    println!("  ingress         http://{}", addresses.ingress);
    println!("  host            {node:<30} {}", machine());
    println!("ready in {}", seconds(started.elapsed()));
    if options.is_demo {
        tokio::select! {
            deployed = demo::deploy(data_dir.path()) => {
                if let Some(url) = deployed? {
                    println!("\ndemo \"hello\" is answering:   curl {url}");
                }
            }
            () = &mut stop => {
                cluster.stop().await;
                return Ok(());
            }
        }
    }
    println!("kubectl and wasmctl:         export KUBECONFIG={}", data_dir.join("kubeconfig").display());
    println!("Ctrl-C stops the cluster; what you deployed is kept.");
    stop.await;
    println!("stopping");
    cluster.stop().await;
    Ok(())
}

async fn start(
    options: &Options,
    data_dir: &DataDir,
    identity: &data_dir::Identity,
    node: &str,
) -> Result<(Cluster, Addresses)> {
    let pki = Pki::open_or_create(&data_dir.join("pki"), now()).map_err(|error| Failure::new(chain(&error)))?;
    let pki = Arc::new(pki);
    let api = bind("--api-addr", options.api_addr)?;
    let registry = bind("--registry-addr", options.registry_addr)?;
    let (server_shutdown, host_shutdown) = (CancellationToken::new(), CancellationToken::new());
    let (server_tasks, host_tasks) = (TaskTracker::new(), TaskTracker::new());
    let registry_addr = registry.local_addr()?;
    let api_addr = api.local_addr()?;

    let store = open_store(data_dir).await?;
    let snapshot = store.read().await.map_err(|error| Failure::new(chain(&error)))?;
    let sealer = Sealer::open(&data_dir.join("pki"), &snapshot).map_err(|error| Failure::new(chain(&error)))?;
    let objects = Objects::new(store.clone(), Arc::new(SystemClock), sealer);
    serve_api(data_dir, identity, &pki, api, &objects, &server_shutdown, &server_tasks)?;
    server_tasks.spawn(signer::run(objects.clone(), pki.clone(), server_shutdown.clone()));
    server_tasks.spawn(driver::run(objects, pki.ca_pem().to_owned(), server_shutdown.clone()));
    serve_registry(data_dir, identity, registry, &server_shutdown, &server_tasks)?;

    let host_identity =
        issue(pki.issue_host(node, &["127.0.0.1".to_owned(), "localhost".to_owned(), node.to_owned()]))?;
    let client = Client::new(client_config(&pki, api_addr, &host_identity))?;
    let runtime = coracle_host::wasm::Options::new(&data_dir.join("host"));
    let runtime = WasmRuntime::open(runtime).map_err(|error| Failure::new(chain(&error)))?;
    let puller = Puller::new(PullOptions {
        cluster_registry: Some(format!("http://{registry_addr}")),
        ..PullOptions::default()
    });
    let handlers = Arc::new(PodHandlers::default());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let metrics = Arc::new(Metrics::new(workers));
    let host = agent::run(HostOptions {
        node_name: node.to_owned(),
        internal_ip: "127.0.0.1".to_owned(),
        data_dir: data_dir.join("host"),
        client: client.clone(),
        runtime: Arc::new(runtime),
        images: Arc::new(puller),
        listener: TcpListener::bind("127.0.0.1:0")?,
        identity: ServerIdentity {
            certificate_pem: host_identity.certificate_pem.clone().into_bytes(),
            key_pem: host_identity.key_pem.clone().into_bytes(),
            ca_pem: pki.ca_pem().as_bytes().to_vec(),
        },
        pod_cidr: Cidr::new(POD_NETWORK, POD_NETWORK_PREFIX).map_err(|error| Failure::new(error.to_string()))?,
        pods_max: PODS_MAX,
        clock: Arc::new(coracle_host::runtime::SystemClock),
        handlers: handlers.clone(),
        ingress: metrics.clone(),
        shutdown: host_shutdown.clone(),
    });
    host_tasks.spawn(async move {
        if let Err(error) = host.await {
            tracing::error!(error = chain(&error), "the host ended");
        }
    });

    let routes = Arc::new(ArcSwap::from_pointee(RoutingTable::default()));
    let ingress = start_ingress(options.ingress_addr, workers, metrics, &routes)?;
    server_tasks.spawn(routes::keep(client, node.to_owned(), handlers, routes, server_shutdown.clone()));
    let addresses = Addresses { api: api_addr, ingress: ingress.local_addr(), registry: registry_addr };
    write_files(data_dir, identity, &pki, &addresses)?;
    Ok((Cluster { store, ingress, host_shutdown, server_shutdown, host_tasks, server_tasks }, addresses))
}

async fn open_store(data_dir: &DataDir) -> Result<Store> {
    let options =
        StoreOptions { is_ephemeral: coracle_control::is_ephemeral, ..StoreOptions::new(data_dir.join("store")) };
    Store::open(options, Arc::new(RealDisk)).await.map_err(|error| {
        let failure = Failure::new(chain(&error));
        match error {
            OpenError::File { .. } => {
                failure.hint("free space on the disk or make the file writable, then start again; nothing is lost")
            }
            _ => failure,
        }
    })
}

fn serve_api(
    data_dir: &DataDir,
    identity: &data_dir::Identity,
    pki: &Pki,
    listener: TcpListener,
    objects: &Objects,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<()> {
    let failed = |error: coracle_control::pki::PkiError| Failure::new(chain(&error));
    let tokens = Tokens::open_or_create(&data_dir.join("pki")).map_err(|error| Failure::new(chain(&error)))?;
    let addr = listener.local_addr()?;
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        "kubernetes.default.svc.cluster.local".to_owned(),
    ];
    if !addr.ip().is_unspecified() {
        names.push(addr.ip().to_string());
    }
    names.dedup();
    let server_identity = issue(pki.issue_server(&names))?;
    // Hosts answer the API server's requests for logs only.
    let api_identity = issue(pki.issue_client("coracle:api-server", authorizer::MASTERS))?;
    let config = server::ServerConfig {
        listener,
        tls: pki.server_config(&server_identity).map_err(failed)?,
        objects: objects.clone(),
        authorizer: Arc::new(authorizer::Rbac::default()),
        tokens: Arc::new(tokens),
        host_tls: pki.client_config(&api_identity).map_err(failed)?,
        audit_log: Some(data_dir.join("audit.log")),
        cluster_files: ClusterFiles {
            cluster: identity.name.clone(),
            dir: data_dir.path().to_owned(),
            files: data_dir::IDENTITY_FILES,
            folders: data_dir::ARTIFACT_FOLDERS,
        },
        shutdown: shutdown.clone(),
    };
    tasks.spawn(async move {
        if let Err(error) = server::serve(config).await {
            tracing::error!(%error, "the API server ended");
        }
    });
    Ok(())
}

fn serve_registry(
    data_dir: &DataDir,
    identity: &data_dir::Identity,
    listener: TcpListener,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<()> {
    let store = BlobStore::open(&data_dir.join("registry"), StoreLimits::default())
        .map_err(|error| Failure::new(chain(&error)))?;
    let credentials = Credentials { user: REGISTRY_USER.to_owned(), password: identity.registry_password.clone() };
    let options = ServerOptions { listener, store: Arc::new(store), credentials, shutdown: shutdown.clone() };
    tasks.spawn(async move {
        if let Err(error) = coracle_registry::serve(options).await {
            tracing::error!(%error, "the registry ended");
        }
    });
    Ok(())
}

fn start_ingress(
    addr: SocketAddr,
    workers: usize,
    metrics: Arc<Metrics>,
    routes: &Arc<ArcSwap<RoutingTable>>,
) -> Result<Running> {
    let options = IngressOptions {
        addr,
        workers,
        routes: routes.clone(),
        metrics,
        seed: rand::random(),
        limits: Limits::default(),
    };
    Ingress::start(options).map_err(|error| address_failure("--ingress-addr", addr, &error))
}

fn bind(flag: &str, addr: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(addr).map_err(|error| address_failure(flag, addr, &error))
}

fn address_failure(flag: &str, addr: SocketAddr, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("{flag} {addr}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            failure.hint(format!("another program listens there (`ss -ltnp` names it): stop it, or choose another port with {flag}; port 0 takes any"))
        }
        _ => failure.hint(format!("choose another address with {flag}")),
    }
}

fn issue(issued: std::result::Result<Identity, coracle_control::pki::PkiError>) -> Result<Identity> {
    issued.map_err(|error| Failure::new(chain(&error)))
}

fn client_config(pki: &Pki, api: SocketAddr, identity: &Identity) -> Config {
    Config {
        server: format!("https://{api}"),
        ca_pem: pki.ca_pem().as_bytes().to_vec(),
        identity_pem: Some((identity.certificate_pem.as_bytes().to_vec(), identity.key_pem.as_bytes().to_vec())),
        token: None,
        namespace: "default".to_owned(),
        context: "in-process".to_owned(),
        cluster: serde_json::Map::new(),
    }
}

/// What other programs read: the kubeconfig and the addresses.
fn write_files(data_dir: &DataDir, identity: &data_dir::Identity, pki: &Pki, addresses: &Addresses) -> Result<()> {
    let admin = issue(pki.issue_admin())?;
    let server = format!("https://{}", addresses.api);
    let (ca, certificate, key) = (pki.ca_pem().as_bytes(), admin.certificate_pem.as_bytes(), admin.key_pem.as_bytes());
    let mut kubeconfig = Kubeconfig::single(&identity.name, &server, ca, certificate, key);
    let endpoints = Endpoints {
        registry: addresses.registry.to_string(),
        registry_user: REGISTRY_USER.to_owned(),
        registry_password: identity.registry_password.clone(),
        ingress: addresses.ingress.to_string(),
    };
    cluster_file::add(&mut kubeconfig, &endpoints);
    data_dir.write("kubeconfig", kubeconfig.to_yaml().as_bytes())?;
    let list = serde_json::json!({
        "api": addresses.api.to_string(), "ingress": addresses.ingress.to_string(), "registry": addresses.registry.to_string(),
    });
    data_dir.write("addresses.json", format!("{list:#}\n").as_bytes())
}

/// Waits until the host's Node says Ready, written since it was started.
async fn host_is_ready(client: &Client, node: &str) -> Result<()> {
    let kind = kinds::by_any_name("nodes").expect("nodes are built in");
    let fields = format!("metadata.name={node}");
    let list = client.list(kind, None, &ListOptions::fields(&fields)).await?;
    if list.items.iter().any(crate::rollout::is_ready) {
        return Ok(());
    }
    let options =
        WatchOptions { field_selector: Some(fields), revision: Some(list.revision), ..WatchOptions::default() };
    let mut changes = client.watch(kind, None, &options).await?;
    while let Some(change) = changes.next().await {
        if let WatchEvent::Added(node) | WatchEvent::Modified(node) = change?
            && crate::rollout::is_ready(&node)
        {
            return Ok(());
        }
    }
    Err(Failure::new(format!("the watch of host {node} ended before it was ready")))
}

/// This machine in a few words: `2 CPU, 23.4 GiB, wasm`.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let info = rustix::system::sysinfo();
    let bytes = info.totalram as f64 * f64::from(info.mem_unit);
    format!("{cpus} CPU, {:.1} GiB, wasm", bytes / f64::from(1 << 30))
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

impl Cluster {
    /// Stops from the outside in: no new requests, then no pods, then no API, then the store.
    async fn stop(self) {
        self.ingress.shutdown(STOP_GRACE).await;
        for (shutdown, tasks) in [(self.host_shutdown, self.host_tasks), (self.server_shutdown, self.server_tasks)] {
            shutdown.cancel();
            tasks.close();
            if tokio::time::timeout(STOP_GRACE, tasks.wait()).await.is_err() {
                tracing::warn!("a part did not stop in time; it is cut off");
            }
        }
        if let Err(error) = self.store.shutdown().await {
            tracing::warn!(%error, "the store's last checkpoint is missing; the next start replays the log");
        }
    }
}
