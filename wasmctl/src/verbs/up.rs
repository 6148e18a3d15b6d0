//! `wasmctl up`: a whole cluster in this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::context::{Global, default_data_dir};
use crate::controller_flags::ControllerFlags;
use crate::daemon::{Advertised, listening};
use crate::duration::duration;
use crate::failure::Result;
use crate::host_flags::HostFlags;
use crate::up::{self, Options};
use crate::{logging, server};

pub(super) const API_PORT: u16 = 6443;
pub(super) const REGISTRY_PORT: u16 = 5000;

/// Start a cluster on this machine and keep it running until Ctrl-C
///
/// Everything is kept in the data directory; starting again goes on where it stopped.
///
/// Examples:
///   wasmctl up --demo
///   wasmctl up --advertise 10.0.0.1
///   wasmctl up --data-dir ./cluster --api-addr 127.0.0.1:0 --ingress-addr 127.0.0.1:0 --registry-addr 127.0.0.1:0
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where everything is kept [default: $XDG_DATA_HOME/coracle]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the Kubernetes API answers; port 0 takes any free one [default: 127.0.0.1:6443, or 0.0.0.0:6443 with --advertise]
    #[arg(long, value_name = "HOST:PORT")]
    api_addr: Option<SocketAddr>,
    /// Where HTTP requests to your components arrive; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    ingress_addr: SocketAddr,
    /// Where the embedded registry answers; port 0 takes any free one [default: 127.0.0.1:5000, or 0.0.0.0:5000 with --advertise]
    #[arg(long, value_name = "HOST:PORT")]
    registry_addr: Option<SocketAddr>,
    /// Let other machines join, which reach this one at this address or name
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Deploy a component that says hello
    #[arg(long)]
    demo: bool,
    /// How long the certificates of servers and hosts last, which are renewed before they end; 5s at least
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = duration)]
    certificate_ttl: Duration,
    #[command(flatten)]
    host: HostFlags,
    #[command(flatten)]
    controllers: ControllerFlags,
}

pub(crate) fn run(args: Args, global: &Global) -> Result<ExitCode> {
    logging::start(global.log_json);
    let advertised = args.advertise.as_deref().map(Advertised::look_up).transpose()?;
    let ip = advertised.as_ref().map_or(Ipv4Addr::LOCALHOST.into(), |advertised| listening(advertised.ip));
    up::run(&Options {
        data_dir: args.data_dir.unwrap_or_else(default_data_dir),
        server: server::Options {
            api_addr: args.api_addr.unwrap_or(SocketAddr::new(ip, API_PORT)),
            registry_addr: args.registry_addr.unwrap_or(SocketAddr::new(ip, REGISTRY_PORT)),
            advertised,
            certificate_ttl: args.certificate_ttl,
            controllers: args.controllers,
            name: None,
        },
        ingress_addr: args.ingress_addr,
        host: args.host,
        is_demo: args.demo,
    })
}
