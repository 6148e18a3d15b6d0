//! A job: pods that run until enough of them succeeded.

mod policies;
pub(crate) mod spec;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::kind::{Cell, Column, Kind, NameRule, Subresource};
use crate::kinds::check::{self, Errors, is_set, text};
use crate::kinds::pod::default;
use crate::kinds::{cells, workload};
use crate::object;
use crate::selector::LabelSelector;
use crate::validation::{self, FieldError, IMMUTABLE, print_label_selector};
use spec::INDEXED;

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

pub(crate) const KIND: Kind = Kind {
    group: "batch",
    version: "v1",
    kind: "Job",
    plural: "jobs",
    singular: "job",
    short_names: &[],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.batch.v1.Job",
    subresources: &[Subresource::Status],
    columns: &[
        cells::NAME,
        Column::string("Completions", 0, "The number of pods which reached phase Succeeded.", completions),
        Column::string("Duration", 0, "Time required to complete the job.", duration),
        cells::AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        Column { cell: Cell::Computed(workload::selector_or_none), ..spec::SELECTOR },
    ],
    fields: &["status.successful"],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: true,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

fn completions(object: &Value, _: Timestamp) -> Value {
    let succeeded = object::i64_at(object, &["status", "succeeded"]).unwrap_or(0);
    let number = |field| object::i64_at(object, &["spec", field]);
    match (number("completions"), number("parallelism").unwrap_or(0)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
    .into()
}

fn duration(object: &Value, now: Timestamp) -> Value {
    let time = |field| cells::timestamp_at(object, &["status", field]);
    match (time("startTime"), time("completionTime")) {
        (None, _) => "".into(),
        (start, end) => cells::since(start, end.unwrap_or(now)).into(),
    }
}

fn default(object: &mut Value) {
    let (name, uid) = (object::name(object).to_owned(), object::uid(object).to_owned());
    let spec = object::child_mut(object, "spec");
    default::template(spec);
    let lacks = |spec: &Map<String, Value>, field: &str| spec.get(field).is_none_or(Value::is_null);
    if lacks(spec, "completions") && lacks(spec, "parallelism") {
        default::set(spec, "completions", 1);
    }
    default::set(spec, "parallelism", 1);
    let backoff_limit = if lacks(spec, "backoffLimitPerIndex") { 6 } else { i32::MAX };
    default::set(spec, "backoffLimit", backoff_limit);
    default::set_text(spec, "completionMode", spec::NON_INDEXED);
    default::set(spec, "suspend", false);
    default::set(spec, "manualSelector", false);
    let replacement = if lacks(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
    default::set_text(spec, "podReplacementPolicy", replacement);
    spec::default_failure_policy(spec);
    if spec["manualSelector"] == false && !uid.is_empty() {
        select_own_pods(spec, &name, &uid);
    }
    let labels = object::get(object, &["spec", "template", "metadata", "labels"]).cloned();
    if let Some(labels) = labels.filter(Value::is_object)
        && object::labels(object).next().is_none()
    {
        object::metadata_mut(object).insert("labels".to_owned(), labels);
    }
    object::child_mut(object, "status");
}

/// The labels of a job's own pods. The names without a prefix are what Kubernetes used before its 1.27.
fn own_labels<'a>(name: &'a str, uid: &'a str) -> [(&'static str, &'a str); 4] {
    [("controller-uid", uid), ("job-name", name), (CONTROLLER_UID, uid), ("batch.kubernetes.io/job-name", name)]
}

/// Makes the job select its own pods and no others; what the user set already is left for validation to refuse.
fn select_own_pods(spec: &mut Map<String, Value>, name: &str, uid: &str) {
    let Some(template) = default::child(spec, "template") else { return };
    default::set(template, "metadata", json!({}));
    if let Some(metadata) = default::child(template, "metadata") {
        default::set(metadata, "labels", json!({}));
        for (label, value) in own_labels(name, uid) {
            default::child(metadata, "labels").into_iter().for_each(|labels| default::set(labels, label, value));
        }
    }
    default::set(spec, "selector", json!({}));
    if let Some(selector) = default::child(spec, "selector") {
        default::set(selector, "matchLabels", json!({}));
        default::child(selector, "matchLabels")
            .into_iter()
            .for_each(|labels| default::set(labels, CONTROLLER_UID, uid));
    }
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    generated_selector(object, errors);
    spec::validate(spec, "spec", errors);
    let selector = &spec["selector"];
    if selector.is_null() {
        errors.push(FieldError::required("spec.selector", ""));
    } else {
        check::label_selector(errors, "spec.selector", selector);
    }
    if let Ok(selector) = LabelSelector::from_value(selector) {
        workload::selects(&selector, &spec["template"], errors);
    }
    let completions = object::i64_at(spec, &["completions"]).unwrap_or(0);
    if text(spec, "completionMode") == INDEXED && completions > 0 {
        let name = object::name(object);
        let hostname = format!("{name}-{}", completions - 1);
        if !validation::dns1123_label(&hostname).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {hostname}");
            errors.push(FieldError::invalid("metadata.name", name, detail));
        }
    }
}

/// The selector and the labels must be those that the server makes, unless the user asked to make them.
fn generated_selector(object: &Value, errors: &mut Errors) {
    const LABELS: &str = "spec.template.metadata.labels";
    let spec = &object["spec"];
    let selector = &spec["selector"];
    if object::bool_at(spec, &["manualSelector"]) == Some(true) || selector.is_null() {
        return;
    }
    let (name, uid) = (object::name(object), object::uid(object));
    if uid.is_empty() {
        errors.push(FieldError::required("metadata.uid", ""));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let mut expected = Map::new();
    for (label, value) in own_labels(name, uid) {
        let (path, detail) = (format!("{LABELS}[{label}]"), format!("must be '{value}'"));
        match object::str_at(labels, &[label]) {
            None => errors.push(FieldError::required(path, detail)),
            Some(found) if found != value => errors.push(FieldError::invalid(path, labels.clone(), detail)),
            Some(_) => {}
        }
        expected.insert(label.to_owned(), value.into());
    }
    if LabelSelector::from_value(selector).is_ok_and(|selector| !selector.matches_labels(Some(&expected))) {
        let detail = "`selector` not auto-generated";
        errors.push(FieldError::invalid("spec.selector", print_label_selector(selector), detail));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let (new_spec, old_spec) = (&new["spec"], &old["spec"]);
    completions_update(new_spec, old_spec, errors);
    if new_spec["selector"] != old_spec["selector"] {
        let value = print_label_selector(&new_spec["selector"]);
        errors.push(FieldError::invalid("spec.selector", value, IMMUTABLE));
    }
    let has_not_started = old_spec["suspend"] == true && !is_set(&old["status"], "startTime");
    let fixed = |template: &Value| if has_not_started { unscheduled(template) } else { template.clone() };
    if fixed(&new_spec["template"]) != fixed(&old_spec["template"]) {
        errors.push(FieldError::invalid("spec.template", new_spec["template"].clone(), IMMUTABLE));
    }
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        check::immutable(errors, &format!("spec.{field}"), new_spec.get(field), old_spec.get(field));
    }
}

/// An indexed job may grow and shrink, as long as all of it may run at once.
fn completions_update(new: &Value, old: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.completions";
    let completions = &new["completions"];
    if text(new, "completionMode") != INDEXED {
        check::immutable(errors, PATH, Some(completions), Some(&old["completions"]));
    } else if *completions != old["completions"] && !completions.is_null() && *completions != new["parallelism"] {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.push(FieldError::invalid(PATH, completions.clone(), detail));
    }
}

/// A template without what decides where its pods go: that may change until the first of them starts.
fn unscheduled(template: &Value) -> Value {
    let mut template = template.clone();
    let mut remove = |parent: &[&str], fields: &[&str]| {
        let parent = parent.iter().try_fold(&mut template, |value, field| value.get_mut(*field));
        if let Some(parent) = parent.and_then(Value::as_object_mut) {
            fields.iter().for_each(|field| drop(parent.remove(*field)));
        }
    };
    remove(&["spec", "affinity"], &["nodeAffinity"]);
    remove(&["spec"], &["nodeSelector", "tolerations", "schedulingGates"]);
    remove(&["metadata"], &["annotations", "labels"]);
    if object::get(&template, &["spec", "affinity"]).and_then(Value::as_object).is_some_and(Map::is_empty) {
        object::child_mut(&mut template, "spec").remove("affinity");
    }
    template
}
