//! Responses: which representation the client accepts, and objects in it.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_api::kind::Kind;
use coracle_api::status::{self, Status};
use coracle_api::table::{self, Include};
use coracle_api::yaml;
use coracle_store::Record;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;

use crate::objects::decode_record;

/// The encoding of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
}

/// The shape of a response: the objects themselves, or a view of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Table,
    Metadata,
}

/// What a client accepts, and how it wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) encoding: Encoding,
    pub(crate) shape: Shape,
}

/// The first clause of `Accept` that can be served. Weights are ignored: clients list what they prefer first.
pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Accepted, Status> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.trim().is_empty() {
        return Ok(Accepted { encoding: Encoding::Json, shape: Shape::Object });
    }
    accept.split(',').find_map(clause).ok_or_else(status::not_acceptable)
}

fn clause(clause: &str) -> Option<Accepted> {
    let mut parts = clause.split(';').map(str::trim);
    let encoding = match parts.next()? {
        "application/json" | "application/*" | "*/*" => Encoding::Json,
        "application/yaml" => Encoding::Yaml,
        _ => return None,
    };
    let (mut name, mut group, mut version) = ("", "", "");
    for parameter in parts {
        match parameter.split_once('=')? {
            ("as", value) => name = value,
            ("g", value) => group = value,
            ("v", value) => version = value,
            _ => {}
        }
    }
    let shape = match (name, group, version) {
        ("", ..) => Shape::Object,
        ("Table", "meta.k8s.io", "v1") => Shape::Table,
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => Shape::Metadata,
        _ => return None,
    };
    Some(Accepted { encoding, shape })
}

/// A JSON response.
pub(crate) fn json(code: StatusCode, body: impl Into<Bytes>) -> Response {
    respond(code, "application/json", Body::from(body.into()))
}

/// A JSON response made from a value.
pub(crate) fn value(code: StatusCode, value: &Value) -> Response {
    json(code, to_bytes(value))
}

/// A response of plain text.
pub(crate) fn text(code: StatusCode, text: impl Into<Bytes>) -> Response {
    respond(code, "text/plain; charset=utf-8", Body::from(text.into()))
}

pub(crate) fn respond(code: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// The response that says what went wrong.
pub(crate) fn failure(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, status.to_json());
    if status.lacks_leader() {
        response.headers_mut().insert(status::NOT_LEADER, HeaderValue::from_static("true"));
    }
    let retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry_after > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}

/// A value in the encoding asked for.
pub(crate) fn encoded(code: StatusCode, encoding: Encoding, body: &Value) -> Response {
    match encoding {
        Encoding::Json => value(code, body),
        Encoding::Yaml => respond(code, "application/yaml", Body::from(yaml::to_yaml(body))),
    }
}

/// One object, in the shape asked for. Plain JSON is the stored bytes, untouched.
pub(crate) fn object(
    code: StatusCode,
    accepted: Accepted,
    kind: &Kind,
    record: &Record,
    include: Include,
    now: Timestamp,
) -> Response {
    if accepted == (Accepted { encoding: Encoding::Json, shape: Shape::Object }) && record.revision > 0 {
        return json(code, record.to_json());
    }
    let mut object = decode_record(record);
    if record.revision == 0 {
        coracle_api::object::remove_resource_version(&mut object);
    }
    shaped(code, accepted, kind, object, include, now)
}

/// One object that was made for the answer, in the shape asked for.
pub(crate) fn shaped(
    code: StatusCode,
    accepted: Accepted,
    kind: &Kind,
    object: Value,
    include: Include,
    now: Timestamp,
) -> Response {
    let body = match accepted.shape {
        Shape::Object => object,
        Shape::Metadata => table::partial_object_metadata(&object),
        Shape::Table => {
            let mut body = table::render(kind, [&object], include, now);
            if let Some(revision) = object.pointer("/metadata/resourceVersion") {
                body["metadata"]["resourceVersion"] = revision.clone();
            }
            body
        }
    };
    encoded(code, accepted.encoding, &body)
}

/// Adds the warnings a client shows to its user.
pub(crate) fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings {
        let escaped: String = warning.chars().filter(|char| !char.is_control()).flat_map(escape).collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

fn escape(char: char) -> impl Iterator<Item = char> {
    let slash = matches!(char, '"' | '\\').then_some('\\');
    slash.into_iter().chain([if char.is_ascii() { char } else { '?' }])
}

pub(crate) fn to_bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("invariant: a JSON value always serialises")
}
