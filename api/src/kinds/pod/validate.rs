//! What a pod's or a pod template's spec must look like.

use serde_json::Value;

use super::{container, volumes};
use crate::kinds::check::{self, Errors, is_set, text};
use crate::object;
use crate::validation::{self, FieldError};

pub(crate) const SECONDS_MAX: i64 = i32::MAX as i64;
const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Appends what is wrong with a pod spec that lies at `path`.
pub(crate) fn pod_spec(spec: &Value, path: &str, errors: &mut Errors) {
    let volumes = volumes::volumes(spec, &format!("{path}.volumes"), errors);
    container::containers(spec, path, &volumes, errors);
    check::one_of(
        errors,
        &format!("{path}.restartPolicy"),
        text(spec, "restartPolicy"),
        &["Always", "OnFailure", "Never"],
    );
    check::one_of(errors, &format!("{path}.dnsPolicy"), text(spec, "dnsPolicy"), DNS_POLICIES);
    check::labels(errors, &format!("{path}.nodeSelector"), spec.get("nodeSelector"));
    for (index, secret) in object::list_at(spec, &["imagePullSecrets"]).iter().enumerate() {
        let path = format!("{path}.imagePullSecrets[{index}].name");
        check::required(errors, &path, text(secret, "name"), check::anything);
    }
    for (index, gate) in object::list_at(spec, &["readinessGates"]).iter().enumerate() {
        let path = format!("{path}.readinessGates[{index}].conditionType");
        check::follows(errors, &path, text(gate, "conditionType"), validation::qualified_name);
    }
    for field in ["serviceAccountName", "nodeName"] {
        check::optional(errors, &format!("{path}.{field}"), text(spec, field), validation::dns1123_subdomain);
    }
    let deadline = object::i64_at(spec, &["activeDeadlineSeconds"]);
    check::within(errors, &format!("{path}.activeDeadlineSeconds"), deadline, 1, SECONDS_MAX);
    for field in ["hostname", "subdomain"] {
        check::optional(errors, &format!("{path}.{field}"), text(spec, field), validation::dns1123_label);
    }
    tolerations(spec, &format!("{path}.tolerations"), errors);
    for field in ["priorityClassName", "runtimeClassName"] {
        check::optional(errors, &format!("{path}.{field}"), text(spec, field), validation::dns1123_subdomain);
    }
}

/// Appends what is wrong with the tolerations of the object that lie at `path`.
pub(crate) fn tolerations(spec: &Value, path: &str, errors: &mut Errors) {
    for (index, toleration) in object::list_at(spec, &["tolerations"]).iter().enumerate() {
        let path = |field: &str| format!("{path}[{index}].{field}");
        let [key, operator, value, effect] =
            ["key", "operator", "value", "effect"].map(|field| text(toleration, field));
        check::optional(errors, &path("key"), key, validation::qualified_name);
        if key.is_empty() && operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(path("operator"), operator, detail));
        }
        if is_set(toleration, "tolerationSeconds") && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(path("effect"), effect, detail));
        }
        match operator {
            "" | "Equal" => {
                let messages = validation::label_value(value);
                if !messages.is_empty() {
                    errors.push(FieldError::invalid(path("operator"), value, messages.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(path("operator"), toleration.clone(), detail));
            }
            "Exists" => {}
            _ => errors.push(FieldError::not_supported(path("operator"), operator, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            check::one_of(errors, &path("effect"), effect, TAINT_EFFECTS);
        }
    }
}
