//! A deployment: rolls a pod template out over replica sets.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::{cells, workload};
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.apps.v1.Deployment",
    subresources: &[Subresource::Status, Subresource::Scale],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Ready", 0, "Number of the pod with ready state", ready),
    Column::string(
        "Up-to-date",
        0,
        "Total number of non-terminated pods targeted by this deployment that have the desired template spec.",
        up_to_date,
    ),
    Column::string(
        "Available",
        0,
        "Total number of available pods (ready for at least minReadySeconds) targeted by this deployment.",
        available,
    ),
    cells::AGE,
    Column::string("Containers", 1, "Names of each container in the template.", containers),
    Column::string("Images", 1, "Images referenced by each container in the template.", images),
    Column::string(
        "Selector",
        1,
        "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by \
        this deployment.",
        selector,
    ),
];

fn ready(object: &Value, _: Timestamp) -> Value {
    let ready = object::i64_at(object, &["status", "readyReplicas"]).unwrap_or(0);
    let desired = object::i64_at(object, &["spec", "replicas"]).unwrap_or(0);
    format!("{ready}/{desired}").into()
}

fn up_to_date(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["status", "updatedReplicas"])
}

fn available(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["status", "availableReplicas"])
}

fn containers(object: &Value, _: Timestamp) -> Value {
    workload::container_names(object)
}

fn images(object: &Value, _: Timestamp) -> Value {
    workload::container_images(object)
}

fn selector(object: &Value, _: Timestamp) -> Value {
    workload::selector_text(object).into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
