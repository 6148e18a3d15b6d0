//! The checks that many kinds' validation is made of; each appends what it finds, in Kubernetes' words.

use std::collections::HashSet;

use serde_json::Value;

use crate::object;
use crate::validation::{self, BadValue, FieldError, IMMUTABLE, NOT_NEGATIVE};

pub(crate) type Errors = Vec<FieldError>;
/// A rule for text: returns what is wrong with it.
pub(crate) type Rule = fn(&str) -> Vec<String>;

const PERCENT_RULE: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
    '93%', regex used for validation is '[0-9]+%')";
pub(crate) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// The string under a field, or the empty string.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    object::str_at(value, &[field]).unwrap_or_default()
}

/// Whether a field is there and not null.
pub(crate) fn is_set(value: &Value, field: &str) -> bool {
    value.get(field).is_some_and(|value| !value.is_null())
}

/// The entries of a map, none where there is no map.
pub(crate) fn entries<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let map = object::get(value, path).and_then(Value::as_object);
    map.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

pub(crate) fn follows(errors: &mut Errors, path: &str, text: &str, rule: Rule) {
    errors.extend(rule(text).into_iter().map(|message| FieldError::invalid(path, text, message)));
}

/// Like [`follows`], and the text must be there.
pub(crate) fn required(errors: &mut Errors, path: &str, text: &str, rule: Rule) {
    if text.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        follows(errors, path, text, rule);
    }
}

/// Like [`follows`], where the text is there.
pub(crate) fn optional(errors: &mut Errors, path: &str, text: &str, rule: Rule) {
    if !text.is_empty() {
        follows(errors, path, text, rule);
    }
}

/// A text without a rule of its own.
pub(crate) fn anything(_: &str) -> Vec<String> {
    Vec::new()
}

/// The text must be there and one of those supported, which are printed in the order given.
pub(crate) fn one_of(errors: &mut Errors, path: &str, text: &str, supported: &[&str]) {
    if text.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !supported.contains(&text) {
        errors.push(FieldError::not_supported(path, text, supported));
    }
}

pub(crate) fn port(errors: &mut Errors, path: &str, number: i64) {
    errors.extend(validation::port(number).into_iter().map(|message| FieldError::invalid(path, number, message)));
}

/// A port by number or by name.
pub(crate) fn port_or_name(errors: &mut Errors, path: &str, value: &Value) {
    match value {
        Value::String(name) => follows(errors, path, name, validation::port_name),
        number => port(errors, path, number.as_i64().unwrap_or(0)),
    }
}

pub(crate) fn not_negative(errors: &mut Errors, path: &str, number: Option<i64>) {
    if let Some(number) = number.filter(|number| *number < 0) {
        errors.push(FieldError::invalid(path, number, NOT_NEGATIVE));
    }
}

/// Several numbers of the object at `path` that may not be negative.
pub(crate) fn none_negative(errors: &mut Errors, path: &str, object: &Value, fields: &[&str]) {
    for field in fields {
        not_negative(errors, &format!("{path}.{field}"), object::i64_at(object, &[field]));
    }
}

/// A count or a percentage; returns the number of `3` or `25%`.
pub(crate) fn count_or_percent(errors: &mut Errors, path: &str, value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => {
            not_negative(errors, path, number.as_i64());
            number.as_i64()
        }
        Value::String(text) => {
            let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            let number = digits.and_then(|digits| digits.parse().ok());
            if number.is_none() {
                errors.push(FieldError::invalid(path, text.as_str(), PERCENT_RULE));
            }
            number
        }
        other => {
            errors.push(FieldError::invalid(path, other.clone(), "must be an integer or percentage (e.g '5%%')"));
            None
        }
    }
}

/// A percentage, where it is one, of at most 100; `number` is what [`count_or_percent`] found.
pub(crate) fn at_most_all(errors: &mut Errors, path: &str, value: &Value, number: Option<i64>) {
    if value.is_string() && number.is_some_and(|percent| percent > 100) {
        errors.push(FieldError::invalid(path, value.clone(), "must not be greater than 100%"));
    }
}

pub(crate) fn within(errors: &mut Errors, path: &str, number: Option<i64>, min: i64, max: i64) {
    if let Some(number) = number.filter(|number| !(min..=max).contains(number)) {
        errors.push(FieldError::invalid(path, number, format!("must be between {min} and {max}, inclusive")));
    }
}

/// Keys and values of a map of labels.
pub(crate) fn labels(errors: &mut Errors, path: &str, map: Option<&Value>) {
    for (key, value) in map.and_then(Value::as_object).into_iter().flatten() {
        follows(errors, path, key, validation::qualified_name);
        match value.as_str() {
            Some(value) => follows(errors, path, value, validation::label_value),
            None => errors.push(FieldError::type_invalid(path, value.clone(), "must be a string")),
        }
    }
}

/// The rules of a `LabelSelector`.
pub(crate) fn label_selector(errors: &mut Errors, path: &str, selector: &Value) {
    labels(errors, &format!("{path}.matchLabels"), selector.get("matchLabels"));
    for (index, requirement) in object::list_at(selector, &["matchExpressions"]).iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let has_values = !object::list_at(requirement, &["values"]).is_empty();
        match text(requirement, "operator") {
            "In" | "NotIn" if !has_values => errors.push(FieldError::required(
                format!("{path}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if has_values => errors.push(FieldError::forbidden(
                format!("{path}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            operator => {
                errors.push(FieldError::invalid(format!("{path}.operator"), operator, "not a valid selector operator"))
            }
        }
        follows(errors, &format!("{path}.key"), text(requirement, "key"), validation::qualified_name);
        for (index, value) in object::list_at(requirement, &["values"]).iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            follows(errors, &format!("{path}.values[{index}]"), value, validation::label_value);
        }
    }
}

/// Reports a text met before.
pub(crate) fn unique<'a>(errors: &mut Errors, seen: &mut HashSet<&'a str>, path: &str, text: &'a str) {
    if !seen.insert(text) {
        errors.push(FieldError::duplicate(path, text));
    }
}

/// A field that never changes; null and absent are the same.
pub(crate) fn immutable(errors: &mut Errors, path: &str, new: Option<&Value>, old: Option<&Value>) {
    let null = &Value::Null;
    let (new, old) = (new.unwrap_or(null), old.unwrap_or(null));
    if new != old {
        errors.push(FieldError::invalid(path, BadValue::Json(new.clone()), IMMUTABLE));
    }
}
