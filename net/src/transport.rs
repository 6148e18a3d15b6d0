//! Requests to the pods of other hosts: HTTP/2 over mutual TLS, a few connections to a host, each shared by many requests.
//!
//! A host that cannot be reached is known as down within two seconds, and asked again by itself until it answers.
//! Deliberately absent: choosing another endpoint. Who sends a request hears whether any of it went out, and chooses.

mod answer;
mod connection;
mod head;
mod held;
mod peer;

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use tokio::time::Instant;

pub(crate) use answer::is_without_pod;
pub use answer::{answer_peer, is_for_a_pod};
pub use connection::ConnectError;
use connection::Connection;
pub(crate) use head::{FORWARDED_FOR, FORWARDED_PROTO, REQUEST_ID, remove_hop_by_hop};
use held::hold;
pub use peer::Peer;

use crate::handler::{Body, RequestBody, RequestContext};

/// How long after a failed attempt to reach a host the next one is made.
const RECOVERY_INTERVAL: Duration = Duration::from_millis(500);
/// How often a request is given to a new connection because the one it was meant for had just ended.
const ATTEMPTS_MAX: usize = 2;

/// A pod of another host, by the port it answers on.
#[derive(Clone)]
pub struct PeerPod {
    /// The host.
    pub peer: Arc<Peer>,
    /// `UID:PORT`, or `ADDRESS:PORT`.
    pub(crate) name: HeaderValue,
}

impl PeerPod {
    /// The pod with this uid, or with this address; `None` if that is neither.
    pub fn new(peer: Arc<Peer>, uid: &str, port: u16) -> Option<PeerPod> {
        let name = HeaderValue::try_from(format!("{uid}:{port}")).ok().filter(|_| !uid.is_empty())?;
        Some(PeerPod { peer, name })
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing of the request was sent. Why is known from before if it isn't said.
    #[error("the host cannot be reached")]
    Unsent(#[source] Option<ConnectError>),
    /// The request went out, and the host did not begin with it (HTTP/2's REFUSED_STREAM, or GOAWAY). The next goes out on another connection.
    #[error("the host did not take the request")]
    Refused(#[source] hyper::Error),
    /// The request cannot be sent to any other host.
    #[error("the request cannot be passed on")]
    Unfit(#[source] http::Error),
    /// The request went out, and may have had its effect; the connection broke before an answer began, or before a small one was whole.
    #[error("the host was lost before it answered")]
    Lost(#[source] hyper::Error),
    /// The request went out, and the host ended it without an answer.
    #[error("the host gave the request up")]
    GivenUp(#[source] hyper::Error),
}

/// This host's way to the others.
pub struct Transport {
    tls: Arc<rustls::ClientConfig>,
}

impl Transport {
    /// Shows the identity in `tls` to other hosts, and trusts those whose certificate it accepts.
    pub fn new(mut tls: rustls::ClientConfig) -> Arc<Transport> {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(Transport { tls: Arc::new(tls) })
    }

    /// Sends a request and waits for the head of its answer, and for a small answer's body; dropped, it takes the request back. `lane` chooses among the
    /// connections to a host: whoever runs on one thread does well to use the same always.
    pub async fn send(
        self: &Arc<Self>,
        pod: &PeerPod,
        lane: usize,
        request: Request<RequestBody>,
        context: &RequestContext,
    ) -> Result<Response<Body>, SendError> {
        let mut request = request;
        for _ in 0..ATTEMPTS_MAX {
            let (mut sender, opened) = match self.connection(&pod.peer, lane).await {
                Ok(open) => open,
                Err(cause) => return Err(SendError::Unsent(cause)),
            };
            head::address(&mut request, &pod.name, context).map_err(SendError::Unfit)?;
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let mut response = hold(response).await.map_err(|error| self.lost(error, pod, lane, opened))?;
                    remove_hop_by_hop(response.headers_mut());
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None if is_refused(error.error()) => {
                        pod.peer.lane(lane).lock().await.take_if(|connection| connection.opened == opened);
                        return Err(SendError::Refused(error.into_error()));
                    }
                    None => return Err(self.lost(error.into_error(), pod, lane, opened)),
                },
            }
        }
        Err(SendError::Unsent(None))
    }

    /// A connection that is open, made if there is none, and since when it is. One attempt serves all who wait for it.
    async fn connection(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        lane: usize,
    ) -> Result<(connection::Sender, Instant), Option<ConnectError>> {
        let mut slot = peer.lane(lane).lock().await;
        if let Some(open) = slot.as_ref().and_then(Connection::open) {
            return Ok(open);
        }
        if peer.is_down() {
            return Err(None);
        }
        match self.connect(peer, lane).await {
            Ok(connection) => {
                let open = (connection.sender.clone(), connection.opened);
                *slot = Some(connection);
                Ok(open)
            }
            Err(error) => {
                self.lose(peer, lane, RECOVERY_INTERVAL);
                Err(Some(error))
            }
        }
    }

    /// An answer did not come, or not whole, to a request that went out.
    fn lost(self: &Arc<Self>, error: hyper::Error, pod: &PeerPod, lane: usize, opened: Instant) -> SendError {
        if is_reset(&error) {
            return SendError::GivenUp(error);
        }
        // Whoever drives the connection will say so too; who sends this elsewhere must know now.
        self.lose_connection(&pod.peer, lane, opened);
        SendError::Lost(error)
    }

    /// A connection broke.
    fn lose_connection(self: &Arc<Self>, peer: &Arc<Peer>, lane: usize, opened: Instant) {
        // One that fails at once would only fail again.
        let delay = if opened.elapsed() > RECOVERY_INTERVAL { Duration::ZERO } else { RECOVERY_INTERVAL };
        self.lose(peer, lane, delay);
    }

    /// Nobody is sent to the host until a connection to it succeeds: tried after `delay`, and on for as long as the host has
    /// endpoints.
    fn lose(self: &Arc<Self>, peer: &Arc<Peer>, lane: usize, delay: Duration) {
        if peer.is_down.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(node = &*peer.node, addr = %peer.addr, "a host cannot be reached; its pods are left out");
        let (transport, peer) = (self.clone(), Arc::downgrade(peer));
        tokio::spawn(async move {
            let mut delay = delay;
            loop {
                tokio::time::sleep(delay).await;
                delay = RECOVERY_INTERVAL;
                let Some(peer) = peer.upgrade() else { return };
                if let Ok(connection) = transport.connect(&peer, lane).await {
                    *peer.lane(lane).lock().await = Some(connection);
                    peer.is_down.store(false, Ordering::Relaxed);
                    tracing::info!(node = &*peer.node, addr = %peer.addr, "a host can be reached again");
                    return;
                }
            }
        });
    }
}

/// Did the host say that it has done nothing with this request? Of its requests, GOAWAY ends those that it never will (RFC 9113, section
/// 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let refused = |error: &h2::Error| {
        error.is_go_away() || error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
    };
    protocol_error(error).is_some_and(|error| error.is_remote() && refused(error))
}

/// Did the host end this one request, on a connection that goes on?
fn is_reset(error: &hyper::Error) -> bool {
    protocol_error(error).is_some_and(h2::Error::is_reset)
}

fn protocol_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}
