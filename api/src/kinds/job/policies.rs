//! What a job makes of its pods' ends: which failures count, when it has succeeded, when a pod is replaced.

use std::collections::HashSet;

use serde_json::Value;

use super::spec::INDEXED;
use crate::kinds::check::{self, Errors, is_set, text};
use crate::object;
use crate::validation::{self, BadValue, FieldError};

const RULES_MAX: usize = 20;
const PATTERNS_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const INDEXES_BYTES_MAX: usize = 64 * 1024;
const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const CONDITIONS: &[&str] = &["False", "True", "Unknown"];
const OPERATORS: &[&str] = &["In", "NotIn"];

pub(crate) fn validate(spec: &Value, path: &str, errors: &mut Errors) {
    let has_failure_policy = is_set(spec, "podFailurePolicy");
    if has_failure_policy {
        let path = format!("{path}.podFailurePolicy.rules");
        let rules = object::list_at(spec, &["podFailurePolicy", "rules"]);
        at_most(errors, &path, rules.len(), RULES_MAX);
        for (index, rule) in rules.iter().enumerate() {
            failure_rule(spec, rule, &format!("{path}[{index}]"), errors);
        }
    }
    if is_set(spec, "successPolicy") {
        success(spec, &format!("{path}.successPolicy"), errors);
    }
    if is_set(spec, "podReplacementPolicy") {
        let supported: &[&str] = if has_failure_policy { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        let policy = text(spec, "podReplacementPolicy");
        if !supported.contains(&policy) {
            errors.push(FieldError::not_supported(format!("{path}.podReplacementPolicy"), policy, supported));
        }
    }
}

fn at_most(errors: &mut Errors, path: &str, count: usize, count_max: usize) {
    if count > count_max {
        errors.push(FieldError::too_many(path, count, count_max));
    }
}

/// The text must be one of those supported; a missing one is told of all of them.
fn one_of(errors: &mut Errors, path: &str, text: &str, supported: &[&str]) {
    if text.is_empty() {
        let quoted: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        errors.push(FieldError::required(path, format!("valid values: [{}]", quoted.join(" "))));
    } else {
        check::one_of(errors, path, text, supported);
    }
}

fn failure_rule(spec: &Value, rule: &Value, path: &str, errors: &mut Errors) {
    let action = text(rule, "action");
    one_of(errors, &format!("{path}.action"), action, ACTIONS);
    if action == "FailIndex" && !is_set(spec, "backoffLimitPerIndex") {
        let detail = "requires the backoffLimitPerIndex to be set";
        errors.push(FieldError::invalid(format!("{path}.action"), action, detail));
    }
    let (has_codes, patterns) = (is_set(rule, "onExitCodes"), object::list_at(rule, &["onPodConditions"]));
    if has_codes {
        exit_codes(spec, &rule["onExitCodes"], &format!("{path}.onExitCodes"), errors);
    }
    at_most(errors, &format!("{path}.onPodConditions"), patterns.len(), PATTERNS_MAX);
    for (index, pattern) in patterns.iter().enumerate() {
        let path = format!("{path}.onPodConditions[{index}]");
        check::follows(errors, &format!("{path}.type"), text(pattern, "type"), validation::qualified_name);
        one_of(errors, &format!("{path}.status"), text(pattern, "status"), CONDITIONS);
    }
    let detail = match (has_codes, patterns.is_empty()) {
        (true, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, true) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    errors.push(FieldError::invalid(path, BadValue::Omitted, detail));
}

fn exit_codes(spec: &Value, codes: &Value, path: &str, errors: &mut Errors) {
    let (operator, name) = (text(codes, "operator"), text(codes, "containerName"));
    one_of(errors, &format!("{path}.operator"), operator, OPERATORS);
    let lists = ["containers", "initContainers"].map(|list| object::list_at(spec, &["template", "spec", list]));
    if is_set(codes, "containerName") && lists.into_iter().flatten().all(|container| text(container, "name") != name) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(format!("{path}.containerName"), name, detail));
    }
    let (path, values) = (format!("{path}.values"), object::list_at(codes, &["values"]));
    if values.is_empty() {
        errors.push(FieldError::invalid(&path, codes["values"].clone(), "at least one value is required"));
    }
    at_most(errors, &path, values.len(), EXIT_CODES_MAX);
    let numbers: Vec<i64> = values.iter().filter_map(Value::as_i64).collect();
    let mut seen = HashSet::new();
    for (index, number) in numbers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if operator == "In" && *number == 0 {
            errors.push(FieldError::invalid(&path, 0, "must not be 0 for the In operator"));
        }
        if !seen.insert(number) {
            errors.push(FieldError::duplicate(path, *number));
        }
    }
    if !numbers.is_sorted() {
        errors.push(FieldError::invalid(path, codes["values"].clone(), "must be ordered"));
    }
}

