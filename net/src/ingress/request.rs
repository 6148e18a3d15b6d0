//! One request, from its head to the last byte of its answer.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};

use super::across;
use super::worker::{Peer, Worker};
use crate::handler::{
    Body, BodyError, Handler, RequestBody, RequestContext, RequestId, Tracked, text_response, without_body,
};
use crate::routes::{Endpoint, Target};
use crate::transport::{FORWARDED_FOR, FORWARDED_PROTO, REQUEST_ID};

/// The status counted for a request whose client left before there was one.
const CLIENT_LEFT: u16 = 499;

/// Answers a request.
pub(super) async fn serve(
    peer: Arc<Peer>,
    mut request: Request<Incoming>,
) -> Result<Response<Tracked<Flight>>, Infallible> {
    peer.has_begun.store(true, Ordering::Relaxed);
    let worker = &peer.worker;
    let (count, random) = worker.next_request();
    let sent_id = request.headers().get(REQUEST_ID).and_then(RequestId::accept);
    let id = sent_id.unwrap_or_else(|| worker.request_id(count));
    let mut flight = Flight::begin(worker.clone(), &request, &id, peer.addr);
    let is_head = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
    let is_about_host = is_about_host(&request);
    let mut response = match choose(worker, &request, random) {
        Err(refusal) => *refusal,
        Ok(_) if is_about_host => text_response(StatusCode::OK, "requests find a pod"),
        Ok(endpoint) => {
            let headers = request.headers_mut();
            headers.insert(REQUEST_ID, id.as_header().clone());
            headers.insert(FORWARDED_FOR, peer.forwarded_for.clone());
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
            let limit = worker.shared.limits.body_bytes_max;
            let request = request.map(|incoming| RequestBody::incoming(incoming, limit));
            let context = RequestContext { request_id: id.clone(), client_addr: peer.addr, scheme: Scheme::HTTP };
            let endpoint = flight.at(endpoint);
            match &endpoint.target {
                Target::Local(handler) => Handler::handle(&**handler, request, context).await,
                // Boxed, so that requests which stay here don't carry its state.
                Target::Peer(_) | Target::Remote(_) => {
                    Box::pin(across::send(worker, &mut flight, request, context, random)).await
                }
            }
        }
    };
    response.headers_mut().insert(REQUEST_ID, id.as_header().clone());
    // Whoever asks what is behind a host name was answered, whatever the answer is.
    flight.status = if is_about_host { StatusCode::OK } else { response.status() };
    let response = if is_head { without_body(response) } else { response };
    Ok(response.map(|body| Tracked::new(body, flight)))
}

/// The one look at the routing table.
fn choose(worker: &Worker, request: &Request<Incoming>, random: u64) -> Result<Arc<Endpoint>, Box<Response<Body>>> {
    let refuse = |status, text: fmt::Arguments<'_>| Err(Box::new(text_response(status, text)));
    if request.method() == Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, format_args!("CONNECT is not served here"));
    }
    let limit = worker.shared.limits.body_bytes_max;
    if request.body().size_hint().lower() > limit {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, format_args!("{}", BodyError::TooLarge { limit }));
    }
    find(worker, request, random)
}

/// The endpoint of a request in the routing table of this moment.
fn find<B>(worker: &Worker, request: &Request<B>, random: u64) -> Result<Arc<Endpoint>, Box<Response<Body>>> {
    let refuse = |status, text: fmt::Arguments<'_>| Err(Box::new(text_response(status, text)));
    let Some(host) = host(request) else {
        return refuse(StatusCode::BAD_REQUEST, format_args!("a request needs one Host header, of a name"));
    };
    let path = request.uri().path();
    let table = worker.shared.routes.load();
    let route = if is_about_host(request) { table.find_any(host) } else { table.find(host, path) };
    let Some(route) = route else {
        return refuse(StatusCode::NOT_FOUND, format_args!("no Ingress routes {host} {path}"));
    };
    route.choose(random).cloned().ok_or_else(|| Box::new(unavailable(route.reason())))
}

/// Does a request ask this ingress itself what is behind a host name (RFC 9110, section 9.3.7)?
fn is_about_host<B>(request: &Request<B>) -> bool {
    request.uri().path() == "*" && request.method() == Method::OPTIONS
}

/// Another endpoint of the same request in the routing table of this moment: none of `tried`.
pub(super) fn find_other<B>(
    worker: &Worker,
    request: &Request<B>,
    random: u64,
    tried: &[Arc<Endpoint>],
) -> Option<Arc<Endpoint>> {
    let table = worker.shared.routes.load();
    table.find(host(request)?, request.uri().path())?.choose_other(random, tried).cloned()
}

/// The name of the host asked for, without port; `None` if it isn't clear which.
fn host<B>(request: &Request<B>) -> Option<&str> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => {
            let mut values = request.headers().get_all(header::HOST).iter();
            match (values.next(), values.next()) {
                (Some(only), None) => only.to_str().ok()?,
                // HTTP/1.0 knows no Host.
                (None, _) if request.version() == Version::HTTP_10 => "",
                _ => return None,
            }
        }
    };
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    Some(name)
}

/// A 503 that says when to come again.
pub(crate) fn unavailable(text: impl fmt::Display) -> Response<Body> {
    let mut response = text_response(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A request being answered; counted as over when dropped.
pub(super) struct Flight {
    worker: Arc<Worker>,
    pub(super) endpoint: Option<Arc<Endpoint>>,
    begun: Instant,
    status: StatusCode,
    /// Made only if somebody reads it.
    access: Option<Box<Access>>,
}

struct Access {
    id: RequestId,
    client_addr: SocketAddr,
    method: Method,
    host: String,
    path: String,
}

impl Flight {
    fn begin(worker: Arc<Worker>, request: &Request<Incoming>, id: &RequestId, client_addr: SocketAddr) -> Flight {
        worker.metrics().request_begins();
        let access = tracing::enabled!(target: "coracle_net::access", tracing::Level::DEBUG).then(|| {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let host = host(request).unwrap_or_default().to_owned();
            Box::new(Access { id: id.clone(), client_addr, method, host, path })
        });
        let status = StatusCode::from_u16(CLIENT_LEFT).expect("invariant: 499 is a status code");
        Flight { worker, endpoint: None, begun: Instant::now(), status, access }
    }

    /// The request is at this endpoint from now on.
    pub(super) fn at(&mut self, endpoint: Arc<Endpoint>) -> &Endpoint {
        endpoint.begin();
        if let Some(before) = &self.endpoint {
            before.end();
        }
        self.endpoint.insert(endpoint)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        self.worker.metrics().request_ends(self.status, took);
        if let Some(endpoint) = &self.endpoint {
            endpoint.end();
        }
        let Some(access) = &self.access else { return };
        tracing::debug!(
            target: "coracle_net::access",
            request_id = %access.id,
            client = %access.client_addr,
            method = %access.method,
            host = %access.host,
            path = %access.path,
            status = self.status.as_u16(),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            pod = self.endpoint.as_ref().map(|endpoint| &*endpoint.pod),
            "request"
        );
    }
}
