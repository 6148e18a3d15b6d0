//! Keeps pods off nodes with a taint they don't tolerate.

use crate::{Effect, Node, Rejection, Shape};

pub(super) fn filter(shape: &Shape, node: &Node, rejections: &mut Vec<Rejection>) {
    let untolerated = node.info.taints.iter().find(|taint| {
        taint.effect != Effect::PreferNoSchedule
            && !shape.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    });
    if let Some(taint) = untolerated {
        rejections.push(Rejection::Taint { key: taint.key.clone(), value: taint.value.clone() });
    }
}
