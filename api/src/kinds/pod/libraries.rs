//! Libraries: containers without a life of their own, which are linked into the other containers of their pod.
//!
//! The annotation is Coracle's own. Deliberately absent: whether they fit, which a host sees when it has them.

use serde_json::Value;

use crate::kinds::check::is_set;
use crate::object;
use crate::validation::FieldError;

/// Names the containers of a pod that are libraries, separated by commas, in the order in which they are linked.
pub const LIBRARIES_ANNOTATION: &str = "coracle.dev/libraries";
/// Libraries of one pod. One instance has at most 16 memories, and each component brings one.
pub const LIBRARIES_MAX: usize = 8;
/// What a container that does not run by itself can't have.
const FIELDS: &[&str] = &[
    "command",
    "args",
    "workingDir",
    "env",
    "envFrom",
    "ports",
    "volumeMounts",
    "stdin",
    "stdinOnce",
    "tty",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// The names in the annotation of a pod, in order.
pub fn libraries(pod: &Value) -> Vec<&str> {
    let given = object::annotation(pod, LIBRARIES_ANNOTATION).unwrap_or_default();
    given.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// What is wrong with the libraries of a pod or pod template, whose spec lies at `path`.
pub fn library_errors(pod: &Value, path: &str) -> Vec<FieldError> {
    let names = libraries(pod);
    let mut errors = Vec::new();
    if names.is_empty() {
        return errors;
    }
    let annotations = format!("{}metadata.annotations[{LIBRARIES_ANNOTATION}]", path.trim_end_matches("spec"));
    let given = object::annotation(pod, LIBRARIES_ANNOTATION).unwrap_or_default();
    let mut refuse = |detail: String| errors.push(FieldError::invalid(annotations.clone(), given, detail));
    let containers = object::list_at(pod, &["spec", "containers"]);
    let name_of = |container: &Value| object::str_at(container, &["name"]).unwrap_or_default().to_owned();
    for (index, name) in names.iter().enumerate() {
        if !containers.iter().any(|container| name_of(container) == *name) {
            refuse(format!("no container of this pod is named {name:?}; name containers, separated by commas"));
        } else if names[..index].contains(name) {
            refuse(format!("{name:?} is named twice"));
        }
    }
    if names.len() > LIBRARIES_MAX {
        refuse(format!("a pod has at most {LIBRARIES_MAX} libraries; compose some of them beforehand"));
    }
    if containers.iter().all(|container| names.contains(&&*name_of(container))) {
        refuse("a pod needs a container that the libraries are linked into".to_owned());
    }
    for (index, container) in
        containers.iter().enumerate().filter(|(_, container)| names.contains(&&*name_of(container)))
    {
        for field in FIELDS.iter().filter(|field| is_set(container, field) && has_content(&container[**field])) {
            let detail = "a library does not run by itself; say it of the container that it is linked into";
            errors.push(FieldError::forbidden(format!("{path}.containers[{index}].{field}"), detail));
        }
    }
    errors
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(is_true) => *is_true,
        _ => true,
    }
}
