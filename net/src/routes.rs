//! The routing table: host, then path, then the pods behind a Service. Immutable; swapped whole.
//!
//! Deliberately absent: normalising. Paths are compared as sent, percent signs, dots and all.

mod build;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use build::{Peers, build_routes};
pub(crate) use build::{Resolver, assemble};

use crate::handler::Handler;
use crate::transport::PeerPod;
use crate::views::{Backend, PathKind};

/// Where an endpoint's requests go.
#[derive(Clone)]
pub enum Target {
    /// To a handler in this process.
    Local(Arc<dyn Handler>),
    /// To a handler on another host.
    Peer(PeerPod),
    /// To an address, as plain HTTP/1.1.
    Remote(SocketAddr),
}

impl Target {
    fn is_same(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Local(one), Target::Local(two)) => std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(two)),
            (Target::Peer(one), Target::Peer(two)) => Arc::ptr_eq(&one.peer, &two.peer) && one.name == two.name,
            (Target::Remote(one), Target::Remote(two)) => one == two,
            _ => false,
        }
    }
}

/// A port of one pod.
pub struct Endpoint {
    /// The pod, as `namespace/name`.
    pub pod: Arc<str>,
    /// Where requests go.
    pub target: Target,
    in_flight: AtomicU32,
}

impl Endpoint {
    /// An endpoint nobody uses yet.
    pub fn new(pod: Arc<str>, target: Target) -> Endpoint {
        Endpoint { pod, target, in_flight: AtomicU32::new(0) }
    }

    /// How many requests it is answering.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether its host could be reached when last tried.
    pub fn is_reachable(&self) -> bool {
        !matches!(&self.target, Target::Peer(pod) if pod.peer.is_down())
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn is_same(&self, other: &Endpoint) -> bool {
        self.pod == other.pod && self.target.is_same(&other.target)
    }
}

/// What a route lacks if it leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// The Service.
    Service,
    /// The port, in the Service.
    Port,
    /// A pod that is ready.
    ReadyPod,
}

/// The pods behind one port of a Service.
pub struct ServiceRoute {
    backend: Backend,
    endpoints: Box<[Arc<Endpoint>]>,
    gap: Gap,
}

impl ServiceRoute {
    /// The pods that take requests.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Chooses the endpoint with fewer requests in flight out of two that `random` picks. One that cannot be reached is chosen
    /// only where none can.
    pub fn choose(&self, random: u64) -> Option<&Arc<Endpoint>> {
        match &*self.endpoints {
            [] => None,
            [only] => Some(only),
            many => {
                let count = many.len() as u64;
                let one = (random & 0xffff_ffff) % count;
                let two = (one + 1 + (random >> 32) % (count - 1)) % count;
                let (first, second) = (&many[one as usize], &many[two as usize]);
                Some(match (first.is_reachable(), second.is_reachable()) {
                    (true, true) if second.in_flight() < first.in_flight() => second,
                    (true, _) => first,
                    (false, true) => second,
                    (false, false) => {
                        let mut others = many.iter().cycle().skip(one as usize).take(many.len());
                        others.find(|endpoint| endpoint.is_reachable()).unwrap_or(first)
                    }
                })
            }
        }
    }

    /// An endpoint that can be reached and is none of `tried`, the first from a place that `random` picks.
    pub(crate) fn choose_other(&self, random: u64, tried: &[Arc<Endpoint>]) -> Option<&Arc<Endpoint>> {
        let start = (random % self.endpoints.len().max(1) as u64) as usize;
        let is_new = |endpoint: &&Arc<Endpoint>| !tried.iter().any(|tried| tried.is_same(endpoint));
        let mut from_start = self.endpoints.iter().cycle().skip(start).take(self.endpoints.len());
        from_start.find(|endpoint| endpoint.is_reachable() && is_new(endpoint))
    }

    /// Why [`ServiceRoute::choose`] found nothing, for the client.
    pub fn reason(&self) -> String {
        let Backend { service, port } = &self.backend;
        match self.gap {
            Gap::Service => format!("no Service {service}"),
            Gap::Port => format!("no port {port} in Service {service}"),
            Gap::ReadyPod => format!("no ready pod behind service {service}"),
        }
    }
}

/// The paths of one host, in order of precedence.
#[derive(Default)]
struct Paths(Vec<PathRoute>);

struct PathRoute {
    /// Without a slash at its end if `kind` is Prefix.
    path: Box<str>,
    kind: PathKind,
    route: Arc<ServiceRoute>,
}

impl PathRoute {
    fn matches(&self, path: &str) -> bool {
        match self.kind {
            PathKind::Exact => *self.path == *path,
            PathKind::Prefix => {
                path.strip_prefix(&*self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

impl Paths {
    fn find(&self, path: &str) -> Option<&Arc<ServiceRoute>> {
        self.0.iter().find(|route| route.matches(path)).map(|found| &found.route)
    }
}

/// Every route there is. The most specific host decides: its exact name, else a wildcard over its first label, else the
/// rules for every host; then the longest path, an exact one before a prefix; then the default backend.
#[derive(Default)]
pub struct RoutingTable {
    exact: HashMap<Box<str>, Paths>,
    /// By the part behind `*.`.
    wildcard: HashMap<Box<str>, Paths>,
    any: Paths,
    default: Option<Arc<ServiceRoute>>,
}

impl RoutingTable {
    /// The route of a request. `host` is a name without port, in any case; `path` starts with a slash.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<ServiceRoute>> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let paths = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.paths(&host.to_ascii_lowercase())
        } else {
            self.paths(host)
        };
        paths.find(path).or(self.default.as_ref())
    }

    fn paths(&self, host: &str) -> &Paths {
        let by_wildcard = || match host.split_once('.') {
            Some((label, domain)) if !label.is_empty() => self.wildcard.get(domain),
            _ => None,
        };
        self.exact.get(host).or_else(by_wildcard).unwrap_or(&self.any)
    }
}

#[cfg(test)]
pub(crate) mod tests;
