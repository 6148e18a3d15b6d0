//! Keeps pods off cordoned nodes, unless they tolerate the taint that stands for it.

use crate::{Effect, Node, Rejection, Shape, Taint};

const TAINT: &str = "node.kubernetes.io/unschedulable";

pub(super) fn filter(shape: &Shape, node: &Node, rejections: &mut Vec<Rejection>) {
    if !node.info.unschedulable {
        return;
    }
    let taint = Taint { key: TAINT.into(), value: "".into(), effect: Effect::NoSchedule };
    if !shape.tolerations.iter().any(|toleration| toleration.tolerates(&taint)) {
        rejections.push(Rejection::Unschedulable);
    }
}
