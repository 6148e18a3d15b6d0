//! Prefers the node that has the greatest share of CPU, memory and pod places left once the pod is on it.

use crate::{Node, Resource, Shape, scorers::SCORE_MAX};

pub(super) fn score(shape: &Shape, node: &Node) -> u64 {
    let shares = [Resource::Cpu, Resource::Memory, Resource::Pods].map(|resource| {
        let total = i128::from(node.info.allocatable.get(&resource));
        let left = i128::from(node.free(&resource).saturating_sub(shape.requests.get(&resource)));
        if total <= 0 || left <= 0 { 0 } else { left.min(total) * i128::from(SCORE_MAX) / total }
    });
    u64::try_from(shares.iter().sum::<i128>() / shares.len() as i128).expect("invariant: each share is 0 to SCORE_MAX")
}
