//! `/openapi/v3`: the schemas, from which kubectl learns how to explain, validate and patch.

use axum::response::Response;
use coracle_api::openapi;
use coracle_api::status::{self, Status};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::custom_kinds::Index;
use crate::respond;

pub(super) fn index(custom_kinds: &Index) -> Response {
    respond::value(StatusCode::OK, &openapi::v3_index(custom_kinds.served()))
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
