//! Rules in CEL (`x-kubernetes-validations`): compiled with their schema, evaluated over values that it allows otherwise.
//!
//! A rule that speaks of `oldSelf` judges changes, and no new values, unless it says that it can do without. Deliberately
//! absent: an estimate of what a rule may cost at worst. What one does cost is limited instead.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::{Schema, join};
use crate::cel::{Budget, Declarations, Evaluation, EvaluationError, Program, Shape, Type};
use crate::json_path::JsonPath;
use crate::object;
use crate::validation::{BadValue, FieldError};

/// The most that messages may be long.
const MESSAGE_BYTES_MAX: usize = 2048;
const REASONS: &[&str] = &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// One rule.
pub(crate) struct Rule {
    /// Why it doesn't compile, otherwise: then it holds of nothing. Definitions with such a rule are refused, but one that is stored
    /// may be from a version of Coracle that took it.
    program: Result<Program, String>,
    message: Option<String>,
    message_expression: Option<Program>,
    reason: String,
    /// The field that is to blame, below the one that has the rule: `.a.b`.
    field_path: String,
    /// Whether it speaks of the value before.
    is_of_changes: bool,
    /// Whether the value before may be missing.
    has_optional_old: bool,
}

impl Rule {
    /// Compiles a rule of a schema, and appends what is wrong with it. `uncorrelated` is the list, if there is one around it, whose items
    /// nothing tells apart, so that none is known to be an old one changed.
    pub(super) fn parse(
        rule: &Value,
        schema: &Schema,
        uncorrelated: Option<&str>,
        path: &str,
        errors: &mut Vec<FieldError>,
    ) -> Option<Rule> {
        let text = |field: &str| object::str_at(rule, &[field]).filter(|text| !text.trim().is_empty());
        let Some(source) = text("rule") else {
            errors.push(FieldError::required(join(path, "rule"), "rule is not specified"));
            return None;
        };
        let refused = |field: &str, source: &str, error: &dyn fmt::Display| {
            FieldError::invalid(join(path, field), source, format!("compilation failed: {error}"))
        };
        let is_known = |fields: &[Cow<'_, str>]| schema.has_field(fields);
        let has_optional_old = object::bool_at(rule, &["optionalOldSelf"]).unwrap_or(false);
        let both: &[&str] = &["self", "oldSelf"];
        let shapes: &[(&str, &dyn Shape)] = &[("self", schema), ("oldSelf", schema)];
        let shapes = if has_optional_old { &shapes[..1] } else { shapes };
        let compile =
            |source: &str, variables| Program::compile(source, Declarations { variables, shapes, definitions: None });
        // Who needs `oldSelf` doesn't compile without.
        let (program, is_of_changes) = match compile(source, &both[..1]) {
            Ok(program) => (Ok(program), false),
            Err(_) => (compile(source, both), true),
        };
        if has_optional_old && !is_of_changes {
            let detail = "may not be set if oldSelf is not used in rule";
            errors.push(FieldError::invalid(join(path, "optionalOldSelf"), true, detail));
        }
        let is_of_changes = is_of_changes && program.is_ok();
        if let Some(place) = uncorrelated.filter(|_| is_of_changes) {
            let detail = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {place}");
            errors.push(FieldError::invalid(join(path, "rule"), source, detail));
        }
        let program = program.and_then(|program| program.check_fields(&is_known).map(|()| program));
        let program = program.map_err(|error| {
            errors.push(refused("rule", source, &error));
            format!("rule does not compile: {error}")
        });
        if program.as_ref().is_ok_and(|program| !matches!(program.result(), Type::Bool | Type::Dyn)) {
            errors.push(FieldError::invalid(join(path, "rule"), source, "cel expression must evaluate to a bool"));
        }
        let variables = if is_of_changes || program.is_err() { both } else { &both[..1] };
        let message_expression = text("messageExpression").and_then(|source| {
            let program = compile(source, variables);
            let program = program.and_then(|program| program.check_fields(&is_known).map(|()| program));
            program.map_err(|error| errors.push(refused("messageExpression", source, &error))).ok()
        });
        if message_expression.as_ref().is_some_and(|program| !matches!(program.result(), Type::String | Type::Dyn)) {
            let source = text("messageExpression").unwrap_or_default();
            let detail = "messageExpression must evaluate to a string";
            errors.push(FieldError::invalid(join(path, "messageExpression"), source, detail));
        }
        let message = text("message").map(str::to_owned);
        if let Some(message) = &message {
            check_message(&join(path, "message"), message, errors);
        }
        let reason = text("reason").unwrap_or("FieldValueInvalid").to_owned();
        if !REASONS.contains(&reason.as_str()) {
            errors.push(FieldError::not_supported(join(path, "reason"), reason.as_str(), REASONS));
        }
        let field_path = text("fieldPath").unwrap_or_default().to_owned();
        let is_described = |path: &str| {
            JsonPath::parse(path).is_ok_and(|path| path.fields().is_some_and(|fields| schema.at(&fields).is_some()))
        };
        if !field_path.is_empty() && !is_described(&field_path) {
            let detail = "fieldPath must be a valid path of fields that the schema describes, such as .spec.replicas";
            errors.push(FieldError::invalid(join(path, "fieldPath"), field_path.as_str(), detail));
        }
        Some(Rule { program, message, message_expression, reason, field_path, is_of_changes, has_optional_old })
    }

    /// Appends an error if the rule does not hold of a value; `old` is what that replaces.
    fn judge(
        &self,
        path: &str,
        schema: &Schema,
        value: &Value,
        old: Option<&Value>,
        budget: &Budget,
        errors: &mut Vec<FieldError>,
    ) {
        let shown = schema.value_type.map_or("integer or string", super::Type::as_str);
        let is_skipped = if self.is_of_changes { old.is_none() && !self.has_optional_old } else { old == Some(value) };
        if is_skipped {
            return;
        }
        let mut evaluation = Evaluation::new([], budget).with("self", value, schema);
        if self.has_optional_old {
            evaluation = evaluation.with_optional("oldSelf", old, schema);
        } else if let Some(old) = old {
            evaluation = evaluation.with("oldSelf", old, schema);
        }
        let place = format!("{path}{}", self.field_path);
        let place = if place.is_empty() { "<nil>" } else { place.trim_start_matches('.') };
        let program = match &self.program {
            Ok(program) => program,
            Err(because) => {
                errors.push(FieldError::invalid(place, shown, because.as_str()));
                return;
            }
        };
        let source = program.source();
        match evaluation.is_true(program) {
            Ok(true) => {}
            Ok(false) => errors.push(self.refusal(place, shown, self.said(&evaluation, source))),
            Err(EvaluationError::RequestCost) => {
                errors.push(FieldError::invalid(place, shown, EvaluationError::RequestCost.to_string()));
            }
            Err(error) => {
                let detail = format!("{error} evaluating rule: {}", self.message.as_deref().unwrap_or(source));
                errors.push(FieldError::invalid(place, shown, detail));
            }
        }
    }

    /// The message of the rule; that of its expression, where it comes to a line of text.
    fn said<'a>(&'a self, evaluation: &Evaluation<'a>, source: &str) -> String {
        let expression = self.message_expression.as_ref();
        let said = expression.and_then(|program| Some(evaluation.evaluate(program).ok()?.as_str()?.trim().to_owned()));
        let said = said.filter(|said| !said.is_empty() && !said.contains('\n') && said.len() <= MESSAGE_BYTES_MAX);
        let message = said.or_else(|| self.message.clone());
        message.unwrap_or_else(|| format!("failed rule: {}", source.trim()))
    }

