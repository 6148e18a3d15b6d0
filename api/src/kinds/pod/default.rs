//! What a pod's or a pod template's spec means where it says nothing.

use serde_json::{Map, Value, json};

use super::resources;
use crate::object;
use crate::quantity::Quantity;

const FILE_MODE: i64 = 0o644;
/// How long a token in a file lasts.
const TOKEN_SECONDS: i64 = 60 * 60;

/// Sets a field that is missing or null.
pub(crate) fn set(object: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    let slot = object.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value.into();
    }
}

/// Sets a string that is missing, null or empty.
pub(crate) fn set_text(object: &mut Map<String, Value>, field: &str, value: &str) {
    if object.get(field).and_then(Value::as_str) == Some("") {
        object.remove(field);
    }
    set(object, field, value);
}

/// The objects in the list under `field`.
pub(crate) fn each<'a>(
    object: &'a mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The object under `field`, when there is one.
pub(crate) fn child<'a>(object: &'a mut Map<String, Value>, field: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut(field)?.as_object_mut()
}

/// The defaults of a pod itself, which its template doesn't get.
pub(crate) fn pod(object: &mut Value) {
    let spec = object::child_mut(object, "spec");
    set(spec, "enableServiceLinks", true);
    pod_spec(spec);
    for list in ["containers", "initContainers"] {
        each(spec, list).for_each(requests_from_limits);
    }
    set_text(spec, "serviceAccountName", "default");
    mirror_service_account(spec);
    let qos_class = super::qos_class(object);
    let status = object::child_mut(object, "status");
    set_text(status, "phase", "Pending");
    set_text(status, "qosClass", qos_class);
}

/// The defaults of a pod template under `spec.template` of a workload.
pub(crate) fn template(workload_spec: &mut Map<String, Value>) {
    set(workload_spec, "template", json!({}));
    let Some(template) = child(workload_spec, "template") else { return };
    set(template, "spec", json!({}));
    child(template, "spec").into_iter().for_each(pod_spec);
}

fn pod_spec(spec: &mut Map<String, Value>) {
    set_text(spec, "restartPolicy", "Always");
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "schedulerName", "default-scheduler");
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "securityContext", json!({}));
    mirror_service_account(spec);
    let host_network = spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or(false);
    each(spec, "volumes").for_each(volume);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list).for_each(|entry| container(entry, host_network));
    }
}

/// The account has an old name and a new one; they say the same.
fn mirror_service_account(spec: &mut Map<String, Value>) {
    let name = |field: &str| spec.get(field).and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned);
    if let Some(account) = name("serviceAccountName").or_else(|| name("serviceAccount")) {
        spec.insert("serviceAccountName".to_owned(), account.clone().into());
        spec.insert("serviceAccount".to_owned(), account.into());
    }
}

fn requests_from_limits(container: &mut Map<String, Value>) {
    let Some(resources) = child(container, "resources") else { return };
    let Some(limits) = child(resources, "limits").map(|limits| limits.clone()) else { return };
    set(resources, "requests", json!({}));
    if let Some(requests) = child(resources, "requests") {
        limits.into_iter().for_each(|(resource, limit)| set(requests, &resource, limit));
    }
}

fn container(container: &mut Map<String, Value>, host_network: bool) {
    set(container, "resources", json!({}));
    resources::canonicalise(container);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let pull = if is_latest(image) { "Always" } else { "IfNotPresent" };
    set_text(container, "imagePullPolicy", pull);
    for port in each(container, "ports") {
        set_text(port, "protocol", "TCP");
        if let Some(number) = port.get("containerPort").filter(|_| host_network).cloned() {
            set(port, "hostPort", number);
        }
    }
    for variable in each(container, "env") {
        child(variable, "valueFrom").into_iter().for_each(downward);
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = child(container, name) {
            for (field, number) in
                [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
            {
                if probe.get(field).and_then(Value::as_i64) == Some(0) {
                    probe.remove(field);
                }
                set(probe, field, number);
            }
            handler(probe);
        }
    }
    if let Some(lifecycle) = child(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            child(lifecycle, hook).into_iter().for_each(handler);
        }
    }
}

fn handler(handler: &mut Map<String, Value>) {
    if let Some(get) = child(handler, "httpGet") {
        set_text(get, "path", "/");
        set_text(get, "scheme", "HTTP");
    }
    if let Some(grpc) = child(handler, "grpc") {
        set(grpc, "service", "");
    }
}

/// What a variable or a file shows of the pod.
fn downward(shown: &mut Map<String, Value>) {
    if let Some(field) = child(shown, "fieldRef") {
        set_text(field, "apiVersion", "v1");
    }
    if let Some(field) = child(shown, "resourceFieldRef") {
        set_text(field, "divisor", "0");
        if let Ok(divisor) = Quantity::from_value(&field["divisor"]) {
            field.insert("divisor".to_owned(), divisor.to_string().into());
        }
    }
}

fn volume(volume: &mut Map<String, Value>) {
    if volume.iter().all(|(field, value)| field == "name" || value.is_null()) {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = child(volume, source) {
            set(source, "defaultMode", FILE_MODE);
        }
    }
    if let Some(source) = child(volume, "downwardAPI") {
        each(source, "items").for_each(downward);
    }
    if let Some(projected) = child(volume, "projected") {
        for source in each(projected, "sources") {
            if let Some(source) = child(source, "downwardAPI") {
                each(source, "items").for_each(downward);
            }
            if let Some(token) = child(source, "serviceAccountToken") {
                set(token, "expirationSeconds", TOKEN_SECONDS);
            }
        }
    }
    if let Some(path) = child(volume, "hostPath") {
        set(path, "type", "");
    }
}

/// Whether an image reference means the tag `latest`: that tag, or neither tag nor digest.
fn is_latest(image: &str) -> bool {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_none() && !image.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_latest;

    #[test]
    fn only_a_moving_tag_is_pulled_each_time() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (image, latest) in [
            ("x", true),
            ("x:latest", true),
            ("x:1", false),
            ("localhost:5000/x", true),
            ("localhost:5000/x:1", false),
            (&format!("registry.coracle.internal/x@{digest}"), false),
            (&format!("x:latest@{digest}"), true),
            ("", false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
