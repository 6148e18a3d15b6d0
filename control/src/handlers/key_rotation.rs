//! POST of a SecretKeyRotation: `wasmctl secrets rotate`.

use axum::response::Response;
use coracle_api::status::Status;
use http::StatusCode;
use serde_json::json;

use super::Call;
use crate::respond;

pub(super) async fn run(call: &Call) -> Result<Response, Status> {
    let rotation = call.app.objects.rotate_secret_keys().await?;
    let answer = json!({
        "apiVersion": "coracle.dev/v1", "kind": "SecretKeyRotation",
        "status": { "keyId": rotation.key_id, "rewritten": rotation.rewritten },
    });
    Ok(respond::value(StatusCode::CREATED, &answer))
}
