//! Judges values, in the words of Kubernetes.
//!
//! What an update leaves as it was is not judged again, so that a schema may become stricter than the objects there are.

use serde_json::{Map, Value};

use super::{Bound, ListType, Rules, Schema, Type, embedded, format, join};
use crate::cel::Budget;
use crate::validation::{FieldError, Reason};

type Errors = Vec<FieldError>;

/// What keeps rules in CEL from being asked.
const BLOCKING: &[Reason] =
    &[Reason::NotSupported, Reason::Required, Reason::TooLong, Reason::TooMany, Reason::TypeInvalid];

impl Schema {
    /// Appends what is wrong with a value; `old` is what it replaces. Rules in CEL may rely on it to be of the right types and sizes.
    pub fn validate(&self, value: &Value, old: Option<&Value>, errors: &mut Errors) {
        let mut found = Vec::new();
        self.validate_at("", value, old, &mut found);
        if !found.iter().any(|error| BLOCKING.contains(&error.reason)) {
            self.judge("", value, old, &Budget::default(), &mut found);
        } else if self.has_rules {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete \
                          validation";
            found.push(FieldError::invalid("<nil>", Value::Null, detail));
        }
        errors.append(&mut found);
    }

    pub(super) fn validate_at(&self, path: &str, value: &Value, old: Option<&Value>, errors: &mut Errors) {
        if old == Some(value) || (value.is_null() && self.is_nullable) {
            return;
        }
        self.check_type(path, value, errors);
        self.rules.check(path, value, errors);
        match value {
            Value::Object(fields) => self.validate_fields(path, fields, old, errors),
            Value::Array(items) => self.validate_items(path, items, old, errors),
            _ => {}
        }
    }

    fn check_type(&self, path: &str, value: &Value, errors: &mut Errors) {
        let is_integer =
            |value: &Value| value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0);
        let (fits, expected) = match self.value_type {
            None if self.is_int_or_string => (value.is_string() || is_integer(value), "integer,string"),
            None => (true, ""),
            Some(expected) => {
                let fits = match expected {
                    Type::Array => value.is_array(),
                    Type::Boolean => value.is_boolean(),
                    Type::Integer => is_integer(value),
                    Type::Number => value.is_number(),
                    Type::Object => value.is_object(),
                    Type::String => value.is_string(),
                };
                (fits, expected.as_str())
            }
        };
        if !fits {
            let found = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) if is_integer(value) => "integer",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            let detail = format!("{path} in body must be of type {expected}: {found:?}");
            errors.push(FieldError::type_invalid(shown(path), found, detail));
        }
    }

    fn validate_fields(&self, path: &str, fields: &Map<String, Value>, old: Option<&Value>, errors: &mut Errors) {
        if self.is_resource && !path.is_empty() {
            embedded::validate(path, fields, errors);
        }
        for (name, value) in fields {
            // That of a whole object is judged by rules that hold for all kinds.
            if self.is_resource && path.is_empty() && name == "metadata" {
                continue;
            }
            if let Some(schema) = self.properties.get(name).or(self.additional.as_deref()) {
                schema.validate_at(&join(path, name), value, old.and_then(|old| old.get(name)), errors);
            }
        }
    }

    fn validate_items(&self, path: &str, items: &[Value], old: Option<&Value>, errors: &mut Errors) {
        let mut seen: Vec<Value> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(schema) = &self.items {
                schema.validate_at(&path, item, self.list_type.former(item, old), errors);
            }
            if let Some(key) = self.list_type.key(item) {
                if seen.contains(&key) {
                    errors.push(FieldError::duplicate(path, key));
                } else {
                    seen.push(key);
                }
            }
        }
    }
}

impl ListType {
    /// The item of the list before that an item replaces.
    pub(super) fn former<'o>(&self, item: &Value, old: Option<&'o Value>) -> Option<&'o Value> {
        let key = self.key(item)?;
        old?.as_array()?.iter().find(|former| self.key(former).as_ref() == Some(&key))
    }

    /// What tells an item of the list apart from others; nothing does in an atomic list.
    fn key(&self, item: &Value) -> Option<Value> {
        match self {
            ListType::Atomic => None,
            ListType::Set => Some(item.clone()),
            ListType::Map(keys) => {
                let entries = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
                Some(Value::Object(entries.collect()))
            }
        }
    }
}

