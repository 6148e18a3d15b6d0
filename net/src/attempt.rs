//! One attempt to send a request to an endpoint, wherever that is, and what it takes to make another.
//!
//! Deliberately absent: choosing endpoints.

use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Body as _;

use crate::handler::{Body, KeptBody, RequestBody, RequestContext, text_response};
use crate::ingress::{Remote, unavailable};
use crate::routes::{Endpoint, Target};
use crate::transport::{SendError, Transport, is_without_pod};

/// How many endpoints are tried; those without a pod don't count, as their hosts say so at once.
const ATTEMPTS_MAX: usize = 3;

/// What may have come of a request that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: no pod has seen it.
    None,
    /// Nothing, as the pod is not there any more.
    NoPod,
    /// Nothing, and where there is no other endpoint the same may take it, on another connection.
    Refused,
    /// Nobody knows.
    Unknown,
    /// It was begun, and ended without an answer.
    Ended,
}

/// No answer: what came of the request, and what its client is told unless somebody else answers.
pub(crate) struct Unanswered(pub(crate) Effect, pub(crate) Response<Body>);

/// How requests leave this process.
pub(crate) struct Ways<'a> {
    /// To pods of other hosts.
    pub(crate) transport: &'a Arc<Transport>,
    /// Among its connections.
    pub(crate) lane: usize,
    /// To pods that listen themselves.
    pub(crate) remote: &'a Remote,
}

/// Sends the request to an endpoint.
pub(crate) async fn attempt(
    ways: &Ways<'_>,
    endpoint: &Endpoint,
    request: Request<RequestBody>,
    context: &RequestContext,
) -> Result<Response<Body>, Unanswered> {
    let pod = match &endpoint.target {
        Target::Local(handler) => return Ok(handler.handle(request, context.clone()).await),
        Target::Remote(addr) => {
            let sent = ways.remote.send(&endpoint.pod, *addr, request).await;
            return sent.map_err(|refusal| Unanswered(Effect::None, refusal));
        }
        Target::Peer(pod) => pod,
    };
    let (name, node) = (&endpoint.pod, &pod.peer.node);
    let bad_gateway = |text: &dyn Display| text_response(StatusCode::BAD_GATEWAY, text);
    let error = match ways.transport.send(pod, ways.lane, request, context).await {
        Ok(response) if is_without_pod(&response) => return Err(Unanswered(Effect::NoPod, response)),
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

/// What it takes to send a request once more, to somebody else.
pub(crate) struct Spare {
    head: Request<()>,
    /// Absent of what has none.
    body: Option<KeptBody>,
    random: u64,
    tried: Vec<Arc<Endpoint>>,
    attempts: usize,
}

impl Spare {
    /// The request, to be sent, and the same in reserve; `random` picks those that it goes to then.
    pub(crate) fn of(request: Request<RequestBody>, random: u64) -> (Request<RequestBody>, Spare) {
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.version_mut() = request.version();
        *head.headers_mut() = request.headers().clone();
        let spare = Spare { head, body: None, random, tried: Vec::new(), attempts: 0 };
        if request.body().is_end_stream() {
            return (request, spare);
        }
        let (parts, body) = request.into_parts();
        let body = KeptBody::new(body);
        let request = Request::from_parts(parts, body.read().expect("nothing of it was read before"));
        (request, Spare { body: Some(body), ..spare })
    }

    /// The request once more and where to, after an endpoint gave no answer. `choose` gets the request, a number to pick by, and the
    /// endpoints that were tried.
    pub(crate) fn again(
        &mut self,
        endpoint: Arc<Endpoint>,
        effect: Effect,
        choose: impl FnOnce(&Request<()>, u64, &[Arc<Endpoint>]) -> Option<Arc<Endpoint>>,
    ) -> Option<(Request<RequestBody>, Arc<Endpoint>)> {
        self.tried.push(endpoint);
        self.attempts += usize::from(effect != Effect::NoPod);
        let request = self.copy(effect).filter(|_| self.attempts < ATTEMPTS_MAX)?;
        let random = self.random.rotate_left(16 * (self.tried.len() % 4) as u32);
        Some((request, choose(&self.head, random, &self.tried)?))
    }

    /// The request once more, if it may be sent after this, and is still whole.
    fn copy(&self, effect: Effect) -> Option<Request<RequestBody>> {
        let may_be_sent = match effect {
            Effect::None | Effect::NoPod | Effect::Refused => true,
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
