//! A whole cluster in one process: starts a server and a host, prints what is where, and stops them in order.
//!
//! The parts meet as they would on many machines: the host, the ingress's routes and the demo are clients of the API server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use coracle_host::server::ServerIdentity;

use tokio::sync::mpsc;

use crate::daemon::{self, renewal_share, say, stop_signal};
use crate::data_dir::{self, DataDir};
use crate::demo;
use crate::failure::{Failure, Result};
use crate::host::{self, Host, Membership, machine};
use crate::host_flags::HostFlags;
use crate::progress::seconds;
use crate::server::{self, Server, Sockets, issued};

/// Components that were pushed and wait to be compiled; what is more than that is compiled when a pod wants it.
const PUSHED_MAX: usize = 64;

/// What `wasmctl up` was asked for.
pub(crate) struct Options {
    pub(crate) data_dir: PathBuf,
    pub(crate) server: server::Options,
    pub(crate) ingress_addr: SocketAddr,
    pub(crate) host: HostFlags,
    pub(crate) is_demo: bool,
}

/// The running parts.
struct Cluster {
    host: Host,
    server: Server,
}

/// Runs the cluster until Ctrl-C or SIGTERM.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    options.server.check()?;
    daemon::run(up(options, Instant::now()))
}

async fn up(options: &Options, started: Instant) -> Result<()> {
    let mut stop = std::pin::pin!(stop_signal());
    let data_dir = DataDir::open(&options.data_dir)?;
    if let Some(membership) = Membership::load(&data_dir)? {
        let message = format!("{} is the data directory of host {}", data_dir.path().display(), membership.node);
        return Err(Failure::new(message).hint("start it with `wasmctl host`, or name another folder with --data-dir"));
    }
    let (identity, is_new) = data_dir.identity()?;
    let news = if is_new { "new cluster" } else { "cluster" };
    say!("coracle {}  data {}  {news} \"{}\"", env!("CARGO_PKG_VERSION"), data_dir.path().display(), identity.name);
    let cluster = Cluster::start(options, &data_dir, &identity).await?;
    tokio::select! {
        served = serve(&cluster, options, &data_dir, started) => served?,
        () = &mut stop => {}
        failure = cluster.server.failed() => return Err(failure),
    }
    say!("stopping");
    cluster.stop().await;
    Ok(())
}

/// Says what is where, once it is there; then only an error ends it.
async fn serve(cluster: &Cluster, options: &Options, data_dir: &DataDir, started: Instant) -> Result<()> {
    cluster.host.ready().await?;
    say!("  control plane   https://{:<22} {}", cluster.server.api(), cluster.server.role());
    say!("  registry        http://{:<23} {}", cluster.server.registry(), coracle_registry::CLUSTER_REGISTRY);
    say!("  ingress         http://{}", cluster.host.ingress_addr());
    say!("  host            {:<30} {}", cluster.server.name(), machine());
    say!("ready in {}", seconds(started.elapsed()));
    if options.is_demo
        && let Some(url) = demo::deploy(data_dir.path()).await?
    {
        say!("\ndemo \"hello\" is answering:   curl {url}");
    }
    say!("kubectl and wasmctl:         export KUBECONFIG={}", data_dir.join("kubeconfig").display());
    say!("Ctrl-C stops the cluster; what you deployed is kept.");
    std::future::pending().await
}

impl Cluster {
    async fn start(options: &Options, data_dir: &DataDir, identity: &data_dir::Identity) -> Result<Cluster> {
        let sockets = Sockets::bind(&options.server)?;
        let (pushed, to_compile) = mpsc::channel(PUSHED_MAX);
        let server = Server::start(data_dir, identity, &options.server, sockets, Some(pushed)).await?;
        let node = server.name();
        let address = options.server.advertised.as_ref().map_or(Ipv4Addr::LOCALHOST.into(), |advertised| advertised.ip);
        let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned(), node.to_owned()];
        if !address.is_loopback() {
            names.push(address.to_string());
        }
        let certificate = issued(server.pki().issue_host(node, &names))?;
        let host = Host::start(host::Options {
            node_name: node.to_owned(),
            data_dir: data_dir.join("host"),
            flags: options.host.clone(),
            api_urls: vec![format!("https://{}", server.api_from_here())],
            identity: ServerIdentity {
                certificate: issued(certificate.rotating(renewal_share()))?,
                ca_pem: server.pki().ca_pem().as_bytes().to_vec(),
            },
            address,
            ingress_addr: options.ingress_addr,
            file: None,
            pushed: Some(to_compile),
        })?;
        let cluster = Cluster { host, server };
        cluster.write_files(data_dir, identity)?;
        Ok(cluster)
    }

    /// What other programs read: the kubeconfig and the addresses.
    fn write_files(&self, data_dir: &DataDir, identity: &data_dir::Identity) -> Result<()> {
        let ingress = self.host.ingress_addr();
        self.server.keep_kubeconfig(data_dir, identity, Some(ingress))?;
        let list = serde_json::json!({
            "api": self.server.api(), "ingress": ingress.to_string(), "registry": self.server.registry(),
        });
        data_dir::renew_private(&data_dir.join("addresses.json"), format!("{list:#}\n").as_bytes())
    }

    /// Stops from the outside in: no new requests, then no pods, then no API, then the store.
    async fn stop(self) {
        self.host.stop().await;
        self.server.stop().await;
    }
}
