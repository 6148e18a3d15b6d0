//! Routing tables, pod addresses, the ingress and calls between pods: from a request to the pod that answers. And the certificates that machines show each other.
//!
//! Deliberately absent: TLS towards clients (plain HTTP only), watching the API (the caller feeds [`RouteBook`]), and any knowledge of how
//! a pod is run: a pod is a [`Handler`] in this process, one on another host, or an address.

pub mod addresses;
mod attempt;
mod handler;
pub mod identity;
mod ingress;
mod metrics;
mod outgoing;
mod route_book;
mod routes;
mod stream;
mod transport;
pub mod views;

pub use handler::{
    Body, BodyError, BoxError, Handler, Handlers, RequestBody, RequestContext, RequestId, text_response,
};
pub use ingress::{Ingress, IngressOptions, Limits, Remote, Running};
pub use metrics::Metrics;
pub use outgoing::{CallError, Destination, Outgoing};
pub use route_book::RouteBook;
pub use routes::{Called, Endpoint, Peers, RoutingTable, ServiceRoute, Target, build_routes};
pub use stream::{DirectStream, serve_stream};
pub use transport::{ConnectError, Peer, PeerPod, SendError, Transport, answer_peer, is_for_a_pod};
