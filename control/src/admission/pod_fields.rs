//! Pods and pod templates that ask for what can't be given: refused where the meaning would change, else warned of.

use coracle_api::kind::Kind;
use coracle_api::kinds::pod;
use coracle_api::object;
use coracle_api::status::{self, Status};
use serde_json::Value;

use super::Attributes;

/// Fields of a pod's spec that have no meaning for a component, and do no harm.
const IGNORED: &[&str] = &["securityContext", "dnsConfig", "imagePullSecrets"];
/// The same of a container.
const IGNORED_IN_CONTAINER: &[&str] = &["securityContext", "tty", "workingDir"];

pub(super) fn admit(attributes: &Attributes<'_>, object: &mut Value, warnings: &mut Vec<String>) -> Result<(), Status> {
    if attributes.trusted {
        return Ok(());
    }
    let errors = pod::unsupported_fields(attributes.kind, object);
    if !errors.is_empty() {
        return Err(status::invalid(attributes.kind, attributes.name, &errors));
    }
    warnings.extend(ignored(attributes.kind, object));
    Ok(())
}

pub(super) fn admit_update(attributes: &Attributes<'_>, old: &Value, new: &mut Value) -> Result<(), Status> {
    if attributes.trusted {
        return Ok(());
    }
    let known = pod::unsupported_fields(attributes.kind, old);
    let mut errors = pod::unsupported_fields(attributes.kind, new);
    errors.retain(|error| !known.contains(error));
    if errors.is_empty() { Ok(()) } else { Err(status::invalid(attributes.kind, attributes.name, &errors)) }
}

fn ignored(kind: &Kind, object: &Value) -> Vec<String> {
    let Some(path) = pod::spec_path(kind) else { return Vec::new() };
    let Some(spec) = object::get(object, path) else { return Vec::new() };
    let path = &path.join(".");
    let has = |value: &Value, field: &str| match value.get(field) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    };
    let of_spec =
        IGNORED.iter().filter(|field| has(spec, field)).map(|field| format!("{path}.{field}: has no effect here"));
    let containers = object::list_at(spec, &["containers"]).iter().enumerate();
    let of_containers = containers.flat_map(|(index, container)| {
        let fields = IGNORED_IN_CONTAINER.iter().filter(move |field| has(container, field));
        fields.map(move |field| format!("{path}.containers[{index}].{field}: has no effect here"))
    });
    of_spec.chain(of_containers).collect()
}
