//! The latest Ingresses, Services, EndpointSlices and Nodes, and the routing table they make. Pure; told of each change by its owner.
//!
//! A table is cheap after a change: only the routes of Services that changed are made again, and endpoints that stay keep
//! their counts of requests in flight.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::addresses::Cidr;
use crate::handler::Handlers;
use crate::routes::{Peers, Resolver, RoutingTable, ServiceRoute, assemble};
use crate::transport::Peer;
use crate::views::{Backend, IngressView, NodeView, ObjectName, ServiceView, SliceView};

/// The routing-relevant state of a cluster.
#[derive(Default)]
pub struct RouteBook {
    ingresses: BTreeMap<ObjectName, IngressView>,
    services: HashMap<ObjectName, ServiceView>,
    slices: BTreeMap<ObjectName, SliceView>,
    slices_of: HashMap<ObjectName, BTreeSet<ObjectName>>,
    peers: Peers,
    pod_ranges: BTreeMap<Arc<str>, Cidr>,
    routes: HashMap<Backend, Arc<ServiceRoute>>,
    stale: HashSet<ObjectName>,
    is_changed: bool,
}

impl RouteBook {
    /// A book without entries.
    pub fn new() -> RouteBook {
        RouteBook::default()
    }

    /// Takes over an Ingress.
    pub fn put_ingress(&mut self, view: IngressView) {
        self.is_changed |= self.ingresses.insert(view.name.clone(), view.clone()) != Some(view);
    }

    /// Forgets an Ingress.
    pub fn delete_ingress(&mut self, name: &ObjectName) {
        self.is_changed |= self.ingresses.remove(name).is_some();
    }

    /// Takes over all Ingresses: those not among them are forgotten.
    pub fn replace_ingresses(&mut self, views: impl IntoIterator<Item = IngressView>) {
        let views: Vec<_> = views.into_iter().collect();
        let gone: Vec<_> = missing(self.ingresses.keys(), views.iter().map(|view| &view.name));
        gone.iter().for_each(|name| self.delete_ingress(name));
        views.into_iter().for_each(|view| self.put_ingress(view));
    }

    /// Takes over a Service.
    pub fn put_service(&mut self, view: ServiceView) {
        let name = view.name.clone();
        if self.services.get(&name) != Some(&view) {
            self.services.insert(name.clone(), view);
            self.touch(name);
        }
    }

    /// Forgets a Service.
    pub fn delete_service(&mut self, name: &ObjectName) {
        if self.services.remove(name).is_some() {
            self.touch(name.clone());
        }
    }

    /// Takes over all Services: those not among them are forgotten.
    pub fn replace_services(&mut self, views: impl IntoIterator<Item = ServiceView>) {
        let views: Vec<_> = views.into_iter().collect();
        let gone: Vec<_> = missing(self.services.keys(), views.iter().map(|view| &view.name));
        gone.iter().for_each(|name| self.delete_service(name));
        views.into_iter().for_each(|view| self.put_service(view));
    }

    /// Takes over an EndpointSlice.
    pub fn put_slice(&mut self, view: SliceView) {
        if self.slices.get(&view.name) == Some(&view) {
            return;
        }
        self.delete_slice(&view.name.clone());
        self.slices_of.entry(view.service.clone()).or_default().insert(view.name.clone());
        self.touch(view.service.clone());
        self.slices.insert(view.name.clone(), view);
    }

    /// Forgets an EndpointSlice.
    pub fn delete_slice(&mut self, name: &ObjectName) {
        let Some(old) = self.slices.remove(name) else { return };
        if let Some(names) = self.slices_of.get_mut(&old.service) {
            names.remove(name);
            if names.is_empty() {
                self.slices_of.remove(&old.service);
            }
        }
        self.touch(old.service);
    }

    /// Takes over all EndpointSlices: those not among them are forgotten.
    pub fn replace_slices(&mut self, views: impl IntoIterator<Item = SliceView>) {
        let views: Vec<_> = views.into_iter().collect();
        let gone: Vec<_> = missing(self.slices.keys(), views.iter().map(|view| &view.name));
        gone.iter().for_each(|name| self.delete_slice(name));
        views.into_iter().for_each(|view| self.put_slice(view));
    }

