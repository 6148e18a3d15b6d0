//! Requests that pods send to Services and pods of the cluster: a call in this process where the pod is here, else over the hosts' transport.
//!
//! Deliberately absent: what lies outside of the cluster. What no pod has seen goes to another one, as in the ingress.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body_util::BodyExt as _;

use crate::attempt::{Effect, Spare, Unanswered, Ways, attempt};
use crate::handler::{Body, Handlers, RequestBody, RequestContext, RequestId, Tracked};
use crate::ingress::{Limits, Remote};
use crate::routes::{Called, Endpoint, RoutingTable, ServiceRoute, Target};
use crate::transport::{FORWARDED_FOR, FORWARDED_PROTO, PeerPod, REQUEST_ID, Transport, remove_hop_by_hop};

/// The way from this host's pods to those of the cluster.
pub struct Outgoing {
    routes: Arc<ArcSwap<RoutingTable>>,
    handlers: Arc<dyn Handlers>,
    transport: Arc<Transport>,
    remote: Remote,
    seed: u32,
    count: AtomicU64,
}

/// What a pod calls.
pub enum Destination {
    /// A port of a Service.
    Service(Arc<ServiceRoute>),
    /// A port of one pod.
    Pod(Arc<Endpoint>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No endpoint could be reached; nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    /// The request went out and may have had its effect.
    #[error("the pod was lost before it answered")]
    Lost,
    /// The request cannot be sent.
    #[error("the request cannot be passed on")]
    Unfit(#[source] http::Error),
}

impl Outgoing {
    /// Calls by `routes`, which its owner swaps. Generated request ids begin with `seed`.
    pub fn new(
        routes: Arc<ArcSwap<RoutingTable>>,
        handlers: Arc<dyn Handlers>,
        transport: Arc<Transport>,
        seed: u32,
    ) -> Arc<Outgoing> {
        let limits = Limits::default();
        let remote = Remote::new(limits.remote_connect_timeout, limits.remote_answer_timeout);
        Arc::new(Outgoing { routes, handlers, transport, remote, seed, count: AtomicU64::new(0) })
    }

    /// What a pod of `namespace` means by a host and a port: `Ok(None)` for what is nothing of the cluster's, and an error that says
    /// what is missing of what is.
    pub fn find(&self, namespace: &str, host: &str, port: u16) -> Result<Option<Destination>, String> {
        let routes = self.routes.load();
        match routes.find_service(namespace, host, port) {
            Called::Service(route) => return Ok(Some(Destination::Service(route))),
            Called::Nothing(why) => return Err(why),
            Called::Elsewhere => {}
        }
        let Ok(IpAddr::V4(address)) = host.parse() else { return Ok(None) };
        let target = match self.handlers.find_at(address, port) {
            Some(handler) => Some(Target::Local(handler)),
            None if routes.is_pod_here(address) => Some(Target::Remote((address, port).into())),
            None => routes.peer_of(address).and_then(|peer| PeerPod::new(peer, host, port)).map(Target::Peer),
        };
        let pod = |target| Destination::Pod(Arc::new(Endpoint::new(format!("at {address}").into(), target)));
        Ok(target.map(pod))
    }

    /// Whether an address is one of this host's pods.
    pub fn is_pod_here(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if self.routes.load().is_pod_here(address))
    }

    /// The address of a pod of this host that listens itself, behind the Service that a pod of `namespace` means by a name.
    pub fn listener(&self, namespace: &str, name: &str) -> Option<IpAddr> {
        let listening = |route: &Arc<ServiceRoute>| {
            route.endpoints().iter().find_map(|endpoint| match endpoint.target {
                Target::Remote(address) => Some(address.ip()),
                _ => None,
            })
        };
        self.routes.load().ports_of(namespace, name).find_map(listening)
    }

    /// Sends a request and waits for the head of its answer; dropped, it takes the request back. `from` is the address of the pod
    /// that sends it.
    pub async fn send(
        self: &Arc<Self>,
        destination: &Destination,
        mut request: Request<RequestBody>,
        from: IpAddr,
    ) -> Result<Response<Body>, CallError> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let request_id = self.prepare(&mut request, from, count)?;
        let context = RequestContext { request_id, client_addr: SocketAddr::new(from, 0), scheme: Scheme::HTTP };
        let random = mixed(count);
        let mut endpoint = match destination {
            Destination::Pod(endpoint) => endpoint.clone(),
            Destination::Service(route) => {
                let chosen = route.choose(random.rotate_left(16));
                chosen.ok_or_else(|| CallError::Unreachable(route.reason()))?.clone()
            }
        };
        if let Target::Local(handler) = &endpoint.target {
            // It answers whatever comes, so nothing need be kept for another one.
            let flight = Flight::begin(endpoint.clone());
            return Ok(tracked(handler.handle(request, context).await, flight));
        }
        let ways = Ways { transport: &self.transport, lane: random as usize, remote: &self.remote };
        let (mut request, mut spare) = Spare::of(request, random);
        loop {
            let flight = Flight::begin(endpoint.clone());
            let effect = match attempt(&ways, &endpoint, request, &context).await {
                Ok(answer) => return Ok(tracked(answer, flight)),
                Err(Unanswered(effect, _)) => effect,
            };
            let same = (effect != Effect::NoPod).then(|| endpoint.clone());
            let next = spare.again(endpoint.clone(), effect, |_, random, tried| match destination {
                Destination::Pod(_) => same,
                Destination::Service(route) => route.choose_other(random, tried).cloned().or(same),
            });
            (request, endpoint) = match next {
                Some(next) => next,
                None if matches!(effect, Effect::None | Effect::NoPod | Effect::Refused) => {
                    return Err(CallError::Unreachable(format!("pod {} cannot be reached", endpoint.pod)));
                }
                None => return Err(CallError::Lost),
            };
        }
    }

    /// Makes of what a component wrote a request as a connection would have brought it.
    fn prepare<B>(&self, request: &mut Request<B>, from: IpAddr, count: u64) -> Result<RequestId, CallError> {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let authority = request.uri().authority().map(ToString::to_string);
        *request.uri_mut() = Uri::from(path);
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        remove_hop_by_hop(headers);
        if let Some(authority) = authority {
            let host = HeaderValue::try_from(authority).map_err(|error| CallError::Unfit(error.into()))?;
            headers.insert(header::HOST, host);
        }
        let given = headers.get(REQUEST_ID).and_then(RequestId::accept);
        let id = given.unwrap_or_else(|| RequestId::generate(self.seed, u8::MAX, count));
        headers.insert(REQUEST_ID, id.as_header().clone());
        let from = HeaderValue::try_from(from.to_string()).expect("invariant: an address is a header value");
        headers.insert(FORWARDED_FOR, from);
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
        Ok(id)
    }
}

/// An answer that counts as in flight until it was read.
fn tracked(answer: Response<Body>, flight: Flight) -> Response<Body> {
    answer.map(|body| Tracked::new(body, flight).boxed_unsync())
}

/// SplitMix64: neighbouring counts give unrelated numbers.
pub(crate) fn mixed(count: u64) -> u64 {
    let mut mixed = count.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A request that an endpoint is answering.
struct Flight(Arc<Endpoint>);

impl Flight {
    fn begin(endpoint: Arc<Endpoint>) -> Flight {
        endpoint.begin();
        Flight(endpoint)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests;
