//! What is wrong with an object's fields, in Kubernetes' words.

use std::fmt;

use serde_json::Value;

pub use names::*;

mod names;

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// The field's path: `spec.template.spec.containers[0].name`.
    pub path: String,
    /// What sort of wrong it is.
    pub reason: Reason,
    /// The value that is refused; not printed for reasons that speak of no value.
    pub value: BadValue,
    /// Says more; may be empty.
    pub detail: String,
}

/// What sort of wrong a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Something the field refers to is not there.
    NotFound,
    /// The field must be set.
    Required,
    /// The value must be unique, and is not.
    Duplicate,
    /// The value breaks a rule.
    Invalid,
    /// The value is none of those known.
    NotSupported,
    /// The field may not be set here.
    Forbidden,
    /// The value is too long.
    TooLong,
    /// The list has too many items.
    TooMany,
    /// The value has the wrong type.
    TypeInvalid,
}

impl Reason {
    /// The reason in a `Status`' causes.
    pub fn cause(self) -> &'static str {
        match self {
            Reason::NotFound => "FieldValueNotFound",
            Reason::Required => "FieldValueRequired",
            Reason::Duplicate => "FieldValueDuplicate",
            Reason::Invalid => "FieldValueInvalid",
            Reason::NotSupported => "FieldValueNotSupported",
            Reason::Forbidden => "FieldValueForbidden",
            Reason::TooLong => "FieldValueTooLong",
            Reason::TooMany => "FieldValueTooMany",
            Reason::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Reason::NotFound => "Not found",
            Reason::Required => "Required value",
            Reason::Duplicate => "Duplicate value",
            Reason::Invalid | Reason::TypeInvalid => "Invalid value",
            Reason::NotSupported => "Unsupported value",
            Reason::Forbidden => "Forbidden",
            Reason::TooLong => "Too long",
            Reason::TooMany => "Too many",
        }
    }
}

/// The value a field error refuses.
#[derive(Clone, Debug, PartialEq)]
pub enum BadValue {
    /// Not printed.
    Omitted,
    /// Printed as Go prints it where that is simple (strings quoted, maps and lists of strings), else as JSON.
    Json(Value),
    /// Printed as it is: for the few structs whose Go form people know.
    Printed(String),
}

impl<T: Into<Value>> From<T> for BadValue {
    fn from(value: T) -> BadValue {
        BadValue::Json(value.into())
    }
}

impl FieldError {
    fn new(path: impl Into<String>, reason: Reason, value: BadValue, detail: impl Into<String>) -> FieldError {
        FieldError { path: path.into(), reason, value, detail: detail.into() }
    }

    /// `Not found: "x"`.
    pub fn not_found(path: impl Into<String>, value: impl Into<BadValue>) -> FieldError {
        FieldError::new(path, Reason::NotFound, value.into(), "")
    }

    /// `Required value`, and the detail where there is one.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError::new(path, Reason::Required, BadValue::Omitted, detail)
    }

    /// `Duplicate value: "x"`.
    pub fn duplicate(path: impl Into<String>, value: impl Into<BadValue>) -> FieldError {
        FieldError::new(path, Reason::Duplicate, value.into(), "")
    }

    /// `Invalid value: -1: must be greater than or equal to 0`.
    pub fn invalid(path: impl Into<String>, value: impl Into<BadValue>, detail: impl Into<String>) -> FieldError {
        FieldError::new(path, Reason::Invalid, value.into(), detail)
    }

    /// `Unsupported value: "x": supported values: "a", "b"`.
    pub fn not_supported(path: impl Into<String>, value: impl Into<BadValue>, supported: &[&str]) -> FieldError {
        let quoted: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        FieldError::new(path, Reason::NotSupported, value.into(), detail)
    }

    /// `Forbidden: may not be set here`.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError::new(path, Reason::Forbidden, BadValue::Omitted, detail)
    }

    /// `Too long: may not be more than 63 bytes`.
    pub fn too_long(path: impl Into<String>, bytes_max: usize) -> FieldError {
        let detail = format!("may not be more than {bytes_max} bytes");
        FieldError::new(path, Reason::TooLong, BadValue::Omitted, detail)
    }

    /// `Too many: 5: must have at most 4 items`.
    pub fn too_many(path: impl Into<String>, count: usize, count_max: usize) -> FieldError {
        let items = if count_max == 1 { "item" } else { "items" };
        FieldError::new(path, Reason::TooMany, count.into(), format!("must have at most {count_max} {items}"))
    }

    /// `Invalid value: "x": must be …`, for a value of the wrong type.
    pub fn type_invalid(path: impl Into<String>, value: impl Into<BadValue>, detail: impl Into<String>) -> FieldError {
        FieldError::new(path, Reason::TypeInvalid, value.into(), detail)
    }

    /// The error without its path, as a `Status`' causes carry it.
    pub fn body(&self) -> String {
        let mut text = self.reason.text().to_owned();
        match &self.value {
            BadValue::Omitted => {}
            BadValue::Json(value) => {
                text.push_str(": ");
                text.push_str(&print_value(value));
            }
            BadValue::Printed(value) => {
                text.push_str(": ");
                text.push_str(value);
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.body())
    }
}

/// Several errors in one line: alone as it is, several in brackets, each text once; a `Status`' message ends with it.
pub fn aggregate(errors: &[FieldError]) -> String {
    let mut texts: Vec<String> = Vec::with_capacity(errors.len());
    for text in errors.iter().map(FieldError::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) }
}

/// A value in Go's syntax where that is simple: `map[string]string{"a":"b"}`.
fn print_value(value: &Value) -> String {
    match value {
        Value::Object(map) if !map.is_empty() && map.values().all(Value::is_string) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
            format!("map[string]string{{{}}}", pairs.join(", "))
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("[]string{{{}}}", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// A label selector as Go prints its struct, for the message everyone has met: `…: field is immutable`.
pub fn print_label_selector(selector: &Value) -> BadValue {
    let labels = match selector.get("matchLabels").and_then(Value::as_object) {
        None => "map[string]string(nil)".to_owned(),
        Some(labels) if labels.is_empty() => "map[string]string{}".to_owned(),
        Some(labels) => print_value(&Value::Object(labels.clone())),
    };
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let expressions = match selector.get("matchExpressions").and_then(Value::as_array) {
        None => "[]v1.LabelSelectorRequirement(nil)".to_owned(),
        Some(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    let values = match item.get("values") {
                        Some(values) if values.as_array().is_some_and(|values| !values.is_empty()) => {
                            print_value(values)
                        }
                        _ => "[]string(nil)".to_owned(),
                    };
                    let (key, operator) = (text(item, "key"), text(item, "operator"));
                    format!("v1.LabelSelectorRequirement{{Key:{key:?}, Operator:{operator:?}, Values:{values}}}")
                })
                .collect();
            format!("[]v1.LabelSelectorRequirement{{{}}}", items.join(", "))
        }
    };
    BadValue::Printed(format!("v1.LabelSelector{{MatchLabels:{labels}, MatchExpressions:{expressions}}}"))
}

#[cfg(test)]
mod tests;
