//! What the kinds with a pod template share: columns, defaults, the rules of the template and of the selector.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kind::Column;
use crate::kinds::check::{self, Errors};
use crate::kinds::pod::default;
use crate::kinds::{cells, metadata, pod};
use crate::object;
use crate::selector::LabelSelector;
use crate::validation::{BadValue, FieldError, IMMUTABLE, print_label_selector};

const SELECTOR: &str = "spec.selector";
const TEMPLATE: &str = "spec.template";

/// The names of the containers of the template at `spec.template`.
pub(crate) const CONTAINERS: Column =
    Column::string("Containers", 1, "Names of each container in the template.", |object, _| {
        container_names(&object["spec"]["template"])
    });

/// The images of the containers of the template at `spec.template`.
pub(crate) const IMAGES: Column =
    Column::string("Images", 1, "Images referenced by each container in the template.", |object, _| {
        container_images(&object["spec"]["template"])
    });

pub(crate) fn container_names(template: &Value) -> Value {
    cells::join(object::list_at(template, &["spec", "containers"]), "name").into()
}

pub(crate) fn container_images(template: &Value) -> Value {
    cells::join(object::list_at(template, &["spec", "containers"]), "image").into()
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

/// The cell of a selector; `<none>` where it is empty.
pub(crate) fn selector_or_none(object: &Value, _: Timestamp) -> Value {
    match selector_text(object) {
        text if text.is_empty() => cells::NONE.into(),
        text => text.into(),
    }
}

/// Defaults a replica count and the template; returns the spec for what else a kind defaults in it.
pub(crate) fn default_replicated(object: &mut Value) -> &mut Map<String, Value> {
    let spec = object::child_mut(object, "spec");
    default::set(spec, "replicas", 1);
    default::template(spec);
    spec
}

/// The rules that a deployment shares with its replica sets, in the words that Kubernetes uses for both.
pub(crate) fn validate_replicated(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    check::none_negative(errors, "spec", spec, &["replicas", "minReadySeconds"]);
    lasting_pods(spec, &spec["template"], "deployment", "ReplicaSet", errors);
}

/// The rules of a selector and of a template whose pods run until somebody stops them. `noun` and `kind` are the
/// owner's names in messages. The template is apart, because a stateful set's has more volumes than it says.
pub(crate) fn lasting_pods(spec: &Value, template: &Value, noun: &str, kind: &str, errors: &mut Errors) {
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
                let detail = format!("empty selector is invalid for {noun}");
                errors.push(FieldError::invalid(SELECTOR, print_label_selector(selector), detail));
            }
            selects(&parsed, template, errors);
            validate_lasting_template(template, kind, errors);
        }
    }
}

/// The rules of a template whose pods run until somebody stops them.
pub(crate) fn validate_lasting_template(template: &Value, kind: &str, errors: &mut Errors) {
    validate_template(template, TEMPLATE, errors);
    never_ends(template, kind, errors);
}

/// The template's labels must be what the selector selects.
pub(crate) fn selects(selector: &LabelSelector, template: &Value, errors: &mut Errors) {
    let labels = object::get(template, &["metadata", "labels"]);
    if !selector.matches_labels(labels.and_then(Value::as_object)) {
        let value = match labels.filter(|labels| labels.as_object().is_some_and(|labels| !labels.is_empty())) {
            Some(labels) => labels.clone().into(),
            None => BadValue::Printed("map[string]string(nil)".to_owned()),
        };
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(format!("{TEMPLATE}.metadata.labels"), value, detail));
    }
}

/// The rules of the pod template at `path`.
pub(crate) fn validate_template(template: &Value, path: &str, errors: &mut Errors) {
    check::labels(errors, &format!("{path}.metadata.labels"), object::get(template, &["metadata", "labels"]));
    let annotations = object::get(template, &["metadata", "annotations"]);
    metadata::validate_annotations(annotations, &format!("{path}.metadata.annotations"), errors);
    pod::validate::pod_spec(&template["spec"], &format!("{path}.spec"), errors);
}

fn never_ends(template: &Value, kind: &str, errors: &mut Errors) {
    let spec = &template["spec"];
    let policy = check::text(spec, "restartPolicy");
    if policy != "Always" {
        errors.push(FieldError::not_supported(format!("{TEMPLATE}.spec.restartPolicy"), policy, &["Always"]));
    }
    if check::is_set(spec, "activeDeadlineSeconds") {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(format!("{TEMPLATE}.spec.activeDeadlineSeconds"), detail));
    }
}

/// The selector never changes: pods that were selected must not be left behind.
pub(crate) fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let (new, old) = (&new["spec"]["selector"], &old["spec"]["selector"]);
    if new != old {
        errors.push(FieldError::invalid(SELECTOR, print_label_selector(new), IMMUTABLE));
    }
}
