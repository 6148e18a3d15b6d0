//! A runtime class: a name for the way in which hosts run pods.

use serde_json::{Value, json};

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::check::{self, Errors, text};
use crate::kinds::pod::{default, resources, validate};
use crate::kinds::{cells, resource_list};
use crate::validation;

pub(crate) const KIND: Kind = Kind {
    group: "node.k8s.io",
    version: "v1",
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    singular: "runtimeclass",
    short_names: &[],
    categories: &[],
    namespaced: false,
    definition: "io.k8s.api.node.v1.RuntimeClass",
    subresources: &[],
    columns: &[
        cells::NAME,
        Column::string("Handler", 0, "", |object, _| cells::text_or(object, &["handler"], "")),
        cells::AGE,
    ],
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update: |new, old, errors| check::immutable(errors, "handler", new.get("handler"), old.get("handler")),
};

fn default(object: &mut Value) {
    let overhead = object.as_object_mut().and_then(|fields| default::child(fields, "overhead"));
    let fixed = overhead.and_then(|overhead| default::child(overhead, "podFixed"));
    resource_list::canonicalise(fixed);
}

fn validate(object: &Value, errors: &mut Errors) {
    check::follows(errors, "handler", text(object, "handler"), validation::dns1123_label);
    let overhead = json!({"resources": {"limits": object["overhead"]["podFixed"]}});
    resources::validate(&overhead, "overhead", errors);
    let scheduling = &object["scheduling"];
    check::labels(errors, "scheduling.nodeSelector", scheduling.get("nodeSelector"));
    validate::tolerations(scheduling, "scheduling.tolerations", errors);
}
