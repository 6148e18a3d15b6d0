//! The registry's HTTP side: the OCI distribution API, version 1.1.
//!
//! Deliberately absent: TLS and token servers. Reading needs no credentials on this machine; everything else takes Basic ones. Whoever shows
//! a certificate asks through the API server.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

mod auth;
mod blobs;
mod error;
mod manifests;
mod members;
mod route;

use auth::Guard;
use error::Refusal;
use route::Route;

use crate::blob_store::BlobStore;
use crate::cluster::{Change, Cluster};
use crate::copies::Copies;
use crate::reference::Reference;
use crate::transport::Credentials;

const CONNECTIONS_MAX: u32 = 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The body of a request, wherever it came from, and of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

type Answer = Result<Response<Body>, Refusal>;

/// How to serve a registry.
pub struct ServerOptions {
    /// Where to listen.
    pub listener: TcpListener,
    /// What to serve.
    pub registry: Arc<Registry>,
    /// Ends it.
    pub shutdown: CancellationToken,
}

/// Serves, and keeps copies of what other members have, until told to stop; then lets the requests in flight end for a few seconds.
pub async fn serve(options: ServerOptions) -> io::Result<()> {
    options.listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(options.listener)?;
    let registry = options.registry;
    tokio::spawn(registry.copies.clone().keep());
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    loop {
        let (slot, accepted) = tokio::select! {
            () = options.shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(connection(registry.clone(), stream, peer, options.shutdown.clone(), slot));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the registry could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_GRACE, slots.acquire_many(CONNECTIONS_MAX)).await.is_err() {
        tracing::warn!("connections to the registry still busy at shutdown were left");
    }
    Ok(())
}

async fn accept(
    listener: &tokio::net::TcpListener,
    slots: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, io::Result<(TcpStream, SocketAddr)>) {
    let slot = slots.clone().acquire_owned().await.expect("invariant: the semaphore is never closed");
    (slot, listener.accept().await)
}

async fn connection(
    registry: Arc<Registry>,
    stream: TcpStream,
    peer: SocketAddr,
    shutdown: CancellationToken,
    _slot: OwnedSemaphorePermit,
) {
    drop(stream.set_nodelay(true));
    let service = service_fn(|request: Request<Incoming>| {
        let (registry, request) = (registry.clone(), request.map(|body| body.map_err(io::Error::other).boxed_unsync()));
        async move { Ok::<_, Infallible>(registry.answer(request, Caller::Anyone(peer.ip())).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection to the registry ended with an error");
    }
}

/// Who asks, as far as the connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody at this address, who may show credentials.
    Anyone(IpAddr),
    /// Somebody whom the API server lets do this.
    User,
    /// A host of the cluster, which may pull.
    Host,
    /// The registry of another member.
    Member,
}

/// The registry of a member.
pub struct Registry {
    store: Arc<BlobStore>,
    guard: Guard,
    cluster: Arc<dyn Cluster>,
    copies: Arc<Copies>,
    pushed: Option<mpsc::Sender<Reference>>,
}

impl Registry {
    /// A registry over these files. `credentials` say who may push; also who may pull from another machine without a certificate. `pushed` is
    /// told of components that are pushed here, as long as it takes them.
    pub fn new(
        store: Arc<BlobStore>,
        credentials: &Credentials,
        cluster: Arc<dyn Cluster>,
        pushed: Option<mpsc::Sender<Reference>>,
        shutdown: CancellationToken,
    ) -> Registry {
        let copies = Arc::new(Copies::new(store.clone(), cluster.clone(), shutdown));
        Registry { store, guard: Guard::new(credentials), cluster, copies, pushed }
    }

    /// Answers a request.
    pub async fn answer(self: Arc<Self>, request: Request<Body>, caller: Caller) -> Response<Body> {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let mut response = self.dispatch(&head, body, caller).await.unwrap_or_else(Refusal::into_response);
        let version = HeaderValue::from_static("registry/2.0");
        response.headers_mut().insert("docker-distribution-api-version", version);
        let (method, path, status) = (&head.method, head.uri.path(), response.status().as_u16());
        tracing::debug!(%method, path, status, ?caller, "registry request");
        if let Caller::Anyone(peer) = caller
            && is_change(&head, response.status())
        {
            self.cluster.note(&Change { head: &head, peer, code: response.status(), took: began.elapsed() });
        }
        response
    }

    async fn dispatch(&self, head: &Parts, body: Body, caller: Caller) -> Answer {
        let route = Route::parse(head.uri.path())?;
        let user = match caller {
            Caller::Anyone(peer) => self.guard.check(head, peer)?,
            Caller::User => auth::User::Known,
            Caller::Host => auth::host(head)?,
            Caller::Member => return members::answer(self, route, head).await,
        };
        match route {
            Route::Base => Ok(self.guard.base(user)),
            Route::List => Err(Refusal::no_route()),
            Route::Catalog => manifests::catalog(&self.store, head).await,
            Route::Tags { repository } => manifests::tags(self, head, repository).await,
            Route::Referrers { repository, digest } => {
                manifests::referrers(&self.store, head, repository, digest).await
            }
            Route::Manifest { repository, key } => manifests::manifest(self, head, body, repository, key).await,
            Route::Blob { repository, digest } => blobs::blob(self, head, repository, digest).await,
            Route::Uploads { repository } => blobs::begin(&self.store, head, body, repository).await,
            Route::Upload { repository, id } => blobs::upload(&self.store, head, body, repository, id).await,
        }
    }
}

/// Was this to change what a registry holds, by somebody who is known? To begin an upload and to send its pieces is not; to end it is.
pub fn is_change(head: &Parts, code: StatusCode) -> bool {
    let Ok(route) = Route::parse(head.uri.path()) else { return false };
    let is_asked = match (route, &head.method) {
        (Route::Manifest { .. }, &Method::PUT | &Method::DELETE)
        | (Route::Blob { .. }, &Method::DELETE)
        | (Route::Upload { .. }, &Method::PUT) => true,
        // At once, or from another repository; where that can't be, an upload is begun.
        (Route::Uploads { .. }, &Method::POST) => {
            code != StatusCode::ACCEPTED && ["digest", "mount"].into_iter().any(|name| parameter(head, name).is_some())
        }
        _ => false,
    };
    is_asked && code != StatusCode::UNAUTHORIZED
}

/// Runs what blocks on the disk where it may.
async fn blocking<T: Send + 'static>(
    store: &Arc<BlobStore>,
    call: impl FnOnce(&BlobStore) -> Result<T, crate::blob_store::StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || call(&store)).await {
        Ok(result) => result.map_err(Refusal::from),
        Err(error) => Err(Refusal::internal(error)),
    }
}

/// The value of a parameter of the query.
fn parameter(head: &Parts, name: &str) -> Option<String> {
    let pairs = reqwest::Url::parse(&format!("http://registry/?{}", head.uri.query()?)).ok()?;
    pairs.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
pub(crate) mod tests;
