//! A priority class: how important pods of a name are, as a number.

use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::cells;
use crate::kinds::check::{self, Errors, is_set, text};
use crate::kinds::pod::default;
use crate::object;
use crate::validation::FieldError;

/// The classes every cluster has: name, value and description.
pub const SYSTEM: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

const SYSTEM_PREFIX: &str = "system-";
const USER_VALUE_MAX: i64 = 1_000_000_000;
const PREEMPTION_POLICIES: &[&str] = &["PreemptLowerPriority", "Never"];

pub(crate) const KIND: Kind = Kind {
    group: "scheduling.k8s.io",
    version: "v1",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    categories: &[],
    namespaced: false,
    definition: "io.k8s.api.scheduling.v1.PriorityClass",
    subresources: &[],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::integer(
        "Value",
        0,
        "The value of this priority class. This is the actual priority that pods receive when they have the name of \
        this class in their pod spec.",
        |object, _| cells::number(object, &["value"]),
    ),
    Column::boolean(
        "Global-Default",
        0,
        "globalDefault specifies whether this PriorityClass should be considered as the default priority for pods that \
        do not have any priority class. Only one PriorityClass can be marked as `globalDefault`. However, if more than \
        one PriorityClasses exists with their `globalDefault` field set to true, the smallest value of such global \
        default PriorityClasses will be used as the default priority.",
        |object, _| is_global_default(object).into(),
    ),
    cells::AGE,
];

fn is_global_default(object: &Value) -> bool {
    object::bool_at(object, &["globalDefault"]).unwrap_or(false)
}

/// Every new pod without a class asks for the class that is the default.
fn tags(object: &Value) -> Vec<String> {
    vec![format!("globalDefault={}", is_global_default(object))]
}

fn default(object: &mut Value) {
    default::set(object::metadata_mut(object), "generation", 1);
    let Some(fields) = object.as_object_mut() else { return };
    default::set(fields, "value", 0);
    default::set_text(fields, "preemptionPolicy", PREEMPTION_POLICIES[0]);
}

fn validate(object: &Value, errors: &mut Errors) {
    let (name, value) = (object::name(object), object::i64_at(object, &["value"]).unwrap_or(0));
    if name.starts_with(SYSTEM_PREFIX) {
        let because = match SYSTEM.iter().find(|(system, ..)| *system == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, known, _)) if *known != value => Some(format!("value of {name} PriorityClass must be {known}")),
            Some(_) if is_global_default(object) => {
                Some(format!("globalDefault of {name} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(because) = because {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {because}"
            );
            errors.push(FieldError::forbidden("metadata.name", detail));
        }
    } else if value > USER_VALUE_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {USER_VALUE_MAX}");
        errors.push(FieldError::forbidden("value", detail));
    }
    if is_set(object, "preemptionPolicy") {
        check::one_of(errors, "preemptionPolicy", text(object, "preemptionPolicy"), PREEMPTION_POLICIES);
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    if new["value"] != old["value"] {
        errors.push(FieldError::forbidden("value", "may not be changed in an update."));
    }
    check::immutable(errors, "preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"));
}
