//! The handlers of running pods, by pod and port: what the ingress builds its routes from.

use std::collections::HashMap;
use std::sync::Arc;

use coracle_net::{Handler, Handlers};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::runtime::Container;

/// The handlers of this host's pods. Looked at when routes are built, never on the way of a request.
pub struct PodHandlers {
    pods: RwLock<HashMap<Arc<str>, Vec<Entry>>>,
    changes: watch::Sender<u64>,
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

    /// A container answers on these ports, if it is a handler; true if so. [`PodHandlers::announce`] makes it known.
    pub(crate) fn insert(
        &self,
        uid: &Arc<str>,
        container: usize,
        ports: &[u16],
        answering: &Arc<dyn Container>,
    ) -> bool {
        let Some(handler) = answering.handler() else { return false };
        self.put(uid, container, ports, &handler, Some(answering));
        true
    }

    /// As [`PodHandlers::insert`], for what is no container.
    #[cfg(test)]
    pub(crate) fn insert_handler(&self, uid: &Arc<str>, container: usize, ports: &[u16], handler: &Arc<dyn Handler>) {
        self.put(uid, container, ports, handler, None);
    }

    fn put(
        &self,
        uid: &Arc<str>,
        container: usize,
        ports: &[u16],
        handler: &Arc<dyn Handler>,
        answering: Option<&Arc<dyn Container>>,
    ) {
        let mut pods = self.pods.write();
        let entries = pods.entry(uid.clone()).or_default();
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
        let Some(entries) = pods.get_mut(uid) else { return false };
        let before = entries.len();
        entries.retain(|entry| entry.container != container);
        let is_changed = entries.len() != before;
        if entries.is_empty() {
            pods.remove(uid);
        }
        is_changed
    }

    /// The ports on which a pod answers now.
    pub(crate) fn ports(&self, uid: &str) -> Vec<u16> {
        let pods = self.pods.read();
        pods.get(uid).into_iter().flatten().map(|entry| entry.port).collect()
    }

    /// The container that answers on a port of a pod.
    pub(crate) fn answering(&self, uid: &str, port: u16) -> Option<Arc<dyn Container>> {
        let pods = self.pods.read();
        pods.get(uid)?.iter().find(|entry| entry.port == port)?.answering.clone()
    }

    /// Routes are to be built anew.
    pub(crate) fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Handlers for PodHandlers {
    fn find(&self, pod_uid: &str, port: u16) -> Option<Arc<dyn Handler>> {
        let pods = self.pods.read();
        pods.get(pod_uid)?.iter().find(|entry| entry.port == port).map(|entry| entry.handler.clone())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
