//! Why a pod can't be placed: in Kubernetes' words, and as figures.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Resource, Shape, Snapshot, filters};

/// Why one node can't take a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// The node isn't ready.
    NotReady,
    /// The node is cordoned.
    Unschedulable,
    /// The node has a taint that the pod doesn't tolerate.
    Taint {
        /// The taint's key.
        key: Arc<str>,
        /// The taint's value.
        value: Arc<str>,
    },
    /// The node isn't one that the pod's selector or affinity names.
    NodeAffinity,
    /// The node has no place for another pod.
    TooManyPods,
    /// The node has too little of a resource left.
    Insufficient(Resource),
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::NotReady => formatter.write_str("node(s) were not ready"),
            Rejection::Unschedulable => formatter.write_str("node(s) were unschedulable"),
            Rejection::Taint { key, value } => write!(formatter, "node(s) had untolerated taint {{{key}: {value}}}"),
            Rejection::NodeAffinity => formatter.write_str("node(s) didn't match Pod's node affinity/selector"),
            Rejection::TooManyPods => formatter.write_str("Too many pods"),
            Rejection::Insufficient(resource) => write!(formatter, "Insufficient {resource}"),
        }
    }
}

/// A resource of which no node that is otherwise acceptable has enough left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The resource.
    pub resource: Resource,
    /// How much the pod asks for.
    pub requested: i64,
    /// The most that any such node has left.
    pub largest_free: i64,
    /// How much that node has in all.
    pub allocatable: i64,
    /// That node.
    pub node: Arc<str>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortage { resource, requested, largest_free, allocatable, node } = self;
        let [requested, free, total] = [requested, largest_free, allocatable].map(|amount| resource.format(*amount));
        match allocatable {
            0 => write!(formatter, "{resource}: requested {requested}; no host has any"),
            _ => write!(
                formatter,
                "{resource}: requested {requested}; the largest host, {node}, has {free} free of {total}"
            ),
        }
    }
}

/// Why no node can take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many nodes each rejection holds for; a node that lacks two resources counts twice.
    pub rejections: BTreeMap<Rejection, usize>,
    /// The resources that are short everywhere.
    pub shortages: Vec<Shortage>,
}

impl Reason {
    /// The sentence kube-scheduler would write, without the figures.
    pub fn summary(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut counts: Vec<String> = self.rejections.iter().map(|(why, count)| format!("{count} {why}")).collect();
        counts.sort_unstable();
        format!("0/{} nodes are available: {}.", self.nodes, counts.join(", "))
    }

    pub(crate) fn explain(shape: &Shape, snapshot: &Snapshot) -> Reason {
        let mut rejections: BTreeMap<Rejection, usize> = BTreeMap::new();
        let mut of_node = Vec::new();
        let mut short: BTreeMap<Resource, Option<Shortage>> =
            shape.requests.positive().map(|(resource, _)| (resource, None)).collect();
        for node in &snapshot.nodes {
            filters::accepts(shape, node, &mut of_node);
            for rejection in of_node.drain(..) {
                *rejections.entry(rejection).or_default() += 1;
            }
            short.retain(|resource, best| {
                let (requested, free) = (shape.requests.get(resource), node.free(resource));
                let (largest_free, allocatable) = (free.max(0), node.info.allocatable.get(resource));
                if best.as_ref().is_none_or(|best| (largest_free, allocatable) > (best.largest_free, best.allocatable))
                {
                    let (resource, node) = (resource.clone(), node.info.name.clone());
                    *best = Some(Shortage { resource, requested, largest_free, allocatable, node });
                }
                requested > free
            });
        }
        Reason { nodes: snapshot.nodes.len(), rejections, shortages: short.into_values().flatten().collect() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.summary())?;
        self.shortages.iter().try_for_each(|shortage| write!(formatter, " {shortage}."))
    }
}
