//! `wasmctl server`: this machine as a member of a control plane, without pods.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::up::{API_PORT, REGISTRY_PORT};
use crate::context::{Global, default_data_dir};
use crate::controller_flags::ControllerFlags;
use crate::daemon::{self, Advertised, listening, say, stop_signal, until_ready};
use crate::data_dir::DataDir;
use crate::duration::duration;
use crate::failure::Result;
use crate::joiner;
use crate::logging;
use crate::progress::seconds;
use crate::server::{Options, Server, Sockets, join};

/// Run a member of the control plane on this machine until Ctrl-C
///
/// Without a token it begins a cluster. Three members go on when any one of them is lost.
///
/// Examples:
///   wasmctl server --advertise 10.0.0.1
///   wasmctl server --advertise 10.0.0.2 --join TOKEN@10.0.0.1:6443
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where everything is kept [default: $XDG_DATA_HOME/coracle]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address or name under which other machines reach this one
    #[arg(long, value_name = "HOST")]
    advertise: String,
    /// Join a cluster first: a token of `wasmctl token create --role server`, and the address of a server. Who has joined it stays in it
    #[arg(long, value_name = "TOKEN@HOST:PORT")]
    join: Option<String>,
    /// The member's name, which it keeps [default: the machine's; of a cluster's first, the cluster's and `-1`]
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Where the Kubernetes API answers; port 0 takes any free one [default: port 6443 of all addresses]
    #[arg(long, value_name = "HOST:PORT")]
    api_addr: Option<SocketAddr>,
    /// Where this member's registry answers; port 0 takes any free one [default: port 5000 of all addresses]
    #[arg(long, value_name = "HOST:PORT")]
    registry_addr: Option<SocketAddr>,
    /// How long the certificates of servers and hosts last, which are renewed before they end; 5s at least
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = duration)]
    certificate_ttl: Duration,
    #[command(flatten)]
    controllers: ControllerFlags,
}

pub(crate) fn run(args: Args, global: &Global) -> Result<ExitCode> {
    logging::start(global.log_json);
    daemon::run(work(args, Instant::now()))
}

async fn work(args: Args, started: Instant) -> Result<()> {
    let mut stop = std::pin::pin!(stop_signal());
    let advertised = Advertised::look_up(&args.advertise)?;
    let ip = listening(advertised.ip);
    let options = Options {
        api_addr: args.api_addr.unwrap_or(SocketAddr::new(ip, API_PORT)),
        registry_addr: args.registry_addr.unwrap_or(SocketAddr::new(ip, REGISTRY_PORT)),
        advertised: Some(advertised.clone()),
        certificate_ttl: args.certificate_ttl,
        controllers: args.controllers,
        name: args.name.clone(),
    };
    let invitation = joiner::invitation(args.join.as_deref())?;
    options.check()?;
    let data_dir = DataDir::open(&args.data_dir.unwrap_or_else(default_data_dir))?;
    let sockets = Sockets::bind(&options)?;
    if let Some(invitation) = &invitation {
        join(&data_dir, invitation, args.name, &advertised, sockets.api_port()?).await?;
    }
    let (identity, is_new) = data_dir.identity()?;
    let server = Server::start(&data_dir, &identity, &options, sockets, None).await?;
    let (version, path) = (env!("CARGO_PKG_VERSION"), data_dir.path().display());
    let news = if is_new { "new cluster" } else { "cluster" };
    say!("coracle {version}  data {path}  {news} \"{}\"  member \"{}\"", identity.name, server.name());
    say!("  control plane   https://{}", server.api());
    say!("  registry        http://{}", server.registry());
    server.keep_kubeconfig(&data_dir, &identity, None)?;
    tokio::select! {
        () = until_ready("the other members", || server.ready()) => say!("ready in {}, {}", seconds(started.elapsed()), server.role()),
        () = &mut stop => {
            server.stop().await;
            return Ok(());
        }
        failure = server.failed() => return Err(failure),
    }
    joiner::forget(&data_dir)?;
    say!("kubectl and wasmctl:         export KUBECONFIG={}", data_dir.join("kubeconfig").display());
    say!("Ctrl-C stops this member.");
    tokio::select! {
        () = stop => {}
        // Hosts and clients go to another member when this one is gone.
        failure = server.failed() => return Err(failure),
    }
    say!("stopping");
    server.stop().await;
    Ok(())
}

/// A name as machines have it.
pub(crate) fn name(text: &str) -> std::result::Result<String, String> {
    match coracle_api::validation::dns1123_subdomain(text).first() {
        None => Ok(text.to_owned()),
        Some(error) => Err(error.to_string()),
    }
}