    /// Takes over a Node: where its host serves, and its pods' addresses.
    pub fn put_node(&mut self, view: NodeView) {
        if let Some(range) = view.pods {
            self.is_changed |= self.pod_ranges.insert(view.name.clone(), range) != Some(range);
        }
        if self.peers.get(&view.name).is_some_and(|peer| peer.addr == view.addr) {
            return;
        }
        self.peers.insert(view.name.clone(), Peer::new(view.name.clone(), view.addr));
        self.touch_node(&view.name);
    }

    /// Forgets a Node.
    pub fn delete_node(&mut self, name: &str) {
        self.is_changed |= self.pod_ranges.remove(name).is_some();
        if self.peers.remove(name).is_some() {
            self.touch_node(name);
        }
    }

    /// Takes over all Nodes: those not among them are forgotten.
    pub fn replace_nodes(&mut self, views: impl IntoIterator<Item = NodeView>) {
        let views: Vec<_> = views.into_iter().collect();
        let listed: HashSet<_> = views.iter().map(|view| &view.name).collect();
        let gone: Vec<_> = self.peers.keys().filter(|name| !listed.contains(name)).cloned().collect();
        gone.iter().for_each(|name| self.delete_node(name));
        views.into_iter().for_each(|view| self.put_node(view));
    }

    /// Says that [`Handlers::find`] may answer differently now: all routes are made again.
    pub fn handlers_changed(&mut self) {
        self.stale.extend(self.routes.keys().map(|backend| backend.service.clone()));
        self.is_changed = true;
    }

    /// Whether the table would differ from the last one built.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Builds the table.
    pub fn build(&mut self, handlers: &dyn Handlers, this_node: &str) -> RoutingTable {
        let resolver = Resolver { handlers, this_node, peers: &self.peers };
        let old = std::mem::take(&mut self.routes);
        let mut routes: HashMap<Backend, Arc<ServiceRoute>> = HashMap::with_capacity(old.len());
        let mut table = assemble(self.ingresses.values(), self.services.values(), |backend| {
            if let Some(route) = routes.get(backend) {
                return route.clone();
            }
            let route = match old.get(backend) {
                Some(route) if !self.stale.contains(&backend.service) => route.clone(),
                old => {
                    let slices = self.slices_of.get(&backend.service).into_iter().flatten();
                    let slices: Vec<_> = slices.map(|name| &self.slices[name]).collect();
                    let service = self.services.get(&backend.service);
                    Arc::new(resolver.resolve(backend, service, &slices, old.map(Arc::as_ref)))
                }
            };
            routes.insert(backend.clone(), route.clone());
            route
        });
        self.routes = routes;
        let others = self.pod_ranges.iter().filter(|(node, _)| ***node != *this_node);
        table.pod_ranges = others.filter_map(|(node, range)| Some((*range, self.peers.get(node)?.clone()))).collect();
        table.pods_here = self.pod_ranges.get(this_node).copied();
        self.stale.clear();
        self.is_changed = false;
        table
    }

    /// The routes to the pods of a node are made again.
    fn touch_node(&mut self, name: &str) {
        let is_there = |slice: &&SliceView| slice.endpoints.iter().any(|endpoint| &*endpoint.node == name);
        let services: Vec<_> = self.slices.values().filter(is_there).map(|slice| slice.service.clone()).collect();
        services.into_iter().for_each(|service| self.touch(service));
    }

    fn touch(&mut self, service: ObjectName) {
        self.stale.insert(service);
        self.is_changed = true;
    }
}

fn missing<'a>(
    known: impl Iterator<Item = &'a ObjectName>,
    listed: impl Iterator<Item = &'a ObjectName>,
) -> Vec<ObjectName> {
    let listed: HashSet<_> = listed.collect();
    known.filter(|name| !listed.contains(name)).cloned().collect()
}

#[cfg(test)]
mod tests;
