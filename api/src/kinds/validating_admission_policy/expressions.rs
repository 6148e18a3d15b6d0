//! The expressions of a policy, compiled: for its validation, and for those who carry it out.

use std::collections::HashSet;

use serde_json::Value;

use crate::cel::{Declarations, Program, Type};
use crate::kinds::check::{self, Errors, text};
use crate::object;
use crate::validation::{self, FieldError};

/// How many conditions there may be.
const CONDITIONS_MAX: usize = 64;
/// What a refusal may be given as its reason.
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];

/// What a policy evaluates.
#[derive(Debug, Default)]
pub struct Expressions {
    /// The variables by name; each may refer to those before it.
    pub definitions: Vec<(String, Program)>,
    /// By name: whether the policy is for the request.
    pub conditions: Vec<(String, Program)>,
    /// What must hold.
    pub validations: Vec<Validation>,
    /// What the audit log is told.
    pub annotations: Vec<AuditAnnotation>,
}

/// Something that the audit log is told of a request.
#[derive(Debug)]
pub struct AuditAnnotation {
    /// Its key, behind the policy's name and a slash.
    pub key: String,
    /// Makes its value, a text; null or an empty one for none.
    pub value: Program,
}

/// Something that must hold.
#[derive(Debug)]
pub struct Validation {
    /// Whether it does.
    pub expression: Program,
    /// The message where it doesn't; empty for one that names the expression.
    pub message: String,
    /// Makes the message; comes before the other where it comes to one.
    pub message_expression: Option<Program>,
    /// The reason of the refusal; empty for `Invalid`.
    pub reason: String,
}

impl Expressions {
    /// Compiles those of a policy's spec, and appends what is wrong with them.
    pub fn compile(spec: &Value, errors: &mut Errors) -> Expressions {
        let has_params = spec.get("paramKind").is_some_and(Value::is_object);
        let mut names = vec!["object", "oldObject", "request", "namespaceObject"];
        names.extend(has_params.then_some("params"));
        let of_messages = names.clone();
        names.push("authorizer");
        let definitions = definitions(spec, &names, errors);
        let conditions = conditions(spec, &names, errors);
        let declared = Declarations { variables: &names, definitions: Some(&definitions), ..Declarations::default() };
        let validations = object::list_at(spec, &["validations"]).iter().enumerate();
        let validations = validations.filter_map(|(index, validation)| {
            let of_messages = Declarations { variables: &of_messages, ..declared };
            Validation::compile(validation, &format!("spec.validations[{index}]"), declared, of_messages, errors)
        });
        let validations = validations.collect();
        let annotations = object::list_at(spec, &["auditAnnotations"]).iter().enumerate();
        let annotations = annotations.filter_map(|(index, annotation)| {
            let path = format!("spec.auditAnnotations[{index}].valueExpression");
            let value = compile(text(annotation, "valueExpression"), &path, declared, errors)?;
            let value = yields(value, &[Type::String, Type::Null], &path, errors)?;
            Some(AuditAnnotation { key: text(annotation, "key").to_owned(), value })
        });
        let annotations = annotations.collect();
        Expressions { definitions, conditions, validations, annotations }
    }
}

impl Validation {
    /// Messages are made without the `authorizer`, as in Kubernetes.
    fn compile(
        validation: &Value,
        path: &str,
        declared: Declarations<'_>,
        of_messages: Declarations<'_>,
        errors: &mut Errors,
    ) -> Option<Validation> {
        let expression = compile(text(validation, "expression"), &format!("{path}.expression"), declared, errors);
        let expression =
            expression.and_then(|program| yields(program, &[Type::Bool], &format!("{path}.expression"), errors));
        let (message, reason) = (text(validation, "message"), text(validation, "reason"));
        if message.contains(['\n', '\r']) {
            errors.push(FieldError::invalid(
                format!("{path}.message"),
                message,
                "message must not contain line breaks",
            ));
        }
        if !reason.is_empty() {
            check::one_of(errors, &format!("{path}.reason"), reason, REASONS);
        }
        let message_expression = match text(validation, "messageExpression") {
            "" => None,
            source => {
                let path = format!("{path}.messageExpression");
                let program = compile(source, &path, of_messages, errors)?;
                Some(yields(program, &[Type::String], &path, errors)?)
            }
        };
        let (message, reason) = (message.trim().to_owned(), reason.to_owned());
        Some(Validation { expression: expression?, message, message_expression, reason })
    }
}

fn definitions(spec: &Value, names: &[&str], errors: &mut Errors) -> Vec<(String, Program)> {
    let mut definitions: Vec<(String, Program)> = Vec::new();
    for (index, variable) in object::list_at(spec, &["variables"]).iter().enumerate() {
        let path = format!("spec.variables[{index}]");
        let name = text(variable, "name");
        let is_name = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), "name is not specified"));
        } else if !is_name {
            errors.push(FieldError::invalid(format!("{path}.name"), name, "name is not a valid CEL identifier"));
        } else if definitions.iter().any(|(known, _)| known == name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let declared = Declarations { variables: names, definitions: Some(&definitions), ..Declarations::default() };
        if let Some(program) = compile(text(variable, "expression"), &format!("{path}.expression"), declared, errors) {
            definitions.push((name.to_owned(), program));
        }
    }
    definitions
}

/// Conditions know nothing of the variables: they are looked at before those are made.
fn conditions(spec: &Value, names: &[&str], errors: &mut Errors) -> Vec<(String, Program)> {
    let conditions = object::list_at(spec, &["matchConditions"]);
    if conditions.len() > CONDITIONS_MAX {
        errors.push(FieldError::too_many("spec.matchConditions", conditions.len(), CONDITIONS_MAX));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let compiled = conditions.iter().enumerate().filter_map(|(index, condition)| {
        let path = format!("spec.matchConditions[{index}]");
        let name = text(condition, "name");
        check::required(errors, &format!("{path}.name"), name, validation::qualified_name);
        check::unique(errors, &mut seen, &format!("{path}.name"), name);
        let path = format!("{path}.expression");
        let declared = Declarations { variables: names, definitions: None, ..Declarations::default() };
        let program = compile(text(condition, "expression"), &path, declared, errors)?;
        Some((name.to_owned(), yields(program, &[Type::Bool], &path, errors)?))
    });
    compiled.collect()
}

fn compile(source: &str, path: &str, declared: Declarations<'_>, errors: &mut Errors) -> Option<Program> {
    if source.trim().is_empty() {
        errors.push(FieldError::required(path, "expression is not specified"));
        return None;
    }
    match Program::compile(source, declared) {
        Ok(program) => Some(program),
        Err(error) => {
            errors.push(FieldError::invalid(path, source, format!("compilation failed: {error}")));
            None
        }
    }
}

/// The program, where its value may be of one of some types.
fn yields(program: Program, wanted: &[Type], path: &str, errors: &mut Errors) -> Option<Program> {
    if wanted.contains(&program.result()) || program.result() == Type::Dyn {
        return Some(program);
    }
    let wanted = wanted.iter().map(Type::to_string).collect::<Vec<_>>().join(" or ");
    errors.push(FieldError::invalid(path, program.source(), format!("must evaluate to {wanted}")));
    None
}
