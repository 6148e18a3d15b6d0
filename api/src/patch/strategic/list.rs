//! Merging lists: by a key of their items, or as sets of plain values; and putting the result in order.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Inside, PATCH, malformed, merge_fields};
use crate::patch::PatchError;

/// What tells an item apart: its merge key's value, or itself. As text, so that `80` and `"80"` differ.
fn identity(item: &Value, key: Option<&str>) -> Option<String> {
    let value = match key {
        Some(key) => item.get(key)?,
        None => item,
    };
    Some(value.to_string())
}

/// Where each item stands.
pub(super) fn identities(items: &[Value], key: Option<&str>) -> HashMap<String, usize> {
    let mut positions = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if let Some(identity) = identity(item, key) {
            positions.entry(identity).or_insert(index);
        }
    }
    positions
}

/// Merges lists of objects by their merge key.
pub(super) fn merge_objects(
    old: Vec<Value>,
    patch: &[Value],
    key: &'static str,
    inside: Inside,
) -> Result<Vec<Value>, PatchError> {
    let mut deleted = HashSet::new();
    let mut set: Vec<(&Value, String)> = Vec::with_capacity(patch.len());
    let mut is_replaced = false;
    for item in patch {
        let missing = || malformed(format!("map: {item} does not contain declared merge key: {key}"));
        match item.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
            None => set.push((item, identity(item, Some(key)).ok_or_else(missing)?)),
            Some("delete") => {
                deleted.insert(identity(item, Some(key)).ok_or_else(missing)?);
            }
            // The item only says so: the whole list is replaced by the others.
            Some("replace") => is_replaced = true,
            Some(other) => return Err(malformed(format!("unknown patch type in a list: {other:?}"))),
        }
    }
    let old = if is_replaced { Vec::new() } else { old };
    let server_order = identities(&old, Some(key));
    let mut merged: Vec<Value> = old;
    merged.retain(|item| identity(item, Some(key)).is_none_or(|identity| !deleted.contains(&identity)));
    let mut positions = identities(&merged, Some(key));
    for (item, identity) in &set {
        let Value::Object(fields) = item else {
            return Err(malformed(format!("the items of a list merged by {key} must be objects, not {item}")));
        };
        match positions.get(identity) {
            Some(position) => {
                let Value::Object(old) = merged[*position].take() else { continue };
                merged[*position] = Value::Object(merge_fields(old, fields, inside)?);
            }
            None => {
                positions.insert(identity.clone(), merged.len());
                merged.push(Value::Object(merge_fields(serde_json::Map::new(), fields, inside)?));
            }
        }
    }
    let patch_order = set.into_iter().map(|(_, identity)| identity);
    Ok(normalize(merged, patch_order, &server_order, Some(key)))
}

/// Merges lists of plain values as sets.
pub(super) fn merge_values(old: Vec<Value>, patch: &[Value]) -> Vec<Value> {
    let server_order = identities(&old, None);
    let mut seen = HashSet::new();
    let mut merged = old;
    merged.extend(patch.iter().cloned());
    merged.retain(|item| seen.insert(item.to_string()));
    normalize(merged, patch.iter().map(Value::to_string), &server_order, None)
}

/// Removes plain values from a list.
pub(super) fn delete_values(list: Option<&mut Value>, values: &[Value]) {
    if let Some(items) = list.and_then(Value::as_array_mut) {
        let deleted: HashSet<String> = values.iter().map(Value::to_string).collect();
        items.retain(|item| !deleted.contains(&item.to_string()));
    }
}

/// Puts a merged list into the order that `$setElementOrder` asks for.
pub(super) fn reorder(
    items: Vec<Value>,
    order: &[Value],
    server_order: &HashMap<String, usize>,
    key: Option<&str>,
) -> Vec<Value> {
    let order: Vec<String> = order.iter().filter_map(|item| identity(item, key)).collect();
    normalize(items, order.into_iter(), server_order, key)
}

/// Items that the patch names follow the patch's order, the others keep the server's; where both have a place on the
/// server, that decides which comes first.
fn normalize(
    items: Vec<Value>,
    patch_order: impl Iterator<Item = String>,
    server_order: &HashMap<String, usize>,
    key: Option<&str>,
) -> Vec<Value> {
    let mut order = HashMap::new();
    for identity in patch_order {
        let next = order.len();
        order.entry(identity).or_insert(next);
    }
    let mut named: Vec<(usize, Option<usize>, Value)> = Vec::new();
    let mut others: Vec<(Option<usize>, Value)> = Vec::new();
    for item in items {
        let identity = identity(&item, key);
        let server = identity.as_ref().and_then(|identity| server_order.get(identity)).copied();
        match identity.and_then(|identity| order.get(&identity).copied()) {
            Some(place) => named.push((place, server, item)),
            None => others.push((server, item)),
        }
    }
    named.sort_by_key(|(place, ..)| *place);
    let mut result = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, server, item) in named {
        while let Some((_, value)) =
            others.next_if(|(other, _)| matches!((other, server), (Some(other), Some(server)) if *other < server))
        {
            result.push(value);
        }
        result.push(item);
    }
    result.extend(others.map(|(_, value)| value));
    result
}