    fn refusal(&self, place: &str, shown: &str, detail: String) -> FieldError {
        match self.reason.as_str() {
            "FieldValueRequired" => FieldError::required(place, detail),
            "FieldValueForbidden" => FieldError::forbidden(place, detail),
            "FieldValueDuplicate" => FieldError { detail, ..FieldError::duplicate(place, BadValue::from(shown)) },
            _ => FieldError::invalid(place, shown, detail),
        }
    }
}

fn check_message(path: &str, message: &str, errors: &mut Vec<FieldError>) {
    if message.contains('\n') {
        errors.push(FieldError::invalid(path, message, "message must not contain line breaks"));
    }
    if message.len() > MESSAGE_BYTES_MAX {
        let detail = format!("message must have a maximum length of {MESSAGE_BYTES_MAX} characters");
        errors.push(FieldError::invalid(path, message, detail));
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            Ok(program) => formatter.write_str(program.source()),
            Err(because) => formatter.write_str(because),
        }
    }
}

impl Schema {
    /// Appends the rules that don't hold of a value and what is in it.
    pub(super) fn judge(
        &self,
        path: &str,
        value: &Value,
        old: Option<&Value>,
        budget: &Budget,
        errors: &mut Vec<FieldError>,
    ) {
        if !self.has_rules || value.is_null() {
            return;
        }
        for rule in &self.cel {
            rule.judge(path, self, value, old, budget, errors);
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if let Some(schema) = self.properties.get(name).or(self.additional.as_deref()) {
                        schema.judge(&join(path, name), value, old.and_then(|old| old.get(name)), budget, errors);
                    }
                }
            }
            Value::Array(items) => {
                let Some(schema) = &self.items else { return };
                for (index, item) in items.iter().enumerate() {
                    schema.judge(&format!("{path}[{index}]"), item, self.list_type.former(item, old), budget, errors);
                }
            }
            _ => {}
        }
    }
}
