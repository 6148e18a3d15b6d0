//! What Kubernetes lets a pod ask for and this version of Coracle can't give: said aloud, never ignored.

use serde_json::Value;

use super::config::config_errors;
use super::libraries::library_errors;
use super::volumes::SOURCES;
use crate::kind::Kind;
use crate::kinds::check::is_set;
use crate::object;
use crate::validation::FieldError;

/// Fields of the spec that are refused when they are set and not empty.
const SPEC_FIELDS: &[(&str, &str)] = &[
    ("ephemeralContainers", "ephemeral containers are"),
    ("affinity", "affinity is"),
    ("topologySpreadConstraints", "topology spread is"),
    ("schedulingGates", "scheduling gates are"),
    ("readinessGates", "readiness gates are"),
    ("resourceClaims", "resource claims are"),
    ("hostAliases", "host aliases are"),
];
/// Fields of the spec that are refused when they are true.
const SPEC_FLAGS: &[(&str, &str)] = &[
    ("hostNetwork", "the host's network is"),
    ("hostPID", "the host's process namespace is"),
    ("hostIPC", "the host's IPC namespace is"),
    ("shareProcessNamespace", "a shared process namespace is"),
];
/// Fields of a container that are refused when they are set and not empty.
const CONTAINER_FIELDS: &[(&str, &str)] = &[("volumeDevices", "block devices are")];
/// The probes and hooks of a container, as paths.
const CHECKS: &[&[&str]] = &[
    &["livenessProbe"],
    &["readinessProbe"],
    &["startupProbe"],
    &["lifecycle", "postStart"],
    &["lifecycle", "preStop"],
];

/// The sources of volumes that there are.
const VOLUME_SOURCES: &[&str] = &["emptyDir", "hostPath", "configMap", "secret", "downwardAPI", "projected"];

/// The fields that this version can't honour in what an object says of pods, and what it says wrongly in annotations of ours.
pub fn unsupported_fields(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let Some(path @ [pod @ .., _]) = super::spec_path(kind) else { return Vec::new() };
    let Some(spec) = object::get(object, path) else { return Vec::new() };
    let path = path.join(".");
    let mut errors = of_spec(spec, &path);
    if let Some(pod) = object::get(object, pod) {
        errors.extend(library_errors(pod, &path));
        errors.extend(config_errors(pod, &path));
    }
    errors
}

fn of_spec(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, volume) in object::list_at(spec, &["volumes"]).iter().enumerate() {
        refuse_volume(volume, &format!("{path}.volumes[{index}]"), &mut errors);
    }
    let mut refuse = |path: String, what: &str| {
        errors.push(FieldError::forbidden(path, format!("{what} not supported by this version of Coracle")));
    };
    for (field, what) in SPEC_FIELDS {
        if has_content(spec, field) {
            refuse(format!("{path}.{field}"), what);
        }
    }
    for (field, what) in SPEC_FLAGS {
        if object::bool_at(spec, &[field]) == Some(true) {
            refuse(format!("{path}.{field}"), what);
        }
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in object::list_at(spec, &[list]).iter().enumerate() {
            of_container(container, &format!("{path}.{list}[{index}]"), &mut refuse);
        }
    }
    for (index, container) in object::list_at(spec, &["initContainers"]).iter().enumerate() {
        let path = |field: &str| format!("{path}.initContainers[{index}].{field}");
        if object::str_at(container, &["restartPolicy"]).is_some_and(|policy| !policy.is_empty()) {
            refuse(path("restartPolicy"), "init containers that are restarted or stay are");
        }
        for check in CHECKS.iter().filter(|check| object::get(container, check).is_some_and(|check| !check.is_null())) {
            refuse(path(&check.join(".")), "probes and hooks of init containers are");
        }
    }
    errors
}

fn of_container(container: &Value, path: &str, refuse: &mut impl FnMut(String, &str)) {
    let path = |field: &str| format!("{path}.{field}");
    for (field, what) in CONTAINER_FIELDS {
        if has_content(container, field) {
            refuse(path(field), what);
        }
    }
    for (index, mount) in object::list_at(container, &["volumeMounts"]).iter().enumerate() {
        if !matches!(object::str_at(mount, &["mountPropagation"]), None | Some("None")) {
            refuse(path(&format!("volumeMounts[{index}].mountPropagation")), "propagated mounts are");
        }
    }
    for (index, port) in object::list_at(container, &["ports"]).iter().enumerate() {
        if object::i64_at(port, &["hostPort"]).unwrap_or(0) != 0 {
            refuse(path(&format!("ports[{index}].hostPort")), "host ports are");
        }
    }
    for check in CHECKS {
        if let Some(given) = object::get(container, check) {
            of_check(given, &path(&check.join(".")), refuse);
        }
    }
    if has_content(container, "lifecycle") && is_set(&container["lifecycle"], "stopSignal") {
        refuse(path("lifecycle.stopSignal"), "signals are");
    }
    if object::bool_at(container, &["securityContext", "privileged"]) == Some(true) {
        refuse(path("securityContext.privileged"), "privileged containers are");
    }
    if !object::list_at(container, &["securityContext", "capabilities", "add"]).is_empty() {
        refuse(path("securityContext.capabilities.add"), "added capabilities are");
    }
}

fn refuse_volume(volume: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut refuse = |path: String, what: &str, instead: &str| {
        let detail = format!("{what} not supported by this version of Coracle; {instead}");
        errors.push(FieldError::forbidden(path, detail));
    };
    for source in SOURCES.iter().filter(|source| is_set(volume, source) && !VOLUME_SOURCES.contains(source)) {
        let instead = match *source {
            "gitRepo" | "image" => "put the files into a ConfigMap, or into the component",
            "ephemeral" => "use emptyDir",
            _ => "use emptyDir for what may go with the pod, or hostPath where the host's owner allows it",
        };
        refuse(format!("{path}.{source}"), "volumes of this type are", instead);
    }
    if let Some(medium) = object::str_at(volume, &["emptyDir", "medium"]).filter(|medium| !medium.is_empty()) {
        let what = format!("the medium {medium:?} is");
        refuse(format!("{path}.emptyDir.medium"), &what, "leave it out: the files are on the host's disk");
    }
    for (index, source) in object::list_at(volume, &["projected", "sources"]).iter().enumerate() {
        for field in ["clusterTrustBundle", "podCertificate"].iter().filter(|field| is_set(source, field)) {
            refuse(format!("{path}.projected.sources[{index}].{field}"), "this source is", "put it into a Secret");
        }
    }
}

/// A probe or hook asks the pod itself, in process.
fn of_check(check: &Value, path: &str, refuse: &mut impl FnMut(String, &str)) {
    for handler in ["httpGet", "tcpSocket"] {
        if object::str_at(check, &[handler, "host"]).is_some_and(|host| !host.is_empty()) {
            refuse(format!("{path}.{handler}.host"), "other hosts than the pod itself are");
        }
    }
    if object::str_at(check, &["httpGet", "scheme"]) == Some("HTTPS") {
        refuse(format!("{path}.httpGet.scheme"), "TLS to the pod itself is");
    }
    if path.contains(".lifecycle.") && is_set(check, "tcpSocket") {
        refuse(format!("{path}.tcpSocket"), "sockets as hooks are");
    }
}

fn has_content(value: &Value, field: &str) -> bool {
    is_set(value, field)
        && match &value[field] {
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
            _ => true,
        }
}
