//! `pods/attach`, `pods/exec` and `pods/portforward`: requests that become streams, joined to the host that runs the pod.
//!
//! The host speaks the protocol within; once joined, bytes pass unread until either side, or the server, ends.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use coracle_api::kind::Subresource;
use coracle_api::object;
use coracle_api::status::{self, Status};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, copy_buf, split};
use tokio::time::timeout;

use super::{Call, host, log};
use crate::admission::policies::Operation;
use crate::objects::decode_record;
use crate::request::Address;
use crate::respond;

/// The parameters that concern the host.
const PASSED: &[&str] = &["command", "ports", "stdin", "stdout", "stderr", "tty"];
/// The headers of a WebSocket's handshake. Extensions, such as compression, are not spoken.
const ASKED: [HeaderName; 5] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
];
const ANSWERED: [HeaderName; 4] =
    [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_ACCEPT, header::SEC_WEBSOCKET_PROTOCOL];
/// Bytes on their way in each direction.
const BUFFER_BYTES: usize = 64 << 10;
/// How long one direction may go on when the other has ended.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Joins the client to the pod's host.
pub(super) async fn connect(call: &Call, address: &Address) -> Result<Response, Status> {
    if !matches!(call.method, Method::GET | Method::POST) {
        return Err(status::method_not_allowed());
    }
    // A WebSocket begins with a GET, yet what it does is more than reading.
    call.app.authorize_address(&call.user, "create", address, None)?;
    let name = address.name()?;
    let record = call.app.objects.get(address.kind, address.namespace(), name).await?;
    let pod = decode_record(&record);
    let (node, path) = (node(&pod, name)?, path(call, address, &pod, name)?);
    let warnings = review(call, address, &pod, name)?;
    let answer = host::upgrade(call, node, &path, &ASKED).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(host::complaint(node, answer).await);
    }
    let Some(client) = call.upgrade.clone() else {
        return Err(status::bad_request("the connection can't be upgraded: use HTTP/1.1"));
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for name in ANSWERED {
        if let Some(value) = answer.headers().get(&name) {
            response.headers_mut().insert(name, HeaderValue::clone(value));
        }
    }
    respond::warn(&mut response, &warnings);
    let shutdown = call.app.shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = join(client, answer) => {}
            () = shutdown.cancelled() => {}
        }
    });
    Ok(response)
}

fn node<'a>(pod: &'a Value, name: &str) -> Result<&'a str, Status> {
    if let Some(phase @ ("Succeeded" | "Failed")) = object::str_at(pod, &["status", "phase"]) {
        let message = format!("cannot connect to pod {name}, which has completed; current phase is {phase}");
        return Err(status::bad_request(message));
    }
    let node = object::str_at(pod, &["spec", "nodeName"]).filter(|node| !node.is_empty());
    node.ok_or_else(|| status::bad_request(format!("pod {name} does not have a host assigned")))
}

/// What the host is asked for.
fn path(call: &Call, address: &Address, pod: &Value, name: &str) -> Result<String, Status> {
    let encode = |segment: &str| utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string();
    let subresource = address.subresource.as_deref().unwrap_or_default();
    let mut path = format!("{subresource}/{}/{}", encode(address.namespace().unwrap_or_default()), encode(name));
    if !address.is_at(Subresource::PortForward) {
        path = format!("{path}/{}", encode(&log::container(call, pod, name)?));
    }
    let query: Vec<String> = call.query.only(PASSED).map(|(key, value)| format!("{key}={}", encode(value))).collect();
    Ok(format!("{path}?{}", query.join("&")))
}

/// Asks admission policies about the connection, as Kubernetes does.
fn review(call: &Call, address: &Address, pod: &Value, name: &str) -> Result<Vec<String>, Status> {
    let subresource = address.subresource.as_deref().unwrap_or_default();
    let kind = match subresource {
        "attach" => "PodAttachOptions",
        "exec" => "PodExecOptions",
        _ => "PodPortForwardOptions",
    };
    let mut object = json!({ "apiVersion": "v1", "kind": kind });
    let all = |parameter: &str| -> Vec<&str> {
        call.query.only(PASSED).filter(|(name, _)| *name == parameter).map(|(_, value)| value).collect()
    };
    if address.is_at(Subresource::PortForward) {
        let ports = all("ports").into_iter().flat_map(|ports| ports.split(','));
        object["ports"] = ports.filter_map(|port| port.parse::<u16>().ok()).collect();
    } else {
        object["container"] = log::container(call, pod, name)?.into();
        for flag in ["stdin", "stdout", "stderr", "tty"] {
            if call.query.flag(flag) {
                object[flag] = true.into();
            }
        }
        if subresource == "exec" {
            object["command"] = all("command").into();
        }
    }
    let operation = Operation {
        verb: "CONNECT",
        kind: address.kind,
        object_kind: ["", "v1", kind],
        namespace: address.namespace(),
        name,
        subresource,
        object: &object,
        old: &Value::Null,
        user: &call.user,
        dry_run: false,
    };
    call.app.objects.review(&operation, &call.annotations)
}

/// Passes bytes until both have ended.
async fn join(client: OnUpgrade, host: reqwest::Response) {
    let (client, host) = tokio::join!(client, host.upgrade());
    match (client, host) {
        (Ok(client), Ok(host)) => pass(TokioIo::new(client), host).await,
        (Err(error), _) => tracing::debug!(%error, "a client did not upgrade its connection"),
        (_, Err(error)) => tracing::warn!(%error, "a host did not upgrade its connection"),
    }
}

async fn pass(client: impl AsyncRead + AsyncWrite, host: impl AsyncRead + AsyncWrite) {
    let ((from_client, mut to_client), (from_host, mut to_host)) = (split(client), split(host));
    let inward = async {
        let _ = copy_buf(&mut BufReader::with_capacity(BUFFER_BYTES, from_client), &mut to_host).await;
        let _ = to_host.shutdown().await;
    };
    let outward = async {
        let _ = copy_buf(&mut BufReader::with_capacity(BUFFER_BYTES, from_host), &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    let (mut inward, mut outward) = (std::pin::pin!(inward), std::pin::pin!(outward));
    // Whichever way it broke off, the other side is told and may answer.
    let _ = tokio::select! {
        () = &mut inward => timeout(FAREWELL_TIMEOUT, outward).await,
        () = &mut outward => timeout(FAREWELL_TIMEOUT, inward).await,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, duplex};

    #[tokio::test]
    async fn bytes_pass_both_ways_and_either_end_ends_both() {
        for is_client_first in [true, false] {
            let ((mut client, near), (far, mut host)) = (duplex(8), duplex(8));
            let passing = tokio::spawn(pass(near, far));
            let long = vec![7_u8; 100_000];
            let (mut there, mut back) = (vec![0; long.len()], vec![0; long.len()]);
            let (sent, received) = tokio::join!(client.write_all(&long), host.read_exact(&mut there));
            assert_eq!((sent.is_ok(), received.is_ok(), there == long), (true, true, true));
            let (sent, received) = tokio::join!(host.write_all(&long), client.read_exact(&mut back));
            assert_eq!((sent.is_ok(), received.is_ok(), back == long), (true, true, true));
            let (first, mut second) = if is_client_first { (client, host) } else { (host, client) };
            drop(first);
            assert_eq!(second.read(&mut back).await.unwrap(), 0);
            drop(second);
            passing.await.unwrap();
        }
    }
}
