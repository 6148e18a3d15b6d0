//! The nodes as a plan sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Amounts;

/// What a taint does to pods that don't tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// New pods stay away.
    NoSchedule,
    /// New pods prefer other nodes.
    PreferNoSchedule,
    /// New pods stay away and running ones leave.
    NoExecute,
}

impl Effect {
    /// The effect of this name.
    pub fn parse(text: &str) -> Option<Effect> {
        match text {
            "NoSchedule" => Some(Effect::NoSchedule),
            "PreferNoSchedule" => Some(Effect::PreferNoSchedule),
            "NoExecute" => Some(Effect::NoExecute),
            _ => None,
        }
    }
}

/// A mark that keeps pods away.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// The taint's key.
    pub key: Arc<str>,
    /// The taint's value; may be empty.
    pub value: Arc<str>,
    /// What it does.
    pub effect: Effect,
}

/// What a node is, as its object says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// The node's name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What pods may take of it.
    pub allocatable: Amounts,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// Whether it is ready.
    pub ready: bool,
}

/// A node and what its pods have taken of it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// What the node is; shared between snapshots.
    pub info: Arc<NodeInfo>,
    /// The sum of its pods' requests.
    pub requested: Amounts,
}

impl Node {
    /// What is left of a resource.
    pub fn free(&self, resource: &crate::Resource) -> i64 {
        self.info.allocatable.get(resource).saturating_sub(self.requested.get(resource))
    }
}

/// Every node of the cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The nodes, ready or not.
    pub nodes: Vec<Node>,
}
