//! Blobs and their uploads.

use std::io::{Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::error::{Refusal, full};
use super::manifests::{empty, set, set_digest};
use super::{Answer, Body, Registry, blocking, parameter};
use crate::blob_store::{BlobStore, StoreError, Upload};
use crate::digest::Digest;
use crate::reference::is_repository;

/// The longest time without a byte of an upload.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 256 * 1024;

pub(super) async fn blob(registry: &Registry, head: &Parts, repository: String, digest: Digest) -> Answer {
    match head.method {
        Method::HEAD | Method::GET => {
            registry.copies.find_blob(&repository, digest).await?;
            read(&registry.store, head, repository, digest).await
        }
        Method::DELETE => {
            registry.copies.find_blob(&repository, digest).await?;
            if !registry.store.has_blob(&repository, digest) {
                return Err(StoreError::BlobUnknown.into());
            }
            registry.copies.delete_elsewhere(head.uri.path()).await.map_err(Refusal::not_deleted)?;
            blocking(&registry.store, move |store| store.delete_blob(&repository, digest)).await?;
            Ok(empty(StatusCode::ACCEPTED))
        }
        _ => Err(Refusal::method()),
    }
}

/// The blob, or the part of it that is wanted, if it is here.
pub(super) async fn read(store: &Arc<BlobStore>, head: &Parts, repository: String, digest: Digest) -> Answer {
    if head.method == Method::HEAD {
        let size = blocking(store, move |store| store.blob_size(&repository, digest)).await?;
        return Ok(blob_response(StatusCode::OK, full(Vec::new()), digest, size));
    }
    let range = head.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let wanted = range.map_or(Wanted::All, Wanted::parse);
    let (mut file, size) = blocking(store, move |store| store.open_blob(&repository, digest)).await?;
    let Some((start, length)) = wanted.within(size) else {
        let text = format!("the blob has {size} bytes");
        let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", text);
        let total = format!("bytes */{size}").try_into().expect("invariant: digits are a header value");
        return Err(refusal.with(header::CONTENT_RANGE, total));
    };
    file.seek(SeekFrom::Start(start)).map_err(Refusal::internal)?;
    let reader = tokio::fs::File::from_std(file).take(length);
    let frames = ReaderStream::with_capacity(reader, READ_BYTES).map_ok(Frame::data);
    let body = StreamBody::new(frames).boxed_unsync();
    if matches!(wanted, Wanted::All) {
        return Ok(blob_response(StatusCode::OK, body, digest, length));
    }
    let mut response = blob_response(StatusCode::PARTIAL_CONTENT, body, digest, length);
    set(&mut response, header::CONTENT_RANGE, &format!("bytes {start}-{}/{size}", start + length - 1));
    Ok(response)
}

/// `POST /blobs/uploads/`: takes over another repository's blob, stores the whole body, or begins an upload.
pub(super) async fn begin(store: &Arc<BlobStore>, head: &Parts, body: Body, repository: String) -> Answer {
    if head.method != Method::POST {
        return Err(Refusal::method());
    }
    if let Some(digest) = parameter(head, "mount").and_then(|text| text.parse().ok()) {
        let from = parameter(head, "from").filter(|from| is_repository(from));
        let name = repository.clone();
        if blocking(store, move |store| store.mount(&name, digest, from.as_deref())).await? {
            return Ok(created(&repository, digest));
        }
    }
    let digest = parameter(head, "digest").map(|text| text.parse::<Digest>()).transpose();
    let digest = digest.map_err(StoreError::DigestInvalid)?;
    let name = repository.clone();
    let id = blocking(store, move |store| store.begin_upload(&name)).await?;
    match digest {
        Some(digest) => {
            let cancel = store.cancel_on_drop(&id);
            let answer = finish(store, body, &repository, &id, digest).await;
            drop(cancel);
            answer
        }
        None => Ok(progress(StatusCode::ACCEPTED, &repository, &id, 0)),
    }
}

pub(super) async fn upload(store: &Arc<BlobStore>, head: &Parts, body: Body, repository: String, id: String) -> Answer {
    match head.method {
        Method::GET | Method::HEAD => {
            let upload = store.upload(&repository, &id)?;
            let size = upload.lock().await.size();
            Ok(progress(StatusCode::NO_CONTENT, &repository, &id, size))
        }
        Method::PATCH => {
            let range = head.headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let start = range.map(|range| {
                let start = range.trim_start_matches("bytes ").split('-').next().unwrap_or_default();
                start.parse::<u64>().unwrap_or(u64::MAX)
            });
            let upload = store.upload(&repository, &id)?;
            let mut upload = upload.try_lock().map_err(|_| StoreError::UploadBusy)?;
            if start.is_some_and(|start| start != upload.size()) {
                let size = upload.size();
                let refusal = Refusal::from(StoreError::UploadOutOfOrder { size });
                let range = format!("0-{}", size.saturating_sub(1));
                let range = range.try_into().expect("invariant: digits are a header value");
                return Err(refusal.with(header::RANGE, range));
            }
            receive(store, &mut upload, body).await?;
            Ok(progress(StatusCode::ACCEPTED, &repository, &id, upload.size()))
        }
        Method::PUT => {
            let digest = parameter(head, "digest").ok_or_else(Refusal::digest_missing)?;
            let digest = digest.parse().map_err(StoreError::DigestInvalid)?;
            finish(store, body, &repository, &id, digest).await
        }
        Method::DELETE => {
            store.upload(&repository, &id)?;
            store.cancel_upload(&id);
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(Refusal::method()),
    }
}

async fn finish(store: &Arc<BlobStore>, body: Body, repository: &str, id: &str, digest: Digest) -> Answer {
    let upload = store.upload(repository, id)?;
    let mut upload = upload.try_lock().map_err(|_| StoreError::UploadBusy)?;
    receive(store, &mut upload, body).await?;
    // The last request of an upload, whatever comes of it: a wrong digest stays wrong.
    let cancel = store.cancel_on_drop(id);
    let path = upload.finish(digest).await?;
    let name = repository.to_owned();
    blocking(store, move |store| store.finish_upload(&name, &path, digest)).await?;
    drop(cancel);
    Ok(created(repository, digest))
}

async fn receive(store: &BlobStore, upload: &mut Upload, mut body: Body) -> Result<(), Refusal> {
    let limit = store.limits().blob_bytes_max;
    let announced = hyper::body::Body::size_hint(&body).lower();
    if upload.size().saturating_add(announced) > limit {
        return Err(StoreError::TooLarge { what: "blob", limit }.into());
    }
    loop {
        match tokio::time::timeout(CHUNK_TIMEOUT, body.frame()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    upload.append(&data, limit).await?;
                }
            }
            Ok(Some(Err(error))) => return Err(Refusal::body(&error)),
            Err(elapsed) => return Err(Refusal::body(&elapsed)),
        }
    }
}

