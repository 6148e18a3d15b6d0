//! A pod: containers that run together on one node.

mod columns;
mod config;
mod container;
pub(crate) mod default;
mod libraries;
mod probes;
mod references;
pub(crate) mod resources;
mod unsupported;
mod update;
pub(crate) mod validate;
mod volumes;

use serde_json::Value;

pub use config::{CONFIG_ANNOTATION, config_errors, config_maps};
pub use libraries::{LIBRARIES_ANNOTATION, LIBRARIES_MAX, libraries, library_errors};
pub use references::refers_to;
pub use resources::qos_class;
pub use unsupported::unsupported_fields;

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
    subresources: &[
        Subresource::Status,
        Subresource::Log,
        Subresource::Binding,
        Subresource::Eviction,
        Subresource::Attach,
        Subresource::Exec,
        Subresource::PortForward,
    ],
    columns: columns::COLUMNS,
    fields: &[
        "spec.hostNetwork",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.nominatedNodeName",
        "status.podIP",
    ],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default: default::pod,
    validate,
    validate_update: update::validate,
};

/// Where the pod spec lies in the objects of a kind; `None` for kinds that describe no pods.
pub fn spec_path(kind: &Kind) -> Option<&'static [&'static str]> {
    match (kind.group, kind.kind) {
        ("", "Pod") => Some(&["spec"]),
        ("", "PodTemplate") => Some(&["template", "spec"]),
        ("", "ReplicationController")
        | ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet")
        | ("batch", "Job") => Some(&["spec", "template", "spec"]),
        ("batch", "CronJob") => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
        _ => None,
    }
}

fn tags(object: &Value) -> Vec<String> {
    vec![format!("spec.nodeName={}", object::str_at(object, &["spec", "nodeName"]).unwrap_or_default())]
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    validate::pod_spec(&object["spec"], "spec", errors);
}
