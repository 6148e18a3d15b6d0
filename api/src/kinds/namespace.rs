//! A namespace: a scope for names, deleted with everything in it.

use serde_json::{Value, json};

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::cells;
use crate::kinds::pod::default;
use crate::object;
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
    awaits_controller: false,
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

fn default(object: &mut Value) {
    let name = object::name(object).to_owned();
    let is_deleting = object::is_deleting(object);
    if !name.is_empty() {
        object::set_label(object, "kubernetes.io/metadata.name", name);
    }
    let spec = object::child_mut(object, "spec");
    if !is_deleting {
        default::set(spec, "finalizers", json!(["kubernetes"]));
    }
    default::set_text(object::child_mut(object, "status"), "phase", if is_deleting { "Terminating" } else { "Active" });
}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