fn blob_response(status: StatusCode, body: Body, digest: Digest, length: u64) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, "application/octet-stream");
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::ETAG, &format!("\"{digest}\""));
    set_digest(&mut response, digest);
    response
}

fn created(repository: &str, digest: Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, header::LOCATION, &format!("/v2/{repository}/blobs/{digest}"));
    set_digest(&mut response, digest);
    response
}

fn progress(status: StatusCode, repository: &str, id: &str, size: u64) -> Response<Body> {
    let mut response = empty(status);
    set(&mut response, header::LOCATION, &format!("/v2/{repository}/blobs/uploads/{id}"));
    set(&mut response, header::RANGE, &format!("0-{}", size.saturating_sub(1)));
    set(&mut response, http::HeaderName::from_static("docker-upload-uuid"), id);
    response
}

/// The bytes a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    From { start: u64, end: Option<u64> },
    Last(u64),
}

impl Wanted {
    /// What is not one range of bytes is not understood, and may then be ignored.
    fn parse(text: &str) -> Wanted {
        let Some((start, end)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Wanted::All;
        };
        match (start.trim().parse(), end.trim()) {
            (Ok(start), "") => Wanted::From { start, end: None },
            (Ok(start), end) => match end.parse() {
                Ok(end) if end >= start => Wanted::From { start, end: Some(end) },
                _ => Wanted::All,
            },
            (Err(_), end) if start.trim().is_empty() => end.parse().map_or(Wanted::All, Wanted::Last),
            _ => Wanted::All,
        }
    }

    /// Start and length in a blob of this size; `None` if it has none of it.
    fn within(self, size: u64) -> Option<(u64, u64)> {
        match self {
            Wanted::All => Some((0, size)),
            Wanted::From { start, end } if start < size => {
                let end = end.map_or(size, |end| end.saturating_add(1).min(size));
                Some((start, end - start))
            }
            Wanted::Last(count) if count > 0 && size > 0 => Some((size - count.min(size), count.min(size))),
            Wanted::From { .. } | Wanted::Last(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&format!("{:?}", Wanted::parse(text).within(10)));
    }

    #[test]
    fn ranges_of_ten_bytes() {
        check("bytes=0-", expect!["Some((0, 10))"]);
        check("bytes=2-4", expect!["Some((2, 3))"]);
        check("bytes=9-100", expect!["Some((9, 1))"]);
        check("bytes=10-", expect!["None"]);
        check("bytes=-3", expect!["Some((7, 3))"]);
        check("bytes=-30", expect!["Some((0, 10))"]);
        check("bytes=-0", expect!["None"]);
        check("bytes=4-2", expect!["Some((0, 10))"]);
        check("bytes=0-1,3-4", expect!["Some((0, 10))"]);
        check("bytes=0-18446744073709551615", expect!["Some((0, 10))"]);
        check("lines=1-2", expect!["Some((0, 10))"]);
    }
}
