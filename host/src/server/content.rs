//! What this host has pulled, for hosts that get it from no member: manifests and components, asked for as in a registry.
//!
//! Deliberately absent: repositories, tags and parts. Content is what its digest says, and any host may have any image.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use coracle_registry::{Digest, open_pulled};
use tokio_util::io::ReaderStream;

use super::{Refusal, Sources, refuse};

const READ_BYTES: usize = 256 * 1024;

/// `GET /v2/REPOSITORY/manifests/DIGEST` and `GET /v2/REPOSITORY/blobs/DIGEST`.
pub(super) async fn read(State(sources): State<Sources>, Path(path): Path<String>) -> Result<Response, Refusal> {
    let unknown = || refuse(StatusCode::NOT_FOUND, format!("this host has not pulled {path}"));
    let failed =
        |error: std::io::Error| refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("{path} cannot be read: {error}"));
    let digest: Digest = path.rsplit('/').next().and_then(|last| last.parse().ok()).ok_or_else(unknown)?;
    let file = open_pulled(&sources.images_dir, digest).await.map_err(failed)?.ok_or_else(unknown)?;
    let length = file.metadata().await.map_err(failed)?.len();
    let body = Body::from_stream(ReaderStream::with_capacity(file, READ_BYTES));
    Ok(([(header::CONTENT_LENGTH, length)], body).into_response())
}
