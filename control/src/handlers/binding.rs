//! POST to a pod's `binding`.

use axum::response::Response;
use coracle_api::object;
use coracle_api::status::{self, Status};
use http::StatusCode;
use serde_json::json;

use super::Call;
use crate::objects::Written;
use crate::request::Address;
use crate::respond;

pub(super) async fn bind(call: &Call, address: &Address, body: &[u8]) -> Result<Response, Status> {
    let (binding, _) = call.decode(body, "Binding")?;
    let name = address.name()?;
    let node = object::str_at(&binding, &["target", "name"]).unwrap_or_default();
    if object::str_at(&binding, &["target", "kind"]).is_some_and(|kind| !kind.is_empty() && kind != "Node") {
        return Err(status::bad_request("target.kind: a pod can be bound to a Node only"));
    }
    let namespace = address.namespace().unwrap_or_default();
    let options = call.write_options()?;
    let written = call.app.objects.bind(namespace, name, object::uid(&binding), node, &options).await?;
    Ok(success(&written))
}

/// The Status that says that all went well.
pub(super) fn success(written: &Written) -> Response {
    let code = StatusCode::CREATED;
    let body =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code.as_u16() });
    let mut response = respond::value(code, &body);
    respond::warn(&mut response, &written.warnings);
    response
}
