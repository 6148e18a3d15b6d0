//! POST to a pod's `binding`.

use axum::response::Response;
use coracle_api::object;
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use http::StatusCode;
use serde_json::json;

use super::Call;
use crate::objects::Written;
use crate::request::Address;
use crate::respond;

const KIND: &str = "Binding";
const DEFINITION: &str = "io.k8s.api.core.v1.Binding";

pub(super) async fn bind(call: &Call, address: &Address, body: &[u8]) -> Result<Response, Status> {
    let (binding, options, warnings) = call.decode_asked(body, DEFINITION, KIND)?;
    let name = address.name()?;
    if ![name, ""].contains(&object::name(&binding)) {
        return Err(status::bad_request("name in URL does not match name in Binding object"));
    }
    let text = |field: &str| object::str_at(&binding, &["target", field]).unwrap_or_default();
    let (kind, node) = (text("kind"), text("name"));
    let mut errors = Vec::new();
    if !["Node", ""].contains(&kind) {
        errors.push(FieldError::not_supported("target.kind", kind, &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if !errors.is_empty() {
        return Err(status::invalid_options("", KIND, name, &errors));
    }
    let namespace = address.namespace().unwrap_or_default();
    let written = call.app.objects.bind(namespace, name, object::uid(&binding), node, &options).await?;
    Ok(success(&written, &warnings))
}

/// The Status that says that all went well.
pub(super) fn success(written: &Written, warnings: &[String]) -> Response {
    let code = StatusCode::CREATED;
    let body =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code.as_u16() });
    let mut response = respond::value(code, &body);
    respond::warn(&mut response, warnings);
    respond::warn(&mut response, &written.warnings);
    response
}
