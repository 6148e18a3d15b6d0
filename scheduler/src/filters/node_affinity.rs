//! Keeps pods to the nodes that their node selector and required node affinity name.

use crate::{Node, Rejection, Shape};

pub(super) fn filter(shape: &Shape, node: &Node, rejections: &mut Vec<Rejection>) {
    let info = &node.info;
    let selected = shape.node_selector.iter().all(|(key, value)| info.labels.get(key) == Some(value));
    // A term without requirements matches nothing, as in Kubernetes.
    let affine = shape.affinity.as_ref().is_none_or(|terms| {
        terms.iter().any(|term| !term.is_empty() && term.iter().all(|one| one.matches(&info.name, &info.labels)))
    });
    if !(selected && affine) {
        rejections.push(Rejection::NodeAffinity);
    }
}
