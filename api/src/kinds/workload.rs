//! What deployments and replica sets share: a replica count, a selector and a pod template.

use serde_json::Value;

use crate::kinds::check::{self, Errors};
use crate::kinds::{cells, metadata, pod};
use crate::object;
use crate::selector::LabelSelector;
use crate::validation::{BadValue, FieldError, IMMUTABLE, print_label_selector};

fn containers(object: &Value) -> &[Value] {
    object::list_at(object, &["spec", "template", "spec", "containers"])
}

pub(crate) fn container_names(object: &Value) -> Value {
    cells::join(containers(object), "name").into()
}

pub(crate) fn container_images(object: &Value) -> Value {
    cells::join(containers(object), "image").into()
}

/// The selector as `a=b,c in (d,e),!f`, sorted by key; empty where it selects nothing in particular.
pub(crate) fn selector_text(object: &Value) -> String {
    let labels = object::get(object, &["spec", "selector", "matchLabels"]).and_then(Value::as_object);
    let mut parts: Vec<(&str, String)> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for requirement in object::list_at(object, &["spec", "selector", "matchExpressions"]) {
        let key = object::str_at(requirement, &["key"]).unwrap_or_default();
        let mut values: Vec<&str> =
            object::list_at(requirement, &["values"]).iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match object::str_at(requirement, &["operator"]) {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key, text));
    }
    parts.sort_by_key(|(key, _)| *key);
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

pub(crate) fn validate(object: &Value, errors: &mut Errors) {
    const SELECTOR: &str = "spec.selector";
    let spec = &object["spec"];
    for field in ["replicas", "minReadySeconds"] {
        check::not_negative(errors, &format!("spec.{field}"), object::i64_at(spec, &[field]));
    }
    let selector = &spec["selector"];
    if selector.is_null() {
        errors.push(FieldError::required(SELECTOR, ""));
    } else {
        check::label_selector(errors, SELECTOR, selector);
    }
    match LabelSelector::from_value(selector) {
        Err(_) => errors.push(FieldError::invalid(SELECTOR, print_label_selector(selector), "invalid label selector")),
        Ok(parsed) => {
            if parsed.is_everything() {
                let detail = "empty selector is invalid for deployment";
                errors.push(FieldError::invalid(SELECTOR, print_label_selector(selector), detail));
            }
            validate_template(&spec["template"], &parsed, errors);
        }
    }
}

fn validate_template(template: &Value, selector: &LabelSelector, errors: &mut Errors) {
    const PATH: &str = "spec.template";
    let labels = object::get(template, &["metadata", "labels"]);
    if !selector.is_everything() && !selector.matches_labels(labels.and_then(Value::as_object)) {
        let value = match labels.filter(|labels| labels.as_object().is_some_and(|labels| !labels.is_empty())) {
            Some(labels) => labels.clone().into(),
            None => BadValue::Printed("map[string]string(nil)".to_owned()),
        };
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(format!("{PATH}.metadata.labels"), value, detail));
    }
    check::labels(errors, &format!("{PATH}.metadata.labels"), labels);
    let annotations = object::get(template, &["metadata", "annotations"]);
    metadata::validate_annotations(annotations, &format!("{PATH}.metadata.annotations"), errors);
    let spec = &template["spec"];
    pod::validate::pod_spec(spec, &format!("{PATH}.spec"), errors);
    let policy = check::text(spec, "restartPolicy");
    if policy != "Always" {
        errors.push(FieldError::not_supported(format!("{PATH}.spec.restartPolicy"), policy, &["Always"]));
    }
    if check::is_set(spec, "activeDeadlineSeconds") {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.push(FieldError::forbidden(format!("{PATH}.spec.activeDeadlineSeconds"), detail));
    }
}

/// The selector never changes: pods that were selected must not be left behind.
pub(crate) fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let (new, old) = (&new["spec"]["selector"], &old["spec"]["selector"]);
    if new != old {
        errors.push(FieldError::invalid("spec.selector", print_label_selector(new), IMMUTABLE));
    }
}
