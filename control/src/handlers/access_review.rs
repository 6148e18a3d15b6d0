//! "May I?": answers from the authorizer, stored nowhere.

use axum::response::Response;
use coracle_api::object;
use coracle_api::selector::FieldSelector;
use coracle_api::status::{self, Status};
use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use crate::authorizer::{Attributes, MASTERS, Subject};
use crate::respond;

pub(super) fn access(call: &Call, mut review: Value) -> Result<Response, Status> {
    let text = |path: &[&str]| object::str_at(&review, path).filter(|text| !text.is_empty() && *text != "*");
    let resource = |field: &str| text(&["spec", "resourceAttributes", field]);
    let fields = FieldSelector::default();
    let (verb, subject) = if review.pointer("/spec/resourceAttributes").is_some_and(Value::is_object) {
        let subject = Subject::Resource {
            group: resource("group").unwrap_or_default(),
            resource: resource("resource").unwrap_or_default(),
            subresource: resource("subresource"),
            namespace: resource("namespace"),
            name: resource("name"),
            fields: Some(&fields),
        };
        (resource("verb").unwrap_or_default(), subject)
    } else if review.pointer("/spec/nonResourceAttributes").is_some_and(Value::is_object) {
        let path = text(&["spec", "nonResourceAttributes", "path"]).unwrap_or_default();
        (text(&["spec", "nonResourceAttributes", "verb"]).unwrap_or_default(), Subject::Path(path))
    } else {
        return Err(status::bad_request(
            "spec: exactly one of resourceAttributes and nonResourceAttributes must be set",
        ));
    };
    let attributes = Attributes { user: &call.user, verb, subject };
    let is_allowed = call.app.authorizer.allows(&attributes, &call.app.objects.store().snapshot());
    review["kind"] = "SelfSubjectAccessReview".into();
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["status"] = json!({ "allowed": is_allowed });
    if is_allowed && call.user.is_in(MASTERS) {
        review["status"]["reason"] = format!("group {MASTERS} may do everything").into();
    }
    Ok(respond::value(StatusCode::CREATED, &review))
}

/// The rules that can be listed: a master's. Others' depend on the objects there are, and are told as incomplete.
pub(super) fn rules(call: &Call, mut review: Value) -> Result<Response, Status> {
    let is_master = call.user.is_in(MASTERS);
    let (resource_rules, path_rules) = if is_master {
        let resources = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
        (resources, json!([{ "verbs": ["*"], "nonResourceURLs": ["*"] }]))
    } else {
        let paths = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi/*", "/readyz", "/version"];
        (json!([]), json!([{ "verbs": ["get"], "nonResourceURLs": paths }]))
    };
    review["kind"] = "SelfSubjectRulesReview".into();
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["status"] =
        json!({ "resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": !is_master });
    Ok(respond::value(StatusCode::CREATED, &review))
}
