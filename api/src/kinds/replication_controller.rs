//! A replication controller: what a replica set was before there were deployments. Its selector is a plain map of labels, and may change.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::check::{self, Errors};
use crate::kinds::pod::default;
use crate::kinds::{cells, workload};
use crate::object;
use crate::selector::LabelSelector;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ReplicationController",
    plural: "replicationcontrollers",
    singular: "replicationcontroller",
    short_names: &["rc"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.core.v1.ReplicationController",
    subresources: &[Subresource::Status, Subresource::Scale],
    columns: COLUMNS,
    fields: &["status.replicas"],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update: |_, _, _| {},
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::integer(
        "Desired",
        0,
        "Replicas is the number of desired replicas. This is a pointer to distinguish between explicit zero and \
        unspecified. Defaults to 1. More info: \
        https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller",
        |object, _| cells::number(object, &["spec", "replicas"]),
    ),
    Column::integer(
        "Current",
        0,
        "Replicas is the most recently observed number of replicas. More info: \
        https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller",
        |object, _| cells::number(object, &["status", "replicas"]),
    ),
    Column::integer("Ready", 0, "The number of ready replicas for this replication controller.", |object, _| {
        cells::number(object, &["status", "readyReplicas"])
    }),
    cells::AGE,
    workload::CONTAINERS,
    workload::IMAGES,
    Column::string(
        "Selector",
        1,
        "Selector is a label query over pods that should match the Replicas count. If Selector is empty, it is \
        defaulted to the labels present on the Pod template. Label keys and values that must match in order to be \
        controlled by this replication controller, if empty defaulted to labels on Pod template. More info: \
        https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
        selector,
    ),
];

fn selector(object: &Value, _: Timestamp) -> Value {
    cells::format_labels(object::get(object, &["spec", "selector"])).into()
}

/// The template's labels are the selector's, and the object's own, where those are left out.
fn default(object: &mut Value) {
    let labels = object::get(object, &["spec", "template", "metadata", "labels"]).cloned();
    if let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|labels| !labels.is_empty())) {
        for (parent, field) in [("spec", "selector"), ("metadata", "labels")] {
            let fields = object::child_mut(object, parent);
            if fields.get(field).and_then(Value::as_object).is_none_or(|found| found.is_empty()) {
                fields.insert(field.to_owned(), labels.clone());
            }
        }
    }
    workload::default_replicated(object);
    default::set(object::child_mut(object, "status"), "replicas", 0);
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    check::none_negative(errors, "spec", spec, &["minReadySeconds"]);
    let selector = LabelSelector::of_object(object).unwrap_or_else(|_| LabelSelector::everything());
    if selector.is_everything() {
        errors.push(FieldError::required("spec.selector", ""));
    }
    check::none_negative(errors, "spec", spec, &["replicas"]);
    workload::selects(&selector, &spec["template"], errors);
    workload::validate_lasting_template(&spec["template"], "ReplicationController", errors);
}
