//! HTTP on one connection that leads to one handler: what a forwarded port and `wasmctl run` serve.
//!
//! Deliberately absent: routes, and the ingress's counts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::uri::Scheme;
use http::{HeaderName, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::handler::{Body, BodyError, BoxError, Handler, RequestBody, RequestContext, RequestId, text_response};
use crate::ingress::Limits;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A connection, and where it leads.
pub struct DirectStream<S> {
    /// The connection.
    pub stream: S,
    /// What answers.
    pub handler: Arc<dyn Handler>,
    /// Who asks.
    pub client_addr: SocketAddr,
    /// Whether the client may end what it sends before it has its answer. Otherwise that is taken for its going, as on a socket, which
    /// doesn't tell the two apart.
    pub half_close: bool,
    /// Differs between connections: generated request ids begin with it.
    pub seed: u32,
}

/// Serves until either side closes the connection; a client may take as much as from the ingress.
pub async fn serve_stream<S>(direct: DirectStream<S>, limits: &Limits) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let DirectStream { stream, handler, client_addr, half_close, seed } = direct;
    let (count, body_bytes_max) = (AtomicU64::new(0), limits.body_bytes_max);
    let service = service_fn(move |request: Request<Incoming>| {
        let sent_id = request.headers().get(REQUEST_ID).and_then(RequestId::accept);
        let request_id = sent_id.unwrap_or_else(|| RequestId::generate(seed, 0, count.fetch_add(1, Relaxed)));
        let context = RequestContext { request_id, client_addr, scheme: Scheme::HTTP };
        let answer = answer(handler.clone(), request, context, body_bytes_max);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max.max(8192))
        .half_close(half_close);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    builder.serve_connection(TokioIo::new(stream), service).await
}

async fn answer(
    handler: Arc<dyn Handler>,
    request: Request<Incoming>,
    context: RequestContext,
    limit: u64,
) -> Response<Body> {
    let id = context.request_id.clone();
    let mut response = if request.method() == Method::CONNECT {
        text_response(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here")
    } else if request.body().size_hint().lower() > limit {
        text_response(StatusCode::PAYLOAD_TOO_LARGE, BodyError::TooLarge { limit })
    } else {
        let mut request = request.map(|incoming| RequestBody::incoming(incoming, limit));
        request.headers_mut().insert(REQUEST_ID, id.as_header().clone());
        handler.handle(request, context).await
    };
    response.headers_mut().insert(REQUEST_ID, id.as_header().clone());
    response
}
