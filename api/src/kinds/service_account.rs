//! A service account: who a pod is, for the API.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::cells;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.ServiceAccount",
    subresources: &[Subresource::Token],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string(
        "Secrets",
        0,
        "Secrets is the list of secrets allowed to be used by pods running using this ServiceAccount. More info: \
        https://kubernetes.io/docs/concepts/configuration/secret",
        secrets,
    ),
    cells::AGE,
];

fn secrets(object: &Value, _: Timestamp) -> Value {
    cells::count(object, &["secrets"]).into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
