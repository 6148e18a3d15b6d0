//! A replica set: keeps so many pods of one template.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::pod::default;
use crate::kinds::{cells, workload};
use crate::object;

pub(crate) const KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.apps.v1.ReplicaSet",
    subresources: &[Subresource::Status, Subresource::Scale],
    columns: COLUMNS,
    fields: &["status.replicas"],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate: workload::validate_replicated,
    validate_update: workload::validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::integer(
        "Desired",
        0,
        "Replicas is the number of desired replicas. This is a pointer to distinguish between explicit zero and \
        unspecified. Defaults to 1. More info: \
        https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller/#what-is-a-replicationcontroller",
        desired,
    ),
    Column::integer(
        "Current",
        0,
        "Replicas is the most recently oberved number of replicas. More info: \
        https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller/#what-is-a-replicationcontroller",
        current,
    ),
    Column::integer("Ready", 0, "The number of ready replicas for this replica set.", ready),
    cells::AGE,
    workload::CONTAINERS,
    workload::IMAGES,
    Column::string(
        "Selector",
        1,
        "Selector is a label query over pods that should match the replica count. If the selector is empty, it is \
        defaulted to the labels present on the pod template. Label keys and values that must match in order to be \
        controlled by this replica set. More info: \
        https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
        workload::selector_or_none,
    ),
];

fn desired(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["spec", "replicas"])
}

fn current(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["status", "replicas"])
}

fn ready(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["status", "readyReplicas"])
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    workload::default_replicated(object);
    default::set(object::child_mut(object, "status"), "replicas", 0);
}
