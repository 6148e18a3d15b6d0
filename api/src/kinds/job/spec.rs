//! What a job and the job template of a cron job have in common.

use serde_json::{Map, Value};

use super::policies;
use crate::kind::Column;
use crate::kinds::check::{self, Errors, is_set, text};
use crate::kinds::pod::default;
use crate::kinds::{cells, workload};
use crate::object;
use crate::validation::{self, FieldError};

pub(crate) const INDEXED: &str = "Indexed";
pub(crate) const NON_INDEXED: &str = "NonIndexed";
/// The column of a selector, as both kinds describe it.
pub(crate) const SELECTOR: Column = Column::string(
    "Selector",
    1,
    "A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    |_, _| cells::NONE.into(),
);

const COUNTS: &[&str] = &[
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
];
const MANAGED_BY_BYTES_MAX: usize = 63;
/// So many pods and failed indexes at once, and above so many completions the lists in a status get long.
const INDEXED_MAX: i64 = 100_000;
/// The same for jobs of more completions, each with a limit of its own.
const INDEXED_OF_MANY_MAX: i64 = 10_000;

/// A pattern of a pod's condition means that it is true.
pub(crate) fn default_failure_policy(spec: &mut Map<String, Value>) {
    let Some(policy) = default::child(spec, "podFailurePolicy") else { return };
    for rule in default::each(policy, "rules") {
        default::each(rule, "onPodConditions").for_each(|pattern| default::set_text(pattern, "status", "True"));
    }
}

pub(crate) fn validate(spec: &Value, path: &str, errors: &mut Errors) {
    let at = |field: &str| format!("{path}.{field}");
    check::none_negative(errors, path, spec, COUNTS);
    if is_set(spec, "maxFailedIndexes") && !is_set(spec, "backoffLimitPerIndex") {
        errors.push(FieldError::required(at("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if is_set(spec, "managedBy") {
        managed_by(text(spec, "managedBy"), &at("managedBy"), errors);
    }
    match text(spec, "completionMode") {
        INDEXED => indexed(spec, path, errors),
        "" | NON_INDEXED => {
            for field in ["backoffLimitPerIndex", "maxFailedIndexes"].into_iter().filter(|field| is_set(spec, field)) {
                errors.push(FieldError::invalid(at(field), spec[field].clone(), "requires indexed completion mode"));
            }
        }
        other => errors.push(FieldError::not_supported(at("completionMode"), other, &[NON_INDEXED, INDEXED])),
    }
    policies::validate(spec, path, errors);
    workload::validate_template(&spec["template"], &at("template"), errors);
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    let path = at("template.spec.restartPolicy");
    match policy {
        "" | "Always" => errors.push(FieldError::required(path, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" if is_set(spec, "podFailurePolicy") => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(FieldError::invalid(path, policy, detail));
        }
        "OnFailure" | "Never" => {}
        other => errors.push(FieldError::not_supported(path, other, &["OnFailure", "Never"])),
    }
}

/// A path that starts with the domain of whoever acts on the job.
fn managed_by(manager: &str, path: &str, errors: &mut Errors) {
    match manager.split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty()) {
        Some((domain, _)) => check::follows(errors, path, domain, validation::dns1123_subdomain),
        None if manager.is_empty() => errors.push(FieldError::required(path, "")),
        None => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.push(FieldError::invalid(path, manager, detail));
        }
    }
    if manager.len() > MANAGED_BY_BYTES_MAX {
        errors.push(FieldError::too_long(path, MANAGED_BY_BYTES_MAX));
    }
}

fn indexed(spec: &Value, path: &str, errors: &mut Errors) {
    at_most(spec, "parallelism", INDEXED_MAX, (path, " when completion mode is Indexed"), errors);
    at_most(spec, "maxFailedIndexes", INDEXED_MAX, (path, ""), errors);
    let Some(completions) = object::i64_at(spec, &["completions"]) else {
        errors.push(FieldError::required(format!("{path}.completions"), "when completion mode is Indexed"));
        return;
    };
    if let Some(failed) = object::i64_at(spec, &["maxFailedIndexes"]).filter(|failed| *failed > completions) {
        let detail = "must be less than or equal to completions";
        errors.push(FieldError::invalid(format!("{path}.maxFailedIndexes"), failed, detail));
    }
    if completions > INDEXED_MAX && is_set(spec, "backoffLimitPerIndex") {
        if !is_set(spec, "maxFailedIndexes") {
            let detail = format!("must be specified when completions is above {INDEXED_MAX}");
            errors.push(FieldError::required(format!("{path}.maxFailedIndexes"), detail));
        }
        let when = format!(" when completions are above {INDEXED_MAX} and used with backoff limit per index");
        for field in ["parallelism", "maxFailedIndexes"] {
            at_most(spec, field, INDEXED_OF_MANY_MAX, (path, &when), errors);
        }
    }
}

fn at_most(spec: &Value, field: &str, max: i64, (path, when): (&str, &str), errors: &mut Errors) {
    if let Some(number) = object::i64_at(spec, &[field]).filter(|number| *number > max) {
        let detail = format!("must be less than or equal to {max}{when}");
        errors.push(FieldError::invalid(format!("{path}.{field}"), number, detail));
    }
}
