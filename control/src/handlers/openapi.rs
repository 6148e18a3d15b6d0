//! `/openapi/v3`: the schemas, from which kubectl learns how to explain, validate and patch. Deliberately absent: the same as version 2.

use axum::response::Response;
use coracle_api::openapi;
use coracle_api::status::{self, Status};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::custom_kinds::Index;
use crate::respond;

/// As clients ask for it; a content type must not have the `@`, so answers have a dot.
const SECOND_PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const SECOND_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

pub(super) fn index(custom_kinds: &Index) -> Response {
    respond::value(StatusCode::OK, &openapi::v3_index(custom_kinds.served()))
}

/// `/openapi/v2`: a document that defines nothing, so that kubectl, which asks for it as it reads a `List`, leaves each item to be
/// validated where it is written. Its protobuf form is gnostic's `openapi.v2.Document`.
pub(super) fn second(headers: &HeaderMap) -> Response {
    let (title, version) = ("Coracle", env!("CARGO_PKG_VERSION"));
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if ![SECOND_PROTOBUF_ASKED, SECOND_PROTOBUF].iter().any(|form| accept.contains(form)) {
        let document = json!({ "swagger": "2.0", "info": { "title": title, "version": version }, "paths": {} });
        return respond::value(StatusCode::OK, &document);
    }
    let info = [text(1, title), text(2, version)].concat();
    let (swagger, info, paths) = (text(1, "2.0"), field(2, &info), field(8, &[]));
    respond::respond(StatusCode::OK, SECOND_PROTOBUF, [swagger, info, paths].concat().into())
}

fn text(number: u8, value: &str) -> Vec<u8> {
    field(number, value.as_bytes())
}

/// A length-delimited field of a protobuf message, shorter than 128 bytes.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).ok().filter(|length| *length < 128).expect("invariant: it is short");
    [&[number << 3 | 2, length], value].concat()
}

pub(super) fn group(group: &str, version: &str, headers: &HeaderMap, custom_kinds: &Index) -> Result<Response, Status> {
    let custom = custom_kinds.served();
    let document = openapi::v3_group(group, version, custom).ok_or_else(status::unknown_resource)?;
    let tag = HeaderValue::from_str(&format!("\"{}\"", openapi::hash(group, version, custom))).ok();
    if tag.is_some() && headers.get(header::IF_NONE_MATCH) == tag.as_ref() {
        return Ok(respond::json(StatusCode::NOT_MODIFIED, ""));
    }
    let mut response = respond::json(StatusCode::OK, document);
    if let Some(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
        // The address carries the document's hash: what is there never changes.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    }
    Ok(response)
}
