//! Prefers nodes without `PreferNoSchedule` taints that the pod doesn't tolerate.

use crate::{Effect, Node, Shape, scorers::SCORE_MAX};

pub(super) fn score(shape: &Shape, node: &Node) -> u64 {
    let disliked = node.info.taints.iter().filter(|taint| {
        taint.effect == Effect::PreferNoSchedule
            && !shape.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    });
    SCORE_MAX / (1 + disliked.count() as u64)
}
