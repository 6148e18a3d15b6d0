//! What a pod asks of the node it will run on.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Amounts, Effect, Taint};

/// How a requirement compares a node's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label is one of the values.
    In,
    /// The label is absent or none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer greater than the value.
    Gt,
    /// The label is an integer less than the value.
    Lt,
}

impl Operator {
    /// The operator of this name.
    pub fn parse(text: &str) -> Option<Operator> {
        match text {
            "In" => Some(Operator::In),
            "NotIn" => Some(Operator::NotIn),
            "Exists" => Some(Operator::Exists),
            "DoesNotExist" => Some(Operator::DoesNotExist),
            "Gt" => Some(Operator::Gt),
            "Lt" => Some(Operator::Lt),
            _ => None,
        }
    }
}

/// One expression over a node's labels; the key `metadata.name` means the node's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: Arc<str>,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with.
    pub values: Vec<Arc<str>>,
}

impl Requirement {
    /// Whether a node with this name and these labels meets it.
    pub fn matches(&self, name: &Arc<str>, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        let label = if &*self.key == "metadata.name" { Some(name) } else { labels.get(&self.key) };
        let number = |text: &Arc<str>| text.parse::<i64>().ok();
        let bound = self.values.first().and_then(number);
        let compare = |wanted| match (label.and_then(number), bound) {
            (Some(number), Some(bound)) => number.cmp(&bound) == wanted,
            _ => false,
        };
        match self.operator {
            Operator::In => label.is_some_and(|label| self.values.contains(label)),
            Operator::NotIn => label.is_none_or(|label| !self.values.contains(label)),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::Gt => compare(std::cmp::Ordering::Greater),
            Operator::Lt => compare(std::cmp::Ordering::Less),
        }
    }
}

/// A taint that a pod puts up with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// The taint's key; absent tolerates every key.
    pub key: Option<Arc<str>>,
    /// The taint's value; absent tolerates every value.
    pub value: Option<Arc<str>>,
    /// The taint's effect; absent tolerates every effect.
    pub effect: Option<Effect>,
    /// For how many seconds a `NoExecute` taint is tolerated; absent means for ever. Of no interest to a placement.
    pub seconds: Option<i64>,
}

impl Toleration {
    /// Whether the taint is tolerated.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
            && self.effect.is_none_or(|effect| effect == taint.effect)
    }
}

/// Everything about a pod that decides where it can run. Pods of one template share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    /// What it takes, its own place (`pods: 1`) included.
    pub requests: Amounts,
    /// Labels its node must have.
    pub node_selector: BTreeMap<Arc<str>, Arc<str>>,
    /// Required node affinity: the node must meet all requirements of one of the terms. Absent allows every node.
    pub affinity: Option<Vec<Vec<Requirement>>>,
    /// The taints it tolerates.
    pub tolerations: Vec<Toleration>,
    /// Pods of higher priority are placed first.
    pub priority: i32,
}

/// A pod that waits for a node. The order of requests of one priority is the order they are placed in.
#[derive(Clone, Debug)]
pub struct PodRequest {
    /// What the caller knows the pod by, such as its storage key.
    pub key: Arc<str>,
    /// What it asks for.
    pub shape: Arc<Shape>,
}
