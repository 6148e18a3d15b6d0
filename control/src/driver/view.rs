//! What the controllers know of an object without decoding it again: its metadata and the few fields they decide on.
//!
//! Deliberately absent: everything else. A reconciler that rewrites an object decodes its bytes, so that fields nobody
//! here knows survive.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use coracle_api::kind::Kind;
use coracle_api::selector::LabelSelector;
use coracle_scheduler::{NodeInfo, Shape, Taint};
use coracle_store::Revision;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::intern::{Interner, Labels};
use crate::disruption::BudgetStatus;
use crate::quota::{Usage, reads_content};

mod node;
mod pod;
mod wire;

/// An object of the cluster, at one revision.
#[derive(Clone, Debug)]
pub struct Object {
    /// The storage key.
    pub key: Arc<str>,
    /// The kind.
    pub kind: &'static Kind,
    /// The metadata.
    pub meta: Meta,
    /// The fields that controllers decide on.
    pub view: View,
    /// The whole object, without `resourceVersion`.
    pub json: Bytes,
    /// The revision it was written at.
    pub revision: Revision,
    usage: OnceLock<Box<Usage>>,
}

/// The metadata of an object.
#[derive(Clone, Debug)]
pub struct Meta {
    /// The name.
    pub name: Arc<str>,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// The uid.
    pub uid: Arc<str>,
    /// The labels.
    pub labels: Labels,
    /// The owner references.
    pub owners: Box<[Owner]>,
    /// The finalizers.
    pub finalizers: Box<[String]>,
    /// When it was, or will be, gone; set once somebody deleted it.
    pub deleting: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// Counts changes of what is wanted.
    pub generation: i64,
}

impl Meta {
    /// The owner that manages the object.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }

    /// Whether it carries the finalizer.
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
    }
}

/// An owner reference.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// The owner's `apiVersion`.
    pub api_version: Arc<str>,
    /// The owner's kind.
    pub kind: Arc<str>,
    /// The owner's name.
    pub name: Arc<str>,
    /// The owner's uid.
    pub uid: Arc<str>,
    /// Whether it manages the object.
    pub controller: bool,
    /// Whether its foreground deletion waits for the object.
    pub block_owner_deletion: bool,
}

impl Default for Owner {
    fn default() -> Owner {
        let empty: Arc<str> = Arc::from("");
        Owner {
            api_version: empty.clone(),
            kind: empty.clone(),
            name: empty.clone(),
            uid: empty,
            controller: false,
            block_owner_deletion: false,
        }
    }
}

