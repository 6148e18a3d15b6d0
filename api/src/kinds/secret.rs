//! A secret: a config map with values that are kept from view.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::cells;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    short_names: &[],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.Secret",
    subresources: &[],
    columns: COLUMNS,
    fields: &["type"],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Type", 0, "Used to facilitate programmatic handling of secret data.", secret_type),
    Column::string(
        "Data",
        0,
        "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The \
        serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly \
        non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4",
        data,
    ),
    cells::AGE,
];

fn secret_type(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["type"], "")
}

fn data(object: &Value, _: Timestamp) -> Value {
    cells::count(object, &["data"]).into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
