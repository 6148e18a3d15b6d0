//! RFC 6902 patches, bounded so that a small patch cannot make a huge or bottomless object.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::{PatchError, depth, too_deep};
use crate::decode::DEPTH_MAX;

/// As in Kubernetes.
const OPERATIONS_MAX: usize = 10_000;
/// How many bytes all `copy` and `move` operations of a patch may carry together.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Applies a JSON patch. After an error the target is partly patched: throw it away.
pub fn json_patch(target: &mut Value, patch: &[u8]) -> Result<(), PatchError> {
    let Patch(operations) = serde_json::from_slice(patch)
        .map_err(|error| PatchError::Malformed(format!("error decoding patch: {error}")))?;
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooManyOperations { max: OPERATIONS_MAX, found: operations.len() });
    }
    let mut copied = 0;
    for (index, operation) in operations.iter().enumerate() {
        limit(target, operation, &mut copied)?;
        json_patch::patch_unsafe(target, std::slice::from_ref(operation))
            // The library sees one at a time, and calls each the first.
            .map_err(|error| PatchError::Unfit(error.to_string().replacen("'/0'", &format!("'/{index}'"), 1)))?;
    }
    Ok(())
}

fn limit(target: &Value, operation: &PatchOperation, copied: &mut usize) -> Result<(), PatchError> {
    let (path, moved) = match operation {
        PatchOperation::Add(add) => return check_depth(add.path.as_str(), &add.value),
        PatchOperation::Replace(replace) => return check_depth(replace.path.as_str(), &replace.value),
        PatchOperation::Copy(copy) => (copy.path.as_str(), target.pointer(copy.from.as_str())),
        PatchOperation::Move(moving) => (moving.path.as_str(), target.pointer(moving.from.as_str())),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    let Some(moved) = moved else { return Ok(()) };
    *copied += weight(moved);
    if *copied > COPIED_BYTES_MAX {
        let message = format!("the copies and moves of the patch exceed {COPIED_BYTES_MAX} bytes");
        return Err(PatchError::TooLarge(message));
    }
    check_depth(path, moved)
}

fn check_depth(path: &str, value: &Value) -> Result<(), PatchError> {
    let steps = path.bytes().filter(|byte| *byte == b'/').count();
    if steps + depth(value) > DEPTH_MAX { Err(too_deep()) } else { Ok(()) }
}

/// About as many bytes as the value's JSON has.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => 2 + text.len(),
        Value::Array(items) => items.iter().map(|item| 1 + weight(item)).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(name, value)| 4 + name.len() + weight(value)).sum::<usize>() + 2,
        _ => 5,
    }
}
