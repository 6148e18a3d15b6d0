//! A deployment: rolls a pod template out over replica sets.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::pod::default;
use crate::kinds::{cells, check, workload};
use crate::object;
use crate::validation::FieldError;

const ROLLING_UPDATE: &str = "RollingUpdate";

pub(crate) const KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.apps.v1.Deployment",
    subresources: &[Subresource::Status, Subresource::Scale],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update: workload::validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Ready", 0, "Number of the pod with ready state", ready),
    Column::string(
        "Up-to-date",
        0,
        "Total number of non-terminated pods targeted by this deployment that have the desired template spec.",
        up_to_date,
    ),
    Column::string(
        "Available",
        0,
        "Total number of available pods (ready for at least minReadySeconds) targeted by this deployment.",
        available,
    ),
    cells::AGE,
    workload::CONTAINERS,
    workload::IMAGES,
    Column::string(
        "Selector",
        1,
        "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by \
        this deployment.",
        selector,
    ),
];

fn ready(object: &Value, _: Timestamp) -> Value {
    let ready = object::i64_at(object, &["status", "readyReplicas"]).unwrap_or(0);
    let desired = object::i64_at(object, &["spec", "replicas"]).unwrap_or(0);
    format!("{ready}/{desired}").into()
}

fn up_to_date(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["status", "updatedReplicas"])
}

fn available(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["status", "availableReplicas"])
}

fn selector(object: &Value, _: Timestamp) -> Value {
    workload::selector_text(object).into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    let spec = workload::default_replicated(object);
    default::set(spec, "revisionHistoryLimit", 10);
    default::set(spec, "progressDeadlineSeconds", 600);
    default::set(spec, "strategy", json!({}));
    if let Some(strategy) = default::child(spec, "strategy") {
        default::set_text(strategy, "type", ROLLING_UPDATE);
        if strategy.get("type").and_then(Value::as_str) == Some(ROLLING_UPDATE) {
            default::set(strategy, "rollingUpdate", json!({}));
        }
        if let Some(rolling) = default::child(strategy, "rollingUpdate") {
            default::set(rolling, "maxUnavailable", "25%");
            default::set(rolling, "maxSurge", "25%");
        }
    }
    object::child_mut(object, "status");
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    workload::validate_replicated(object, errors);
    strategy(object, errors);
    let number = |field| object::i64_at(object, &["spec", field]);
    check::not_negative(errors, "spec.revisionHistoryLimit", number("revisionHistoryLimit"));
    let deadline = number("progressDeadlineSeconds");
    check::not_negative(errors, "spec.progressDeadlineSeconds", deadline);
    if let Some(deadline) = deadline.filter(|deadline| *deadline <= number("minReadySeconds").unwrap_or(0)) {
        let detail = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid("spec.progressDeadlineSeconds", deadline, detail));
    }
}

fn strategy(object: &Value, errors: &mut Vec<FieldError>) {
    const PATH: &str = "spec.strategy";
    let strategy = object::get(object, &["spec", "strategy"]).unwrap_or(&Value::Null);
    let rolling = strategy.get("rollingUpdate").filter(|rolling| !rolling.is_null());
    match (check::text(strategy, "type"), rolling) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(format!("{PATH}.rollingUpdate"), detail));
        }
        ("Recreate", None) => {}
        (ROLLING_UPDATE, Some(rolling)) => rolling_update(rolling, &format!("{PATH}.rollingUpdate"), errors),
        (ROLLING_UPDATE, None) => {
            let detail = "this should be defaulted and never be nil";
            errors.push(FieldError::required(format!("{PATH}.rollingUpdate"), detail));
        }
        (other, _) => {
            let supported = &["Recreate", ROLLING_UPDATE];
            errors.push(FieldError::not_supported(format!("{PATH}.type"), other, supported));
        }
    }
}

fn rolling_update(rolling: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let unavailable_path = format!("{path}.maxUnavailable");
    let value = &rolling["maxUnavailable"];
    let unavailable = check::count_or_percent(errors, &unavailable_path, value);
    let surge = check::count_or_percent(errors, &format!("{path}.maxSurge"), &rolling["maxSurge"]);
    if unavailable == Some(0) && surge == Some(0) {
        errors.push(FieldError::invalid(&unavailable_path, value.clone(), "may not be 0 when `maxSurge` is 0"));
    }
    check::at_most_all(errors, &unavailable_path, value, unavailable);
}
