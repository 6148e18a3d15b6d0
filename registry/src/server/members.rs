//! What the registries of a cluster's members ask each other: what is here, and to take a copy of something.
//!
//! Deliberately absent: anything that would make this member ask others in turn, so a question never goes in circles; and tags.

use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::error::{Refusal, full};
use super::manifests::{self, empty};
use super::route::Route;
use super::{Answer, Registry, blobs, blocking, parameter};
use crate::blob_store::{BlobStore, Key};

pub(super) async fn answer(registry: &Registry, route: Route, head: &Parts) -> Answer {
    let store = &registry.store;
    match (&head.method, route) {
        (&Method::GET, Route::List) => {
            let manifests = blocking(store, BlobStore::manifests).await?;
            let lines: String =
                manifests.iter().map(|(repository, digest)| format!("{repository}@{digest}\n")).collect();
            Ok(Response::new(full(lines)))
        }
        (&Method::GET | &Method::HEAD, Route::Manifest { repository, key: Key::Digest(digest) }) => {
            manifests::read(store, head, repository, digest).await
        }
        (&Method::GET | &Method::HEAD, Route::Blob { repository, digest }) => {
            blobs::read(store, head, repository, digest).await
        }
        (&Method::POST, Route::Manifest { repository, key: Key::Digest(digest) }) => {
            let Some(from) = parameter(head, "from") else {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", "?from=MEMBER is missing"));
            };
            registry.copies.take_from(&from, &repository, digest).await?;
            Ok(empty(StatusCode::CREATED))
        }
        (&Method::DELETE, Route::Manifest { repository, key: Key::Digest(digest) }) => {
            blocking(store, move |store| store.delete_manifest(&repository, digest)).await?;
            Ok(empty(StatusCode::ACCEPTED))
        }
        (&Method::DELETE, Route::Blob { repository, digest }) => {
            blocking(store, move |store| store.delete_blob(&repository, digest)).await?;
            Ok(empty(StatusCode::ACCEPTED))
        }
        _ => Err(Refusal::method()),
    }
}
