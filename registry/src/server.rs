//! The registry's HTTP side: the OCI distribution API, version 1.1.
//!
//! Deliberately absent: TLS and token servers. Reading needs no credentials on this machine; everything else takes Basic ones.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

mod auth;
mod blobs;
mod error;
mod manifests;
mod route;

use auth::Guard;
use error::Refusal;
use route::Route;

use crate::blob_store::BlobStore;
use crate::transport::Credentials;

const CONNECTIONS_MAX: u32 = 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Body = UnsyncBoxBody<Bytes, io::Error>;
type Answer = Result<Response<Body>, Refusal>;

/// How to serve a registry.
pub struct ServerOptions {
    /// Where to listen.
    pub listener: TcpListener,
    /// What to serve.
    pub store: Arc<BlobStore>,
    /// Who may push; also who may pull from another machine.
    pub credentials: Credentials,
    /// Ends it.
    pub shutdown: CancellationToken,
}

/// Serves until told to stop, then lets the requests in flight end for a few seconds.
pub async fn serve(options: ServerOptions) -> io::Result<()> {
    options.listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(options.listener)?;
    let server = Arc::new(Server { store: options.store, guard: Guard::new(&options.credentials) });
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    loop {
        let (slot, accepted) = tokio::select! {
            () = options.shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(connection(server.clone(), stream, peer, options.shutdown.clone(), slot));
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
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    shutdown: CancellationToken,
    _slot: OwnedSemaphorePermit,
) {
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| server.clone().answer(request, peer.ip()));
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

struct Server {
    store: Arc<BlobStore>,
    guard: Guard,
}

impl Server {
    async fn answer(self: Arc<Server>, request: Request<Incoming>, peer: IpAddr) -> Result<Response<Body>, Infallible> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut response = match self.dispatch(request, peer).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        };
        let version = HeaderValue::from_static("registry/2.0");
        response.headers_mut().insert("docker-distribution-api-version", version);
        tracing::debug!(%method, path, status = response.status().as_u16(), %peer, "registry request");
        Ok(response)
    }

    async fn dispatch(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let route = Route::parse(request.uri().path())?;
        let user = self.guard.check(&request, peer)?;
        match route {
            Route::Base => Ok(self.guard.base(user)),
            Route::Catalog => manifests::catalog(&self.store, &request).await,
            Route::Tags { repository } => manifests::tags(&self.store, &request, repository).await,
            Route::Referrers { repository, digest } => {
                manifests::referrers(&self.store, &request, repository, digest).await
            }
            Route::Manifest { repository, key } => manifests::manifest(&self.store, request, repository, key).await,
            Route::Blob { repository, digest } => blobs::blob(&self.store, &request, repository, digest).await,
            Route::Uploads { repository } => blobs::begin(&self.store, request, repository).await,
            Route::Upload { repository, id } => blobs::upload(&self.store, request, repository, id).await,
        }
    }
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
fn parameter(request: &Request<impl Sized>, name: &str) -> Option<String> {
    let pairs = reqwest::Url::parse(&format!("http://registry/?{}", request.uri().query()?)).ok()?;
    pairs.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
pub(crate) mod tests;
