//! Scorers say which of the nodes that a pod can run on suits it best.

use crate::{Node, Shape};

mod least_allocated;
mod taints;

/// The highest score; fine enough that one small pod on a large node makes a difference.
pub const SCORE_MAX: u64 = 1_000_000;

/// How well a node suits a pod, from 0 to [`SCORE_MAX`].
pub type Scorer = fn(&Shape, &Node) -> u64;

/// Every scorer and its weight.
pub const ALL: &[(Scorer, u64)] = &[(least_allocated::score, 1), (taints::score, 3)];

/// The weighted sum of all scores.
pub fn score(shape: &Shape, node: &Node) -> u64 {
    ALL.iter().map(|(scorer, weight)| scorer(shape, node) * weight).sum()
}
