//! The host's own HTTPS server: logs, streams to containers, health and metrics, for the API server and cluster administrators only.
//!
//! Deliberately absent: anything that changes something. Hosts are told what to do by objects.

mod streams;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::agent::{FoundContainer, FoundPod, Message, PodHandlers};
use crate::logs::read::ReadOptions;
use crate::logs::{LogKey, LogStore};
use crate::runtime::Clock;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Members of this group may ask.
const MASTERS: &str = "system:masters";
/// So may these users: the API server's names in a cluster.
const API_SERVERS: &[&str] = &["system:apiserver", "kube-apiserver", "kube-apiserver-kubelet-client"];

/// Who the server is, and whom it answers: PEM.
#[derive(Clone)]
pub struct ServerIdentity {
    /// The server's certificate chain.
    pub certificate_pem: Vec<u8>,
    /// Its key.
    pub key_pem: Vec<u8>,
    /// The cluster's CA: clients show certificates that it signed.
    pub ca_pem: Vec<u8>,
}

/// What the server answers from.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) handlers: Arc<PodHandlers>,
    pub(crate) ingress: Arc<coracle_net::Metrics>,
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
    let router = Router::new()
        .route("/logs/{namespace}/{pod}/{container}", get(read_logs))
        .route("/attach/{namespace}/{pod}/{container}", get(streams::attach))
        .route("/exec/{namespace}/{pod}/{container}", get(streams::exec))
        .route("/portforward/{namespace}/{pod}", get(streams::forward_ports))
        .route("/healthz", get(|| async { "ok" }))
        .route("/metrics", get(metrics))
        .with_state(sources);
    Ok(tokio::spawn(accept(listener, acceptor, router, shutdown)))
}

async fn accept(listener: tokio::net::TcpListener, acceptor: TlsAcceptor, router: Router, shutdown: CancellationToken) {
    loop {
        let socket = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "the host's server cannot accept connections; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        tokio::spawn(connection(socket, acceptor.clone(), router.clone(), shutdown.clone()));
    }
}

async fn connection(socket: tokio::net::TcpStream, acceptor: TlsAcceptor, router: Router, shutdown: CancellationToken) {
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
    if !certificate.is_some_and(is_allowed) {
        tracing::warn!("a client of the cluster that is no API server asked the host's server; refused");
        return;
    }
    let service = TowerToHyperService::new(router);
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        result = builder.serve_connection_with_upgrades(TokioIo::new(stream), service) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection to the host's server ended early");
            }
        }
        () = shutdown.cancelled() => {}
    }
}

/// Only the API server and administrators: the CA signs other identities too.
fn is_allowed(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return false };
    let subject = certificate.subject();
    let is_master = subject.iter_organization().any(|group| group.as_str() == Ok(MASTERS));
    is_master || subject.iter_common_name().any(|name| name.as_str().is_ok_and(|name| API_SERVERS.contains(&name)))
}

fn tls(identity: &ServerIdentity) -> Result<rustls::ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&identity.ca_pem)? {
        roots.add(certificate).map_err(|error| format!("the cluster's CA certificate cannot be used: {error}"))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| format!("the cluster's CA cannot verify clients: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key_pem)
        .map_err(|error| format!("the host's key cannot be read: {error}"))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&identity.certificate_pem)?, key)
        .map_err(|error| format!("the host's certificate cannot be used: {error}"))?;
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
    let (reply, answer) = oneshot::channel();
    let message = Message::Find { namespace: namespace.to_owned(), name: name.to_owned(), reply };
    let found = match sources.messages.send(message) {
        Ok(()) => answer.await.ok().flatten(),
        Err(_) => None,
    };
    found.ok_or_else(|| refuse(StatusCode::NOT_FOUND, format!("pod {namespace}/{name} does not run on this host")))
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
    let (reply, answer) = oneshot::channel();
    let totals = match sources.messages.send(Message::Totals { reply }) {
        Ok(()) => answer.await.ok(),
        Err(_) => None,
    };
    match totals {
        Some(totals) => {
            let mut text = totals.to_text();
            sources.ingress.render(&mut text);
            ([("content-type", "text/plain; version=0.0.4")], text).into_response()
        }
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the host is shutting down".to_owned()).into_response(),
    }
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
