//! A horizontal pod autoscaler: how many replicas a workload has, by what its pods measure.

mod metrics;

use serde_json::{Map, Value, json};

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::cells;
use crate::kinds::check::{self, Errors, is_set, text};
use crate::kinds::pod::default;
use crate::object;
use crate::validation::{self, FieldError};

const SELECT_POLICIES: &[&str] = &["Disabled", "Max", "Min"];
const POLICY_TYPES: &[&str] = &["Percent", "Pods"];
const STABILIZATION_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;

pub(crate) const KIND: Kind = Kind {
    group: "autoscaling",
    version: "v2",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: true,
    status_on_create: false,
    default,
    validate,
    validate_update: |_, _, _| {},
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string(
        "Reference",
        0,
        "scaleTargetRef points to the target resource to scale, and is used to the pods for which metrics should be \
        collected, as well as to actually change the replica count.",
        |object, _| {
            let target = &object["spec"]["scaleTargetRef"];
            format!("{}/{}", text(target, "kind"), text(target, "name")).into()
        },
    ),
    Column::string(
        "Targets",
        0,
        "metrics contains the specifications for which to use to calculate the desired replica count (the maximum \
        replica count across all metrics will be used).  The desired replica count is calculated multiplying the ratio \
        between the target value and the current value by the current number of pods.  Ergo, metrics used must decrease \
        as the pod count is increased, and vice-versa.  See the individual metric source types for more information \
        about how each type of metric must respond.",
        |object, _| metrics::targets(object).into(),
    ),
    Column::string(
        "MinPods",
        0,
        "minReplicas is the lower limit for the number of replicas to which the autoscaler can scale down.  It defaults \
        to 1 pod.  minReplicas is allowed to be 0 if the alpha feature gate HPAScaleToZero is enabled and at least one \
        Object or External metric is configured.  Scaling is active as long as at least one metric value is available.",
        |object, _| match object::i64_at(object, &["spec", "minReplicas"]) {
            Some(number) => number.to_string().into(),
            None => "<unset>".into(),
        },
    ),
    Column::string(
        "MaxPods",
        0,
        "maxReplicas is the upper limit for the number of replicas to which the autoscaler can scale up. It cannot be \
        less that minReplicas.",
        |object, _| cells::number(object, &["spec", "maxReplicas"]),
    ),
    Column::string(
        "Replicas",
        0,
        "currentReplicas is current number of replicas of pods managed by this autoscaler, as last seen by the \
        autoscaler.",
        |object, _| cells::number(object, &["status", "currentReplicas"]),
    ),
    cells::AGE,
];

fn default(object: &mut Value) {
    let spec = object::child_mut(object, "spec");
    default::set(spec, "minReplicas", 1);
    if default::each(spec, "metrics").next().is_none() {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    if let Some(behavior) = default::child(spec, "behavior") {
        let policy = |kind: &str, value: i64| json!({"type": kind, "value": value, "periodSeconds": 15});
        let up = scaling_rules(behavior, "scaleUp", json!([policy("Pods", 4), policy("Percent", 100)]));
        default::set(up, "stabilizationWindowSeconds", 0);
        scaling_rules(behavior, "scaleDown", json!([policy("Percent", 100)]));
    }
    default::set(object::child_mut(object, "status"), "desiredReplicas", 0);
}

fn scaling_rules<'a>(
    behavior: &'a mut Map<String, Value>,
    direction: &str,
    policies: Value,
) -> &'a mut Map<String, Value> {
    let rules = behavior.entry(direction).or_insert(Value::Null);
    if !rules.is_object() {
        *rules = json!({});
    }
    let rules = rules.as_object_mut().expect("invariant: just made an object");
    default::set(rules, "selectPolicy", "Max");
    default::set(rules, "policies", policies);
    rules
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    let (min, max) = (object::i64_at(spec, &["minReplicas"]), object::i64_at(spec, &["maxReplicas"]).unwrap_or(0));
    if let Some(min) = min.filter(|min| *min < 1) {
        errors.push(FieldError::invalid("spec.minReplicas", min, "must be greater than or equal to 1"));
    }
    if max < 1 {
        errors.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than 0"));
    }
    if min.is_some_and(|min| max < min) {
        errors.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than or equal to `minReplicas`"));
    }
    reference(&spec["scaleTargetRef"], "spec.scaleTargetRef", errors);
    metrics::validate(object::list_at(spec, &["metrics"]), "spec.metrics", errors);
    for direction in ["scaleUp", "scaleDown"] {
        let rules = &spec["behavior"][direction];
        if rules.is_object() {
            validate_rules(rules, &format!("spec.behavior.{direction}"), errors);
        }
    }
}

/// A reference to an object by kind and name.
fn reference(target: &Value, path: &str, errors: &mut Errors) {
    for field in ["kind", "name"] {
        check::required(errors, &format!("{path}.{field}"), text(target, field), validation::path_segment);
    }
}

fn validate_rules(rules: &Value, path: &str, errors: &mut Errors) {
    let at = |field: &str| format!("{path}.{field}");
    match object::i64_at(rules, &["stabilizationWindowSeconds"]) {
        Some(seconds) if seconds < 0 => {
            let detail = "must be greater than or equal to zero";
            errors.push(FieldError::invalid(at("stabilizationWindowSeconds"), seconds, detail));
        }
        Some(seconds) if seconds > STABILIZATION_SECONDS_MAX => {
            let detail = format!("must be less than or equal to {STABILIZATION_SECONDS_MAX}");
            errors.push(FieldError::invalid(at("stabilizationWindowSeconds"), seconds, detail));
        }
        _ => {}
    }
    if is_set(rules, "selectPolicy") && !SELECT_POLICIES.contains(&text(rules, "selectPolicy")) {
        let policy = text(rules, "selectPolicy");
        errors.push(FieldError::not_supported(at("selectPolicy"), policy, SELECT_POLICIES));
    }
    let policies = object::list_at(rules, &["policies"]);
    if policies.is_empty() {
        errors.push(FieldError::required(at("policies"), "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let at = |field: &str| format!("{path}.policies[{index}].{field}");
        if !POLICY_TYPES.contains(&text(policy, "type")) {
            errors.push(FieldError::not_supported(at("type"), text(policy, "type"), POLICY_TYPES));
        }
        for field in ["value", "periodSeconds"] {
            let number = object::i64_at(policy, &[field]).unwrap_or(0);
            if number <= 0 {
                errors.push(FieldError::invalid(at(field), number, "must be greater than zero"));
            } else if field == "periodSeconds" && number > PERIOD_SECONDS_MAX {
                let detail = format!("must be less than or equal to {PERIOD_SECONDS_MAX}");
                errors.push(FieldError::invalid(at(field), number, detail));
            }
        }
    }
}
