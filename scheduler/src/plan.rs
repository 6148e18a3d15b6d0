//! The plan: pods in order of priority, each on the best node that can take it.
//!
//! Pods of one shape share a heap of the nodes that can take them, so that placing a pod costs a few heap operations and
//! not a walk over all nodes. A heap follows the placements of other shapes through a log of the nodes they touched.

use std::collections::{BinaryHeap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::{PodRequest, Reason, Shape, Snapshot, filters, scorers};

/// What to do with the pods that wait.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The pods that can be placed, by key, each with the name of its node.
    pub bindings: Vec<(Arc<str>, Arc<str>)>,
    /// The pods that can't, each with the reason.
    pub unschedulable: Vec<(Arc<str>, Arc<Reason>)>,
}

/// Places the pods, those of higher priority first, otherwise in the order given.
pub fn plan(snapshot: &Snapshot, pods: &[PodRequest]) -> Plan {
    let mut planner = Planner { snapshot: snapshot.clone(), touched: Vec::new() };
    let mut groups: HashMap<&Shape, Group> = HashMap::new();
    for pod in pods {
        groups.entry(&pod.shape).or_default().waiting += 1;
    }
    let mut order: Vec<&PodRequest> = pods.iter().collect();
    order.sort_by_key(|pod| std::cmp::Reverse(pod.shape.priority));

    let mut plan = Plan::default();
    for pod in order {
        let group = groups.get_mut(&*pod.shape).expect("invariant: every shape has a group");
        match planner.place(&pod.shape, group) {
            Ok(node) => plan.bindings.push((pod.key.clone(), node)),
            Err(reason) => plan.unschedulable.push((pod.key.clone(), reason)),
        }
        group.waiting -= 1;
        if group.waiting == 0 {
            group.candidates = None;
        }
    }
    plan
}

/// The nodes that can take the pods of one shape.
#[derive(Default)]
struct Group {
    waiting: usize,
    candidates: Option<BinaryHeap<Candidate>>,
    /// How much of the log of touched nodes the candidates have taken in.
    seen: usize,
    failed: Option<Arc<Reason>>,
}

/// A node's standing; out of date once the node was touched again. The greatest is the best.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    score: u64,
    tie_break: u64,
    node: usize,
    pods: i64,
}

struct Planner {
    snapshot: Snapshot,
    touched: Vec<usize>,
}

impl Planner {
    fn place(&mut self, shape: &Shape, group: &mut Group) -> Result<Arc<str>, Arc<Reason>> {
        if let Some(reason) = &group.failed {
            return Err(reason.clone());
        }
        let candidates = match &mut group.candidates {
            Some(candidates) => {
                candidates.extend(self.touched[group.seen..].iter().filter_map(|node| self.candidate(shape, *node)));
                candidates
            }
            none => {
                none.insert((0..self.snapshot.nodes.len()).filter_map(|node| self.candidate(shape, node)).collect())
            }
        };
        group.seen = self.touched.len();
        // Every placement adds a pod, so the count of pods tells a candidate that is out of date.
        while let Some(best) = candidates.pop() {
            let node = &mut self.snapshot.nodes[best.node];
            if node.requested.pods == best.pods {
                node.requested.add(&shape.requests);
                self.touched.push(best.node);
                return Ok(node.info.name.clone());
            }
        }
        let reason = Arc::new(Reason::explain(shape, &self.snapshot));
        group.failed = Some(reason.clone());
        Err(reason)
    }

    fn candidate(&self, shape: &Shape, index: usize) -> Option<Candidate> {
        let node = &self.snapshot.nodes[index];
        if !filters::accepts(shape, node, &mut Vec::new()) {
            return None;
        }
        let (score, tie_break) = (scorers::score(shape, node), tie_break(shape, &node.info.name));
        Some(Candidate { score, tie_break, node: index, pods: node.requested.pods })
    }
}

/// Spreads equal pods over equal nodes differently for each shape, and always the same way.
fn tie_break(shape: &Shape, node: &str) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    (shape.requests.cpu_millis, shape.requests.memory_bytes, node).hash(&mut hash);
    hash.finish()
}

/// FNV-1a: unlike the standard library's hasher, the same in every release.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests;
