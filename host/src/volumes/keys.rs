//! Files of ConfigMaps and Secrets: each key is a file, or those that are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::payload::{File, ObjectKey, Payload, PayloadError, owner_only};
use super::template::KeyFile;
use crate::pod::template::{Source, SourceKind};

/// Adds the files of one object.
pub(super) fn add(
    source: &Source,
    items: &[KeyFile],
    mode_default: u32,
    objects: &BTreeMap<ObjectKey, Option<Arc<Value>>>,
    files: &mut Payload,
) -> Result<(), PayloadError> {
    let is_secret = source.kind == SourceKind::Secret;
    let values = match objects.get(&(source.kind, source.name.clone())) {
        Some(Some(object)) => values(source.kind, object),
        _ if source.is_optional => return Ok(()),
        _ => {
            let kind = if is_secret { "secret" } else { "configmap" };
            return Err(PayloadError::NotFound { kind, name: source.name.clone() });
        }
    };
    let mut add = |path: &str, bytes: &[u8], mode: u32| {
        let mode = if is_secret { owner_only(mode) } else { mode };
        files.insert(path.to_owned(), File { bytes: bytes.to_owned(), mode });
    };
    if items.is_empty() {
        values.iter().for_each(|(key, bytes)| add(key, bytes, mode_default));
    }
    for item in items {
        match values.get(item.key.as_str()) {
            Some(bytes) => add(&item.path, bytes, item.mode.unwrap_or(mode_default)),
            None if source.is_optional => {}
            None if is_secret => return Err(PayloadError::NoSecretKey(item.key.clone())),
            None => return Err(PayloadError::NoConfigKey(item.key.clone())),
        }
    }
    Ok(())
}

/// What an object holds: a Secret's `data`, a ConfigMap's `data` and `binaryData`.
fn values(kind: SourceKind, object: &Value) -> BTreeMap<&str, Vec<u8>> {
    let entries = |field: &str| object[field].as_object().into_iter().flatten();
    let binary = if kind == SourceKind::Secret { "data" } else { "binaryData" };
    let mut values: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (key, value) in entries(binary) {
        // Admission lets nothing else in.
        if let Some(bytes) = value.as_str().and_then(|text| STANDARD.decode(text).ok()) {
            values.insert(key, bytes);
        }
    }
    if kind == SourceKind::ConfigMap {
        let texts =
            entries("data").filter_map(|(key, value)| Some((key.as_str(), value.as_str()?.as_bytes().to_vec())));
        values.extend(texts);
    }
    values
}
