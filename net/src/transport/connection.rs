//! One connection to another host: made, checked, kept alive, given up when idle.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Peer, Transport};
use crate::handler::RequestBody;

/// The longest time until a host has taken a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A host that says nothing for so long is asked whether it is there,
const PING_INTERVAL: Duration = Duration::from_millis(500);
/// and has so long to answer.
const PING_TIMEOUT: Duration = Duration::from_millis(1300);
const _: () = assert!(PING_INTERVAL.as_millis() + PING_TIMEOUT.as_millis() < 2000, "a dead host is noticed within 2 s");
/// How long a connection is kept that nobody uses.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// What may be on its way on one connection, and of one request.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const HEADER_BYTES_MAX: u32 = 256 << 10;
/// What a host's certificate says before the node's name.
const NODE_PREFIX: &str = "system:node:";

pub(super) type Sender = http2::SendRequest<RequestBody>;

/// Why a host cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The network says no, or one of the two certificates is refused.
    #[error("no connection")]
    Io(#[from] io::Error),
    /// It does not answer.
    #[error("no answer within {CONNECT_TIMEOUT:?}")]
    Timeout,
    /// Somebody else has its address.
    #[error("its certificate is not that of node {0}")]
    OtherNode(Arc<str>),
    /// It does not speak HTTP/2.
    #[error("no HTTP/2")]
    Protocol(#[from] hyper::Error),
}

/// An open connection.
pub(super) struct Connection {
    pub(super) sender: Sender,
    pub(super) opened: Instant,
    is_used: Arc<AtomicBool>,
}

impl Connection {
    /// A way to send on it, and since when there is, unless it has ended.
    pub(super) fn open(&self) -> Option<(Sender, Instant)> {
        if self.sender.is_closed() {
            return None;
        }
        self.is_used.store(true, Ordering::Relaxed);
        Some((self.sender.clone(), self.opened))
    }
}

impl Transport {
    /// Connects; what drives the connection runs on the runtime of whoever asks.
    pub(super) async fn connect(self: &Arc<Self>, peer: &Arc<Peer>, lane: usize) -> Result<Connection, ConnectError> {
        let opened = timeout(CONNECT_TIMEOUT, async {
            let stream = self.secure(peer).await?;
            Ok::<_, ConnectError>(
                http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(PING_INTERVAL)
                    .keep_alive_timeout(PING_TIMEOUT)
                    .keep_alive_while_idle(true)
                    .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                    .initial_stream_window_size(STREAM_WINDOW_BYTES)
                    .max_header_list_size(HEADER_BYTES_MAX)
                    .handshake(TokioIo::new(stream))
                    .await?,
            )
        });
        let (sender, driver) = opened.await.map_err(|_| ConnectError::Timeout)??;
        let (opened, is_used) = (Instant::now(), Arc::new(AtomicBool::new(true)));
        tokio::spawn(drive(self.clone(), Arc::downgrade(peer), lane, driver, opened, is_used.clone()));
        Ok(Connection { sender, opened, is_used })
    }

    async fn secure(&self, peer: &Peer) -> Result<TlsStream<TcpStream>, ConnectError> {
        let socket = TcpStream::connect(peer.addr).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::from(peer.addr.ip());
        let stream = TlsConnector::from(self.tls.clone()).connect(name, socket).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        match certificate.is_some_and(|certificate| is_of_node(certificate, &peer.node)) {
            true => Ok(stream),
            false => Err(ConnectError::OtherNode(peer.node.clone())),
        }
    }
}

type Driver = http2::Connection<TokioIo<TlsStream<TcpStream>>, RequestBody, TokioExecutor>;

/// Keeps the connection going; gives it up when nobody has used it for long, tells when it is lost.
async fn drive(
    transport: Arc<Transport>,
    peer: Weak<Peer>,
    lane: usize,
    mut driver: Driver,
    opened: Instant,
    is_used: Arc<AtomicBool>,
) {
    let mut is_given_up = false;
    let result = loop {
        tokio::select! {
            result = &mut driver => break result,
            () = sleep(IDLE_TIMEOUT), if !is_given_up => {
                if !is_used.swap(false, Ordering::Relaxed)
                    && let Some(peer) = peer.upgrade()
                {
                    // It ends with its last request.
                    peer.lane(lane).lock().await.take_if(|connection| Arc::ptr_eq(&connection.is_used, &is_used));
                    is_given_up = true;
                }
            }
        }
    };
    if let (Err(error), Some(peer)) = (result, peer.upgrade()) {
        tracing::debug!(node = &*peer.node, error = &error as &dyn std::error::Error, "a connection was lost");
        transport.lose_connection(&peer, lane, opened);
    }
}

fn is_of_node(certificate: &CertificateDer<'_>, node: &str) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return false };
    let names = certificate.subject().iter_common_name();
    let mut names = names.filter_map(|name| name.as_str().ok()?.strip_prefix(NODE_PREFIX));
    names.any(|name| name == node)
}
