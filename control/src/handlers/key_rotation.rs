//! POST of a SecretKeyRotation: `wasmctl secrets rotate`.

use axum::response::Response;
use coracle_api::status::{self, Status};
use http::StatusCode;
use serde_json::json;

use super::Call;
use crate::respond;

pub(super) async fn run(call: &Call) -> Result<Response, Status> {
    let members = call.app.objects.store().members().len();
    if members > 1 {
        // Each member has a copy of the keys, and the others would not get the new one.
        return Err(status::bad_request(format!(
            "secret keys are rotated in a cluster of one member, and this one has {members}: remove the others with `wasmctl member \
             remove`, rotate, and let them join anew"
        )));
    }
    let rotation = call.app.objects.rotate_secret_keys().await?;
    let answer = json!({
        "apiVersion": "coracle.dev/v1", "kind": "SecretKeyRotation",
        "status": { "keyId": rotation.key_id, "rewritten": rotation.rewritten },
    });
    Ok(respond::value(StatusCode::CREATED, &answer))
}
