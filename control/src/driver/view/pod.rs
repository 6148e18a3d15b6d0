//! Reading pods.

use std::collections::BTreeMap;

use coracle_scheduler::{Amounts, Effect, Operator, Requirement, Shape, Toleration};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::node::amounts;
use super::wire::{Whole, or_default};
use super::{ContainerPort, Meta, Phase, Pod, View};
use crate::driver::intern::Interner;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SCHEDULER: &str = "default-scheduler";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: Option<String>,
    scheduler_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    overhead: Option<BTreeMap<String, Value>>,
    #[serde(deserialize_with = "or_default")]
    node_selector: BTreeMap<String, String>,
    affinity: Option<Affinity>,
    #[serde(deserialize_with = "or_default")]
    tolerations: Vec<PodToleration>,
    priority: Option<i32>,
    #[serde(deserialize_with = "or_default")]
    scheduling_gates: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    #[serde(deserialize_with = "or_default")]
    ports: Vec<Port>,
    resources: Option<Resources>,
    restart_policy: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    name: Option<String>,
    container_port: u16,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Option<BTreeMap<String, Value>>,
    limits: Option<BTreeMap<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelector {
    node_selector_terms: Vec<Term>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    #[serde(deserialize_with = "or_default")]
    match_expressions: Vec<Expression>,
    #[serde(deserialize_with = "or_default")]
    match_fields: Vec<Expression>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    #[serde(deserialize_with = "or_default")]
    values: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodToleration {
    key: Option<String>,
    operator: Option<String>,
    value: Option<String>,
    effect: Option<String>,
    #[serde(rename = "tolerationSeconds")]
    seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Option<Phase>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<PodCondition>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodCondition {
    r#type: String,
    status: String,
    message: Option<String>,
    last_transition_time: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    restart_count: i64,
}

pub(super) fn parse(json: &[u8], interner: &mut Interner) -> Result<(Meta, View), serde_json::Error> {
    let whole: Whole<PodSpec, PodStatus> = serde_json::from_slice(json)?;
    let (spec, status) = (whole.spec, whole.status);
    let condition = |kind: &str| status.conditions.iter().find(|condition| condition.r#type == kind);
    let ready = condition("Ready").filter(|ready| ready.status == "True");
    let unscheduled = condition("PodScheduled").filter(|scheduled| scheduled.status == "False");
    let pod = Pod {
        node: spec.node_name.as_deref().filter(|node| !node.is_empty()).map(|node| interner.string(node)),
        phase: status.phase.unwrap_or_default(),
        ready: ready.is_some(),
        ready_since: ready.and_then(|ready| ready.last_transition_time),
        ip: status.pod_ip.filter(|ip| !ip.is_empty()).map(Into::into),
        ports: ports(&spec.containers, interner),
        restarts: status.container_statuses.iter().map(|container| container.restart_count).sum(),
        deletion_cost: whole.metadata.annotations.get(DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0),
        is_ours: spec.scheduler_name.as_deref().is_none_or(|name| name.is_empty() || name == SCHEDULER)
            && spec.scheduling_gates.is_empty(),
        unschedulable: unscheduled.and_then(|condition| condition.message.clone()),
        shape: {
            let shape = shape(&spec, interner);
            interner.shape(shape)
        },
    };
    Ok((whole.metadata.meta(interner), View::Pod(Box::new(pod))))
}

fn ports(containers: &[Container], interner: &mut Interner) -> std::sync::Arc<[ContainerPort]> {
    let declared = containers.iter().flat_map(|container| &container.ports).map(|port| ContainerPort {
        name: interner.string(port.name.as_deref().unwrap_or_default()),
        port: port.container_port,
        protocol: interner.string(port.protocol.as_deref().unwrap_or("TCP")),
    });
    let declared = declared.collect();
    interner.ports(declared)
}

fn shape(spec: &PodSpec, interner: &mut Interner) -> Shape {
    let required = spec.affinity.as_ref().and_then(|affinity| {
        affinity.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()
    });
    let affinity =
        required.map(|required| required.node_selector_terms.iter().map(|term| terms(term, interner)).collect());
    let tolerations = spec.tolerations.iter().map(|toleration| Toleration {
        key: toleration.key.as_deref().filter(|key| !key.is_empty()).map(|key| interner.string(key)),
        value: match toleration.operator.as_deref() {
            Some("Exists") => None,
            _ => Some(interner.string(toleration.value.as_deref().unwrap_or_default())),
        },
        effect: toleration.effect.as_deref().and_then(Effect::parse),
        seconds: toleration.seconds,
    });
    let tolerations = tolerations.collect();
    let selector = spec.node_selector.iter();
    let node_selector = selector.map(|(key, value)| (interner.string(key), interner.string(value))).collect();
    Shape {
        requests: requests(spec, interner),
        node_selector,
        affinity,
        tolerations,
        priority: spec.priority.unwrap_or(0),
    }
}

/// An operator nobody knows makes the requirement impossible, not void.
fn terms(term: &Term, interner: &mut Interner) -> Vec<Requirement> {
    let expressions = term.match_expressions.iter().chain(&term.match_fields);
    let requirements = expressions.map(|expression| Requirement {
        key: interner.string(&expression.key),
        operator: Operator::parse(&expression.operator).unwrap_or(Operator::In),
        values: expression.values.iter().map(|value| interner.string(value)).collect(),
    });
    requirements.collect()
}

/// What the pod takes while it runs, or while its init containers do, whichever is more.
fn requests(spec: &PodSpec, interner: &mut Interner) -> Amounts {
    let mut running = Amounts::default();
    for container in &spec.containers {
        running.add(&of_container(container, interner));
    }
    let (mut sidecars, mut starting) = (Amounts::default(), Amounts::default());
    for container in &spec.init_containers {
        let own = of_container(container, interner);
        let mut now = sidecars.clone();
        now.add(&own);
        starting.raise_to(&now);
        if container.restart_policy.as_deref() == Some("Always") {
            running.add(&own);
            sidecars = now;
        }
    }
    running.raise_to(&starting);
    if let Some(overhead) = &spec.overhead {
        running.add(&amounts(overhead, interner));
    }
    running.pods = 1;
    running
}

/// A resource that has a limit and no request is requested up to its limit.
fn of_container(container: &Container, interner: &mut Interner) -> Amounts {
    let Some(resources) = &container.resources else { return Amounts::default() };
    let mut all = resources.limits.clone().unwrap_or_default();
    all.extend(resources.requests.clone().unwrap_or_default());
    amounts(&all, interner)
}
