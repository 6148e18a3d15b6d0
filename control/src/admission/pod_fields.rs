//! Pods and pod templates that ask for what can't be given: refused where the meaning would change, else warned of.

use coracle_api::kind::Kind;
use coracle_api::kinds::pod;
use coracle_api::object;
use coracle_api::status::{self, Status};
use serde_json::Value;

use super::Attributes;

/// Fields of a pod's spec that mean nothing, and do no harm.
const IGNORED: &[&str] =
    &["automountServiceAccountToken", "dnsConfig", "imagePullSecrets", "setHostnameAsFQDN", "subdomain"];
/// Those that mean something for a Linux container only: what an image holds is not known here.
const LINUX_ONLY: &[&str] = &["hostname", "securityContext"];
/// The same of a container.
const LINUX_ONLY_IN_CONTAINER: &[&str] = &["securityContext", "tty", "workingDir"];
/// What is said of a container's limit.
const NOT_ENFORCED: &str =
    "resources.limits.ephemeral-storage: is not enforced: limit emptyDir volumes by their sizeLimit";

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
    let of_spec = [(IGNORED, "here"), (LINUX_ONLY, "on a Wasm component")].into_iter().flat_map(|(fields, whom)| {
        let found = fields.iter().filter(|field| has(spec, field));
        found.map(move |field| format!("{path}.{field}: has no effect {whom}"))
    });
    let is_limited = |container: &Value| container.pointer("/resources/limits/ephemeral-storage").is_some();
    let of_containers = ["initContainers", "containers"].into_iter().flat_map(|list| {
        object::list_at(spec, &[list]).iter().enumerate().flat_map(move |(index, container)| {
            let found = LINUX_ONLY_IN_CONTAINER.iter().filter(move |field| has(container, field));
            let found = found.map(|field| format!("{field}: has no effect on a Wasm component"));
            let limit = is_limited(container).then(|| NOT_ENFORCED.to_owned());
            found.chain(limit).map(move |warning| format!("{path}.{list}[{index}].{warning}"))
        })
    });
    of_spec.chain(of_containers).collect()
}

#[cfg(test)]
mod tests {
    use coracle_api::kinds;
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_means_nothing_is_warned_of() {
        let container = json!({ "name": "main", "workingDir": "/tmp", "tty": false });
        let object = json!({ "spec": { "template": { "spec": {
            "dnsConfig": { "nameservers": ["192.0.2.1"] }, "hostname": "h", "subdomain": "s", "securityContext": { "runAsUser": 7 }, "imagePullSecrets": [],
            "initContainers": [{ "name": "first", "tty": true, "resources": { "limits": { "ephemeral-storage": "1Gi" } } }],
            "containers": [container, { "name": "more", "securityContext": { "privileged": false } }],
        } } } });
        let kind = kinds::by_any_name("deployments").expect("it is built in");
        expect![[r#"
            spec.template.spec.dnsConfig: has no effect here
            spec.template.spec.subdomain: has no effect here
            spec.template.spec.hostname: has no effect on a Wasm component
            spec.template.spec.securityContext: has no effect on a Wasm component
            spec.template.spec.initContainers[0].tty: has no effect on a Wasm component
            spec.template.spec.initContainers[0].resources.limits.ephemeral-storage: is not enforced: limit emptyDir volumes by their sizeLimit
            spec.template.spec.containers[0].workingDir: has no effect on a Wasm component
            spec.template.spec.containers[1].securityContext: has no effect on a Wasm component"#]]
        .assert_eq(&ignored(kind, &object).join("\n"));
    }
}
