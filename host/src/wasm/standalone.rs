//! Runs one component without a cluster: a command to its end, or a handler behind an address.
//!
//! Deliberately absent: limits on compilation. It is the user's own file.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use coracle_net::{Handler, RequestBody, RequestContext, RequestId};
use http::HeaderValue;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{OpenError, Options, WasmRuntime};
use crate::inspect::Kind;
use crate::runtime::{ContainerSpec, Exit, LogSink, PodIdentity, Prepared, Runtime, StartError, Stream};

/// The most bytes of a request body.
const REQUEST_BYTES_MAX: u64 = 64 << 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The component's file.
    pub file: PathBuf,
    /// Arguments after the program name.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// All memory an instance may have.
    pub memory_bytes_max: u64,
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
    #[error("the component is a {}, not a {}", .found.describe(), .wanted.describe())]
    Kind {
        /// What it is.
        found: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// The listener failed.
    #[error("connections could not be accepted")]
    Accept(#[source] std::io::Error),
}

/// Runs a command to its end with this process's standard streams, and says how it ended.
pub async fn run_standalone(options: RunOptions) -> Result<Exit, StandaloneError> {
    let (runtime, spec, prepared) = prepare(options, Kind::Command).await?;
    let container = runtime.start_with(&spec, &prepared, Arc::new(Terminal), true)?;
    let mut exited = container.exited();
    let exit = exited.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
    exit.ok_or_else(|| StartError::Host { reason: "the component ended without a word".to_owned() }.into())
}

/// Serves a handler until `shutdown`, with an access line for each request.
pub async fn serve_standalone(options: RunOptions, serve: ServeOptions) -> Result<(), StandaloneError> {
    let (runtime, spec, prepared) = prepare(options, Kind::HttpHandler02).await?;
    let container = runtime.start_with(&spec, &prepared, Arc::new(Terminal), false)?;
    let Some(handler) = container.handler() else {
        return Err(StandaloneError::Kind { found: prepared.kind(), wanted: Kind::HttpHandler02 });
    };
    let mut connections = 0_u64;
    loop {
        let accepted = tokio::select! {
            accepted = serve.listener.accept() => accepted,
            () = serve.shutdown.cancelled() => return Ok(()),
        };
        let (stream, client_addr) = accepted.map_err(StandaloneError::Accept)?;
        let _ = stream.set_nodelay(true);
        connections += 1;
        let (handler, connection) = (handler.clone(), connections);
        tokio::spawn(async move {
            let count = std::sync::atomic::AtomicU64::new(0);
            let service = hyper::service::service_fn(move |request| {
                let count = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let request_id = RequestId::generate(connection as u32, 0, count);
                let answer = answer(handler.clone(), request, client_addr, request_id);
                async move { Ok::<_, std::convert::Infallible>(answer.await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%client_addr, %error, "connection broke off");
            }
        });
    }
}

async fn answer(
    handler: Arc<dyn Handler>,
    request: hyper::Request<hyper::body::Incoming>,
    client_addr: std::net::SocketAddr,
    request_id: RequestId,
) -> http::Response<coracle_net::Body> {
    let mut request = request.map(|body| RequestBody::incoming(body, REQUEST_BYTES_MAX));
    let id: HeaderValue = request_id.as_header().clone();
    request.headers_mut().insert("x-request-id", id);
    let context = RequestContext { request_id, client_addr, scheme: http::uri::Scheme::HTTP };
    handler.handle(request, context).await
}

async fn prepare(options: RunOptions, wanted: Kind) -> Result<(WasmRuntime, ContainerSpec, Prepared), StandaloneError> {
    let runtime = WasmRuntime::open(Options::in_process())?;
    let name = options.file.file_stem().map_or_else(|| "component".into(), |stem| stem.to_string_lossy());
    let mut spec = ContainerSpec::new(PodIdentity::default(), &name, options.file.clone(), "file");
    spec.args = options.args;
    spec.env = options.env;
    spec.memory_bytes_max = options.memory_bytes_max;
    let prepared = runtime.prepare(&spec).await?;
    match prepared.kind() {
        found if found == wanted => Ok((runtime, spec, prepared)),
        found => Err(StandaloneError::Kind { found, wanted }),
    }
}

/// Log lines on this process's standard streams.
struct Terminal;

impl LogSink for Terminal {
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
