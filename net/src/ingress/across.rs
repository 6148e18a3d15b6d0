//! A request to a pod of another host, or to another endpoint if that host cannot be reached, or is lost.
//!
//! Deliberately absent: sending twice what may have had its effect. Only what is safe by its method (RFC 9110, section 9.2.2) and has
//! no body goes out again, and only if the connection broke before an answer began.

use std::error::Error;

use http::{Request, Response, StatusCode};
use hyper::body::Body as _;

use super::request::{Flight, find, unavailable};
use super::worker::Worker;
use crate::handler::{Body, RequestBody, RequestContext, text_response};
use crate::routes::Target;
use crate::transport::SendError;

/// How many endpoints are tried.
const ATTEMPTS_MAX: u32 = 3;

/// Sends the request to the endpoint that the flight is at, and moves the flight if it must go elsewhere.
pub(super) async fn send(
    worker: &Worker,
    flight: &mut Flight,
    mut request: Request<RequestBody>,
    context: RequestContext,
    random: u64,
) -> Response<Body> {
    let mut attempt = 1;
    loop {
        let endpoint = flight.endpoint.clone().expect("invariant: it was chosen before");
        let pod = match &endpoint.target {
            Target::Local(handler) => return handler.handle(request, context).await,
            Target::Remote(addr) => return worker.remote.send(&endpoint.pod, *addr, request).await,
            Target::Peer(pod) => pod,
        };
        let (name, node) = (&endpoint.pod, &pod.peer.node);
        let spare = repeated(&request);
        let (unanswered, refusal) = match worker.shared.transport.send(pod, worker.index, request, &context).await {
            Ok(response) => return response,
            Err(SendError::Unfit(error)) => {
                let text = format_args!("the request cannot be passed on: {error}");
                return text_response(StatusCode::BAD_REQUEST, text);
            }
            Err(SendError::GivenUp(error)) => {
                tracing::debug!(%name, %node, error = &error as &dyn Error, "a pod did not answer");
                let text = format_args!("host {node} gave the request up before pod {name} answered");
                return text_response(StatusCode::BAD_GATEWAY, text);
            }
            Err(SendError::Lost(error)) => {
                tracing::debug!(%name, %node, error = &error as &dyn Error, "a host was lost with a request");
                let text = format_args!("host {node} was lost before pod {name} answered");
                (spare, text_response(StatusCode::BAD_GATEWAY, text))
            }
            Err(SendError::Unsent { request, cause }) => {
                tracing::debug!(%name, %node, cause = cause.as_ref().map(|cause| cause as &dyn Error), "a pod cannot be reached");
                let text = format_args!("pod {name} cannot be reached: its host, {node}, does not answer");
                (Some(*request), unavailable(text))
            }
        };
        let Some(again) = unanswered.filter(|_| attempt < ATTEMPTS_MAX) else { return refusal };
        let other = find(worker, &again, random.rotate_left(16 * attempt)).ok();
        let Some(other) = other.filter(|other| other.is_reachable()) else { return refusal };
        flight.at(other);
        request = again;
        attempt += 1;
    }
}

/// The same request once more, if whoever passes it on may send it twice.
fn repeated(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
        return None;
    }
    let mut same = Request::new(RequestBody::empty());
    *same.method_mut() = request.method().clone();
    *same.uri_mut() = request.uri().clone();
    *same.version_mut() = request.version();
    *same.headers_mut() = request.headers().clone();
    Some(same)
}
