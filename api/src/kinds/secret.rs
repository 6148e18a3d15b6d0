//! A secret: a config map with values that are kept from view.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::pod::default;
use crate::kinds::{cells, check, sealed_data};
use crate::object;
use crate::validation::{self, FieldError};

const REDACTED: &str = "<secret contents redacted>";

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
    awaits_controller: false,
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

fn default(object: &mut Value) {
    let Some(secret) = object.as_object_mut() else { return };
    default::set_text(secret, "type", "Opaque");
    // Write-only by definition: readers find the values under `data`.
    if let Some(Value::Object(texts)) = secret.remove("stringData") {
        default::set(secret, "data", json!({}));
        if let Some(data) = default::child(secret, "data") {
            data.extend(texts.into_iter().map(|(key, text)| {
                let encoded = text.as_str().map(|text| BASE64.encode(text).into());
                (key, encoded.unwrap_or(text))
            }));
        }
    }
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let mut bytes = 0;
    for (key, value) in check::entries(object, &["data"]) {
        let path = format!("data[{key}]");
        check::follows(errors, &path, key, validation::config_key);
        match sealed_data::decoded_length(value) {
            Some(length) => bytes += length,
            None => errors.push(FieldError::invalid(path, REDACTED, "illegal base64 data")),
        }
    }
    sealed_data::validate_size("data", bytes, errors);
    validate_type(object, errors);
    match check::text(object, "type") {
        "kubernetes.io/dockercfg" => check_json(object, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => check_json(object, ".dockerconfigjson", errors),
        _ => {}
    }
}

fn validate_type(object: &Value, errors: &mut Vec<FieldError>) {
    let has = |key: &str| object::get(object, &["data", key]).is_some();
    let mut require = |key: &str| {
        if !has(key) {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    };
    match check::text(object, "type") {
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if object::annotation(object, name).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(format!("metadata.annotations[{name}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => require(".dockercfg"),
        "kubernetes.io/dockerconfigjson" => require(".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            require("username");
            require("password");
        }
        "kubernetes.io/ssh-auth" => require("ssh-privatekey"),
        "kubernetes.io/tls" => {
            require("tls.crt");
            require("tls.key");
        }
        _ => {}
    }
}

/// A registry's credentials must be JSON. What is wrong with them is not shown, as it might hold some.
fn check_json(object: &Value, key: &str, errors: &mut Vec<FieldError>) {
    let Some(encoded) = object::str_at(object, &["data", key]) else { return };
    let is_json = BASE64.decode(encoded).is_ok_and(|bytes| serde_json::from_slice::<Value>(&bytes).is_ok());
    if !is_json {
        errors.push(FieldError::invalid(format!("data[{key}]"), REDACTED, "must be JSON"));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    check::immutable(errors, "type", new.get("type"), old.get("type"));
    sealed_data::validate_immutable(new, old, &["data"], errors);
}
