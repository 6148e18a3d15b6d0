//! The seam between the ingress and a pod: a request goes in, a response comes out, in this process.
//!
//! Deliberately absent: errors from handlers. A handler that fails answers 502, 503 or 504 itself.

mod kept;
mod tracked;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::sync::watch;

pub(crate) use kept::KeptBody;
pub(crate) use tracked::Tracked;

/// Any error a response body may end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of a response.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// What serves the requests of one pod's port.
pub trait Handler: Send + Sync {
    /// Answers one request. Never fails: what goes wrong becomes a 502, 503 or 504.
    fn handle(&self, request: Request<RequestBody>, context: RequestContext) -> BoxFuture<'static, Response<Body>>;
}

/// The handlers of the pods that run in this process.
pub trait Handlers: Send + Sync {
    /// The handler of a pod's port, if the pod runs here and answers there.
    fn find(&self, pod_uid: &str, port: u16) -> Option<Arc<dyn Handler>>;
    /// The same by the pod's address.
    fn find_at(&self, address: Ipv4Addr, port: u16) -> Option<Arc<dyn Handler>>;
    /// The address of a pod of this process that listens itself; by its uid, or by that address.
    fn listener(&self, _pod_uid: &str) -> Option<Ipv4Addr> {
        None
    }
    /// Changes whenever [`Handlers::find`] may answer differently.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What is known of a request besides its head and body.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Names the request in every log; also in its and its response's `X-Request-Id` header.
    pub request_id: RequestId,
    /// Who sent it.
    pub client_addr: SocketAddr,
    /// How it came in: `http` or `https`.
    pub scheme: http::uri::Scheme,
}

/// The name of one request: visible ASCII, at most 128 bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The longest identifier taken over from a client.
    pub const LENGTH_MAX: usize = 128;

    /// Takes over an identifier if it is short and plain enough to be put in headers and logs.
    pub fn accept(value: &HeaderValue) -> Option<RequestId> {
        let bytes = value.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(byte);
        let sane = (1..=Self::LENGTH_MAX).contains(&bytes.len()) && bytes.iter().all(plain);
        sane.then(|| RequestId(value.clone()))
    }

    /// Makes an identifier from a server's seed, a worker's number and that worker's count of requests.
    pub fn generate(seed: u32, worker: u8, count: u64) -> RequestId {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let number = (u128::from(seed) << 72) | (u128::from(worker) << 64) | u128::from(count);
        let mut text = [0u8; 26];
        for (index, byte) in text.iter_mut().enumerate() {
            *byte = HEX[((number >> ((25 - index) * 4)) & 15) as usize];
        }
        RequestId(HeaderValue::from_bytes(&text).expect("invariant: hexadecimal digits are a header value"))
    }

    /// The identifier as a header value.
    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("invariant: only plain ASCII was accepted")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More was sent than the ingress takes.
    #[error("request body is over {limit} bytes")]
    TooLarge {
        /// The most bytes taken.
        limit: u64,
    },
    /// The connection failed or the client broke the protocol.
    #[error("request body could not be read")]
    Transport(#[source] hyper::Error),
    /// The pod that sends it did not end it.
    #[error("request body was not ended by its sender")]
    Sender(#[source] BoxError),
}

/// The body of a request: from a connection, counted against a cap; from a pod; bytes made here (a probe's); or one of these, kept.
pub struct RequestBody(Source);

enum Source {
    Connection { incoming: Incoming, left: u64, limit: u64 },
    Pod(Body),
    Bytes(Full<Bytes>),
    Kept(kept::Reading),
}

impl RequestBody {
    /// A body read from a connection, of at most `limit` bytes.
    pub fn incoming(incoming: Incoming, limit: u64) -> RequestBody {
        RequestBody(Source::Connection { incoming, left: limit, limit })
    }

    /// A body that a pod writes.
    pub fn from_pod(body: Body) -> RequestBody {
        RequestBody(Source::Pod(body))
    }

    /// A body without bytes.
    pub fn empty() -> RequestBody {
        RequestBody::full(Bytes::new())
    }

    /// A body of these bytes.
    pub fn full(bytes: Bytes) -> RequestBody {
        RequestBody(Source::Bytes(Full::new(bytes)))
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestBody").field(&self.size_hint()).finish()
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().0 {
            Source::Bytes(full) => Pin::new(full)
                .poll_frame(context)
                .map(|frame| frame.map(|result| result.map_err(|never| match never {}))),
            Source::Pod(body) => {
                Pin::new(body).poll_frame(context).map(|frame| frame.map(|result| result.map_err(BodyError::Sender)))
            }
            Source::Kept(reading) => reading.poll_frame(context),
            Source::Connection { incoming, left, limit } => {
                let frame = match std::task::ready!(Pin::new(incoming).poll_frame(context)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Transport(error)))),
                    Some(Ok(frame)) => frame,
                };
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                Poll::Ready(Some(match left.checked_sub(length) {
                    Some(rest) => {
                        *left = rest;
                        Ok(frame)
                    }
                    None => {
                        *left = 0;
                        Err(BodyError::TooLarge { limit: *limit })
                    }
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Connection { incoming, .. } => incoming.is_end_stream(),
            Source::Pod(body) => body.is_end_stream(),
            Source::Bytes(full) => full.is_end_stream(),
            Source::Kept(reading) => reading.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Connection { incoming, .. } => incoming.size_hint(),
            Source::Pod(body) => body.size_hint(),
            Source::Bytes(full) => full.size_hint(),
            Source::Kept(reading) => reading.size_hint(),
        }
    }
}

/// What answers a HEAD over HTTP/2: without the body that the pod may have written. HTTP/1 leaves it out by itself.
pub(crate) fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// A response of one line of plain text, ended by a newline.
pub fn text_response(status: StatusCode, text: impl fmt::Display) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{text}\n"))).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
