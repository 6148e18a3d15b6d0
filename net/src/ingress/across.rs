//! A request to a pod of another host, or to another endpoint if that host cannot be reached.
//!
//! Deliberately absent: sending anything twice. What went out may have had its effect; only its sender knows whether to repeat it.

use std::error::Error;

use http::{Request, Response, StatusCode};

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
            Target::Remote(addr) => return worker.remote.send(&endpoint, *addr, request).await,
            Target::Peer(pod) => pod,
        };
        let (name, node) = (&endpoint.pod, &pod.peer.node);
        request = match worker.shared.transport.send(pod, worker.index, request, &context).await {
            Ok(response) => return response,
            Err(SendError::Unfit(error)) => {
                return text_response(
                    StatusCode::BAD_REQUEST,
                    format_args!("the request cannot be passed on: {error}"),
                );
            }
            Err(SendError::Lost(error)) => {
                tracing::debug!(%name, %node, error = &error as &dyn Error, "a pod did not answer");
                let text = format_args!("host {node} was lost before pod {name} answered");
                return text_response(StatusCode::BAD_GATEWAY, text);
            }
            Err(SendError::Unsent { request, cause }) => {
                tracing::debug!(%name, %node, cause = cause.as_ref().map(|cause| cause as &dyn Error), "a pod cannot be reached");
                *request
            }
        };
        let other = find(worker, &request, random.rotate_left(16 * attempt)).ok().filter(|other| other.is_reachable());
        match other.filter(|_| attempt < ATTEMPTS_MAX) {
            Some(other) => {
                flight.at(other);
            }
            None => {
                return unavailable(format_args!("pod {name} cannot be reached: its host, {node}, does not answer"));
            }
        }
        attempt += 1;
    }
}
