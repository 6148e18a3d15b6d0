//! Requests to a host's own server, with the API server's identity: for logs, streams, and as the `nodes/NAME/proxy` subresource.
//!
//! Deliberately absent: anything but GET; a host is told what to run by objects.

use axum::body::Body;
use axum::response::Response;
use coracle_api::kinds::NODE;
use coracle_api::object;
use coracle_api::status::{self, Status};
use futures::StreamExt;
use http::{HeaderName, StatusCode, header};

use super::Call;
use crate::authorizer::{Attributes, Subject};
use crate::objects::decode_record;
use crate::respond;

/// What a host serves that is passed on; logs have a subresource of their own.
const SERVED: &[&str] = &["healthz", "metrics"];
/// How much of a host's complaint is passed on.
const COMPLAINT_BYTES_MAX: usize = 2048;

/// Answers `GET /api/v1/nodes/NAME/proxy/PATH`.
pub(super) async fn proxy(call: &Call, node: &str, path: &str) -> Result<Response, Status> {
    let subject = Subject::Resource {
        group: "",
        resource: NODE.plural,
        subresource: Some("proxy"),
        namespace: None,
        name: Some(node),
        fields: None,
    };
    call.app.authorize(&Attributes { user: &call.user, verb: "get", subject }, Some(&NODE))?;
    if !SERVED.contains(&path) {
        return Err(status::bad_request(format!("a host serves {} here, not {path:?}", SERVED.join(" and "))));
    }
    let answer = get(call, node, path).await?;
    let code = answer.status();
    let content_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or("text/plain").to_owned();
    let lines = answer.bytes_stream().take_until(call.app.shutdown.clone().cancelled_owned());
    let mut response = respond::respond(code, "text/plain", Body::from_stream(lines));
    if let Ok(content_type) = content_type.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    Ok(response)
}

/// The answer of a host, of whatever status.
pub(super) async fn get(call: &Call, node: &str, path: &str) -> Result<reqwest::Response, Status> {
    upgrade(call, node, path, &[]).await
}

/// The answer of a host to a request that passes on these headers of the client's.
pub(super) async fn upgrade(
    call: &Call,
    node: &str,
    path: &str,
    headers: &[HeaderName],
) -> Result<reqwest::Response, Status> {
    let base = endpoint(call, node).await?;
    let mut request = call.app.hosts.get(format!("{base}/{path}"));
    for name in headers {
        for value in call.headers.get_all(name) {
            request = request.header(name, value);
        }
    }
    request.send().await.map_err(|error| {
        status::service_unavailable(format!("the host {node} does not answer at {base}: {}", chain(&error)))
    })
}

/// What a host says instead of doing what it was asked.
pub(super) async fn complaint(node: &str, answer: reqwest::Response) -> Status {
    let code = answer.status();
    let text = answer.text().await.unwrap_or_default();
    if let Ok(found) = serde_json::from_str::<Status>(&text)
        && found.kind == "Status"
    {
        return found;
    }
    let text: String = text.trim().chars().take(COMPLAINT_BYTES_MAX).collect();
    match code {
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => status::bad_request(text),
        StatusCode::TOO_MANY_REQUESTS => status::too_many_requests(text, 1),
        _ => status::internal(format!("the host {node} answered {code}: {text}")),
    }
}

/// Where a host serves.
async fn endpoint(call: &Call, node: &str) -> Result<String, Status> {
    let found = call.app.objects.get(&NODE, None, node).await;
    let record = found.map_err(|_| status::service_unavailable(format!("the host {node} is not known (any more)")))?;
    let node_object = decode_record(&record);
    let addresses = object::list_at(&node_object, &["status", "addresses"]);
    let address = addresses.iter().find(|address| object::str_at(address, &["type"]) == Some("InternalIP"));
    let ip = address.and_then(|address| object::str_at(address, &["address"]));
    let port = object::i64_at(&node_object, &["status", "daemonEndpoints", "kubeletEndpoint", "Port"]);
    match (ip, port) {
        (Some(ip), Some(port)) if ip.contains(':') => Ok(format!("https://[{ip}]:{port}")),
        (Some(ip), Some(port)) => Ok(format!("https://{ip}:{port}")),
        _ => Err(status::service_unavailable(format!("the host {node} does not say where it serves"))),
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
