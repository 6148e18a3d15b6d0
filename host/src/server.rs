//! The host's own HTTPS server: logs, streams to containers, health and metrics for the API server and cluster administrators;
//! for other hosts, the pods' own answers to the requests that came to them, and what was pulled.
//!
//! Deliberately absent: anything that changes something. Hosts are told what to do by objects.

mod content;
mod streams;

use std::convert::Infallible;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use coracle_net::identity::{RotatingIdentity, until_expired};
use coracle_net::{Limits, Remote, answer_peer, is_for_a_pod};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::agent::{FoundContainer, FoundPod, Message, PodHandlers};
use crate::disk_quota::DiskQuota;
use crate::logs::read::ReadOptions;
use crate::logs::{LogKey, LogStore};
use crate::runtime::Clock;

/// How long requests from other hosts may take to end when this one does.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Requests to pods on one connection, and the bytes on their way.
const STREAMS_MAX: u32 = 4096;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const HEADER_BYTES_MAX: u32 = 256 << 10;
/// How often a client that says nothing is asked whether it is there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Members of this group may ask for everything,
const MASTERS: &str = "system:masters";
/// those of this one for pods' answers, and for what was pulled.
const NODES: &str = "system:nodes";
/// Like the first are these users: the API server's names in a cluster.
const API_SERVERS: &[&str] = &["system:apiserver", "kube-apiserver", "kube-apiserver-kubelet-client"];

/// Who the server is, and whom it answers.
#[derive(Clone)]
pub struct ServerIdentity {
    /// What the host shows, to those it asks as well. Who keeps it renewed is not the server's business.
    pub certificate: Arc<RotatingIdentity>,
    /// The cluster's CA, PEM: clients show certificates that it signed.
    pub ca_pem: Vec<u8>,
}

/// What the server answers from.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    pub(crate) logs: Arc<LogStore>,
    /// Where images are pulled to.
    pub(crate) images_dir: PathBuf,
    pub(crate) quota: Arc<DiskQuota>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) handlers: Arc<PodHandlers>,
    pub(crate) ingress: Arc<coracle_net::Metrics>,
    pub(crate) certificate: Arc<RotatingIdentity>,
    pub(crate) shutdown: CancellationToken,
}

/// Serves until `shutdown`; fails at once if the identity cannot be used.
pub(crate) fn serve(
    listener: TcpListener,
    identity: &ServerIdentity,
    sources: Sources,
    shutdown: CancellationToken,
) -> Result<JoinHandle<()>, String> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(identity)?));
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    let (handlers, clock) = (sources.handlers.clone(), sources.clock.clone());
    let limits = Limits::default();
    let remote = Remote::new(limits.remote_connect_timeout, limits.remote_answer_timeout);
    let router = Router::new()
        .route("/logs/{namespace}/{pod}/{container}", get(read_logs))
        .route("/attach/{namespace}/{pod}/{container}", get(streams::attach))
        .route("/exec/{namespace}/{pod}/{container}", get(streams::exec))
        .route("/portforward/{namespace}/{pod}", get(streams::forward_ports))
        .route("/v2/{*path}", get(content::read))
        .route("/healthz", get(|| async { "ok" }))
        .route("/metrics", get(metrics))
        .route("/usage", get(usage))
        .with_state(sources);
    let answering = Arc::new(Answering { router, handlers, remote, limits });
    Ok(tokio::spawn(accept(listener, acceptor, answering, clock, shutdown)))
}

/// What answers requests.
struct Answering {
    /// Those to the host itself.
    router: Router,
    /// Those to pods.
    handlers: Arc<PodHandlers>,
    /// Those to pods that listen themselves.
    remote: Remote,
    /// The ingress that sent a request holds clients to its own.
    limits: Limits,
}

async fn accept(
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
    answering: Arc<Answering>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    loop {
        let socket = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "the host's server cannot accept connections; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (acceptor, answering, clock) = (acceptor.clone(), answering.clone(), clock.clone());
        connections.spawn(connection(socket, acceptor, answering, clock, shutdown.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(
    socket: tokio::net::TcpStream,
    acceptor: TlsAcceptor,
    answering: Arc<Answering>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    // Streams are small messages that must not wait for each other.
    let _ = socket.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake with the host's server failed");
            return;
        }
        Err(_) => return,
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let Some(client) = certificate.and_then(Client::of) else {
        tracing::warn!("a client of the cluster that is neither API server nor host asked the host's server; refused");
        return;
    };
    let certificate = certificate.filter(|_| client == Client::Host).map(|shown| shown.clone().into_owned());
    let service = service_fn(move |request| answer(answering.clone(), client, request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .max_concurrent_streams(STREAMS_MAX)
        // One connection carries the requests of many clients, who may all leave at once.
        .max_pending_accept_reset_streams(STREAMS_MAX as usize)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    tokio::select! {
        result = connection.as_mut() => return log_end(result),
        // No request begins with a certificate that is over; what has begun goes on.
        () = until_expired(certificate.as_ref(), clock.now()) => connection.as_mut().graceful_shutdown(),
        () = shutdown.cancelled() => {}
    }
    log_end(tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => match client {
            Client::Master => Ok(()),
            // Its requests may be anybody's.
            Client::Host => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(STOP_GRACE, connection).await.unwrap_or(Ok(()))
            }
        },
    });
}

fn log_end(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to the host's server ended early");
    }
}

/// Who may ask: the CA signs other identities too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// The API server or an administrator.
    Master,
    /// Another host.
    Host,
}

impl Client {
    fn of(certificate: &CertificateDer<'_>) -> Option<Client> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let subject = certificate.subject();
        let is_in = |wanted| subject.iter_organization().any(|group| group.as_str() == Ok(wanted));
        let mut names = subject.iter_common_name().filter_map(|name| name.as_str().ok());
        match () {
            () if is_in(MASTERS) || names.any(|name| API_SERVERS.contains(&name)) => Some(Client::Master),
            () if is_in(NODES) => Some(Client::Host),
            () => None,
        }
    }
}

/// Answers a request to a pod, or one to the host itself, if the client may ask that.
async fn answer(
    answering: Arc<Answering>,
    client: Client,
    request: http::Request<Incoming>,
) -> Result<Response, Infallible> {
    if is_for_a_pod(&request) {
        let Answering { handlers, remote, limits, .. } = &*answering;
        return Ok(answer_peer(handlers.as_ref(), remote, request, limits).await.map(Body::new));
    }
    if client == Client::Host && !request.uri().path().starts_with("/v2/") {
        let message = "only the API server and administrators may ask for more than pods' answers and images";
        return Ok(refuse(StatusCode::FORBIDDEN, message.to_owned()).into_response());
    }
    answering.router.clone().oneshot(request.map(Body::new)).await
}

impl ServerIdentity {
    /// The TLS with which the host asks other hosts of the cluster, and the API server.
    pub fn client_tls(&self) -> Result<rustls::ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots()?)
            .with_client_cert_resolver(self.certificate.clone()))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca_pem)? {
            roots.add(certificate).map_err(|error| format!("the cluster's CA certificate cannot be used: {error}"))?;
        }
        Ok(roots)
    }
}

