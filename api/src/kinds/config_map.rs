//! A config map: configuration that pods read.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::{cells, check, sealed_data};
use crate::object;
use crate::validation::{self, FieldError};

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
    awaits_controller: false,
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

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let mut bytes = 0;
    for (key, value) in check::entries(object, &["data"]) {
        let path = format!("data[{key}]");
        check::follows(errors, &path, key, validation::config_key);
        if object::get(object, &["binaryData", key]).is_some() {
            errors.push(FieldError::invalid(path, key, "duplicate of key present in binaryData"));
        }
        bytes += value.as_str().map_or(0, str::len);
    }
    for (key, value) in check::entries(object, &["binaryData"]) {
        let path = format!("binaryData[{key}]");
        check::follows(errors, &path, key, validation::config_key);
        match sealed_data::decoded_length(value) {
            Some(length) => bytes += length,
            None => errors.push(FieldError::invalid(path, value.clone(), "illegal base64 data")),
        }
    }
    // The path that Kubernetes prints for the object as a whole.
    sealed_data::validate_size("[]", bytes, errors);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    sealed_data::validate_immutable(new, old, &["data", "binaryData"], errors);
}
