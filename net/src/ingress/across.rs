//! A request to a pod of another host, or to another endpoint if that host cannot be reached, does not take it, or is lost.
//!
//! Deliberately absent: sending twice what may have had its effect. That goes out again only if it's safe by its method (RFC 9110, section
//! 9.2.2), has no body, and the connection broke before an answer began. What no pod has seen goes out again whatever it is.

use std::error::Error;
use std::fmt::Display;

use http::{Request, Response, StatusCode};
use hyper::body::Body as _;

use super::request::{Flight, find_other, unavailable};
use super::worker::Worker;
use crate::handler::{Body, KeptBody, RequestBody, RequestContext, text_response};
use crate::routes::{Endpoint, Target};
use crate::transport::{SendError, is_without_pod};

/// How many endpoints are tried.
const ATTEMPTS_MAX: usize = 3;

/// What may have come of a request that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing: no pod has seen it.
    None,
    /// Nothing, and where there is no other endpoint the same may take it, on another connection.
    Refused,
    /// Nobody knows.
    Unknown,
    /// It was begun, and ended without an answer.
    Ended,
}

/// No answer: what came of the request, and what its client is told unless somebody else answers.
struct Unanswered(Effect, Response<Body>);

/// Sends the request to the endpoint that the flight is at, and moves the flight if it must go elsewhere.
pub(super) async fn send(
    worker: &Worker,
    flight: &mut Flight,
    request: Request<RequestBody>,
    context: RequestContext,
    random: u64,
) -> Response<Body> {
    let (mut request, spare) = Spare::of(request);
    let mut tried = Vec::new();
    loop {
        let endpoint = flight.endpoint.clone().expect("invariant: it was chosen before");
        let (effect, refusal) = match attempt(worker, &endpoint, request, &context).await {
            Ok(response) => return response,
            Err(Unanswered(effect, refusal)) => (effect, refusal),
        };
        tried.push(endpoint.clone());
        let Some(again) = spare.again(effect).filter(|_| tried.len() < ATTEMPTS_MAX) else { return refusal };
        let random = random.rotate_left(16 * tried.len() as u32);
        let same = || (effect == Effect::Refused).then_some(endpoint);
        let Some(next) = find_other(worker, &again, random, &tried).or_else(same) else { return refusal };
        flight.at(next);
        request = again;
    }
}

/// Sends the request to an endpoint.
async fn attempt(
    worker: &Worker,
    endpoint: &Endpoint,
    request: Request<RequestBody>,
    context: &RequestContext,
) -> Result<Response<Body>, Unanswered> {
    let pod = match &endpoint.target {
        Target::Local(handler) => return Ok(handler.handle(request, context.clone()).await),
        Target::Remote(addr) => {
            let sent = worker.remote.send(endpoint, *addr, request).await;
            return sent.map_err(|refusal| Unanswered(Effect::None, refusal));
        }
        Target::Peer(pod) => pod,
    };
    let (name, node) = (&endpoint.pod, &pod.peer.node);
    let bad_gateway = |text: &dyn Display| text_response(StatusCode::BAD_GATEWAY, text);
    let error = match worker.shared.transport.send(pod, worker.index, request, context).await {
        Ok(response) if is_without_pod(&response) => return Err(Unanswered(Effect::None, response)),
        Ok(response) => return Ok(response),
        Err(error) => error,
    };
    tracing::debug!(%name, %node, error = &error as &dyn Error, "a pod of another host did not answer");
    Err(match error {
        SendError::Unfit(error) => {
            let text = format_args!("the request cannot be passed on: {error}");
            Unanswered(Effect::Ended, text_response(StatusCode::BAD_REQUEST, text))
        }
        SendError::GivenUp(_) => {
            let text = format_args!("host {node} gave the request up before pod {name} answered");
            Unanswered(Effect::Ended, bad_gateway(&text))
        }
        SendError::Lost(_) => {
            let text = format_args!("host {node} was lost before pod {name} answered");
            Unanswered(Effect::Unknown, bad_gateway(&text))
        }
        SendError::Refused(_) => {
            let text = format_args!("host {node} takes no requests for pod {name}");
            Unanswered(Effect::Refused, unavailable(text))
        }
        SendError::Unsent(_) => {
            let text = format_args!("pod {name} cannot be reached: its host, {node}, does not answer");
            Unanswered(Effect::None, unavailable(text))
        }
    })
}

/// What it takes to send a request once more.
struct Spare {
    head: Request<()>,
    /// Absent of what has none.
    body: Option<KeptBody>,
}

impl Spare {
    /// The request, to be sent, and the same in reserve.
    fn of(request: Request<RequestBody>) -> (Request<RequestBody>, Spare) {
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.version_mut() = request.version();
        *head.headers_mut() = request.headers().clone();
        if request.body().is_end_stream() {
            return (request, Spare { head, body: None });
        }
        let (parts, body) = request.into_parts();
        let body = KeptBody::new(body);
        let request = Request::from_parts(parts, body.read().expect("nothing of it was read before"));
        (request, Spare { head, body: Some(body) })
    }

    /// The request once more, if it may be sent after this, and is still whole.
    fn again(&self, effect: Effect) -> Option<Request<RequestBody>> {
        let may_be_sent = match effect {
            Effect::None | Effect::Refused => true,
            Effect::Unknown => self.head.method().is_safe() && self.body.is_none(),
            Effect::Ended => false,
        };
        let body = match &self.body {
            _ if !may_be_sent => return None,
            None => RequestBody::empty(),
            Some(body) => body.read()?,
        };
        Some(self.head.clone().map(|()| body))
    }
}
