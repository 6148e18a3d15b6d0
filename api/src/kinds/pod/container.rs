//! What the containers of a pod must look like.

use std::collections::HashSet;

use serde_json::Value;

use super::{probes, resources, volumes};
use crate::kinds::check::{self, Errors, is_set, text};
use crate::object;
use crate::validation::{self, FieldError};

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const TERMINATION_MESSAGE_POLICIES: &[&str] = &["FallbackToLogsOnError", "File"];
const FIELD_PATHS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The sources of a variable's value; `fileKeyRef` came last and isn't in the message.
const VALUE_SOURCES: &[&str] = &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

/// Appends what is wrong with the containers and init containers of the spec at `path`.
pub(crate) fn containers(spec: &Value, path: &str, volumes: &HashSet<&str>, errors: &mut Errors) {
    let (own, init) = (object::list_at(spec, &["containers"]), object::list_at(spec, &["initContainers"]));
    let mut names = HashSet::new();
    if own.is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    for (list, entries) in [("containers", own), ("initContainers", init)] {
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            container(entry, &path, volumes, errors);
            let name = text(entry, "name");
            if !name.is_empty() {
                check::unique(errors, &mut names, &format!("{path}.name"), name);
            }
            probes::validate(spec, entry, &path, errors);
        }
    }
}

fn container(container: &Value, path: &str, volumes: &HashSet<&str>, errors: &mut Errors) {
    let path = |field: &str| format!("{path}.{field}");
    check::required(errors, &path("name"), text(container, "name"), validation::dns1123_label);
    let image = text(container, "image");
    if image.is_empty() {
        errors.push(FieldError::required(path("image"), ""));
    } else if image.trim() != image {
        errors.push(FieldError::invalid(path("image"), image, "must not have leading or trailing whitespace"));
    }
    let policy = text(container, "terminationMessagePolicy");
    check::one_of(errors, &path("terminationMessagePolicy"), policy, TERMINATION_MESSAGE_POLICIES);
    ports(container, &path("ports"), errors);
    env(container, &path("env"), errors);
    env_from(container, &path("envFrom"), errors);
    volumes::mounts(container, &path("volumeMounts"), volumes, errors);
    check::one_of(errors, &path("imagePullPolicy"), text(container, "imagePullPolicy"), PULL_POLICIES);
    resources::validate(container, &path("resources"), errors);
}

fn ports(container: &Value, path: &str, errors: &mut Errors) {
    let mut names = HashSet::new();
    for (index, port) in object::list_at(container, &["ports"]).iter().enumerate() {
        let path = |field: &str| format!("{path}[{index}].{field}");
        let name = text(port, "name");
        if !name.is_empty() {
            let messages = validation::port_name(name);
            if messages.is_empty() {
                check::unique(errors, &mut names, &path("name"), name);
            } else {
                check::follows(errors, &path("name"), name, validation::port_name);
            }
        }
        match object::i64_at(port, &["containerPort"]).unwrap_or(0) {
            0 => errors.push(FieldError::required(path("containerPort"), "")),
            number => check::port(errors, &path("containerPort"), number),
        }
        if let Some(number) = object::i64_at(port, &["hostPort"]).filter(|number| *number != 0) {
            check::port(errors, &path("hostPort"), number);
        }
        check::one_of(errors, &path("protocol"), text(port, "protocol"), check::PROTOCOLS);
    }
}

fn env(container: &Value, path: &str, errors: &mut Errors) {
    for (index, variable) in object::list_at(container, &["env"]).iter().enumerate() {
        let name = text(variable, "name");
        check::required(errors, &format!("{path}[{index}].name"), name, validation::env_var_name);
        let Some(from) = variable.get("valueFrom").filter(|from| from.is_object()) else { continue };
        let path = format!("{path}[{index}].valueFrom");
        let sources: Vec<&&str> = VALUE_SOURCES.iter().filter(|source| is_set(from, source)).collect();
        for source in &sources {
            value_source(source, &from[**source], &format!("{path}.{source}"), errors);
        }
        let detail = match sources.len() {
            0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            _ if !text(variable, "value").is_empty() => "may not be specified when `value` is not empty",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        errors.push(FieldError::invalid(path, "", detail));
    }
}

fn value_source(source: &str, from: &Value, path: &str, errors: &mut Errors) {
    match source {
        "fieldRef" => object_field(from, path, FIELD_PATHS, errors),
        "resourceFieldRef" => volumes::resource_field(from, false, path, errors),
        "configMapKeyRef" | "secretKeyRef" => {
            check::required(errors, &format!("{path}.name"), text(from, "name"), check::anything);
            check::required(errors, &format!("{path}.key"), text(from, "key"), validation::config_key);
        }
        _ => {}
    }
}

/// A field of the pod: one of these, or a single label or annotation.
pub(super) fn object_field(from: &Value, path: &str, fields: &[&str], errors: &mut Errors) {
    let path = |field: &str| format!("{path}.{field}");
    check::required(errors, &path("apiVersion"), text(from, "apiVersion"), check::anything);
    let field = text(from, "fieldPath");
    let of_map = field.strip_prefix("metadata.labels['").or(field.strip_prefix("metadata.annotations['"));
    match of_map.and_then(|rest| rest.strip_suffix("']")) {
        Some(key) => check::follows(errors, &path("fieldPath"), key, validation::qualified_name),
        None => check::one_of(errors, &path("fieldPath"), field, fields),
    }
}

fn env_from(container: &Value, path: &str, errors: &mut Errors) {
    for (index, source) in object::list_at(container, &["envFrom"]).iter().enumerate() {
        let path = format!("{path}[{index}]");
        check::optional(errors, &format!("{path}.prefix"), text(source, "prefix"), validation::env_var_name);
        let mut count = 0;
        for field in ["configMapRef", "secretRef"] {
            if let Some(reference) = source.get(field).filter(|reference| !reference.is_null()) {
                count += 1;
                check::required(errors, &format!("{path}.{field}.name"), text(reference, "name"), check::anything);
            }
        }
        match count {
            0 => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(path, "", detail));
            }
            1 => {}
            _ => {
                let detail = "may not have more than one field specified at a time";
                errors.push(FieldError::invalid(path, "", detail));
            }
        }
    }
}
