//! Manifests, tags, referrers and the catalog.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::error::{Refusal, full};
use super::{Answer, Body, blocking, parameter};
use crate::blob_store::{BlobStore, Key, StoreError};
use crate::digest::Digest;
use crate::manifest::IMAGE_INDEX;

const BODY_TIMEOUT: Duration = Duration::from_secs(60);
const PAGE_MAX: usize = 1000;

pub(super) async fn manifest(
    store: &Arc<BlobStore>,
    request: Request<Incoming>,
    repository: String,
    key: Key,
) -> Answer {
    match *request.method() {
        Method::GET | Method::HEAD => {
            let is_head = request.method() == Method::HEAD;
            let manifest = blocking(store, move |store| store.manifest(&repository, &key)).await?;
            let length = manifest.bytes.len();
            let mut response = Response::new(full(if is_head { Bytes::new() } else { manifest.bytes }));
            set(&mut response, header::CONTENT_TYPE, &manifest.media_type);
            set(&mut response, header::CONTENT_LENGTH, &length.to_string());
            set(&mut response, header::ETAG, &format!("\"{}\"", manifest.digest));
            set_digest(&mut response, manifest.digest);
            Ok(response)
        }
        Method::PUT => {
            let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = content_type.map(str::to_owned);
            let bytes = read(request.into_body(), store.limits().manifest_bytes_max).await?;
            let location = format!("/v2/{repository}/manifests/");
            let put = move |store: &BlobStore| store.put_manifest(&repository, &key, content_type.as_deref(), &bytes);
            let (digest, subject) = blocking(store, put).await?;
            let mut response = empty(StatusCode::CREATED);
            set(&mut response, header::LOCATION, &format!("{location}{digest}"));
            set_digest(&mut response, digest);
            if let Some(subject) = subject {
                set(&mut response, http::HeaderName::from_static("oci-subject"), &subject.to_string());
            }
            Ok(response)
        }
        Method::DELETE => {
            blocking(store, move |store| store.delete_manifest(&repository, &key)).await?;
            Ok(empty(StatusCode::ACCEPTED))
        }
        _ => Err(Refusal::method()),
    }
}

pub(super) async fn tags(store: &Arc<BlobStore>, request: &Request<Incoming>, repository: String) -> Answer {
    only_reads(request)?;
    let name = repository.clone();
    let tags = blocking(store, move |store| store.tags(&repository)).await?;
    let (page, next) = page(tags, request)?;
    let mut response = json_response(&json!({ "name": name, "tags": page }));
    link(&mut response, &format!("/v2/{name}/tags/list"), next);
    Ok(response)
}

pub(super) async fn catalog(store: &Arc<BlobStore>, request: &Request<Incoming>) -> Answer {
    only_reads(request)?;
    let (page, next) = page(blocking(store, BlobStore::repositories).await?, request)?;
    let mut response = json_response(&json!({ "repositories": page }));
    link(&mut response, "/v2/_catalog", next);
    Ok(response)
}

pub(super) async fn referrers(
    store: &Arc<BlobStore>,
    request: &Request<Incoming>,
    repository: String,
    digest: Digest,
) -> Answer {
    only_reads(request)?;
    let wanted = parameter(request, "artifactType");
    let mut manifests = blocking(store, move |store| store.referrers(&repository, digest)).await?;
    manifests.retain(|manifest| wanted.is_none() || manifest.artifact_type == wanted);
    let index = json!({ "manifests": manifests, "mediaType": IMAGE_INDEX, "schemaVersion": 2 });
    let mut response = json_response(&index);
    set(&mut response, header::CONTENT_TYPE, IMAGE_INDEX);
    if wanted.is_some() {
        set(&mut response, http::HeaderName::from_static("oci-filters-applied"), "artifactType");
    }
    Ok(response)
}

/// The part of a sorted list that `n` and `last` ask for, and the query of the next part.
fn page(names: Vec<String>, request: &Request<Incoming>) -> Result<(Vec<String>, Option<String>), Refusal> {
    let count = match parameter(request, "n").map(|text| text.parse::<usize>()) {
        None => PAGE_MAX,
        Some(Ok(count)) => count.min(PAGE_MAX),
        Some(Err(_)) => {
            let text = "`n` is the number of names wanted, and not a number";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", text));
        }
    };
    let start = parameter(request, "last").map_or(0, |last| names.partition_point(|name| *name <= last));
    let end = (start + count).min(names.len());
    let has_more = end < names.len() && end > start;
    let next = has_more.then(|| format!("n={count}&last={}", names[end - 1]));
    Ok((names[start..end].to_vec(), next))
}

async fn read(body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(StoreError::TooLarge { what: "manifest", limit: limit as u64 }.into())
        }
        Ok(Err(error)) => Err(Refusal::body(&*error)),
        Err(elapsed) => Err(Refusal::body(&elapsed)),
    }
}

fn only_reads(request: &Request<Incoming>) -> Result<(), Refusal> {
    if matches!(*request.method(), Method::GET | Method::HEAD) { Ok(()) } else { Err(Refusal::method()) }
}

fn json_response(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

fn link(response: &mut Response<Body>, path: &str, next: Option<String>) {
    if let Some(next) = next {
        set(response, header::LINK, &format!("<{path}?{next}>; rel=\"next\""));
    }
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Sets a header to a text of ours; one that came from outside and is no header value is left out.
pub(super) fn set(response: &mut Response<Body>, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

pub(super) fn set_digest(response: &mut Response<Body>, digest: Digest) {
    set(response, http::HeaderName::from_static("docker-content-digest"), &digest.to_string());
}
