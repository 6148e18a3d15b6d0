//! A namespace: a scope for names, deleted with everything in it.

use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::cells;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    categories: &[],
    namespaced: false,
    definition: "io.k8s.api.core.v1.Namespace",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &["status.phase"],
    name_rule: NameRule::Dns1123Label,
    tags,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Status", 0, "The status of the namespace", |object, _| {
        cells::text_or(object, &["status", "phase"], "")
    }),
    cells::AGE,
];

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
