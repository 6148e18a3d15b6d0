//! Keeps pods off nodes that aren't ready.

use crate::{Node, Rejection, Shape};

pub(super) fn filter(_: &Shape, node: &Node, rejections: &mut Vec<Rejection>) {
    if !node.info.ready {
        rejections.push(Rejection::NotReady);
    }
}
