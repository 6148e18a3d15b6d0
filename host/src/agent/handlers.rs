//! The handlers of running pods, by pod and port: what the ingress builds its routes from.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use coracle_net::{Handler, Handlers};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::runtime::Container;

/// The handlers of this host's pods. Looked at when routes are built and when a pod calls another's address, never on a request's way in.
pub struct PodHandlers {
    pods: RwLock<Pods>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Pods {
    by_uid: HashMap<Arc<str>, Pod>,
    uids: HashMap<Ipv4Addr, Arc<str>>,
}

#[derive(Default)]
struct Pod {
    address: Option<Ipv4Addr>,
    entries: Vec<Entry>,
    /// Containers that are no handlers, and may listen at the address.
    listening: Vec<usize>,
}

impl Pods {
    fn entry(&self, uid: &str, port: u16) -> Option<&Entry> {
        self.by_uid.get(uid)?.entries.iter().find(|entry| entry.port == port)
    }
}

struct Entry {
    container: usize,
    port: u16,
    handler: Arc<dyn Handler>,
    /// What probes ask.
    answering: Option<Arc<dyn Container>>,
}

impl Default for PodHandlers {
    fn default() -> PodHandlers {
        PodHandlers { pods: RwLock::default(), changes: watch::channel(0).0 }
    }
}

impl PodHandlers {
    /// None yet.
    pub fn new() -> Arc<PodHandlers> {
        Arc::default()
    }

    /// A container answers on these ports, if it is a handler; true if so. Others may listen themselves. [`PodHandlers::announce`] makes it known.
    pub(crate) fn insert(
        &self,
        uid: &Arc<str>,
        address: Option<Ipv4Addr>,
        container: usize,
        ports: &[u16],
        answering: &Arc<dyn Container>,
    ) -> bool {
        let Some(handler) = answering.handler() else {
            let mut pods = self.pods.write();
            address.map(|address| pods.uids.insert(address, uid.clone()));
            let pod = pods.by_uid.entry(uid.clone()).or_default();
            pod.address = address.or(pod.address);
            pod.listening.push(container);
            return false;
        };
        self.put(uid, address, container, ports, &handler, Some(answering));
        true
    }

    /// As [`PodHandlers::insert`], for what is no container.
    #[cfg(test)]
    pub(crate) fn insert_handler(&self, uid: &Arc<str>, container: usize, ports: &[u16], handler: &Arc<dyn Handler>) {
        self.put(uid, None, container, ports, handler, None);
    }

    fn put(
        &self,
        uid: &Arc<str>,
        address: Option<Ipv4Addr>,
        container: usize,
        ports: &[u16],
        handler: &Arc<dyn Handler>,
        answering: Option<&Arc<dyn Container>>,
    ) {
        let mut pods = self.pods.write();
        if let Some(address) = address {
            pods.uids.insert(address, uid.clone());
        }
        let Pod { address: known, entries, .. } = pods.by_uid.entry(uid.clone()).or_default();
        *known = address.or(*known);
        entries.retain(|entry| entry.container != container);
        entries.extend(ports.iter().map(|port| Entry {
            container,
            port: *port,
            handler: handler.clone(),
            answering: answering.cloned(),
        }));
    }

    /// A container answers no longer; true if it did.
    pub(crate) fn remove(&self, uid: &str, container: usize) -> bool {
        let mut pods = self.pods.write();
        let Some(pod) = pods.by_uid.get_mut(uid) else { return false };
        let before = pod.entries.len();
        pod.entries.retain(|entry| entry.container != container);
        let is_changed = pod.entries.len() != before;
        pod.listening.retain(|known| *known != container);
        if pod.entries.is_empty() && pod.listening.is_empty() {
            let address = pod.address;
            pods.by_uid.remove(uid);
            // Another pod may have the address by now.
            if let Some(address) = address.filter(|address| pods.uids.get(address).is_some_and(|known| **known == *uid))
            {
                pods.uids.remove(&address);
            }
        }
        is_changed
    }

    /// The ports on which a pod answers now.
    pub(crate) fn ports(&self, uid: &str) -> Vec<u16> {
        let pods = self.pods.read();
        pods.by_uid.get(uid).into_iter().flat_map(|pod| &pod.entries).map(|entry| entry.port).collect()
    }

    /// The container that answers on a port of a pod.
    pub(crate) fn answering(&self, uid: &str, port: u16) -> Option<Arc<dyn Container>> {
        let pods = self.pods.read();
        pods.entry(uid, port)?.answering.clone()
    }

    /// Routes are to be built anew.
    pub(crate) fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Handlers for PodHandlers {
    fn find(&self, pod_uid: &str, port: u16) -> Option<Arc<dyn Handler>> {
        let pods = self.pods.read();
        pods.entry(pod_uid, port).map(|entry| entry.handler.clone())
    }

    fn find_at(&self, address: Ipv4Addr, port: u16) -> Option<Arc<dyn Handler>> {
        let pods = self.pods.read();
        pods.entry(pods.uids.get(&address)?, port).map(|entry| entry.handler.clone())
    }

    fn listener(&self, pod_uid: &str) -> Option<Ipv4Addr> {
        let pods = self.pods.read();
        let by_address = pod_uid.parse().ok().and_then(|address| pods.uids.get(&address));
        let uid = by_address.map_or(pod_uid, |uid| &**uid);
        pods.by_uid.get(uid).filter(|pod| !pod.listening.is_empty())?.address
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
