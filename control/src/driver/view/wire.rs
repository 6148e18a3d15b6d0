//! The shape of objects on the wire, as far as controllers read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::custom;
use coracle_api::kind::Kind;
use coracle_api::names::POD_TEMPLATE_HASH_LABEL;
use coracle_api::selector::{LabelSelector, SelectorError};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    Deployment, DeploymentStatus, DisruptionBudget, Event, IntOrPercent, Meta, Owner, ReplicaSet, ReplicaSetStatus,
    Service, ServicePort, View, node, pod,
};
use crate::disruption::BudgetStatus;
use crate::driver::intern::Interner;

/// Any object. An explicit null reads as an absent field.
#[derive(Deserialize)]
pub(super) struct Whole<S: Default + DeserializeOwned, T: Default + DeserializeOwned> {
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default, bound = "", deserialize_with = "or_default")]
    pub(super) spec: S,
    #[serde(default, bound = "", deserialize_with = "or_default")]
    pub(super) status: T,
}

pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A part that is of no interest.
#[derive(Default, Deserialize)]
pub(super) struct Ignored {}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    owner_references: Vec<Owner>,
    #[serde(deserialize_with = "or_default")]
    finalizers: Vec<String>,
    deletion_timestamp: Option<Timestamp>,
    creation_timestamp: Option<Timestamp>,
    generation: i64,
}

impl Metadata {
    pub(super) fn meta(self, interner: &mut Interner) -> Meta {
        Meta {
            name: self.name.into(),
            namespace: interner.string(&self.namespace),
            uid: self.uid.into(),
            labels: interner.labels(&self.labels),
            owners: self.owner_references.into(),
            finalizers: self.finalizers.into(),
            deleting: self.deletion_timestamp,
            created: self.creation_timestamp.unwrap_or_default(),
            generation: self.generation,
        }
    }
}