impl Rules {
    fn check(&self, path: &str, value: &Value, errors: &mut Errors) {
        self.check_alternatives(path, value, errors);
        let mut refuse = |value: Value, what: String| {
            errors.push(FieldError::invalid(shown(path), value, format!("{path} in body {what}")));
        };
        match value {
            Value::String(text) => {
                let length = text.chars().count();
                if let Some(max) = self.length.max.filter(|max| length > *max) {
                    errors.push(FieldError::too_long(shown(path), max));
                } else if let Some(min) = self.length.min.filter(|min| length < *min) {
                    refuse(value.clone(), format!("should be at least {min} chars long"));
                }
                if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_in(text)) {
                    let detail = format!("{path} in body should match '{}'", pattern.as_str());
                    errors.push(FieldError::invalid(shown(path), value.clone(), detail));
                }
            }
            Value::Number(number) => self.check_number(value, number.as_f64().unwrap_or_default(), refuse),
            Value::Array(items) => {
                if let Some(min) = self.items.min.filter(|min| items.len() < *min) {
                    refuse(items.len().into(), format!("should have at least {min} items"));
                }
                if let Some(max) = self.items.max.filter(|max| items.len() > *max) {
                    errors.push(FieldError::too_many(shown(path), items.len(), max));
                }
            }
            Value::Object(fields) => {
                if let Some(min) = self.properties.min.filter(|min| fields.len() < *min) {
                    refuse(fields.len().into(), format!("should have at least {min} properties"));
                }
                if let Some(max) = self.properties.max.filter(|max| fields.len() > *max) {
                    errors.push(FieldError::too_many(shown(path), fields.len(), max));
                }
                let missing = self.required.iter().filter(|name| !fields.contains_key(*name));
                errors.extend(missing.map(|name| FieldError::required(join(path, name), "")));
            }
            _ => {}
        }
        self.check_choice(path, value, errors);
    }

    fn check_number(&self, value: &Value, number: f64, mut refuse: impl FnMut(Value, String)) {
        if let Some(Bound { value: max, is_exclusive }) = self.maximum {
            if is_exclusive && number >= max {
                refuse(value.clone(), format!("should be less than {max}"));
            } else if number > max {
                refuse(value.clone(), format!("should be less than or equal to {max}"));
            }
        }
        if let Some(Bound { value: min, is_exclusive }) = self.minimum {
            if is_exclusive && number <= min {
                refuse(value.clone(), format!("should be greater than {min}"));
            } else if number < min {
                refuse(value.clone(), format!("should be greater than or equal to {min}"));
            }
        }
        if let Some(factor) = self.multiple_of {
            let times = number / factor;
            if (times - times.round()).abs() > f64::EPSILON * times.abs().max(1.0) {
                refuse(value.clone(), format!("should be a multiple of {factor}"));
            }
        }
    }

    fn check_choice(&self, path: &str, value: &Value, errors: &mut Errors) {
        if let Some(format) = self.format.as_ref().filter(|format| !format::is_of(format, value)) {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| format!("{text:?}"));
            let detail = format!("{path} in body must be of type {format}: {text}");
            errors.push(FieldError::type_invalid(shown(path), value.clone(), detail));
        }
        if let Some(allowed) = self.allowed.as_ref().filter(|allowed| !allowed.contains(value)) {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let allowed: Vec<String> = allowed.iter().map(text).collect();
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            errors.push(FieldError::not_supported(shown(path), value.clone(), &allowed));
        }
    }

    /// `allOf`, `anyOf`, `oneOf` and `not`. Where no alternative fits, the one that comes closest says why.
    fn check_alternatives(&self, path: &str, value: &Value, errors: &mut Errors) {
        let judge = |schema: &Schema| {
            let mut errors = Vec::new();
            schema.validate_at(path, value, None, &mut errors);
            errors
        };
        let refuse = |what: &str| FieldError::invalid("<nil>", "", format!("{path:?} must {what}"));
        if !self.any_of.is_empty() {
            let failures: Vec<Errors> = self.any_of.iter().map(judge).collect();
            if failures.iter().all(|failure| !failure.is_empty()) {
                errors.push(refuse("validate at least one schema (anyOf)"));
                errors.extend(closest(failures));
            }
        }
        if !self.one_of.is_empty() {
            let failures: Vec<Errors> = self.one_of.iter().map(judge).collect();
            match failures.iter().filter(|failure| failure.is_empty()).count() {
                1 => {}
                0 => {
                    errors.push(refuse("validate one and only one schema (oneOf). Found none valid"));
                    errors.extend(closest(failures));
                }
                count => {
                    let what = format!("validate one and only one schema (oneOf). Found {count} valid alternatives");
                    errors.push(refuse(&what));
                }
            }
        }
        let failures: Vec<Errors> = self.all_of.iter().map(judge).collect();
        let failed = failures.iter().filter(|failure| !failure.is_empty()).count();
        if failed > 0 {
            let extent = if failed == failures.len() { ". None validated" } else { "" };
            errors.extend(failures.into_iter().flatten());
            errors.push(refuse(&format!("validate all the schemas (allOf){extent}")));
        }
        if self.not.as_deref().is_some_and(|schema| judge(schema).is_empty()) {
            errors.push(refuse("not validate the schema (not)"));
        }
    }
}

fn closest(failures: Vec<Errors>) -> Errors {
    failures.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

/// The path in front of an error: Kubernetes prints a missing one so.
fn shown(path: &str) -> &str {
    if path.is_empty() { "<nil>" } else { path }
}
