//! A pod: containers that run together on one node.

mod columns;

use serde_json::Value;

use crate::kind::{Kind, NameRule, Subresource};
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.core.v1.Pod",
    subresources: &[Subresource::Status, Subresource::Log, Subresource::Binding, Subresource::Eviction],
    columns: columns::COLUMNS,
    fields: &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

fn tags(object: &Value) -> Vec<String> {
    vec![format!("spec.nodeName={}", object::str_at(object, &["spec", "nodeName"]).unwrap_or_default())]
}

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
