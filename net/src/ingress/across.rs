//! A request to a pod of another host, or to another endpoint if that host cannot be reached, does not take it, or is lost.
//!
//! Deliberately absent: sending twice what may have had its effect. That goes out again only if it's safe by its method (RFC 9110, section
//! 9.2.2), has no body, and the connection broke before an answer began, or before a small one was there whole. What no pod has seen goes
//! out again whatever it is.

use http::{Request, Response};

use super::request::{Flight, find_other};
use super::worker::Worker;
use crate::attempt::{Effect, Spare, Unanswered, Ways, attempt};
use crate::handler::{Body, RequestBody, RequestContext};

/// Sends the request to the endpoint that the flight is at, and moves the flight if it must go elsewhere.
pub(super) async fn send(
    worker: &Worker,
    flight: &mut Flight,
    request: Request<RequestBody>,
    context: RequestContext,
    random: u64,
) -> Response<Body> {
    let (mut request, mut spare) = Spare::of(request, random);
    let ways = Ways { transport: &worker.shared.transport, lane: worker.index, remote: &worker.remote };
    loop {
        let endpoint = flight.endpoint.clone().expect("invariant: it was chosen before");
        let (effect, refusal) = match attempt(&ways, &endpoint, request, &context).await {
            Ok(response) => return response,
            Err(Unanswered(effect, refusal)) => (effect, refusal),
        };
        let same = (effect == Effect::Refused).then(|| endpoint.clone());
        let next =
            spare.again(endpoint, effect, |request, random, tried| find_other(worker, request, random, tried).or(same));
        let Some((again, next)) = next else { return refusal };
        flight.at(next);
        request = again;
    }
}
