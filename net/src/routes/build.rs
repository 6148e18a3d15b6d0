//! From Ingresses, Services and EndpointSlices to a routing table. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Endpoint, Gap, PathRoute, Paths, RoutingTable, ServicePorts, ServiceRoute, Target};
use crate::handler::Handlers;
use crate::transport::{Peer, PeerPod};
use crate::views::{
    Backend, BackendPort, EndpointView, IngressView, ObjectName, PathKind, Readiness, ServiceView, SliceView,
};

/// The hosts of other nodes, by the node's name.
pub type Peers = HashMap<Arc<str>, Arc<Peer>>;

/// Builds the table all at once. [`crate::RouteBook`] does the same step by step.
///
/// `this_node` names the node this process is on: pods there are reached in process where a handler is known, and by their
/// address otherwise (a command that listens itself). Pods of other nodes are reached through those nodes' hosts, and left out
/// where `peers` has none. What is on no node is reached by its address.
pub fn build_routes(
    ingresses: &[IngressView],
    services: &[ServiceView],
    slices: &[SliceView],
    handlers: &dyn Handlers,
    this_node: &str,
    peers: &Peers,
) -> RoutingTable {
    let by_name: HashMap<_, _> = services.iter().map(|service| (&service.name, service)).collect();
    let mut slices_of: BTreeMap<&ObjectName, Vec<&SliceView>> = BTreeMap::new();
    for slice in slices {
        slices_of.entry(&slice.service).or_default().push(slice);
    }
    let resolver = Resolver { handlers, this_node, peers };
    let mut made: HashMap<Backend, Arc<ServiceRoute>> = HashMap::new();
    assemble(ingresses.iter(), services.iter(), |backend| {
        let route = || {
            let slices = slices_of.get(&backend.service).map_or(&[][..], Vec::as_slice);
            Arc::new(resolver.resolve(backend, by_name.get(&backend.service).copied(), slices, None))
        };
        made.entry(backend.clone()).or_insert_with(route).clone()
    })
}

/// Finds the pods behind a backend.
pub(crate) struct Resolver<'a> {
    pub(crate) handlers: &'a dyn Handlers,
    pub(crate) this_node: &'a str,
    pub(crate) peers: &'a Peers,
}

impl Resolver<'_> {
    /// The route of a backend. Endpoints that `old` has too are shared with it, and so their counts of requests in flight.
    pub(crate) fn resolve(
        &self,
        backend: &Backend,
        service: Option<&ServiceView>,
        slices: &[&SliceView],
        old: Option<&ServiceRoute>,
    ) -> ServiceRoute {
        let route = |gap, endpoints: Vec<Arc<Endpoint>>| ServiceRoute {
            backend: backend.clone(),
            endpoints: endpoints.into(),
            gap,
        };
        let Some(service) = service else { return route(Gap::Service, Vec::new()) };
        let Some(port_name) = service.port_name(&backend.port) else { return route(Gap::Port, Vec::new()) };
        let known: HashMap<&str, &Arc<Endpoint>> = old
            .map(|old| old.endpoints.iter().map(|endpoint| (&*endpoint.pod, endpoint)).collect())
            .unwrap_or_default();
        let (mut ready, mut draining, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for slice in slices {
            let Some((_, port)) = slice.ports.iter().find(|(name, _)| **name == *port_name) else { continue };
            for view in &slice.endpoints {
                let list = match view.readiness {
                    Readiness::Ready => &mut ready,
                    Readiness::Draining => &mut draining,
                    Readiness::NotReady => continue,
                };
                // A pod may stand in two slices while it moves from one to the other.
                if !seen.insert((&view.node, view.address, *port)) {
                    continue;
                }
                let Some(target) = self.target(view, *port) else { continue };
                let pod = format!("{}/{}", slice.name.namespace, view.pod_name);
                let made = Endpoint::new(pod.into(), target);
                let same = known.get(&*made.pod).filter(|endpoint| endpoint.is_same(&made));
                list.push(same.map_or_else(|| Arc::new(made), |same| Arc::clone(same)));
            }
        }
        route(Gap::ReadyPod, if ready.is_empty() { draining } else { ready })
    }

    fn target(&self, view: &EndpointView, port: u16) -> Option<Target> {
        if !view.node.is_empty() && *view.node != *self.this_node {
            let peer = self.peers.get(&view.node)?.clone();
            return PeerPod::new(peer, &view.pod_uid, port).map(Target::Peer);
        }
        let handler = self.handlers.find(&view.pod_uid, port);
        Some(handler.map_or_else(|| Target::Remote(SocketAddr::new(view.address, port)), Target::Local))
    }
}

/// Puts the rules of all Ingresses in order, and all Services under their names; `resolve` knows the route of a backend.
pub(crate) fn assemble<'a>(
    ingresses: impl Iterator<Item = &'a IngressView>,
    services: impl Iterator<Item = &'a ServiceView>,
    mut resolve: impl FnMut(&Backend) -> Arc<ServiceRoute>,
) -> RoutingTable {
    let mut ours: Vec<&IngressView> = ingresses.filter(|ingress| ingress.is_ours).collect();
    ours.sort_by_key(|ingress| (&ingress.created, &ingress.name));
    let mut table = RoutingTable::default();
    for ingress in &ours {
        for rule in &ingress.paths {
            let path: Box<str> = match rule.kind {
                PathKind::Exact if rule.path.is_empty() => "/".into(),
                PathKind::Exact => (*rule.path).into(),
                PathKind::Prefix => rule.path.trim_end_matches('/').into(),
            };
            table.host(&rule.host).add(path, rule.kind, || resolve(&rule.backend));
        }
    }
    // Only now, so that no Ingress's default backend stands before another's rule for `/`.
    for ingress in &ours {
        let Some(backend) = &ingress.default_backend else {
            // A host that is named has its own paths, be they none: rules for every host don't apply to it.
            for host in &ingress.hosts {
                table.host(host);
            }
            continue;
        };
        for host in &ingress.hosts {
            table.host(host).add("".into(), PathKind::Prefix, || resolve(backend));
        }
        if table.default.is_none() {
            table.default = Some(resolve(backend));
        }
    }
    table.exact.values_mut().chain(table.wildcard.values_mut()).chain([&mut table.any]).for_each(Paths::sort);
    for service in services {
        let mut route = |port| resolve(&Backend { service: service.name.clone(), port: BackendPort::Number(port) });
        let ports: ServicePorts = service.ports.iter().map(|(port, _)| (*port, route(*port))).collect();
        let name: Box<str> = format!("{}.{}", service.name.name, service.name.namespace).into();
        if let Some(address) = service.cluster_ip {
            table.cluster_ips.insert(address, name.clone());
        }
        table.services.insert(name, ports);
    }
    table
}

impl RoutingTable {
    fn host(&mut self, host: &str) -> &mut Paths {
        if host.is_empty() {
            return &mut self.any;
        }
        match host.strip_prefix("*.") {
            Some(domain) => self.wildcard.entry(domain.into()).or_default(),
            None => self.exact.entry(host.into()).or_default(),
        }
    }
}

impl Paths {
    /// Adds a path unless it is there already: the first, which is the oldest, wins.
    fn add(&mut self, path: Box<str>, kind: PathKind, route: impl FnOnce() -> Arc<ServiceRoute>) {
        if !self.0.iter().any(|known| known.kind == kind && known.path == path) {
            self.0.push(PathRoute { path, kind, route: route() });
        }
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|route| (std::cmp::Reverse(route.path.len()), route.kind == PathKind::Prefix));
    }
}
