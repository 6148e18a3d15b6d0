//! What a registry says instead of what was asked for: a status and an OCI error body.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};

use super::Body;
use crate::blob_store::StoreError;
use crate::cluster::ClusterError;
use crate::copies::{NotCopied, TakeError};

#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.headers.push((name, value));
        self
    }

    pub(super) fn no_route() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "no such address: the registry's begin with /v2/")
    }

    pub(super) fn method() -> Refusal {
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "the method is not supported here")
    }

    pub(super) fn name_invalid(name: &str) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "NAME_INVALID", format!("`{name}` is no name of a repository"))
    }

    pub(super) fn digest_missing() -> Refusal {
        let text = "the upload is ended with ?digest=sha256:…, which is missing";
        Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", text)
    }

    pub(super) fn body(error: &(dyn std::error::Error + 'static)) -> Refusal {
        tracing::debug!(error, "an upload to the registry broke off");
        Refusal::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", "the request's body broke off or came too slowly")
    }

    /// A member that was away would bring back what the others deleted.
    pub(super) fn not_deleted(error: TakeError) -> Refusal {
        let text = format!(
            "it is not deleted on all members ({error}): try again when that member is there, or take it out for good"
        );
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN", text)
    }

    pub(super) fn internal(error: impl fmt::Display) -> Refusal {
        tracing::error!(%error, "the registry failed");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry failed: its log says why")
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = serde_json::json!({ "errors": [{ "code": self.code, "message": self.message }] });
        let mut response = Response::new(full(body.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        response
    }
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.status.as_u16(), self.code, self.message)
    }
}

impl From<ClusterError> for Refusal {
    fn from(error: ClusterError) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN", error.to_string())
    }
}

impl From<NotCopied> for Refusal {
    fn from(error: NotCopied) -> Refusal {
        tracing::warn!(%error, "a push is not acknowledged");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN", error.to_string())
    }
}

impl From<TakeError> for Refusal {
    fn from(error: TakeError) -> Refusal {
        match error {
            TakeError::Store(error) => error.into(),
            TakeError::NotThere(_) => Refusal::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", error.to_string()),
            TakeError::Peer(..) => Refusal::new(StatusCode::BAD_GATEWAY, "UNKNOWN", error.to_string()),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        let (status, code) = match &error {
            StoreError::Full { .. } => (StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN"),
            StoreError::ReadOnly { .. } => (StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN"),
            StoreError::Io { .. } | StoreError::Corrupt { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
            StoreError::BlobUnknown => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            StoreError::ManifestUnknown => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            StoreError::NameUnknown => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            StoreError::ManifestBlobUnknown(_) => (StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN"),
            StoreError::ManifestInvalid(_) => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            StoreError::DigestMismatch { .. } | StoreError::DigestInvalid(_) => {
                (StatusCode::BAD_REQUEST, "DIGEST_INVALID")
            }
            StoreError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            StoreError::UploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            StoreError::UploadOutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            StoreError::UploadBusy => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            StoreError::TooManyUploads(_) => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
        };
        if status.is_server_error() {
            tracing::error!(%error, "the registry failed");
        }
        Refusal::new(status, code, error.to_string())
    }
}
