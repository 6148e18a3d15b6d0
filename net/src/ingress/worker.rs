//! One worker: accepts connections and serves them, all on its own thread.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Limits;
use super::remote::Remote;
use super::request;
use super::stall::StallGuard;
use crate::handler::RequestId;
use crate::metrics::{Metrics, WorkerMetrics};
use crate::outgoing::mixed;
use crate::routes::RoutingTable;
use crate::transport::Transport;

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const STREAMS_MAX: u32 = 256;

/// What the workers of an ingress have in common.
pub(super) struct Shared {
    pub(super) routes: Arc<ArcSwap<RoutingTable>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) transport: Arc<Transport>,
    pub(super) limits: Limits,
    pub(super) seed: u32,
}

/// A worker, as its connections and requests see it. Its counters have this one writer.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) shared: Shared,
    pub(super) remote: Remote,
    builder: auto::Builder<TokioExecutor>,
    requests: AtomicU64,
}

impl Worker {
    fn new(index: usize, shared: Shared) -> Worker {
        let limits = &shared.limits;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes_max.max(8192))
            .half_close(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(limits.header_timeout);
        let remote = Remote::new(limits.remote_connect_timeout, limits.remote_answer_timeout);
        Worker { index, shared, remote, builder, requests: AtomicU64::new(0) }
    }

    pub(super) fn metrics(&self) -> &WorkerMetrics {
        self.shared.metrics.worker(self.index)
    }

    /// A request's number on this worker, and a number that looks random.
    pub(super) fn next_request(&self) -> (u64, u64) {
        let count = self.requests.load(Ordering::Relaxed);
        self.requests.store(count + 1, Ordering::Relaxed);
        (count, mixed(count ^ (u64::from(self.shared.seed) << 32)))
    }

    pub(super) fn request_id(&self, count: u64) -> RequestId {
        RequestId::generate(self.shared.seed, self.index as u8, count)
    }
}

/// Serves until told to drain, or until the ingress is dropped.
pub(super) async fn run(
    index: usize,
    listener: TcpListener,
    shared: Shared,
    draining: watch::Receiver<Option<Duration>>,
) {
    let slots_max = shared.limits.connections_max;
    let slots = Arc::new(Semaphore::new(slots_max as usize));
    let worker = Arc::new(Worker::new(index, shared));
    let mut told = draining.clone();
    let mut told = pin!(told.wait_for(Option::is_some));
    let grace = loop {
        tokio::select! {
            biased;
            grace = &mut told => break grace.ok().and_then(|grace| *grace),
            (slot, stream, client_addr) = accept(&listener, &slots) => {
                tokio::spawn(serve_connection(worker.clone(), stream, client_addr, draining.clone(), slot));
            }
        }
    };
    drop(listener);
    // Without a time to wait the ingress was dropped.
    let Some(grace) = grace else { return };
    if timeout(grace, slots.acquire_many(slots_max)).await.is_err() {
        tracing::warn!(worker = index, ?grace, "connections still busy at shutdown were cut off");
    }
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (OwnedSemaphorePermit, TcpStream, SocketAddr) {
    let slot = slots.clone().acquire_owned().await.expect("invariant: the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, client_addr)) => return (slot, stream, client_addr),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Out of file descriptors or memory: trying again at once would only spin.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    worker: Arc<Worker>,
    stream: TcpStream,
    client_addr: SocketAddr,
    mut draining: watch::Receiver<Option<Duration>>,
    _slot: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%client_addr, %error, "TCP_NODELAY was refused");
    }
    worker.metrics().connection_opens();
    let limits = &worker.shared.limits;
    let io = TokioIo::new(StallGuard::new(stream, limits.write_stall_timeout));
    let peer = Arc::new(Peer::new(worker.clone(), client_addr));
    let service = service_fn(|request| request::serve(peer.clone(), request));
    let mut connection = pin!(worker.builder.serve_connection(io, service));
    let mut told = pin!(draining.wait_for(Option::is_some));
    // hyper's own timer starts with HTTP/1 and stops a slow head; before, until it is known which HTTP is spoken, this one does.
    let mut first_head = pin!(sleep(limits.header_timeout));
    let (mut is_told, mut has_begun) = (false, false);
    let result = poll_fn(|context| {
        if !is_told && told.as_mut().poll(context).is_ready() {
            is_told = true;
            connection.as_mut().graceful_shutdown();
        }
        if !has_begun {
            has_begun = peer.has_begun.load(Ordering::Relaxed);
            if !has_begun && first_head.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = result.await {
        tracing::debug!(%client_addr, error = &*error, "a connection ended with an error");
    }
    worker.metrics().connection_closes();
}

/// One connection's client.
pub(super) struct Peer {
    pub(super) worker: Arc<Worker>,
    pub(super) addr: SocketAddr,
    /// Its address, for `X-Forwarded-For`.
    pub(super) forwarded_for: HeaderValue,
    /// Whether a request's head came in.
    pub(super) has_begun: AtomicBool,
}

impl Peer {
    fn new(worker: Arc<Worker>, addr: SocketAddr) -> Peer {
        let ip = addr.ip().to_canonical().to_string();
        let forwarded_for = HeaderValue::try_from(ip).expect("invariant: an address is a header value");
        Peer { worker, addr, forwarded_for, has_begun: AtomicBool::new(false) }
    }
}
