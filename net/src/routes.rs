//! The routing table: host, then path, then the pods behind a Service. Immutable; swapped whole.
//!
//! Deliberately absent: normalising. Paths are compared as sent, percent signs, dots and all.

mod build;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use build::{Peers, build_routes};
pub(crate) use build::{Resolver, assemble};

use crate::addresses::Cidr;
use crate::handler::Handler;
use crate::transport::{Peer, PeerPod};
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

    /// Whether both are pods of one other host.
    fn shares_host(&self, other: &Endpoint) -> bool {
        matches!((&self.target, &other.target), (Target::Peer(one), Target::Peer(two)) if Arc::ptr_eq(&one.peer, &two.peer))
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

    /// An endpoint that can be reached and is none of `tried`, nor on their hosts unless it must be; the first from a place that
    /// `random` picks.
    pub(crate) fn choose_other(&self, random: u64, tried: &[Arc<Endpoint>]) -> Option<&Arc<Endpoint>> {
        let start = (random % self.endpoints.len().max(1) as u64) as usize;
        let is_new = |endpoint: &&Arc<Endpoint>| !tried.iter().any(|tried| tried.is_same(endpoint));
        let is_elsewhere = |endpoint: &&Arc<Endpoint>| !tried.iter().any(|tried| tried.shares_host(endpoint));
        let from_start = self.endpoints.iter().cycle().skip(start).take(self.endpoints.len());
        let mut others = from_start.filter(|endpoint| endpoint.is_reachable() && is_new(endpoint));
        others.clone().find(is_elsewhere).or_else(|| others.next())
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

impl RoutingTable {
    /// Whether an address is of this node's pods.
    pub fn is_pod_here(&self, pod: Ipv4Addr) -> bool {
        self.pods_here.is_some_and(|range| range.contains(pod))
    }

    /// The host of another node that a pod's address belongs to.
    pub fn peer_of(&self, pod: Ipv4Addr) -> Option<Arc<Peer>> {
        self.pod_ranges.iter().find(|(range, _)| range.contains(pod)).map(|(_, peer)| peer.clone())
    }
}

/// `NAME.NAMESPACE` of what may be a Service's name, and whether it can be nothing else.
fn service_name<'a>(namespace: &str, host: &'a str) -> Option<(Cow<'a, str>, bool)> {
    let qualified = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc"));
    match (qualified, host.split('.').count()) {
        (Some(name), _) => Some((name.into(), true)),
        (None, 1) => Some((format!("{host}.{namespace}").into(), false)),
        (None, 2) => Some((host.into(), false)),
        (None, _) => None,
    }
}

/// A port of the Service `NAME.NAMESPACE`.
fn find_port(service: &str, ports: Option<&ServicePorts>, port: u16) -> Called {
    let Some(ports) = ports else { return Called::Nothing(format!("there is no Service {service}")) };
    match ports.iter().find(|(number, _)| *number == port) {
        Some((_, route)) => Called::Service(route.clone()),
        None => Called::Nothing(format!("there is no port {port} in Service {service}")),
    }
}

/// A host's name as it is looked up: in lower case, without the dot at the end of a complete one.
fn lowercase(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
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
    /// What pods call by name, by `NAME.NAMESPACE`.
    services: HashMap<Box<str>, ServicePorts>,
    cluster_ips: HashMap<IpAddr, Box<str>>,
    /// The ranges of other nodes' pods.
    pub(crate) pod_ranges: Vec<(Cidr, Arc<Peer>)>,
    /// The range of this node's pods.
    pub(crate) pods_here: Option<Cidr>,
}

/// The ports of a Service.
type ServicePorts = Box<[(u16, Arc<ServiceRoute>)]>;

/// What a pod calls by a host and a port.
pub enum Called {
    /// A port of a Service.
    Service(Arc<ServiceRoute>),
    /// Nothing there is, and why.
    Nothing(String),
    /// Nothing of the cluster's.
    Elsewhere,
}

impl RoutingTable {
    /// What a pod of `namespace` means by a host and a port: Kubernetes' names of Services, with or without namespace and cluster
    /// domain (<https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>), or a Service's address.
    pub fn find_service(&self, namespace: &str, host: &str, port: u16) -> Called {
        let host = lowercase(host);
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let service = self.cluster_ips.get(&address).map(|name| (&**name, self.services.get(name)));
            return service.map_or(Called::Elsewhere, |(name, ports)| find_port(name, ports, port));
        }
        let Some((name, must_exist)) = service_name(namespace, &host) else { return Called::Elsewhere };
        match self.services.get(&*name) {
            None if !must_exist => Called::Elsewhere,
            ports => find_port(&name, ports, port),
        }
    }

    /// All ports of the Service that a pod of `namespace` means by a name; none, if there is none.
    pub(crate) fn ports_of(&self, namespace: &str, host: &str) -> impl Iterator<Item = &Arc<ServiceRoute>> {
        let host = lowercase(host);
        let ports = service_name(namespace, &host).and_then(|(name, _)| self.services.get(&*name));
        ports.into_iter().flatten().map(|(_, route)| route)
    }

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

    /// A route of a host's, if it has one; one with pods, if one has.
    pub(crate) fn find_any(&self, host: &str) -> Option<&Arc<ServiceRoute>> {
        let host = lowercase(host);
        let routes = || self.paths(&host).0.iter().map(|path| &path.route).chain(&self.default);
        routes().find(|route| !route.endpoints.is_empty()).or_else(|| routes().next())
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
