//! Runs one component without a cluster: a command to its end, a handler behind an address, or neither, to see how soon its instances start.
//!
//! Deliberately absent: limits on compilation. It is the user's own file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::kinds::pod::CONFIG_ANNOTATION;
use coracle_net::{DirectStream, Limits, serve_stream};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::compile::host_error;
use super::component::instantiate_once;
use super::{OpenError, Options, WasmRuntime};
use crate::egress::Egress;
use crate::inspect::Kind;
use crate::runtime::{
    ContainerSpec, Exit, LogSink, PodIdentity, Prepared, PreparedArtifact, Runtime, StartError, Stream,
};

/// As pods have it that name none.
const GRACE: Duration = Duration::from_secs(30);

/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The component's file.
    pub file: PathBuf,
    /// Arguments after the program name.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// What `wasi:config` tells it; `None` denies it.
    pub config: Option<BTreeMap<String, String>>,
    /// All memory an instance may have.
    pub memory_bytes_max: u64,
    /// What it may reach.
    pub egress: Egress,
}

/// Where to serve.
#[derive(Debug)]
pub struct ServeOptions {
    /// A bound listener.
    pub listener: TcpListener,
    /// Ends the server.
    pub shutdown: CancellationToken,
}

/// Why a component could not be run.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// The runtime did not start.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The component did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It is the other kind of component.
    #[error("the component is a {}, not a {wanted}", .found.describe())]
    Kind {
        /// What it is.
        found: Kind,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The listener failed.
    #[error("connections could not be accepted")]
    Accept(#[source] std::io::Error),
}

/// Runs a command to its end with this process's standard streams, and says how it ended. On `shutdown` it is asked to end, and has the
/// grace that a pod has by default.
pub async fn run_standalone(options: RunOptions, shutdown: CancellationToken) -> Result<Exit, StandaloneError> {
    let (runtime, spec, prepared) = prepare(options, Kind::is_command, "command").await?;
    let container = runtime.start_with(&spec, &prepared, Arc::new(Terminal), true).await?;
    let mut exited = container.exited();
    let mut ended = std::pin::pin!(exited.wait_for(Option::is_some));
    let exit = tokio::select! {
        exit = &mut ended => exit,
        () = shutdown.cancelled() => {
            container.stop(GRACE);
            ended.await
        }
    };
    exit.ok()
        .and_then(|exit| exit.clone())
        .ok_or_else(|| StartError::Host { reason: "the component ended without a word".to_owned() }.into())
}

/// Serves a handler until `shutdown`, with an access line for each request.
pub async fn serve_standalone(options: RunOptions, serve: ServeOptions) -> Result<(), StandaloneError> {
    let (runtime, spec, prepared) = prepare(options, Kind::is_handler, "handler").await?;
    let container = runtime.start_with(&spec, &prepared, Arc::new(Terminal), false).await?;
    let Some(handler) = container.handler() else {
        return Err(StandaloneError::Kind { found: prepared.kind().unwrap_or(Kind::Other), wanted: "handler" });
    };
    let mut connections = 0_u32;
    loop {
        let accepted = tokio::select! {
            accepted = serve.listener.accept() => accepted,
            () = serve.shutdown.cancelled() => return Ok(()),
        };
        let (stream, client_addr) = accepted.map_err(StandaloneError::Accept)?;
        let _ = stream.set_nodelay(true);
        connections = connections.wrapping_add(1);
        let direct =
            DirectStream { stream, handler: handler.clone(), client_addr, half_close: false, seed: connections };
        tokio::spawn(async move {
            if let Err(error) = serve_stream(direct, &Limits::default()).await {
                tracing::debug!(%client_addr, %error, "connection broke off");
            }
        });
    }
}

/// How soon instances of a component start here.
#[derive(Clone, Debug)]
pub struct InstanceTimes {
    /// What compiling it took.
    pub compile: Duration,
    /// What it took to make each instance with all its limits, one after the other, in the order of length.
    pub instances: Vec<Duration>,
    /// Memory of an instance that has done nothing yet.
    pub memory_bytes: u64,
}

/// Compiles a component, and makes so many instances of it, one after the other.
pub async fn measure_instances(file: PathBuf, count: usize) -> Result<InstanceTimes, StandaloneError> {
    let runtime = WasmRuntime::open(Options::in_process())?;
    let spec = ContainerSpec::new(PodIdentity::default(), "component", file, "file");
    let prepared = runtime.prepare(&spec).await?;
    let PreparedArtifact::Component(component) = &prepared.artifact else {
        return Err(host_error("it is no component".to_owned()).into());
    };
    let pre = component.pre().await?;
    let mut instances = Vec::with_capacity(count);
    for _ in 0..count {
        let background = runtime.shared.background.handle().clone();
        let trial = instantiate_once(background, runtime.shared.options.start_max, &component.traits, &pre).await?;
        instances.push(trial.took);
    }
    instances.sort_unstable();
    Ok(InstanceTimes { compile: prepared.compile_time(), instances, memory_bytes: component.initial_memory_bytes })
}

async fn prepare(
    options: RunOptions,
    is_wanted: fn(Kind) -> bool,
    wanted: &'static str,
) -> Result<(WasmRuntime, ContainerSpec, Prepared), StandaloneError> {
    let runtime = WasmRuntime::open(Options::in_process())?;
    let name = options.file.file_stem().map_or_else(|| "component".into(), |stem| stem.to_string_lossy());
    let mut spec = ContainerSpec::new(PodIdentity::default(), &name, options.file.clone(), "file");
    spec.args = options.args;
    spec.env = options.env;
    spec.config = options.config;
    spec.memory_bytes_max = options.memory_bytes_max;
    spec.egress = options.egress;
    let prepared = runtime.prepare(&spec).await?;
    match prepared.kind().unwrap_or(Kind::Other) {
        found if is_wanted(found) => Ok((runtime, spec, prepared)),
        found => Err(StandaloneError::Kind { found, wanted }),
    }
}

/// Log lines on this process's standard streams.
struct Terminal;

impl LogSink for Terminal {
    fn denied(&self, why: &str) {
        let option = if why.ends_with(CONFIG_ANNOTATION) { "--config" } else { "--egress" };
        self.write(Stream::Stderr, format!("{why} (without a cluster: with {option})").as_bytes());
    }

    fn write(&self, stream: Stream, line: &[u8]) {
        let line = [line, b"\n"].concat();
        self.write_lines(stream, &line);
    }

    fn write_lines(&self, stream: Stream, lines: &[u8]) {
        let _ = match stream {
            Stream::Stdout => std::io::stdout().lock().write_all(lines),
            Stream::Stderr => std::io::stderr().lock().write_all(lines),
        };
    }
}
