//! A binding of a validating admission policy: where it holds, with which parameters, and what a violation leads to.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::check::{self, Errors, text};
use crate::kinds::{cells, match_resources};
use crate::object;
use crate::validation::{self, FieldError};

pub(crate) const KIND: Kind = Kind {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "ValidatingAdmissionPolicyBinding",
    plural: "validatingadmissionpolicybindings",
    singular: "validatingadmissionpolicybinding",
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    definition: "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    subresources: &[],
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

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string(
        "PolicyName",
        0,
        "PolicyName indicates the policy definition which the policy binding binded to",
        |object, _| cells::text_or(object, &["spec", "policyName"], ""),
    ),
    Column::string("ParamRef", 0, "ParamRef indicates the param resource which sets the configration param", param_ref),
    cells::AGE,
];

fn param_ref(object: &Value, _: Timestamp) -> Value {
    let Some(reference) = object::get(object, &["spec", "paramRef"]).filter(|reference| reference.is_object()) else {
        return "<unset>".into();
    };
    match (text(reference, "namespace"), text(reference, "name")) {
        (_, "") => "*".into(),
        ("", name) => format!("*/{name}").into(),
        (namespace, name) => format!("{namespace}/{name}").into(),
    }
}

fn default(object: &mut Value) {
    let spec = object::child_mut(object, "spec");
    if let Some(resources) = spec.get_mut("matchResources").and_then(Value::as_object_mut) {
        match_resources::default(resources);
    }
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    check::required(errors, "spec.policyName", text(spec, "policyName"), validation::dns1123_subdomain);
    if let Some(reference) = spec.get("paramRef").filter(|reference| reference.is_object()) {
        validate_param_ref(reference, errors);
    }
    if let Some(resources) = spec.get("matchResources").filter(|resources| resources.is_object()) {
        match_resources::validate(resources, "spec.matchResources", errors);
    }
    let actions: Vec<&str> = object::list_at(spec, &["validationActions"]).iter().filter_map(Value::as_str).collect();
    if actions.is_empty() {
        errors.push(FieldError::required("spec.validationActions", "at least one validation action is required"));
    }
    let mut seen = HashSet::new();
    for (index, action) in actions.iter().enumerate() {
        let path = format!("spec.validationActions[{index}]");
        check::one_of(errors, &path, action, &["Audit", "Deny", "Warn"]);
        check::unique(errors, &mut seen, &path, action);
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                      response and headers serves no purpose)";
        errors.push(FieldError::invalid("spec.validationActions", actions, detail));
    }
}

fn validate_param_ref(reference: &Value, errors: &mut Errors) {
    let selector = reference.get("selector").filter(|selector| selector.is_object());
    match (text(reference, "name"), selector) {
        ("", None) => errors.push(FieldError::required("spec.paramRef", "one of name or selector must be specified")),
        ("", Some(selector)) => check::label_selector(errors, "spec.paramRef.selector", selector),
        (name, None) => check::follows(errors, "spec.paramRef.name", name, validation::path_segment),
        (_, Some(_)) => {
            errors.push(FieldError::forbidden("spec.paramRef.name", "name and selector are mutually exclusive"));
        }
    }
    check::one_of(
        errors,
        "spec.paramRef.parameterNotFoundAction",
        text(reference, "parameterNotFoundAction"),
        &["Allow", "Deny"],
    );
}
