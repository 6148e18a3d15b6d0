//! A config map: configuration that pods read.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::cells;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.ConfigMap",
    subresources: &[],
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
    Column::string(
        "Data",
        0,
        "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. \
        Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not \
        overlap with the keys in the BinaryData field, this is enforced during validation process.",
        data,
    ),
    cells::AGE,
];

fn data(object: &Value, _: Timestamp) -> Value {
    (cells::count(object, &["data"]) + cells::count(object, &["binaryData"])).into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
