//! What is wrong with a protobuf body, and where.

use std::fmt;

use thiserror::Error;

use super::{JSON_BYTES_MAX, MEDIA_TYPE};
use crate::decode::DEPTH_MAX;

/// Why a body is no object.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct ProtobufError {
    kind: String,
    path: String,
    problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// It doesn't start as Kubernetes' envelope does.
    #[error("the provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    /// The envelope's content is compressed.
    #[error("content encoding {0:?} is not supported: send the object uncompressed")]
    ContentEncoding(String),
    /// The envelope's content has another form.
    #[error("content type {0:?} is not supported inside of {MEDIA_TYPE}: send the object as it is")]
    ContentType(String),
    /// The kind has no protobuf form.
    #[error("no kind {kind:?} is registered for version {api_version:?} in protobuf: send JSON")]
    UnknownKind {
        /// What the envelope says.
        api_version: String,
        /// What the envelope says.
        kind: String,
    },
    /// The input ends within a field.
    #[error("unexpected end of input")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("integer overflow")]
    VarintTooLong,
    /// A field number that is 0 or has more than 29 bits.
    #[error("illegal field number {0}")]
    FieldNumber(u64),
    /// A group, or a wire type that doesn't exist.
    #[error("wire type {0} is not supported")]
    UnsupportedWireType(u8),
    /// Another wire type than the field's.
    #[error("wrong wire type {found}, expected {expected}")]
    WrongWireType {
        /// The number of the type found.
        found: u8,
        /// The number of the field's type.
        expected: u8,
    },
    /// Text that is not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// An integer beyond 32 bits where no more are allowed.
    #[error("{0} overflows int32")]
    Integer32(i64),
    /// Infinity, or not a number.
    #[error("{0} is no JSON number")]
    Number(String),
    /// A moment before the year 1 or after 9999, or with more nanoseconds than a second has.
    #[error("{seconds} seconds and {nanoseconds} nanoseconds since 1970 are out of range")]
    Time {
        /// What the message says.
        seconds: i64,
        /// What the message says.
        nanoseconds: i32,
    },
    /// The type of an integer or string is neither.
    #[error("impossible type {0} of an integer or string")]
    IntOrString(u64),
    /// JSON was expected.
    #[error("invalid JSON: {0}")]
    Json(String),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Longer than [`JSON_BYTES_MAX`] as JSON.
    #[error("longer than {JSON_BYTES_MAX} bytes as JSON")]
    TooLarge,
}

impl ProtobufError {
    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The error, seen from the field or list item around it.
    pub(super) fn within(mut self, segment: &str) -> ProtobufError {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{segment}{separator}{}", self.path);
        self
    }

    pub(super) fn of_kind(mut self, kind: &str) -> ProtobufError {
        kind.clone_into(&mut self.kind);
        self
    }
}

impl From<Problem> for ProtobufError {
    fn from(problem: Problem) -> ProtobufError {
        ProtobufError { kind: String::new(), path: String::new(), problem }
    }
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.kind, &self.path] {
            if !part.is_empty() {
                write!(formatter, "{part}: ")?;
            }
        }
        write!(formatter, "{}", self.problem)
    }
}
