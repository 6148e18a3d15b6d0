//! The stored form of an object: its JSON without `resourceVersion`, and the place where a reader splices one in.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

/// An encoded object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The object's compact JSON, without `metadata.resourceVersion`.
    pub json: Bytes,
    /// The offset just after `"metadata":{`, where `"resourceVersion":"N",` goes.
    pub splice_offset: u32,
}

const METADATA: &[u8] = b"\"metadata\":{";

/// Encodes an object once, for the store and every reader of it.
///
/// `apiVersion`, `kind` and `metadata` lead, so that the splice offset is found without a search. Metadata is never
/// empty in the result (`"creationTimestamp":null` stands in, as Kubernetes writes it), because a comma follows the splice.
///
/// # Panics
/// When the object is 4 GiB or longer: bodies are capped far below.
pub fn encode(object: &Value) -> Encoded {
    let mut out = Vec::with_capacity(1024);
    out.push(b'{');
    for field in ["apiVersion", "kind"] {
        if let Some(value) = object.get(field) {
            write_entry(&mut out, field, value);
            out.push(b',');
        }
    }
    out.extend_from_slice(METADATA);
    let splice_offset = u32::try_from(out.len()).expect("invariant: bodies are capped below 4 GiB");
    write_metadata(&mut out, object.get("metadata").and_then(Value::as_object));
    out.push(b'}');
    for (field, value) in object.as_object().into_iter().flatten() {
        if !matches!(field.as_str(), "apiVersion" | "kind" | "metadata") {
            out.push(b',');
            write_entry(&mut out, field, value);
        }
    }
    out.push(b'}');
    // It stays in memory for as long as the object lives: without the room it grew in.
    Encoded { json: Bytes::from(out.into_boxed_slice()), splice_offset }
}

fn write_metadata(out: &mut Vec<u8>, metadata: Option<&Map<String, Value>>) {
    let start = out.len();
    for (field, value) in metadata.into_iter().flatten() {
        if field != "resourceVersion" {
            if out.len() > start {
                out.push(b',');
            }
            write_entry(out, field, value);
        }
    }
    if out.len() == start {
        out.extend_from_slice(b"\"creationTimestamp\":null");
    }
}

fn write_entry(out: &mut Vec<u8>, field: &str, value: &Value) {
    write(out, field);
    out.push(b':');
    write(out, value);
}

fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("invariant: a JSON value always serialises into memory");
}

#[cfg(test)]
mod tests;
