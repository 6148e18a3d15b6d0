//! A daemon set: keeps one pod of a template on every node that suits it.
//!
//! Deliberately absent: the annotation that counts changes of the template, deprecated in Kubernetes since its 1.9.

use serde_json::{Value, json};

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::check::{self, Errors, text};
use crate::kinds::pod::default;
use crate::kinds::{cells, workload};
use crate::object;
use crate::validation::FieldError;

const ROLLING_UPDATE: &str = "RollingUpdate";

pub(crate) const KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "DaemonSet",
    plural: "daemonsets",
    singular: "daemonset",
    short_names: &["ds"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.apps.v1.DaemonSet",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: true,
    status_on_create: false,
    default,
    validate,
    validate_update: workload::validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::integer(
        "Desired",
        0,
        "The total number of nodes that should be running the daemon pod (including nodes correctly running the daemon \
        pod). More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/",
        |object, _| cells::number(object, &["status", "desiredNumberScheduled"]),
    ),
    Column::integer(
        "Current",
        0,
        "The number of nodes that are running at least 1 daemon pod and are supposed to run the daemon pod. More info: \
        https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/",
        |object, _| cells::number(object, &["status", "currentNumberScheduled"]),
    ),
    Column::integer(
        "Ready",
        0,
        "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and \
        ready.",
        |object, _| cells::number(object, &["status", "numberReady"]),
    ),
    Column::integer("Up-to-date", 0, "The total number of nodes that are running updated daemon pod", |object, _| {
        cells::number(object, &["status", "updatedNumberScheduled"])
    }),
    Column::integer(
        "Available",
        0,
        "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and \
        available (ready for at least spec.minReadySeconds)",
        |object, _| cells::number(object, &["status", "numberAvailable"]),
    ),
    Column::string(
        "Node Selector",
        0,
        "NodeSelector is a selector which must be true for the pod to fit on a node. Selector which must match a \
        node's labels for the pod to be scheduled on that node. More info: \
        https://kubernetes.io/docs/concepts/configuration/assign-pod-node/",
        |object, _| cells::format_labels(object::get(object, &["spec", "template", "spec", "nodeSelector"])).into(),
    ),
    cells::AGE,
    workload::CONTAINERS,
    workload::IMAGES,
    Column::string(
        "Selector",
        1,
        "A label query over pods that are managed by the daemon set. Must match in order to be controlled. If empty, \
        defaulted to labels on Pod template. More info: \
        https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
        workload::selector_or_none,
    ),
];

fn default(object: &mut Value) {
    let spec = object::child_mut(object, "spec");
    default::template(spec);
    default::set(spec, "revisionHistoryLimit", 10);
    default::set(spec, "updateStrategy", json!({}));
    if let Some(strategy) = default::child(spec, "updateStrategy") {
        default::set_text(strategy, "type", ROLLING_UPDATE);
        if strategy["type"] == ROLLING_UPDATE {
            default::set(strategy, "rollingUpdate", json!({}));
            if let Some(rolling) = default::child(strategy, "rollingUpdate") {
                default::set(rolling, "maxUnavailable", 1);
                default::set(rolling, "maxSurge", 0);
            }
        }
    }
    let status = object::child_mut(object, "status");
    for field in ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"] {
        default::set(status, field, 0);
    }
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    workload::lasting_pods(spec, &spec["template"], "daemonset", "DaemonSet", errors);
    check::none_negative(errors, "spec", spec, &["minReadySeconds"]);
    update_strategy(&spec["updateStrategy"], errors);
    check::none_negative(errors, "spec", spec, &["revisionHistoryLimit"]);
}

fn update_strategy(strategy: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.updateStrategy";
    let path = format!("{PATH}.rollingUpdate");
    match (text(strategy, "type"), &strategy["rollingUpdate"]) {
        ("OnDelete", _) => {}
        (ROLLING_UPDATE, Value::Null) => errors.push(FieldError::required(path, "")),
        (ROLLING_UPDATE, rolling) => rolling_update(rolling, &path, errors),
        _ => errors.push(FieldError::not_supported(PATH, strategy.clone(), &[ROLLING_UPDATE, "OnDelete"])),
    }
}

/// Pods are replaced either one after the other or with one more for a while, never both.
fn rolling_update(rolling: &Value, path: &str, errors: &mut Errors) {
    let fields = ["maxUnavailable", "maxSurge"].map(|field| (format!("{path}.{field}"), &rolling[field]));
    let numbers = fields.each_ref().map(|(path, value)| check::count_or_percent(errors, path, value));
    for ((path, value), number) in fields.iter().zip(numbers) {
        check::at_most_all(errors, path, value, number);
    }
    let [(unavailable_path, _), (surge_path, surge)] = fields;
    match numbers.map(|number| number.unwrap_or(0) != 0) {
        [true, true] => {
            let detail = "may not be set when maxUnavailable is non-zero";
            errors.push(FieldError::invalid(surge_path, surge.clone(), detail));
        }
        [false, false] => errors.push(FieldError::required(unavailable_path, "cannot be 0 when maxSurge is 0")),
        _ => {}
    }
}
