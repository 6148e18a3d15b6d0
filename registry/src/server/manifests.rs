//! Manifests, tags, referrers and the catalog.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;

use super::error::{Refusal, full};
use super::{Answer, Body, Registry, blocking, parameter};
use crate::blob_store::{BlobStore, Key, StoreError};
use crate::digest::Digest;
use crate::manifest::{Document, IMAGE_INDEX};
use crate::reference::CLUSTER_REGISTRY;

const BODY_TIMEOUT: Duration = Duration::from_secs(60);
const PAGE_MAX: usize = 1000;

pub(super) async fn manifest(registry: &Registry, head: &Parts, body: Body, repository: String, key: Key) -> Answer {
    match head.method {
        Method::GET | Method::HEAD => {
            let digest = resolve(registry, &repository, key).await?;
            registry.copies.find_manifest(&repository, digest).await?;
            read(&registry.store, head, repository, digest).await
        }
        Method::PUT => put(registry, head, body, repository, key).await,
        Method::DELETE => {
            match key {
                Key::Tag(tag) => {
                    resolve(registry, &repository, Key::Tag(tag.clone())).await?;
                    registry.cluster.change_tags(&repository, vec![(tag, None)]).await?;
                }
                Key::Digest(digest) => delete(registry, head.uri.path(), repository, digest).await?,
            }
            Ok(empty(StatusCode::ACCEPTED))
        }
        _ => Err(Refusal::method()),
    }
}

/// The manifest, if it is here.
pub(super) async fn read(store: &Arc<BlobStore>, head: &Parts, repository: String, digest: Digest) -> Answer {
    let manifest = blocking(store, move |store| store.manifest(&repository, digest)).await?;
    let length = manifest.bytes.len();
    let is_head = head.method == Method::HEAD;
    let mut response = Response::new(full(if is_head { Bytes::new() } else { manifest.bytes }));
    set(&mut response, header::CONTENT_TYPE, &manifest.media_type);
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    set(&mut response, header::ETAG, &format!("\"{}\"", manifest.digest));
    set_digest(&mut response, manifest.digest);
    Ok(response)
}

/// Stores a manifest, and acknowledges it once another member has it too and its tag, if it has one, means it everywhere.
async fn put(registry: &Registry, head: &Parts, body: Body, repository: String, key: Key) -> Answer {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.map(str::to_owned);
    let bytes = receive(body, registry.store.limits().manifest_bytes_max).await?;
    let (expected, tag) = match key {
        Key::Digest(digest) => (Some(digest), None),
        Key::Tag(tag) => (None, Some(tag)),
    };
    let is_component = is_component(&bytes);
    let name = repository.clone();
    let put = move |store: &BlobStore| store.put_manifest(&name, expected, content_type.as_deref(), &bytes);
    let (digest, subject) = blocking(&registry.store, put).await?;
    registry.copies.spread(&repository, digest).await?;
    if let Some(tag) = tag {
        registry.cluster.change_tags(&repository, vec![(tag, Some(digest))]).await?;
    }
    if is_component {
        tell(registry, &repository, digest);
    }
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, header::LOCATION, &format!("/v2/{repository}/manifests/{digest}"));
    set_digest(&mut response, digest);
    if let Some(subject) = subject {
        set(&mut response, http::HeaderName::from_static("oci-subject"), &subject.to_string());
    }
    Ok(response)
}

fn is_component(manifest: &[u8]) -> bool {
    serde_json::from_slice::<Document>(manifest).is_ok_and(|document| document.component_layer().is_ok())
}

/// Tells whoever wants to know that a component was pushed. Who has enough to do misses it.
fn tell(registry: &Registry, repository: &str, digest: Digest) {
    let Some(pushed) = &registry.pushed else { return };
    let reference = format!("{CLUSTER_REGISTRY}/{repository}@{digest}");
    match reference.parse() {
        Ok(reference) => drop(pushed.try_send(reference)),
        Err(error) => tracing::debug!(reference, %error, "what was pushed cannot be pulled by this name"),
    }
}

/// Removes a manifest from all members, and before it the tags that mean it.
async fn delete(registry: &Registry, path: &str, repository: String, digest: Digest) -> Result<(), Refusal> {
    registry.copies.find_manifest(&repository, digest).await?;
    if !registry.store.has_manifest(&repository, digest) {
        return Err(StoreError::ManifestUnknown.into());
    }
    registry.copies.reach_all().await.map_err(Refusal::not_deleted)?;
    let tags = registry.cluster.tags(&repository).await?;
    let gone: Vec<_> = tags.into_iter().filter(|tag| tag.1 == digest).map(|tag| (tag.0, None)).collect();
    if !gone.is_empty() {
        registry.cluster.change_tags(&repository, gone).await?;
    }
    registry.copies.delete_elsewhere(path).await.map_err(Refusal::not_deleted)?;
    blocking(&registry.store, move |store| store.delete_manifest(&repository, digest)).await
}

/// What a tag means now.
async fn resolve(registry: &Registry, repository: &str, key: Key) -> Result<Digest, Refusal> {
    let tag = match key {
        Key::Digest(digest) => return Ok(digest),
        Key::Tag(tag) => tag,
    };
    let tags = registry.cluster.tags(repository).await?;
    tags.get(&tag).copied().ok_or_else(|| StoreError::ManifestUnknown.into())
}

pub(super) async fn tags(registry: &Registry, head: &Parts, name: String) -> Answer {
    only_reads(head)?;
    let tags: Vec<String> = registry.cluster.tags(&name).await?.into_keys().collect();
    if tags.is_empty() && !registry.store.has_repository(&name) {
        return Err(StoreError::NameUnknown.into());
    }
    let (page, next) = page(tags, head)?;
    let mut response = json_response(&json!({ "name": name, "tags": page }));
    link(&mut response, &format!("/v2/{name}/tags/list"), next);
    Ok(response)
}

pub(super) async fn catalog(store: &Arc<BlobStore>, head: &Parts) -> Answer {
    only_reads(head)?;
    let (page, next) = page(blocking(store, BlobStore::repositories).await?, head)?;
    let mut response = json_response(&json!({ "repositories": page }));
    link(&mut response, "/v2/_catalog", next);
    Ok(response)
}

pub(super) async fn referrers(store: &Arc<BlobStore>, head: &Parts, repository: String, digest: Digest) -> Answer {
    only_reads(head)?;
    let wanted = parameter(head, "artifactType");
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
fn page(names: Vec<String>, head: &Parts) -> Result<(Vec<String>, Option<String>), Refusal> {
    let count = match parameter(head, "n").map(|text| text.parse::<usize>()) {
        None => PAGE_MAX,
        Some(Ok(count)) => count.min(PAGE_MAX),
        Some(Err(_)) => {
            let text = "`n` is the number of names wanted, and not a number";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", text));
        }
    };
    let start = parameter(head, "last").map_or(0, |last| names.partition_point(|name| *name <= last));
    let end = (start + count).min(names.len());
    let has_more = end < names.len() && end > start;
    let next = has_more.then(|| format!("n={count}&last={}", names[end - 1]));
    Ok((names[start..end].to_vec(), next))
}

async fn receive(body: Body, limit: usize) -> Result<Bytes, Refusal> {
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

fn only_reads(head: &Parts) -> Result<(), Refusal> {
    if matches!(head.method, Method::GET | Method::HEAD) { Ok(()) } else { Err(Refusal::method()) }
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
