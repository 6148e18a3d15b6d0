//! `wasmctl up`: a whole cluster in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::context::{Global, default_data_dir};
use crate::controller_flags::ControllerFlags;
use crate::failure::Result;
use crate::up::{self, Options};
use crate::{logging, server};

/// Start a cluster on this machine and keep it running until Ctrl-C
///
/// Everything is kept in the data directory; starting again goes on where it stopped.
///
/// Examples:
///   wasmctl up --demo
///   wasmctl up --data-dir ./cluster --api-addr 127.0.0.1:0 --ingress-addr 127.0.0.1:0 --registry-addr 127.0.0.1:0
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where everything is kept [default: $XDG_DATA_HOME/coracle]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the Kubernetes API answers; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6443")]
    api_addr: SocketAddr,
    /// Where HTTP requests to your components arrive; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    ingress_addr: SocketAddr,
    /// Where the embedded registry answers; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    registry_addr: SocketAddr,
    /// Deploy a component that says hello
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    controllers: ControllerFlags,
}

pub(crate) fn run(args: Args, global: &Global) -> Result<ExitCode> {
    logging::start(global.log_json);
    up::run(&Options {
        data_dir: args.data_dir.unwrap_or_else(default_data_dir),
        server: server::Options {
            api_addr: args.api_addr,
            registry_addr: args.registry_addr,
            controllers: args.controllers,
        },
        ingress_addr: args.ingress_addr,
        is_demo: args.demo,
    })
}
