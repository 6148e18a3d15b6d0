//! Patches: RFC 6902 (JSON), RFC 7386 (merge) and Kubernetes' strategic merge. All pure: the caller reads and writes the object.
//!
//! Server-side apply is no patch of this module: it needs field ownership, see [`crate::apply`].

use serde_json::Value;
use thiserror::Error;

use crate::decode::{self, ContentType, DEPTH_MAX, DecodeError};
use crate::status::{self, Status};

mod json;
mod strategic;

pub use json::json_patch;
pub use strategic::strategic_merge;

/// How a patch changes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
}

impl PatchKind {
    /// The media types of the patches that are taken.
    pub const ACCEPTED: &[&str] =
        &["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

    /// The media types of the patches that kinds take which users define: of their lists nobody says how to merge them.
    pub const ACCEPTED_BY_CUSTOM: &[&str] = &["application/json-patch+json", "application/merge-patch+json"];

    /// From a `Content-Type` header.
    pub fn parse(header: &str) -> Option<PatchKind> {
        match header.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Some(PatchKind::Json),
            "application/merge-patch+json" => Some(PatchKind::Merge),
            "application/strategic-merge-patch+json" => Some(PatchKind::Strategic),
            _ => None,
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

/// Why a patch cannot be applied.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatchError {
    /// Not JSON, or not a patch.
    #[error("{0}")]
    Malformed(String),
    /// More operations than are taken.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {found}")]
    TooManyOperations {
        /// The most that are taken.
        max: usize,
        /// How many there are.
        found: usize,
    },
    /// The patch is one, and does not fit the object.
    #[error("{0}")]
    Unfit(String),
    /// The result would be nested or grow beyond the limits.
    #[error("{0}")]
    TooLarge(String),
}

impl PatchError {
    /// The answer Kubernetes gives.
    pub fn to_status(&self) -> Status {
        match self {
            PatchError::Malformed(message) => status::bad_request(message.as_str()),
            PatchError::TooManyOperations { .. } | PatchError::TooLarge(_) => {
                status::request_entity_too_large(&self.to_string())
            }
            PatchError::Unfit(message) => status::unprocessable(message),
        }
    }
}

/// A merge or strategic patch's body, which must be a JSON object.
pub fn parse(body: &[u8]) -> Result<decode::Decoded, PatchError> {
    decode::decode(body, ContentType::Json)
        .map_err(|error: DecodeError| PatchError::Malformed(format!("error decoding patch: {error}")))
}

/// Applies an RFC 7386 merge patch: null removes a field, objects merge, everything else replaces.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let fields = target.as_object_mut().expect("invariant: just made an object");
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge_patch(fields.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// How deep a value nests: 0 for a plain one.
pub(crate) fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

fn too_deep() -> PatchError {
    PatchError::TooLarge(format!("the patched object is nested deeper than {DEPTH_MAX} levels"))
}

#[cfg(test)]
mod tests;
