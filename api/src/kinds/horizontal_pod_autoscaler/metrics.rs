//! What an autoscaler measures: the rules of its metrics, and how they are shown.

use serde_json::Value;

use super::reference;
use crate::kinds::cells;
use crate::kinds::check::{self, Errors, is_set, text};
use crate::object;
use crate::quantity::Quantity;
use crate::validation::{self, FieldError};

/// The types of metrics and the fields that describe them, in the order in which they are checked.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];
const SHOWN_MAX: usize = 2;

/// The metrics with their current and wanted values, `cpu: 40%/80%`.
pub(super) fn targets(object: &Value) -> String {
    let current = object::list_at(object, &["status", "currentMetrics"]);
    let metrics = object::list_at(object, &["spec", "metrics"]);
    let shown: Vec<String> = metrics
        .iter()
        .enumerate()
        .take(SHOWN_MAX)
        .map(|(index, metric)| target(metric, current.get(index).unwrap_or(&Value::Null)))
        .collect();
    match metrics.len() {
        0 => cells::NONE.to_owned(),
        count if count > SHOWN_MAX => format!("{} + {} more...", shown.join(", "), count - SHOWN_MAX),
        _ => shown.join(", "),
    }
}

fn target(metric: &Value, status: &Value) -> String {
    let Some((kind, field)) = SOURCES.into_iter().find(|(kind, _)| *kind == text(metric, "type")) else {
        return "<unknown type>".to_owned();
    };
    let (wanted, current) = (&metric[field]["target"], &status[field]["current"]);
    let quantity = |value: &Value, missing: &str| match Quantity::from_value(value) {
        Ok(quantity) => quantity.to_string(),
        Err(_) => missing.to_owned(),
    };
    let percent = |value: &Value, missing: &str| match value["averageUtilization"].as_i64() {
        Some(percent) => format!("{percent}%"),
        None => missing.to_owned(),
    };
    let has_average = is_set(wanted, "averageValue");
    let pair = |field: &str| format!("{}/{}", quantity(&current[field], cells::UNKNOWN), quantity(&wanted[field], "0"));
    match kind {
        "Resource" | "ContainerResource" => {
            let values = if has_average {
                pair("averageValue")
            } else {
                format!("{}/{}", percent(current, cells::UNKNOWN), percent(wanted, "<auto>"))
            };
            format!("{}: {values}", text(&metric[field], "name"))
        }
        "Pods" => pair("averageValue"),
        _ if has_average => format!("{} (avg)", pair("averageValue")),
        _ => pair("value"),
    }
}

pub(super) fn validate(metrics: &[Value], path: &str, errors: &mut Errors) {
    for (index, metric) in metrics.iter().enumerate() {
        validate_metric(metric, &format!("{path}[{index}]"), errors);
    }
}

fn validate_metric(metric: &Value, path: &str, errors: &mut Errors) {
    let kind = text(metric, "type");
    if kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "must specify a metric source type"));
    }
    if !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, TYPES));
    }
    let mut present: Vec<&str> =
        SOURCES.into_iter().map(|(_, field)| field).filter(|field| is_set(metric, field)).collect();
    if let Some(first) = present.first() {
        validate_source(first, &metric[*first], &format!("{path}.{first}"), errors);
    }
    let expected = SOURCES.into_iter().find(|(known, _)| *known == kind).map(|(_, field)| field);
    if let Some(expected) = expected.filter(|expected| !present.contains(expected)) {
        let detail = "must populate information for the given metric source";
        errors.push(FieldError::required(format!("{path}.{expected}"), detail));
    }
    if present.len() != 1 {
        present.retain(|field| Some(*field) != expected);
        for field in present {
            let detail = "must populate the given metric source only";
            errors.push(FieldError::forbidden(format!("{path}.{field}"), detail));
        }
    }
}

fn validate_source(field: &str, source: &Value, path: &str, errors: &mut Errors) {
    let is_resource = matches!(field, "resource" | "containerResource");
    if field == "object" {
        reference(&source["describedObject"], &format!("{path}.describedObject"), errors);
    }
    if is_resource && text(source, "name").is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), "must specify a resource name"));
    }
    if field == "containerResource" {
        match text(source, "container") {
            "" => errors.push(FieldError::required(format!("{path}.container"), "must specify a container")),
            name => check::follows(errors, &format!("{path}.container"), name, validation::dns1123_label),
        }
    }
    if !is_resource {
        match text(&source["metric"], "name") {
            "" => errors.push(FieldError::required(format!("{path}.metric.name"), "must specify a metric name")),
            name => check::follows(errors, &format!("{path}.metric.name"), name, validation::path_segment),
        }
    }
    let (target, path) = (&source["target"], format!("{path}.target"));
    validate_target(target, &path, errors);
    let has = |field| is_set(target, field);
    let mut missing = |field: &str, detail: &str| errors.push(FieldError::required(format!("{path}.{field}"), detail));
    match field {
        "object" if !has("value") && !has("averageValue") => {
            missing("averageValue", "must set either a target value or averageValue");
        }
        "external" if !has("value") && !has("averageValue") => {
            missing("averageValue", "must set either a target value for metric or a per-pod target");
        }
        "external" if has("value") && has("averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.push(FieldError::forbidden(format!("{path}.value"), detail));
        }
        "pods" if !has("averageValue") => missing("averageValue", "must specify a positive target averageValue"),
        _ if is_resource && !has("averageUtilization") && !has("averageValue") => {
            missing("averageUtilization", "must set either a target raw value or a target utilization");
        }
        _ if is_resource && has("averageUtilization") && has("averageValue") => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(format!("{path}.averageValue"), detail));
        }
        _ => {}
    }
}

fn validate_target(target: &Value, path: &str, errors: &mut Errors) {
    let kind = text(target, "type");
    if kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "must specify a metric target type"));
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(format!("{path}.type"), kind, detail));
    }
    for field in ["value", "averageValue"].into_iter().filter(|field| is_set(target, field)) {
        let path = format!("{path}.{field}");
        match Quantity::from_value(&target[field]) {
            Err(error) => errors.push(FieldError::invalid(path, target[field].clone(), error.to_string())),
            Ok(quantity) if quantity.is_negative() || quantity.is_zero() => {
                errors.push(FieldError::invalid(path, quantity.to_string(), "must be positive"));
            }
            Ok(_) => {}
        }
    }
    if let Some(percent) = object::i64_at(target, &["averageUtilization"]).filter(|percent| *percent < 1) {
        errors.push(FieldError::invalid(format!("{path}.averageUtilization"), percent, "must be greater than 0"));
    }
}
