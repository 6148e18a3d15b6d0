//! A pod disruption budget: how many of the pods that it selects may be down at once by anyone's will.

use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::cells;
use crate::kinds::check::{self, Errors, is_set, text};
use crate::kinds::pod::default;
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "policy",
    version: "v1",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.policy.v1.PodDisruptionBudget",
    subresources: &[Subresource::Status],
    columns: &[
        cells::NAME,
        Column::string("Min Available", 0, "The minimum number of pods that must be available.", |object, _| {
            amount(object, "minAvailable")
        }),
        Column::string("Max Unavailable", 0, "The maximum number of pods that may be unavailable.", |object, _| {
            amount(object, "maxUnavailable")
        }),
        Column::integer(
            "Allowed Disruptions",
            0,
            "Calculated number of pods that may be disrupted at this time.",
            |object, _| cells::number(object, &["status", "disruptionsAllowed"]),
        ),
        cells::AGE,
    ],
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update: |_, _, _| {},
};

/// A number or a percentage, as text.
fn amount(object: &Value, field: &str) -> Value {
    match &object["spec"][field] {
        Value::Null => "N/A".into(),
        Value::String(percent) => percent.as_str().into(),
        number => number.to_string().into(),
    }
}

fn default(object: &mut Value) {
    object::child_mut(object, "spec");
    let status = object::child_mut(object, "status");
    for field in ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"] {
        default::set(status, field, 0);
    }
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    let fields = ["minAvailable", "maxUnavailable"];
    if fields.iter().all(|field| is_set(spec, field)) {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid("spec", spec.clone(), detail));
    }
    for field in fields.into_iter().filter(|field| is_set(spec, field)) {
        let (path, value) = (format!("spec.{field}"), &spec[field]);
        let number = check::count_or_percent(errors, &path, value);
        check::at_most_all(errors, &path, value, number);
    }
    check::label_selector(errors, "spec.selector", &spec["selector"]);
    if is_set(spec, "unhealthyPodEvictionPolicy") {
        let policy = text(spec, "unhealthyPodEvictionPolicy");
        check::one_of(errors, "spec.unhealthyPodEvictionPolicy", policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}
