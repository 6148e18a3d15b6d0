//! Reading nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::quantity::Quantity;
use coracle_scheduler::{Amounts, Effect, NodeInfo, Taint};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::wire::{Whole, or_default};
use super::{Meta, Node, View};
use crate::driver::intern::Interner;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSpec {
    #[serde(rename = "podCIDR", deserialize_with = "or_default")]
    pod_cidr: String,
    unschedulable: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    taints: Vec<NodeTaint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeTaint {
    key: String,
    value: Option<String>,
    effect: String,
    #[serde(rename = "timeAdded")]
    time_added: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    allocatable: Option<BTreeMap<String, Value>>,
    capacity: Option<BTreeMap<String, Value>>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<NodeCondition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeCondition {
    r#type: String,
    status: String,
    reason: Option<String>,
    last_transition_time: Option<Timestamp>,
}

pub(super) fn parse(json: &[u8], interner: &mut Interner) -> Result<(Meta, View), serde_json::Error> {
    let whole: Whole<NodeSpec, NodeStatus> = serde_json::from_slice(json)?;
    let meta = whole.metadata.meta(interner);
    let ready = whole.status.conditions.into_iter().find(|condition| condition.r#type == "Ready");
    let (status, reason, since) = ready
        .map(|ready| (ready.status, ready.reason.unwrap_or_default(), ready.last_transition_time))
        .unwrap_or_default();
    let taints = whole.spec.taints.iter().filter_map(|taint| {
        let effect = Effect::parse(&taint.effect)?;
        let value = interner.string(taint.value.as_deref().unwrap_or_default());
        Some((Taint { key: interner.string(&taint.key), value, effect }, taint.time_added))
    });
    let mut taints: Vec<_> = taints.collect();
    let every_taint = taints.iter().map(|(taint, _)| taint.clone()).collect();
    taints.retain(|(taint, _)| taint.effect == Effect::NoExecute);
    let info = NodeInfo {
        taints: every_taint,
        name: interner.string(&meta.name),
        labels: (*meta.labels).clone(),
        allocatable: amounts(&whole.status.allocatable.or(whole.status.capacity).unwrap_or_default(), interner),
        unschedulable: whole.spec.unschedulable.unwrap_or(false),
        ready: status == "True",
    };
    let node = Node {
        info: Arc::new(info),
        ready: status,
        ready_reason: reason,
        ready_since: since,
        no_execute: taints,
        pod_cidr: whole.spec.pod_cidr,
    };
    Ok((meta, View::Node(Box::new(node))))
}

/// Amounts from a map of resource names to quantities; a quantity that can't be read counts as none.
pub(super) fn amounts(resources: &BTreeMap<String, Value>, interner: &mut Interner) -> Amounts {
    let mut amounts = Amounts::default();
    for (name, value) in resources {
        let Ok(quantity) = Quantity::from_value(value) else { continue };
        match name.as_str() {
            "cpu" => amounts.cpu_millis = quantity.milli(),
            "memory" => amounts.memory_bytes = quantity.units(),
            "pods" => amounts.pods = quantity.units(),
            _ => {
                amounts.extended.insert(interner.string(name), quantity.units());
            }
        }
    }
    amounts
}
