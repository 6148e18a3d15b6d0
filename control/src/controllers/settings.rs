//! What the controllers are told once, at their start.

use std::net::Ipv4Addr;
use std::sync::Arc;

use coracle_net::addresses::Cidr;
use jiff::SignedDuration;

/// The settings of all controllers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The certificate of the cluster's CA, which every namespace gets a copy of.
    pub ca_pem: Arc<str>,
    /// Where the ranges of the nodes' pod addresses are taken from.
    pub cluster_cidr: Cidr,
    /// The leading bits of a node's range.
    pub node_cidr_mask_size: u8,
    /// How long a node may be silent before it counts as lost.
    pub node_monitor_grace_period: SignedDuration,
    /// How long pods that say nothing of it stay on a node that is not ready,
    pub default_not_ready_toleration: SignedDuration,
    /// and how long on one that is lost.
    pub default_unreachable_toleration: SignedDuration,
}

impl Settings {
    /// The usual ones, for a CA.
    pub fn new(ca_pem: &str) -> Settings {
        Settings { ca_pem: ca_pem.into(), ..Settings::default() }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        // Any address of 127.0.0.0/8 can be bound without privileges: 512 nodes of 16,382 pods each.
        let cluster_cidr = Cidr::new(Ipv4Addr::new(127, 128, 0, 0), 9).expect("invariant: the range is aligned");
        Settings {
            ca_pem: "".into(),
            cluster_cidr,
            node_cidr_mask_size: 18,
            node_monitor_grace_period: SignedDuration::from_secs(5),
            default_not_ready_toleration: SignedDuration::from_secs(10),
            // 10 s after the node's last sign of life.
            default_unreachable_toleration: SignedDuration::from_secs(5),
        }
    }
}