fn success(spec: &Value, path: &str, errors: &mut Errors) {
    if text(spec, "completionMode") != INDEXED {
        let value = spec["successPolicy"].clone();
        errors.push(FieldError::invalid(path, value, "requires indexed completion mode"));
        return;
    }
    let (path, rules) = (format!("{path}.rules"), object::list_at(spec, &["successPolicy", "rules"]));
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(&path, detail));
    }
    at_most(errors, &path, rules.len(), RULES_MAX);
    let completions = object::i64_at(spec, &["completions"]).unwrap_or(0);
    for (index, rule) in rules.iter().enumerate() {
        success_rule(rule, completions, &format!("{path}[{index}]"), errors);
    }
}

fn success_rule(rule: &Value, completions: i64, path: &str, errors: &mut Errors) {
    let indexes = object::str_at(rule, &["succeededIndexes"]);
    let count = object::i64_at(rule, &["succeededCount"]);
    if indexes.is_none() && count.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(FieldError::required(path, detail));
    }
    let mut total = 0;
    if let Some(indexes) = indexes {
        let path = format!("{path}.succeededIndexes");
        if indexes.len() > INDEXES_BYTES_MAX {
            errors.push(FieldError::too_long(&path, INDEXES_BYTES_MAX));
        }
        match count_indexes(indexes, completions) {
            Ok(found) => total = found,
            Err(error) => {
                let detail = format!("error parsing succeededIndexes: {error}");
                errors.push(FieldError::invalid(path, indexes, detail));
            }
        }
    }
    let Some(count) = count else { return };
    let path = format!("{path}.succeededCount");
    check::not_negative(errors, &path, Some(count));
    let mut at_most = |limit: i64, of_what: &str| {
        if count > limit {
            let detail = format!("must be less than or equal to {limit} ({of_what})");
            errors.push(FieldError::invalid(&path, count, detail));
        }
    };
    at_most(completions, "the number of specified completions");
    if indexes.is_some() {
        at_most(total, "the number of indexes in the specified succeededIndexes field");
    }
}

/// How many indexes `0,2-4` names, all of them below `completions`, in ascending order.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let index = |text: &str| {
        let index: i64 = text.parse().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        if index < completions { Ok(index) } else { Err(format!("too large index: {text:?}")) }
    };
    let (mut total, mut last) = (0, None);
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let limits: Vec<&str> = interval.split('-').collect();
        let (first, end) = match limits[..] {
            [only] => (index(only)?, index(only)?),
            [first, end] => (index(first)?, index(end)?),
            _ => {
                return Err(format!(
                    "the fragment {interval:?} violates the requirement that an index interval can have at most two \
                     parts separated by '-'"
                ));
            }
        };
        let before = if limits.len() == 2 && first >= end { Some((first, end)) } else { None };
        let before = before.or(last.filter(|last| *last >= first).map(|last| (last, first)));
        if let Some((previous, current)) = before {
            return Err(format!("non-increasing order, previous: {previous}, current: {current}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}
