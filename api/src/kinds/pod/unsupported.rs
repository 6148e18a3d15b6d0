//! What Kubernetes lets a pod ask for and this version of Coracle can't give: said aloud, never ignored.

use serde_json::Value;

use crate::kind::Kind;
use crate::kinds::check::is_set;
use crate::object;
use crate::validation::FieldError;

/// Fields of the spec that are refused when they are set and not empty.
const SPEC_FIELDS: &[(&str, &str)] = &[
    ("volumes", "volumes are"),
    ("initContainers", "init containers are"),
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
const CONTAINER_FIELDS: &[(&str, &str)] = &[
    ("lifecycle", "lifecycle hooks are"),
    ("livenessProbe", "probes are"),
    ("readinessProbe", "probes are"),
    ("startupProbe", "probes are"),
    ("volumeDevices", "volumes are"),
];

/// The fields that this version can't honour in what an object says of pods.
pub fn unsupported_fields(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let Some(path) = super::spec_path(kind) else { return Vec::new() };
    object::get(object, path).map_or_else(Vec::new, |spec| of_spec(spec, &path.join(".")))
}

fn of_spec(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
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
    for (index, container) in object::list_at(spec, &["containers"]).iter().enumerate() {
        let path = |field: &str| format!("{path}.containers[{index}].{field}");
        for (field, what) in CONTAINER_FIELDS {
            if has_content(container, field) {
                refuse(path(field), what);
            }
        }
        for (index, port) in object::list_at(container, &["ports"]).iter().enumerate() {
            if object::i64_at(port, &["hostPort"]).unwrap_or(0) != 0 {
                refuse(path(&format!("ports[{index}].hostPort")), "host ports are");
            }
        }
        if object::bool_at(container, &["securityContext", "privileged"]) == Some(true) {
            refuse(path("securityContext.privileged"), "privileged containers are");
        }
        if !object::list_at(container, &["securityContext", "capabilities", "add"]).is_empty() {
            refuse(path("securityContext.capabilities.add"), "added capabilities are");
        }
    }
    errors
}

fn has_content(value: &Value, field: &str) -> bool {
    is_set(value, field)
        && match &value[field] {
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
            _ => true,
        }
}
