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

/// Alive is who answers; ready is who can read what was acknowledged last, and write. With `?verbose`, what was looked at; a check's
/// name below the path asks for that one.
pub(super) async fn health(app: &App, path: &str, is_verbose: bool) -> Result<Response, Status> {
    let (name, asked) = path.trim_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
    let checks: &[&str] = if name == "readyz" { &["ping", "store"] } else { &["ping"] };
    let checks: Vec<&str> = checks.iter().copied().filter(|check| asked.is_empty() || *check == asked).collect();
    if checks.is_empty() {
        return Err(status::unknown_resource());
    }
    if checks.contains(&"store") {
        let store = app.objects.store();
        store.read().await.map_err(|error| status::service_unavailable(format!("not ready: {error}")))?;
        if let Some(failure) = store.status().failure {
            return Err(status::service_unavailable(format!("not ready: the store's disk failed: {failure}")));
        }
    }
    let text = match is_verbose {
        false => "ok".to_owned(),
        true => checks.iter().map(|check| format!("[+]{check} ok\n")).collect::<String>() + name + " check passed\n",
    };
    Ok(respond::text(StatusCode::OK, text))
}

pub(super) fn metrics(app: &App) -> Response {
    let text = app.metrics.render(app.objects.store(), &app.identities);
    respond::respond(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text.into())
}
