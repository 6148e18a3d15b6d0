//! `wasmctl server`: this machine as a member of a control plane, without pods.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use coracle_client::join::Invitation;

use super::up::{API_PORT, REGISTRY_PORT};
use crate::context::{Global, default_data_dir};
use crate::controller_flags::ControllerFlags;
use crate::daemon::{self, Advertised, listening, stop_signal, until_ready};
use crate::data_dir::DataDir;
use crate::duration::duration;
use crate::failure::Result;
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
    /// Join a cluster first: a token of `wasmctl token create --role server`, and the address of a server
    #[arg(long, value_name = "TOKEN@HOST:PORT")]
    join: Option<Invitation>,
    /// The member's name [default: the machine's]
    #[arg(long, value_name = "NAME", requires = "join")]
    name: Option<String>,
    /// Where the Kubernetes API answers; port 0 takes any free one [default: port 6443 of all addresses]
    #[arg(long, value_name = "HOST:PORT")]
    api_addr: Option<SocketAddr>,
    /// Where this member's registry answers; port 0 takes any free one [default: port 5000 of all addresses]
    #[arg(long, value_name = "HOST:PORT")]
    registry_addr: Option<SocketAddr>,
    /// How long the certificates of servers and hosts last, which are renewed before they end
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
    };
    options.check()?;
    let data_dir = DataDir::open(&args.data_dir.unwrap_or_else(default_data_dir))?;
    let sockets = Sockets::bind(&options)?;
    if let Some(invitation) = &args.join {
        join(&data_dir, invitation, args.name, &advertised, sockets.api_port()?).await?;
    }
    let (identity, is_new) = data_dir.identity()?;
    let server = Server::start(&data_dir, &identity, &options, sockets, None).await?;
    let (version, path) = (env!("CARGO_PKG_VERSION"), data_dir.path().display());
    let news = if is_new { "new cluster" } else { "cluster" };
    println!("coracle {version}  data {path}  {news} \"{}\"  member \"{}\"", identity.name, server.name());
    println!("  control plane   https://{}", server.api());
    println!("  registry        http://{}", server.registry());
    server.keep_kubeconfig(&data_dir, &identity, None)?;
    tokio::select! {
        () = until_ready("the other members", || server.ready()) => println!("ready in {}, {}", seconds(started.elapsed()), server.role()),
        () = &mut stop => {
            server.stop().await;
            return Ok(());
        }
        failure = server.failed() => return Err(failure),
    }
    println!("kubectl and wasmctl:         export KUBECONFIG={}", data_dir.join("kubeconfig").display());
    println!("Ctrl-C stops this member.");
    tokio::select! {
        () = stop => {}
        // Hosts and clients go to another member when this one is gone.
        failure = server.failed() => return Err(failure),
    }
    println!("stopping");
    server.stop().await;
    Ok(())
}