fn tls(identity: &ServerIdentity) -> Result<rustls::ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(identity.roots()?), provider.clone())
        .build()
        .map_err(|error| format!("the cluster's CA cannot verify clients: {error}"))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity.certificate.clone());
    // A session that is resumed would go by certificates of the past.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("a certificate cannot be read: {error}"))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LogQuery {
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail_lines: Option<u64>,
    since_seconds: Option<u64>,
    since_time: Option<Timestamp>,
    limit_bytes: Option<u64>,
}

async fn read_logs(
    State(sources): State<Sources>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    let found = find_pod(&sources, &namespace, &pod).await?;
    let located = locate(&found, &pod, &container, query.previous);
    let (key, incarnation) = located.map_err(|message| refuse(StatusCode::BAD_REQUEST, message))?;
    let since = match query.since_seconds {
        Some(seconds) => sources.clock.now().checked_sub(Duration::from_secs(seconds)).ok(),
        None => query.since_time,
    };
    let options = ReadOptions {
        follow: query.follow && !query.previous,
        timestamps: query.timestamps,
        tail_lines: query.tail_lines,
        since,
        limit_bytes: query.limit_bytes,
    };
    let lines = sources.logs.read(&key, incarnation, options).await.map_err(|error| {
        refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("the log of {namespace}/{pod} cannot be read: {error}"))
    })?;
    Ok(([("content-type", "text/plain")], Body::from_stream(lines)).into_response())
}

/// The pod, if it runs here.
async fn find_pod(sources: &Sources, namespace: &str, name: &str) -> Result<FoundPod, Refusal> {
    let found = ask(sources, |reply| Message::Find { namespace: namespace.to_owned(), name: name.to_owned(), reply });
    found
        .await
        .flatten()
        .ok_or_else(|| refuse(StatusCode::NOT_FOUND, format!("pod {namespace}/{name} does not run on this host")))
}

/// Which log is meant; else what Kubernetes says.
fn locate(pod: &FoundPod, pod_name: &str, container: &str, previous: bool) -> Result<(LogKey, u32), String> {
    let known: Option<&FoundContainer> = pod.containers.iter().find(|known| known.name == container);
    let Some(known) = known else {
        return Err(format!("container {container} is not valid for pod {pod_name}"));
    };
    if let Err(reason) = &known.started {
        return Err(format!("container {container:?} in pod {pod_name:?} is waiting to start: {reason}"));
    }
    let incarnation = match (previous, known.incarnation.checked_sub(1)) {
        (false, _) => known.incarnation,
        (true, Some(before)) => before,
        (true, None) => {
            return Err(format!("previous terminated container {container:?} in pod {pod_name:?} not found"));
        }
    };
    Ok((LogKey { uid: pod.uid.clone(), container: container.into() }, incarnation))
}

async fn metrics(State(sources): State<Sources>) -> Response {
    match ask(&sources, |reply| Message::Totals { reply }).await {
        Some(totals) => {
            let mut text = totals.to_text();
            sources.quota.render(&mut text);
            sources.ingress.render(&mut text);
            sources.certificate.render("host", &mut text);
            ([("content-type", "text/plain; version=0.0.4")], text).into_response()
        }
        None => shutting_down(),
    }
}

async fn usage(State(sources): State<Sources>) -> Response {
    match ask(&sources, |reply| Message::Usage { reply }).await {
        Some(usage) => Json(usage).into_response(),
        None => shutting_down(),
    }
}

/// The agent's answer; `None` while the host shuts down.
async fn ask<T>(sources: &Sources, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    sources.messages.send(message(reply)).ok()?;
    answer.await.ok()
}

fn shutting_down() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the host is shutting down".to_owned()).into_response()
}

/// Why a request is not granted, for people.
struct Refusal {
    code: StatusCode,
    message: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.code, [("content-type", "text/plain; charset=utf-8")], self.message).into_response()
    }
}

fn refuse(code: StatusCode, message: String) -> Refusal {
    Refusal { code, message }
}

#[cfg(test)]
mod tests;