/// Reads an object.
pub(super) fn parse(kind: &Kind, json: &[u8], interner: &mut Interner) -> Result<(Meta, View), serde_json::Error> {
    match (kind.group, kind.kind) {
        ("", "Pod") => pod::parse(json, interner),
        ("", "Node") => node::parse(json, interner),
        ("apps", "ReplicaSet") => replica_set(json, LabelSelector::from_value, interner),
        ("", "ReplicationController") => replica_set(json, LabelSelector::from_labels, interner),
        ("apps", "Deployment") => deployment(json, interner),
        ("", "Service") => service(json, interner),
        ("policy", "PodDisruptionBudget") => disruption_budget(json, interner),
        ("", "Event") => event(json, interner),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            let whole: Whole<Ignored, Ignored> = serde_json::from_slice(json)?;
            let kinds = custom::kinds_of(&serde_json::from_slice(json)?);
            Ok((whole.metadata.meta(interner), View::CustomResourceDefinition(kinds.into())))
        }
        ("coordination.k8s.io", "Lease") => {
            let whole: Whole<Ignored, Ignored> = serde_json::from_slice(json)?;
            Ok((whole.metadata.meta(interner), View::Lease))
        }
        ("coracle.dev", "JoinToken") => {
            let whole: Whole<JoinTokenSpec, Ignored> = serde_json::from_slice(json)?;
            Ok((whole.metadata.meta(interner), View::JoinToken(whole.spec.expiration_timestamp)))
        }
        _ => {
            let whole: Whole<Ignored, Ignored> = serde_json::from_slice(json)?;
            Ok((whole.metadata.meta(interner), View::Other))
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JoinTokenSpec {
    expiration_timestamp: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WorkloadSpec {
    replicas: Option<i64>,
    min_ready_seconds: Option<i64>,
    selector: Value,
    template: Value,
    paused: Option<bool>,
    strategy: Option<Strategy>,
    progress_deadline_seconds: Option<i64>,
    revision_history_limit: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Strategy {
    r#type: Option<String>,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingUpdate {
    max_surge: Option<IntOrPercent>,
    max_unavailable: Option<IntOrPercent>,
}

type ReadSelector = fn(&Value) -> Result<LabelSelector, SelectorError>;

/// A selector that can't be read selects nothing.
fn selector(value: &Value) -> LabelSelector {
    LabelSelector::from_value(value).unwrap_or_else(|_| LabelSelector::nothing())
}

fn replica_set(
    json: &[u8],
    read_selector: ReadSelector,
    interner: &mut Interner,
) -> Result<(Meta, View), serde_json::Error> {
    let mut whole: Whole<WorkloadSpec, ReplicaSetStatus> = serde_json::from_slice(json)?;
    let annotations = std::mem::take(&mut whole.metadata.annotations);
    let view = ReplicaSet {
        replicas: whole.spec.replicas.unwrap_or(1),
        min_ready_seconds: whole.spec.min_ready_seconds.unwrap_or(0),
        selector: read_selector(&whole.spec.selector).unwrap_or_else(|_| LabelSelector::nothing()),
        template: Arc::new(unhashed(whole.spec.template)),
        annotations,
        status: whole.status,
    };
    Ok((whole.metadata.meta(interner), View::ReplicaSet(Box::new(view))))
}

/// The template without the label that tells it from others, so that it compares equal to its deployment's.
fn unhashed(mut template: Value) -> Value {
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(POD_TEMPLATE_HASH_LABEL);
    }
    template
}

fn deployment(json: &[u8], interner: &mut Interner) -> Result<(Meta, View), serde_json::Error> {
    let mut whole: Whole<WorkloadSpec, DeploymentStatus> = serde_json::from_slice(json)?;
    let annotations = std::mem::take(&mut whole.metadata.annotations);
    let strategy = whole.spec.strategy.unwrap_or_default();
    let rolling = strategy.rolling_update.unwrap_or_default();
    let quarter = || IntOrPercent::Percent("25%".to_owned());
    let view = Deployment {
        replicas: whole.spec.replicas.unwrap_or(1),
        paused: whole.spec.paused.unwrap_or(false),
        recreate: strategy.r#type.as_deref() == Some("Recreate"),
        max_surge: rolling.max_surge.unwrap_or_else(quarter),
        max_unavailable: rolling.max_unavailable.unwrap_or_else(quarter),
        min_ready_seconds: whole.spec.min_ready_seconds.unwrap_or(0),
        progress_deadline_seconds: whole
            .spec
            .progress_deadline_seconds
            .filter(|seconds| *seconds < i64::from(i32::MAX)),
        revision_history_limit: whole.spec.revision_history_limit.unwrap_or(10),
        selector: selector(&whole.spec.selector),
        template: Arc::new(unhashed(whole.spec.template)),
        annotations,
        status: whole.status,
    };
    Ok((whole.metadata.meta(interner), View::Deployment(Box::new(view))))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(deserialize_with = "or_default")]
    selector: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ServicePort>,
    publish_not_ready_addresses: Option<bool>,
    r#type: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
}

fn service(json: &[u8], interner: &mut Interner) -> Result<(Meta, View), serde_json::Error> {
    let whole: Whole<ServiceSpec, Ignored> = serde_json::from_slice(json)?;
    let view = Service {
        selector: interner.labels(&whole.spec.selector),
        ports: whole.spec.ports,
        publish_not_ready: whole.spec.publish_not_ready_addresses.unwrap_or(false),
        is_external_name: whole.spec.r#type.as_deref() == Some("ExternalName"),
        is_headless: whole.spec.cluster_ip.as_deref() == Some("None"),
    };
    Ok((whole.metadata.meta(interner), View::Service(Box::new(view))))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetSpec {
    min_available: Option<IntOrPercent>,
    max_unavailable: Option<IntOrPercent>,
    selector: Value,
    unhealthy_pod_eviction_policy: Option<String>,
}

fn disruption_budget(json: &[u8], interner: &mut Interner) -> Result<(Meta, View), serde_json::Error> {
    let whole: Whole<BudgetSpec, BudgetStatus> = serde_json::from_slice(json)?;
    let view = DisruptionBudget {
        min_available: whole.spec.min_available,
        max_unavailable: whole.spec.max_unavailable,
        selector: selector(&whole.spec.selector),
        lets_unhealthy_go: whole.spec.unhealthy_pod_eviction_policy.as_deref() == Some("AlwaysAllow"),
        status: whole.status,
    };
    Ok((whole.metadata.meta(interner), View::DisruptionBudget(Box::new(view))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WholeEvent {
    #[serde(default)]
    metadata: Metadata,
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
    count: Option<i64>,
}

fn event(json: &[u8], interner: &mut Interner) -> Result<(Meta, View), serde_json::Error> {
    let whole: WholeEvent = serde_json::from_slice(json)?;
    let meta = whole.metadata.meta(interner);
    let last_seen = [whole.last_timestamp, whole.event_time, Some(meta.created)].into_iter().flatten().max();
    let view = Event { last_seen: last_seen.unwrap_or_default(), count: whole.count.unwrap_or(1) };
    Ok((meta, View::Event(Box::new(view))))
}
