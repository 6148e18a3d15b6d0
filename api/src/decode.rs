//! Request bodies to JSON values: size is the caller's matter; depth, duplicate keys and syntax are looked after here.

use serde_json::Value;
use thiserror::Error;

use crate::protobuf::{self, Problem, ProtobufError};
use crate::status::{self, Status};

mod tree;

pub(crate) use tree::Tree;

/// The media types that [`decode`] reads.
pub const ACCEPTED: &[&str] = &["application/json", "application/yaml", protobuf::MEDIA_TYPE];

/// How deep values may nest.
pub const DEPTH_MAX: usize = 100;

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// JSON.
    Json,
    /// One YAML document.
    Yaml,
    /// One protobuf message in Kubernetes' envelope.
    Protobuf,
}

impl ContentType {
    /// From a `Content-Type` header; an empty one means JSON, `None` is a type that is not read.
    pub fn parse(header: &str) -> Option<ContentType> {
        let essence = header.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "" | "application/json" => Some(ContentType::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" => Some(ContentType::Yaml),
            protobuf::MEDIA_TYPE => Some(ContentType::Protobuf),
            _ => None,
        }
    }
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object; the last of duplicate fields won.
    pub value: Value,
    /// The paths of fields that are there twice, in the order they were met; at most 100.
    pub duplicates: Vec<String>,
}

/// Why a body is no object.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON.
    #[error("couldn't get version/kind; json parse error: {0}")]
    Json(String),
    /// Not YAML.
    #[error("error converting YAML to JSON: {0}")]
    Yaml(String),
    /// Not protobuf, or no object of a kind that has a protobuf form.
    #[error("{0}")]
    Protobuf(#[from] ProtobufError),
    /// JSON or YAML, but a list, a string, ….
    #[error("couldn't get version/kind; json parse error: expected an object, found {0}")]
    NotAnObject(&'static str),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("the object is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

impl DecodeError {
    /// The 400 that Kubernetes answers, where an object of `kind` was expected; a 413 where the object is too large.
    pub fn to_status(&self, kind: &str, body: &[u8]) -> Status {
        if let DecodeError::Protobuf(error) = self
            && *error.problem() == Problem::TooLarge
        {
            return status::too_large(protobuf::JSON_BYTES_MAX);
        }
        let summary = summarize(body);
        status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {self} ({summary})"))
    }
}

/// The start of a body: JSON as text, anything else in hexadecimal.
fn summarize(body: &[u8]) -> String {
    const BYTES_MAX: usize = 30;
    if body.is_empty() {
        return "<empty>".to_owned();
    }
    let head = &body[..body.len().min(BYTES_MAX)];
    let mut text = if body[0] == b'{' {
        String::from_utf8_lossy(head).into_owned()
    } else {
        head.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    if body.len() > BYTES_MAX {
        text.push_str(" ...");
    }
    text
}

/// Decodes one object.
pub fn decode(body: &[u8], content_type: ContentType) -> Result<Decoded, DecodeError> {
    let decoded = decode_any(body, content_type)?;
    match type_name(&decoded.value) {
        "an object" => Ok(decoded),
        other => Err(DecodeError::NotAnObject(other)),
    }
}

/// Decodes any one value: a JSON patch is a list.
pub fn decode_any(body: &[u8], content_type: ContentType) -> Result<Decoded, DecodeError> {
    let mut tree = Tree::default();
    let value = match content_type {
        ContentType::Protobuf => protobuf::read(body).map_err(DecodeError::Protobuf),
        ContentType::Json => json(body, &mut tree),
        ContentType::Yaml => crate::yaml::parse_one(body, &mut tree).map_err(DecodeError::Yaml),
    };
    if tree.is_too_deep {
        return Err(DecodeError::TooDeep);
    }
    Ok(Decoded { value: value?, duplicates: tree.duplicates })
}

fn json(body: &[u8], tree: &mut Tree) -> Result<Value, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = tree.read(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        DecodeError::Json(if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() })
    })
}

/// What a value is, with its article.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The complaints of strict decoding, one text each: what `Warning` headers say, and what a strict request is refused with.
pub fn complaints(unknown: &[String], duplicates: &[String]) -> Vec<String> {
    let unknown = unknown.iter().map(|path| format!("unknown field {path:?}"));
    unknown.chain(duplicates.iter().map(|path| format!("duplicate field {path:?}"))).collect()
}

/// `strict decoding error: unknown field "spec.foo", duplicate field "spec.replicas"`, or `None` when nothing is wrong.
pub fn strict_error(unknown: &[String], duplicates: &[String]) -> Option<String> {
    let complaints = complaints(unknown, duplicates);
    (!complaints.is_empty()).then(|| format!("strict decoding error: {}", complaints.join(", ")))
}

/// The 400 for a body that is an object, but not one of `kind`: wrong types, or strictly decoded.
pub fn unfit(api_version: &str, body_kind: &str, kind: &str, error: &str) -> Status {
    // A body that doesn't say what it is is what its path says.
    let body_kind = if body_kind.is_empty() { kind } else { body_kind };
    let version = api_version.rsplit('/').next().filter(|version| !version.is_empty()).unwrap_or("v1");
    status::bad_request(format!("{body_kind} in version {version:?} cannot be handled as a {kind}: {error}"))
}

#[cfg(test)]
mod tests;
