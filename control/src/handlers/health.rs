//! Health, version and metrics.

use axum::response::Response;
use coracle_api::status::{self, Status};
use http::StatusCode;
use serde_json::json;

use super::App;
use crate::respond;

/// The Kubernetes version whose API this is.
const MINOR: &str = "36";

pub(super) fn version() -> Response {
    let body = json!({
        "major": "1",
        "minor": MINOR,
        "gitVersion": format!("v1.{MINOR}.0+coracle.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_architecture()),
    });
    respond::value(StatusCode::OK, &body)
}

/// The architecture as Go calls it.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Alive is who answers; ready is who can read what was acknowledged last, and write.
pub(super) async fn health(app: &App, path: &str) -> Result<Response, Status> {
    if path.starts_with("/readyz") {
        let store = app.objects.store();
        store.read().await.map_err(|error| status::service_unavailable(format!("not ready: {error}")))?;
        if let Some(failure) = store.status().failure {
            return Err(status::service_unavailable(format!("not ready: the store's disk failed: {failure}")));
        }
    }
    Ok(respond::text(StatusCode::OK, "ok"))
}

pub(super) fn metrics(app: &App) -> Response {
    let text = app.metrics.render(app.objects.store(), &app.identities);
    respond::respond(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text.into())
}
