//! A validating admission policy: expressions that say which writes are refused; bindings put it to use.
//!
//! Deliberately absent: type checking: its status stays empty.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::check::{self, Errors, text};
use crate::kinds::{cells, match_resources};
use crate::object;
use crate::validation::{self, FieldError};

pub use expressions::{AuditAnnotation, Expressions, Validation};

mod expressions;

pub(crate) const KIND: Kind = Kind {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "ValidatingAdmissionPolicy",
    plural: "validatingadmissionpolicies",
    singular: "validatingadmissionpolicy",
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    definition: "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update: |_, _, _| {},
};

/// How many audit annotations there may be, and how long their expressions.
const ANNOTATIONS_MAX: usize = 20;
const ANNOTATION_EXPRESSION_BYTES_MAX: usize = 5 * 1024;

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::integer(
        "Validations",
        0,
        "Validations indicates the number of validation rules defined in this configuration",
        validations,
    ),
    Column::string(
        "ParamKind",
        0,
        "ParamKind specifies the kind of resources used to parameterize this policy",
        param_kind,
    ),
    cells::AGE,
];

fn validations(object: &Value, _: Timestamp) -> Value {
    object::list_at(object, &["spec", "validations"]).len().into()
}

fn param_kind(object: &Value, _: Timestamp) -> Value {
    let kind = object::get(object, &["spec", "paramKind"]).filter(|kind| kind.is_object());
    let name = kind.map(|kind| format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")));
    name.unwrap_or_else(|| "<unset>".to_owned()).into()
}

fn default(object: &mut Value) {
    let spec = object::child_mut(object, "spec");
    spec.entry("failurePolicy").or_insert_with(|| "Fail".into());
    if let Some(constraints) = spec.get_mut("matchConstraints").and_then(Value::as_object_mut) {
        match_resources::default(constraints);
    }
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    if let Some(kind) = spec.get("paramKind").filter(|kind| kind.is_object()) {
        for field in ["apiVersion", "kind"] {
            check::required(errors, &format!("spec.paramKind.{field}"), text(kind, field), check::anything);
        }
    }
    check::one_of(errors, "spec.failurePolicy", text(spec, "failurePolicy"), &["Fail", "Ignore"]);
    match spec.get("matchConstraints").filter(|constraints| constraints.is_object()) {
        None => errors.push(FieldError::required("spec.matchConstraints", "")),
        Some(constraints) => {
            match_resources::validate(constraints, "spec.matchConstraints", errors);
            if object::list_at(constraints, &["resourceRules"]).is_empty() {
                errors.push(FieldError::required("spec.matchConstraints.resourceRules", ""));
            }
        }
    }
    if ["validations", "auditAnnotations"].iter().all(|field| object::list_at(spec, &[field]).is_empty()) {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required("spec.validations", detail));
    }
    validate_annotations(object::name(object), object::list_at(spec, &["auditAnnotations"]), errors);
    Expressions::compile(spec, errors);
}

fn validate_annotations(policy: &str, annotations: &[Value], errors: &mut Errors) {
    if annotations.len() > ANNOTATIONS_MAX {
        errors.push(FieldError::too_many("spec.auditAnnotations", annotations.len(), ANNOTATIONS_MAX));
    }
    let mut seen = HashSet::new();
    for (index, annotation) in annotations.iter().enumerate() {
        let path = format!("spec.auditAnnotations[{index}]");
        let key = text(annotation, "key");
        // The audit log shows it behind the policy's name.
        for message in validation::qualified_name(&format!("{policy}/{key}")) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, message));
        }
        check::unique(errors, &mut seen, &format!("{path}.key"), key);
        if text(annotation, "valueExpression").trim().len() > ANNOTATION_EXPRESSION_BYTES_MAX {
            let detail = format!("must not exceed {ANNOTATION_EXPRESSION_BYTES_MAX} bytes in length");
            errors.push(FieldError::required(format!("{path}.valueExpression"), detail));
        }
    }
}
