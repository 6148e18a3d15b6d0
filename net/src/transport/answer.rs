//! The other end: a request that another host's ingress sent to a pod of this one.
//!
//! Deliberately absent: passing it on once more. A pod that is not here is a 503 that says so, so that the other host asks elsewhere.

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::head;
use crate::handler::{Body, Handlers, RequestBody, text_response, without_body};
use crate::ingress::{Limits, Remote, unavailable};

/// In an answer: no pod has seen the request.
const NO_POD: HeaderName = HeaderName::from_static("coracle-no-pod");

/// Whether an answer is that of a host which has no such pod any more.
pub(crate) fn is_without_pod(response: &Response<Body>) -> bool {
    response.headers().contains_key(NO_POD)
}

/// Whether a request is meant for a pod rather than for the host itself.
pub fn is_for_a_pod<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(head::POD)
}

/// Hands the request to the handler that this host's own ingress would, or passes it on to a pod that listens itself.
pub async fn answer_peer(
    handlers: &dyn Handlers,
    remote: &Remote,
    mut request: Request<Incoming>,
    limits: &Limits,
) -> Response<Body> {
    let Some((uid, port, context)) = head::read(&mut request) else {
        return text_response(StatusCode::BAD_REQUEST, "this is not how hosts ask each other for pods");
    };
    // Pods that no Service lists are known to other hosts by their address.
    let handler = match uid.parse() {
        Ok(address) => handlers.find_at(address, port),
        Err(_) => handlers.find(&uid, port),
    };
    let is_head = request.method() == Method::HEAD;
    let request = request.map(|incoming| RequestBody::incoming(incoming, limits.body_bytes_max));
    let without_pod = |mut refusal: Response<Body>| {
        refusal.headers_mut().insert(NO_POD, HeaderValue::from_static("true"));
        refusal
    };
    let mut response = match (handler, handlers.listener(&uid)) {
        (Some(handler), _) => handler.handle(request, context).await,
        (None, Some(address)) => match remote.send(&uid, (address, port).into(), request).await {
            Ok(response) => response,
            Err(refusal) => return without_pod(refusal),
        },
        (None, None) => {
            let text = format_args!("pod {uid} does not answer on port {port} of its host any more");
            return without_pod(unavailable(text));
        }
    };
    // Not for pods to say.
    response.headers_mut().remove(NO_POD);
    if is_head { without_body(response) } else { response }
}