/// The fields that controllers decide on, by kind.
#[derive(Clone, Debug)]
pub enum View {
    /// A pod.
    Pod(Box<Pod>),
    /// A node.
    Node(Box<Node>),
    /// A replica set.
    ReplicaSet(Box<ReplicaSet>),
    /// A deployment.
    Deployment(Box<Deployment>),
    /// A service.
    Service(Box<Service>),
    /// A pod disruption budget.
    DisruptionBudget(Box<DisruptionBudget>),
    /// An event.
    Event(Box<Event>),
    /// A lease.
    Lease,
    /// A definition of a kind by users: the kinds of its versions, once it is established.
    CustomResourceDefinition(Box<[&'static Kind]>),
    /// A join token, with the moment it expires.
    JoinToken(Option<Timestamp>),
    /// Any other kind; its metadata is enough.
    Other,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Phase {
    /// Not running yet.
    #[default]
    Pending,
    /// Nobody knows.
    Unknown,
    /// Running.
    Running,
    /// Over, and well.
    Succeeded,
    /// Over, and not well.
    Failed,
}

/// A port that a container declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerPort {
    /// The port's name; may be empty.
    pub name: Arc<str>,
    /// The port's number.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The node it is assigned to.
    pub node: Option<Arc<str>>,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether its Ready condition is true.
    pub ready: bool,
    /// Since when.
    pub ready_since: Option<Timestamp>,
    /// Its address.
    pub ip: Option<Arc<str>>,
    /// The ports its containers declare.
    pub ports: Arc<[ContainerPort]>,
    /// What it asks of its node.
    pub shape: Arc<Shape>,
    /// How often its containers were restarted.
    pub restarts: i64,
    /// `controller.kubernetes.io/pod-deletion-cost`.
    pub deletion_cost: i32,
    /// Whether the built-in scheduler is to place it.
    pub is_ours: bool,
    /// Why it could not be placed, as its PodScheduled condition says.
    pub unschedulable: Option<String>,
}

impl Pod {
    /// Whether it has run to its end.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// What the scheduler knows of it.
    pub info: Arc<NodeInfo>,
    /// The status of its Ready condition: `True`, `False`, `Unknown`, or empty.
    pub ready: String,
    /// The reason of its Ready condition.
    pub ready_reason: String,
    /// Since when the Ready condition has its status.
    pub ready_since: Option<Timestamp>,
    /// Its taints that make pods leave, and since when it has them.
    pub no_execute: Vec<(Taint, Option<Timestamp>)>,
    /// The range of its pods' addresses, as written; empty until it has one.
    pub pod_cidr: String,
}

/// A condition of a Deployment or ReplicaSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type, such as `Available`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When somebody last looked at it and wrote it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Timestamp>,
    /// When the status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Timestamp>,
    /// Why, in one word.
    #[serde(default)]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
}

/// A replica set, or a replication controller.
#[derive(Clone, Debug)]
pub struct ReplicaSet {
    /// How many pods there should be.
    pub replicas: i64,
    /// Seconds a pod must be ready before it counts as available.
    pub min_ready_seconds: i64,
    /// Which pods are its own.
    pub selector: LabelSelector,
    /// The pod template.
    pub template: Arc<Value>,
    /// The annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// What was observed last.
    pub status: ReplicaSetStatus,
}

/// The status of a replica set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaSetStatus {
    /// Pods that are neither over nor being deleted.
    pub replicas: i64,
    /// Those with all labels of the template.
    #[serde(skip_serializing_if = "is_zero")]
    pub fully_labeled_replicas: i64,
    /// Those that are ready.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i64,
    /// Those that have been ready for long enough.
    #[serde(skip_serializing_if = "is_zero")]
    pub available_replicas: i64,
    /// The generation this speaks of.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `ReplicaFailure`, while pods can't be made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A number or a percentage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IntOrPercent {
    /// The number.
    Int(i64),
    /// The percentage, as in `25%`.
    Percent(String),
}

impl IntOrPercent {
    /// The number, or that percentage of a total; never negative.
    pub fn of(&self, total: i64, round_up: bool) -> i64 {
        match self {
            IntOrPercent::Int(number) => (*number).max(0),
            IntOrPercent::Percent(text) => {
                let percent: i64 = text.strip_suffix('%').and_then(|digits| digits.parse().ok()).unwrap_or(0);
                (percent.max(0) * total.max(0) + if round_up { 99 } else { 0 }) / 100
            }
        }
    }
}

/// A deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// How many pods there should be.
    pub replicas: i64,
    /// Whether rollouts are paused.
    pub paused: bool,
    /// Whether all old pods must be gone before new ones are made.
    pub recreate: bool,
    /// `spec.strategy.rollingUpdate.maxSurge`.
    pub max_surge: IntOrPercent,
    /// `spec.strategy.rollingUpdate.maxUnavailable`.
    pub max_unavailable: IntOrPercent,
    /// Seconds a pod must be ready before it counts as available.
    pub min_ready_seconds: i64,
    /// Seconds without progress after which a rollout counts as failed.
    pub progress_deadline_seconds: Option<i64>,
    /// How many old replica sets are kept to roll back to.
    pub revision_history_limit: i64,
    /// Which replica sets and pods are its own.
    pub selector: LabelSelector,
    /// The pod template.
    pub template: Arc<Value>,
    /// The annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// What was observed last.
    pub status: DeploymentStatus,
}

