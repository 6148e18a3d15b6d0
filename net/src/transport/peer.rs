//! Another host: where its server is, the connections to it, and whether it can be reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use super::connection::Connection;

/// Connections to one host at most.
const LANES: usize = 4;

/// Another host, as the pods behind it are reached. Nothing is connected before it is needed.
pub struct Peer {
    /// The node's name, which the host's certificate must prove.
    pub node: Arc<str>,
    /// Where its server listens.
    pub addr: SocketAddr,
    pub(super) is_down: AtomicBool,
    lanes: [Mutex<Option<Connection>>; LANES],
}

impl Peer {
    /// A host nobody has tried to reach yet.
    pub fn new(node: Arc<str>, addr: SocketAddr) -> Arc<Peer> {
        Arc::new(Peer { node, addr, is_down: AtomicBool::new(false), lanes: Default::default() })
    }

    /// Whether the last attempt to reach it failed.
    pub fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    pub(super) fn lane(&self, lane: usize) -> &Mutex<Option<Connection>> {
        &self.lanes[lane % LANES]
    }

    #[cfg(test)]
    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }
}
