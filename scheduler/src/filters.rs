//! Filters say which nodes a pod can't run on, and why.

use crate::{Node, Rejection, Shape};

mod node_affinity;
mod ready;
mod resource_fit;
mod taints;
mod unschedulable;

/// Appends the reasons why the pod can't run on the node; none means that it can. A node that a filter rejects may
/// not become acceptable by placing more pods on it.
pub type Filter = fn(&Shape, &Node, &mut Vec<Rejection>);

/// Every filter, in the order they are asked; the first to object is the one that is quoted.
pub const ALL: &[Filter] =
    &[ready::filter, unschedulable::filter, taints::filter, node_affinity::filter, resource_fit::filter];

/// Whether every filter accepts the node; otherwise `rejections` holds the objections of the first that doesn't.
pub fn accepts(shape: &Shape, node: &Node, rejections: &mut Vec<Rejection>) -> bool {
    rejections.clear();
    ALL.iter().all(|filter| {
        filter(shape, node, rejections);
        rejections.is_empty()
    })
}
