//! Keeps pods off nodes that have too little left of something they request.

use crate::{Node, Rejection, Resource, Shape};

pub(super) fn filter(shape: &Shape, node: &Node, rejections: &mut Vec<Rejection>) {
    for (resource, requested) in shape.requests.positive() {
        if requested > node.free(&resource) {
            rejections.push(match resource {
                Resource::Pods => Rejection::TooManyPods,
                resource => Rejection::Insufficient(resource),
            });
        }
    }
}
