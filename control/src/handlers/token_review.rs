//! "Who is this?": what a token stands for, and who oneself is (`kubectl auth whoami`); stored nowhere.

use axum::response::Response;
use coracle_api::object;
use coracle_api::status::{self, Status};
use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use crate::respond;
use crate::tokens::ISSUER;

const API_VERSION: &str = "authentication.k8s.io/v1";

/// Answers a TokenReview.
pub(super) fn token(call: &Call, mut review: Value) -> Result<Response, Status> {
    let token = object::str_at(&review, &["spec", "token"]).unwrap_or_default();
    if token.is_empty() {
        return Err(status::bad_request("token is required for TokenReview in authentication"));
    }
    let stated = object::list_at(&review, &["spec", "audiences"]).iter();
    let mut audiences: Vec<String> = stated.filter_map(Value::as_str).map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let objects = &call.app.objects;
    let found = call.app.tokens.authenticate(token, &audiences, &objects.store().snapshot(), objects.clock().now());
    let status = match found {
        Ok(found) => {
            json!({ "authenticated": true, "user": found.user, "audiences": found.audiences })
        }
        Err(error) => json!({ "authenticated": false, "user": {}, "error": error.to_string() }),
    };
    review["kind"] = "TokenReview".into();
    review["apiVersion"] = API_VERSION.into();
    review["status"] = status;
    Ok(respond::value(StatusCode::CREATED, &review))
}

/// Answers a SelfSubjectReview.
pub(super) fn oneself(call: &Call) -> Response {
    let now = object::timestamp(call.app.objects.clock().now());
    let answer = json!({
        "kind": "SelfSubjectReview", "apiVersion": API_VERSION, "metadata": { "creationTimestamp": now },
        "status": { "userInfo": call.user },
    });
    respond::value(StatusCode::CREATED, &answer)
}
