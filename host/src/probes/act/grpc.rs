//! `grpc.health.v1.Health/Check`, as bytes: one message of one field each way.
//!
//! Deliberately absent: compression, and any other call.

use bytes::{BufMut as _, Bytes, BytesMut};
use coracle_net::RequestBody;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};

use super::{Outcome, Target, USER_AGENT, Unasked, ask, read};

const UNIMPLEMENTED: &str = "12";
/// `HealthCheckResponse.ServingStatus`.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: usize = 1;

pub(super) async fn check(port: u16, service: &str, target: &Target) -> Result<Outcome, Unasked> {
    let mut request = Request::new(RequestBody::full(message(service)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_static("/grpc.health.v1.Health/Check");
    let host = HeaderValue::try_from(format!("{}:{port}", target.ip)).ok();
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    host.map(|host| headers.insert(header::HOST, host));
    let (head, body) = ask(port, request, target).await?.into_parts();
    let (message, trailers) = read(body).await?;
    Ok(judge(head.status, &head.headers, &message, &trailers))
}

/// `HealthCheckRequest { service }` behind gRPC's prefix.
fn message(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    // A service's name comes from an object of the API, which is far smaller than 4 GiB.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put(message);
    framed.freeze()
}

fn put_varint(bytes: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        bytes.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.put_u8((number & 0x7f) as u8);
}

/// What an answer says. The call's own status stands in the trailers, or in the head where there is no message.
fn judge(status: StatusCode, head: &HeaderMap, body: &[u8], trailers: &HeaderMap) -> Outcome {
    let text = |name: &str| trailers.get(name).or_else(|| head.get(name)).and_then(|value| value.to_str().ok());
    let is_grpc = head.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if status != StatusCode::OK || !is_grpc.is_some_and(|kind| kind.starts_with("application/grpc")) {
        let kind = is_grpc.unwrap_or("none");
        return Outcome::Failure(format!(
            "error: health rpc probe failed: status {} with content type {kind}, which is no answer of gRPC",
            status.as_u16()
        ));
    }
    match text("grpc-status") {
        Some("0") => {}
        Some(UNIMPLEMENTED) => {
            return Outcome::Failure(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned(),
            );
        }
        code => {
            let (code, message) = (code.unwrap_or("none"), text("grpc-message").unwrap_or_default());
            return Outcome::Failure(
                format!("error: health rpc probe failed: grpc-status {code} {message}").trim_end().to_owned(),
            );
        }
    }
    match serving_status(body) {
        Some(SERVING) => Outcome::Success,
        Some(other) => {
            let name = STATUSES.get(other).map_or_else(|| other.to_string(), |name| (*name).to_owned());
            Outcome::Failure(format!("service unhealthy (responded with {name:?})"))
        }
        None => Outcome::Failure("error: health rpc probe failed: the answer is no HealthCheckResponse".to_owned()),
    }
}

/// `HealthCheckResponse.status`; 0 where it is left out, `None` where this is none.
fn serving_status(body: &[u8]) -> Option<usize> {
    let (&[0, a, b, c, d], message) = body.split_first_chunk::<5>()? else { return None };
    if usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()? != message.len() {
        return None;
    }
    match message {
        [] => Some(0),
        // Field 1, a varint of one byte, perhaps followed by fields that are not known here.
        [0x08, status, ..] if *status < 0x80 => Some(usize::from(*status)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        head: &[(&'static str, &'static str)],
        body: &[u8],
        trailers: &[(&'static str, &'static str)],
        expected: &str,
    ) {
        let map = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
        };
        let shown = match judge(StatusCode::OK, &map(head), body, &map(trailers)) {
            Outcome::Success => "serving".to_owned(),
            Outcome::Failure(text) => text,
            other => format!("{other:?}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn answers_are_read_as_kubernetes_reads_them() {
        let grpc = &[("content-type", "application/grpc+proto")];
        let ok = &[("grpc-status", "0")];
        check(grpc, &[0, 0, 0, 0, 2, 8, 1], ok, "serving");
        check(grpc, &[0, 0, 0, 0, 2, 8, 2], ok, r#"service unhealthy (responded with "NOT_SERVING")"#);
        check(grpc, &[0, 0, 0, 0, 0], ok, r#"service unhealthy (responded with "UNKNOWN")"#);
        check(grpc, &[0, 0, 0, 0, 9, 8, 1], ok, "error: health rpc probe failed: the answer is no HealthCheckResponse");
        check(grpc, &[], ok, "error: health rpc probe failed: the answer is no HealthCheckResponse");
        check(
            &[("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "unknown service")],
            &[],
            &[],
            "error: health rpc probe failed: grpc-status 5 unknown service",
        );
        check(
            grpc,
            &[],
            &[("grpc-status", "12")],
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)",
        );
        check(
            &[("content-type", "text/plain")],
            b"hello",
            &[],
            "error: health rpc probe failed: status 200 with content type text/plain, which is no answer of gRPC",
        );
    }

    #[test]
    fn the_request_names_the_service() {
        assert_eq!(message(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(message("ab"), &[0, 0, 0, 0, 4, 10, 2, b'a', b'b'][..]);
        assert_eq!(message(&"x".repeat(200))[..8], [0, 0, 0, 0, 203, 10, 0xc8, 1]);
    }
}
