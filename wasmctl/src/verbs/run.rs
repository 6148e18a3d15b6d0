//! `wasmctl run`: one component without a cluster.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use coracle_host::egress::Egress;
use coracle_host::wasm::{RunOptions, ServeOptions, StandaloneError, run_standalone, serve_standalone};
use tokio_util::sync::CancellationToken;

use crate::context::{Global, block_on};
use crate::failure::{Failure, Result, chain};
use crate::{daemon, files, images};

/// 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Run a component without a cluster: a command to its end, a handler until interrupted
///
/// Examples:
///   wasmctl run job.wasm -- --verbose input.txt
///   wasmctl run hello.wat --addr 127.0.0.1:8000
///   wasmctl run report.wasm --egress api.example.com:443
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A component file, or an OCI reference
    #[arg(value_name = "FILE|REFERENCE")]
    what: String,
    /// An environment variable, K=V; may be repeated
    #[arg(long, value_name = "K=V")]
    env: Vec<String>,
    /// An entry of its configuration (wasi:config), K=V; may be repeated
    #[arg(long, value_name = "K=V")]
    config: Vec<String>,
    /// Where a handler answers
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    addr: SocketAddr,
    /// The most memory the component may have, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory_mib: u64,
    /// What it may reach: HOST, *.DOMAIN, * or ADDRESS/BITS, with or without :PORT; may be repeated
    #[arg(long, value_name = "PATTERN")]
    egress: Vec<String>,
    /// Arguments of a command
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let path = Path::new(&args.what);
    let bytes = if files::is_component(path) || path.exists() {
        files::read_component(path)?
    } else {
        block_on(images::pull(&args.what, global))?.0
    };
    let inspection = super::inspect::inspect(&args.what, &bytes)?;
    let env = pairs("--env", &args.env)?;
    let config = pairs("--config", &args.config)?;
    let egress: Egress = args.egress.join(",").parse().map_err(|error| Failure::usage(format!("--egress: {error}")))?;
    let options = |file: &Path| RunOptions {
        file: file.to_owned(),
        args: args.arguments.clone(),
        env: env.clone(),
        config: (!config.is_empty()).then(|| config.iter().cloned().collect()),
        memory_bytes_max: args.memory_mib << 20,
        egress: egress.clone(),
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("component.wasm");
    std::fs::write(&file, &bytes)?;
    let failed = |error: StandaloneError| Failure::new(format!("{}: {}", args.what, chain(&error)));
    match inspection.kind {
        kind if kind.is_command() => {
            let exit = block_on(async {
                let shutdown = CancellationToken::new();
                tokio::spawn(interrupts(shutdown.clone()));
                run_standalone(options(&file), shutdown).await.map_err(failed)
            })?;
            if !exit.message.is_empty() {
                eprintln!("{}: {}", args.what, exit.message);
            }
            Ok(ExitCode::from(u8::try_from(exit.code).unwrap_or(1)))
        }
        kind if kind.is_handler() && !args.arguments.is_empty() => Err(Failure::usage("a handler takes no arguments")),
        kind if kind.is_handler() => {
            let listener = TcpListener::bind(args.addr).map_err(|error| {
                Failure::new(format!("--addr {}: {error}", args.addr))
                    .hint("another port may be free: port 0 takes any")
            })?;
            eprintln!("answering at http://{}/ until Ctrl-C", listener.local_addr()?);
            listener.set_nonblocking(true)?;
            let shutdown = CancellationToken::new();
            block_on(async move {
                tokio::spawn(interrupts(shutdown.clone()));
                let listener = tokio::net::TcpListener::from_std(listener)?;
                serve_standalone(options(&file), ServeOptions { listener, shutdown }).await.map_err(failed)
            })?;
            Ok(ExitCode::SUCCESS)
        }
        kind => Err(Failure::new(format!(
            "{}: cannot run by itself: it is a {}",
            args.what,
            super::inspect::describe(kind)
        ))),
    }
}

/// Asks for an end at the first interrupt, and makes one at the second.
async fn interrupts(shutdown: CancellationToken) {
    daemon::stop_signal().await;
    shutdown.cancel();
    daemon::stop_signal().await;
    std::process::exit(EXIT_INTERRUPTED);
}

fn pairs(option: &str, given: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Failure::usage(format!("{option} {pair}: not K=V"))),
    };
    given.iter().map(pair).collect()
}
