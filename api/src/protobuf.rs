//! Protobuf bodies to JSON values: Kubernetes' envelope and, inside it, an object of a kind that Kubernetes defines.
//!
//! Go's clients send their built-in kinds in this form only. Unknown fields are ignored, as Go does, and zero values that Go
//! writes and its JSON leaves out are left out here too. Deliberately absent: protobuf answers, and groups, which no
//! message of Kubernetes has.

use serde_json::{Map, Value};

pub use error::{Problem, ProtobufError};

use crate::schema;
use transcoder::Transcoder;
use wire::Reader;

mod error;
mod special;
mod table;
mod transcoder;
mod wire;

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// How long the object may get as JSON: the longest body that the API takes.
pub const JSON_BYTES_MAX: usize = 3 * 1024 * 1024;

const PREFIX: &[u8] = b"k8s\0";

/// What is around an object.
#[derive(Default)]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(body: &'a [u8]) -> Result<Envelope<'a>, ProtobufError> {
        let mut envelope = Envelope::default();
        let mut reader = Reader::new(body.strip_prefix(PREFIX).ok_or(Problem::Prefix)?);
        while let Some((number, value)) = reader.next()? {
            match number {
                1 => {
                    let mut type_meta = Reader::new(value.bytes()?);
                    while let Some((number, value)) = type_meta.next()? {
                        match number {
                            1 => envelope.api_version = value.text().map_err(|error| error.within("apiVersion"))?,
                            2 => envelope.kind = value.text().map_err(|error| error.within("kind"))?,
                            _ => {}
                        }
                    }
                }
                2 => envelope.raw = value.bytes()?,
                3 if !value.bytes()?.is_empty() => {
                    return Err(Problem::ContentEncoding(value.text()?.to_owned()).into());
                }
                4 if !["", MEDIA_TYPE].contains(&value.text()?) => {
                    return Err(Problem::ContentType(value.text()?.to_owned()).into());
                }
                _ => {}
            }
        }
        Ok(envelope)
    }
}

/// The object in a body, at most [`JSON_BYTES_MAX`] long as JSON.
pub(crate) fn read(body: &[u8]) -> Result<Value, ProtobufError> {
    let Envelope { api_version, kind, raw } = Envelope::read(body)?;
    let unknown = || Problem::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
    let definition = table::definition(api_version, kind).and_then(schema::definition).ok_or_else(unknown)?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Transcoder::new(JSON_BYTES_MAX).object(raw, definition, &mut object).map_err(|error| error.of_kind(kind))?;
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests;
