//! "May I?", and "may they?": answers from the authorizer, stored nowhere.

use std::collections::BTreeMap;

use axum::response::Response;
use coracle_api::object;
use coracle_api::selector::{FieldSelector, FieldTerm};
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use crate::authentication::User;
use crate::authorizer::{Attributes, MASTERS, PolicyRule, Subject};
use crate::respond;

const API_VERSION: &str = "authorization.k8s.io/v1";
const OPERATORS: &[&str] = &["DoesNotExist", "Exists", "In", "NotIn"];

/// Answers a SelfSubjectAccessReview.
pub(super) fn own_access(call: &Call, review: Value) -> Result<Response, Status> {
    access(call, "SelfSubjectAccessReview", review, &call.user)
}

/// Answers a SubjectAccessReview, or, within a namespace, a LocalSubjectAccessReview.
pub(super) fn access_of(call: &Call, kind: &str, namespace: Option<&str>, review: Value) -> Result<Response, Status> {
    if let Some(namespace) = namespace {
        let found = object::str_at(&review, &["spec", "resourceAttributes", "namespace"]).unwrap_or_default();
        if found != namespace {
            let message =
                format!("spec.resourceAttributes.namespace must match namespace: {namespace:?}, found {found:?}");
            return Err(status::bad_request(message));
        }
    }
    let user = subject(kind, &review)?;
    access(call, kind, review, &user)
}

/// The user a review is about.
fn subject(kind: &str, review: &Value) -> Result<User, Status> {
    let text = |field: &str| object::str_at(review, &["spec", field]).unwrap_or_default().to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let groups = review.pointer("/spec/groups").map(&texts).unwrap_or_default();
    let extra = review.pointer("/spec/extra").and_then(Value::as_object).into_iter().flatten();
    let extra: BTreeMap<_, _> = extra.map(|(key, values)| (key.clone(), texts(values))).collect();
    let user = User { name: text("user"), uid: text("uid"), groups, extra };
    if user.name.is_empty() && user.groups.is_empty() {
        let error = FieldError::invalid("spec.user", "", "at least one of user or group must be specified");
        return Err(invalid(kind, error));
    }
    Ok(user)
}

fn invalid(kind: &str, error: FieldError) -> Status {
    status::invalid_options("authorization.k8s.io", kind, "", &[error])
}

/// The field selector that a review is about; terms that no field selector can say are left out, as they only narrow it down.
fn field_selector(kind: &str, review: &Value) -> Result<FieldSelector, Status> {
    const PATH: &str = "spec.resourceAttributes.fieldSelector";
    let Some(stated) = object::get(review, &["spec", "resourceAttributes", "fieldSelector"]) else {
        return Ok(FieldSelector::default());
    };
    let raw = object::str_at(stated, &["rawSelector"]).unwrap_or_default();
    let requirements = object::list_at(stated, &["requirements"]);
    if !raw.is_empty() && !requirements.is_empty() {
        let detail = "may not specify both at the same time";
        return Err(invalid(kind, FieldError::invalid(format!("{PATH}.rawSelector"), raw, detail)));
    }
    let mut terms = FieldSelector::parse(raw).unwrap_or_default().terms;
    for (index, requirement) in requirements.iter().enumerate() {
        let text = |field: &str| object::str_at(requirement, &[field]).unwrap_or_default();
        let operator = text("operator");
        if !OPERATORS.contains(&operator) {
            let path = format!("{PATH}.requirements[{index}].operator");
            return Err(invalid(kind, FieldError::not_supported(path, operator, OPERATORS)));
        }
        if let ("In" | "NotIn", [value]) = (operator, object::list_at(requirement, &["values"])) {
            let (path, value) = (text("key").to_owned(), value.as_str().unwrap_or_default().to_owned());
            terms.push(FieldTerm { path, value, is_negated: operator == "NotIn" });
        }
    }
    Ok(FieldSelector { terms })
}

fn access(call: &Call, kind: &str, mut review: Value, user: &User) -> Result<Response, Status> {
    let text = |path: &[&str]| object::str_at(&review, path).filter(|text| !text.is_empty());
    let resource = |field: &str| text(&["spec", "resourceAttributes", field]);
    let fields = field_selector(kind, &review)?;
    let has = |field: &str| object::get(&review, &["spec", field]).is_some_and(Value::is_object);
    let (verb, subject) = match (has("resourceAttributes"), has("nonResourceAttributes")) {
        (true, false) => {
            let subject = Subject::Resource {
                group: resource("group").unwrap_or_default(),
                resource: resource("resource").unwrap_or_default(),
                subresource: resource("subresource"),
                namespace: resource("namespace"),
                name: resource("name"),
                fields: Some(&fields),
            };
            (resource("verb").unwrap_or_default(), subject)
        }
        (false, true) => {
            let path = text(&["spec", "nonResourceAttributes", "path"]).unwrap_or_default();
            (text(&["spec", "nonResourceAttributes", "verb"]).unwrap_or_default(), Subject::Path(path))
        }
        (true, true) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            let value = object::get(&review, &["spec", "nonResourceAttributes"]).cloned().unwrap_or_default();
            return Err(invalid(kind, FieldError::invalid("spec.nonResourceAttributes", value, detail)));
        }
        (false, false) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            return Err(invalid(kind, FieldError::invalid("spec.resourceAttributes", Value::Null, detail)));
        }
    };
    let snapshot = call.app.objects.store().snapshot();
    let is_allowed = call.app.objects.authorizer().allows(&Attributes { user, verb, subject }, &snapshot);
    review["kind"] = kind.into();
    review["apiVersion"] = API_VERSION.into();
    review["status"] = json!({ "allowed": is_allowed });
    if is_allowed && user.is_in(MASTERS) {
        review["status"]["reason"] = format!("group {MASTERS} may do everything").into();
    }
    Ok(respond::value(StatusCode::CREATED, &review))
}

/// Answers a SelfSubjectRulesReview. A host's rights depend on what it runs, and are told as incomplete.
pub(super) fn own_rules(call: &Call, mut review: Value) -> Result<Response, Status> {
    let namespace = object::str_at(&review, &["spec", "namespace"]).filter(|namespace| !namespace.is_empty());
    let namespace = namespace.ok_or_else(|| status::bad_request("no namespace on request"))?;
    let snapshot = call.app.objects.store().snapshot();
    let rules = call.app.objects.authorizer().rules(&call.user, Some(namespace), &snapshot);
    let (of_paths, of_resources): (Vec<PolicyRule>, Vec<PolicyRule>) =
        rules.into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
    let listed = |rules: Vec<PolicyRule>| -> Vec<Value> { rules.iter().map(PolicyRule::to_value).collect() };
    review["kind"] = "SelfSubjectRulesReview".into();
    review["apiVersion"] = API_VERSION.into();
    let is_host = call.user.node().is_some();
    review["status"] = json!({
        "resourceRules": listed(of_resources), "nonResourceRules": listed(of_paths), "incomplete": is_host,
    });
    if is_host {
        review["status"]["evaluationError"] = "node authorizer does not support user rule resolution".into();
    }
    Ok(respond::value(StatusCode::CREATED, &review))
}