/// The status of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    /// The generation this speaks of.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// Pods of every revision.
    #[serde(skip_serializing_if = "is_zero")]
    pub replicas: i64,
    /// Pods of the newest revision.
    #[serde(skip_serializing_if = "is_zero")]
    pub updated_replicas: i64,
    /// Pods that are ready.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i64,
    /// Pods that are available.
    #[serde(skip_serializing_if = "is_zero")]
    pub available_replicas: i64,
    /// Pods that are wanted and not available.
    #[serde(skip_serializing_if = "is_zero")]
    pub unavailable_replicas: i64,
    /// `Available`, `Progressing`, `ReplicaFailure`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How often the name of a new replica set was taken by another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// The port's name; may be empty.
    #[serde(default)]
    pub name: String,
    /// The port's number.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Option<String>,
    /// `kubernetes.io/h2c` and the like.
    pub app_protocol: Option<String>,
    /// The number or name of the container port; the service's own number where absent.
    pub target_port: Option<IntOrPercent>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// The labels its pods have. Without any, its endpoints are somebody else's matter.
    pub selector: Labels,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Whether pods that aren't ready count as ready.
    pub publish_not_ready: bool,
    /// Whether the service is a mere alias of an outside name.
    pub is_external_name: bool,
    /// Whether it has no address of its own.
    pub is_headless: bool,
}

/// A pod disruption budget.
#[derive(Clone, Debug)]
pub struct DisruptionBudget {
    /// How many of the pods must be healthy.
    pub min_available: Option<IntOrPercent>,
    /// How many of the pods may be down.
    pub max_unavailable: Option<IntOrPercent>,
    /// Which pods it is about.
    pub selector: LabelSelector,
    /// Whether pods that aren't ready may be evicted whatever the budget says.
    pub lets_unhealthy_go: bool,
    /// What was observed last.
    pub status: BudgetStatus,
}

/// An event.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it last happened.
    pub last_seen: Timestamp,
    /// How often it happened.
    pub count: i64,
}

impl Object {
    /// Reads an object. A field of an unexpected type makes the view `Other`: nothing is decided on what can't be read.
    pub fn parse(
        key: Arc<str>,
        kind: &'static Kind,
        json: Bytes,
        revision: Revision,
        interner: &mut Interner,
    ) -> Result<Object, serde_json::Error> {
        let (meta, view) = wire::parse(kind, &json, interner)?;
        Ok(Object { key, kind, meta, view, json, revision, usage: OnceLock::new() })
    }

    /// The whole object, decoded.
    pub fn decode(&self) -> Value {
        serde_json::from_slice(&self.json).expect("invariant: it was read once already")
    }

    /// What quotas may count of it; read when somebody first asks.
    pub(crate) fn usage(&self) -> &Usage {
        self.usage.get_or_init(|| {
            let object = if reads_content(self.kind) { self.decode() } else { Value::Null };
            Box::new(Usage::of(self.kind, &object))
        })
    }

    /// The pod, where it is one.
    pub fn pod(&self) -> Option<&Pod> {
        if let View::Pod(pod) = &self.view { Some(pod) } else { None }
    }

    /// The node, where it is one.
    pub fn node(&self) -> Option<&Node> {
        if let View::Node(node) = &self.view { Some(node) } else { None }
    }

    /// The replica set, where it is one.
    pub fn replica_set(&self) -> Option<&ReplicaSet> {
        if let View::ReplicaSet(set) = &self.view { Some(set) } else { None }
    }

    /// The deployment, where it is one.
    pub fn deployment(&self) -> Option<&Deployment> {
        if let View::Deployment(deployment) = &self.view { Some(deployment) } else { None }
    }

    /// The service, where it is one.
    pub fn service(&self) -> Option<&Service> {
        if let View::Service(service) = &self.view { Some(service) } else { None }
    }

    /// The disruption budget, where it is one.
    pub fn disruption_budget(&self) -> Option<&DisruptionBudget> {
        if let View::DisruptionBudget(budget) = &self.view { Some(budget) } else { None }
    }

    /// Whether the selector matches its labels.
    pub fn matches(&self, selector: &LabelSelector) -> bool {
        selector.matches_with(|key| self.meta.labels.get(key).map(|value| &**value))
    }

    /// Whether the object of this uid manages it.
    pub fn is_controlled_by(&self, uid: &str) -> bool {
        self.meta.controller().is_some_and(|owner| *owner.uid == *uid)
    }
}
