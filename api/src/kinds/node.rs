//! A node: a host that runs pods.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    categories: &[],
    namespaced: false,
    definition: "io.k8s.api.core.v1.Node",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &["spec.unschedulable"],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: true,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Status", 0, "The status of the node", status),
    Column::string("Roles", 0, "The roles of the node", roles),
    cells::AGE,
    Column::string("Version", 0, "Kubelet Version reported by the node.", version),
    Column::string(
        "Internal-IP",
        1,
        "List of addresses reachable to the node. Queried from cloud provider, if available. More info: \
        https://kubernetes.io/docs/concepts/nodes/node/#addresses Note: This field is declared as mergeable, but \
        the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers should \
        instead use a full-replacement patch. See http://pr.k8s.io/79391 for an example.",
        internal_ip,
    ),
    Column::string(
        "External-IP",
        1,
        "List of addresses reachable to the node. Queried from cloud provider, if available. More info: \
        https://kubernetes.io/docs/concepts/nodes/node/#addresses Note: This field is declared as mergeable, but \
        the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers should \
        instead use a full-replacement patch. See http://pr.k8s.io/79391 for an example.",
        external_ip,
    ),
    Column::string(
        "OS-Image",
        1,
        "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
        os_image,
    ),
    Column::string(
        "Kernel-Version",
        1,
        "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
        kernel_version,
    ),
    Column::string(
        "Container-Runtime",
        1,
        "ContainerRuntime Version reported by the node through runtime remote API (e.g. docker://1.5.0).",
        container_runtime,
    ),
];

fn status(object: &Value, _: Timestamp) -> Value {
    let conditions = object::list_at(object, &["status", "conditions"]);
    let ready = conditions.iter().find(|condition| object::str_at(condition, &["type"]) == Some("Ready"));
    let status = match ready.map(|ready| object::str_at(ready, &["status"]) == Some("True")) {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    };
    match object::bool_at(object, &["spec", "unschedulable"]) {
        Some(true) => format!("{status},SchedulingDisabled").into(),
        _ => status.into(),
    }
}

fn roles(object: &Value, _: Timestamp) -> Value {
    let mut roles: Vec<&str> = object::labels(object)
        .filter_map(|(key, value)| match key {
            "kubernetes.io/role" => Some(value),
            _ => key.strip_prefix("node-role.kubernetes.io/"),
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { cells::NONE.into() } else { roles.join(",").into() }
}

fn version(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["status", "nodeInfo", "kubeletVersion"], "")
}

fn address(object: &Value, address_type: &str) -> Value {
    let addresses = object::list_at(object, &["status", "addresses"]);
    let found = addresses.iter().find(|address| object::str_at(address, &["type"]) == Some(address_type));
    found.map_or(cells::NONE.into(), |address| cells::text_or(address, &["address"], cells::NONE))
}

fn internal_ip(object: &Value, _: Timestamp) -> Value {
    address(object, "InternalIP")
}

fn external_ip(object: &Value, _: Timestamp) -> Value {
    address(object, "ExternalIP")
}

fn os_image(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["status", "nodeInfo", "osImage"], cells::UNKNOWN)
}

fn kernel_version(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["status", "nodeInfo", "kernelVersion"], cells::UNKNOWN)
}

fn container_runtime(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["status", "nodeInfo", "containerRuntimeVersion"], cells::UNKNOWN)
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    object::child_mut(object, "spec");
    object::child_mut(object, "status");
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    for (index, range) in pod_ranges(object).into_iter().enumerate() {
        check::follows(errors, &format!("spec.podCIDRs[{index}]"), range, validation::cidr);
    }
    let mut seen = HashSet::new();
    for (index, taint) in object::list_at(object, &["spec", "taints"]).iter().enumerate() {
        let path = format!("spec.taints[{index}]");
        let (key, effect) = (check::text(taint, "key"), check::text(taint, "effect"));
        check::follows(errors, &format!("{path}.key"), key, validation::qualified_name);
        check::follows(errors, &format!("{path}.value"), check::text(taint, "value"), validation::label_value);
        check::one_of(errors, &format!("{path}.effect"), effect, TAINT_EFFECTS);
        if !seen.insert((key, effect)) {
            errors.push(FieldError::duplicate(path, format!("{key}:{effect}")));
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let had = pod_ranges(old);
    if !had.is_empty() && pod_ranges(new) != had {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.podCIDRs", detail));
    }
    let provider = |node| object::str_at(node, &["spec", "providerID"]).unwrap_or_default();
    if !provider(old).is_empty() && provider(new) != provider(old) {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.providerID", detail));
    }
}

/// The addresses of its pods: `podCIDR` comes before `podCIDRs` where they differ.
fn pod_ranges(node: &Value) -> Vec<&str> {
    let all = object::list_at(node, &["spec", "podCIDRs"]).iter().filter_map(Value::as_str).collect::<Vec<_>>();
    match object::str_at(node, &["spec", "podCIDR"]).filter(|range| !range.is_empty()) {
        Some(range) if all.first() != Some(&range) => vec![range],
        _ => all,
    }
}
