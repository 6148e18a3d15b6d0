//! Gives each node a range of its own for the addresses of its pods: the lowest that is free.
//!
//! Deliberately absent: taking a range back. One is free again once no Node has it; and what a node has is never changed, for
//! its pods have those addresses.

use coracle_api::{kinds, object};
use coracle_net::addresses::Cidr;
use jiff::Timestamp;
use serde_json::json;

use super::events::{Note, Severity, record};
use super::{Outcome, update};
use crate::driver::view::Object;
use crate::driver::world::World;

const COMPONENT: &str = "cidrAllocator";

/// Looks at all nodes, for no two may get the same range.
pub fn reconcile(world: &World, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let prefix = kinds::NODE.prefix(None);
    let range_of = |node: &Object| node.node().map(|node| node.pod_cidr.clone()).unwrap_or_default();
    let (mut waiting, having): (Vec<_>, Vec<_>) = world.range(&prefix).partition(|node| range_of(node).is_empty());
    waiting.retain(|node| node.meta.deleting.is_none());
    waiting.sort_by_key(|node| node.meta.created);
    let taken: Vec<Cidr> = having.iter().filter_map(|node| range_of(node).parse().ok()).collect();
    let (whole, size) = (world.settings.cluster_cidr, world.settings.node_cidr_mask_size);
    let mut free = whole.split(size).filter(|range| !taken.iter().any(|taken| taken.overlaps(*range)));
    for node in waiting {
        match free.next() {
            Some(range) => {
                let mut object = node.decode();
                let spec = object::child_mut(&mut object, "spec");
                spec.insert("podCIDR".to_owned(), range.to_string().into());
                spec.insert("podCIDRs".to_owned(), json!([range.to_string()]));
                outcome.write(update(node, object));
            }
            None => {
                let name = &node.meta.name;
                let message = format!(
                    "Node {name} gets no pods: every /{size} of the cluster's pod addresses, {whole}, is some node's; \
                    delete Nodes that are gone, or give a larger --cluster-cidr"
                );
                let reason = "CIDRNotAvailable";
                let note = Note { component: COMPONENT, severity: Severity::Warning, reason, message: &message };
                outcome.events.push(record(world, node, note, now));
            }
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
