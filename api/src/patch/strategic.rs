//! Kubernetes' strategic merge: like a merge patch, but lists merge item by item where the schema gives them a key.
//!
//! Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.
//! A field the schema doesn't know merges when it is an object and is replaced when it is anything else.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::PatchError;
use crate::schema::{Definition, Field, Shape};

mod list;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_LIST: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

type Fields = Map<String, Value>;

/// Applies a strategic merge patch to an object of the given definition.
pub fn strategic_merge(current: &Value, patch: &Value, definition: &'static Definition) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Malformed("a strategic merge patch is an object".to_owned()));
    };
    let current = current.as_object().cloned().unwrap_or_default();
    merge_fields(current, patch, Inside::Object(definition)).map(Value::Object)
}

/// What the schema says of an object's fields.
#[derive(Clone, Copy)]
enum Inside {
    Object(&'static Definition),
    Map(&'static Shape),
    Unknown,
}

impl Inside {
    fn of(shape: Option<&'static Shape>) -> Inside {
        match shape {
            Some(Shape::Object(reference)) => Inside::Object(reference.definition()),
            Some(Shape::Map(inner)) => Inside::Map(inner),
            _ => Inside::Unknown,
        }
    }

    fn field(self, name: &str) -> Option<&'static Field> {
        match self {
            Inside::Object(definition) => definition.field(name),
            _ => None,
        }
    }

    fn shape(self, name: &str) -> Option<&'static Shape> {
        match self {
            Inside::Object(definition) => definition.field(name).map(|field| &field.shape),
            Inside::Map(inner) => Some(inner),
            Inside::Unknown => None,
        }
    }
}

fn malformed(message: impl Into<String>) -> PatchError {
    PatchError::Malformed(message.into())
}

fn merge_fields(mut target: Fields, patch: &Fields, inside: Inside) -> Result<Fields, PatchError> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("delete") => return Ok(Fields::new()),
        Some("replace") => {
            let rest = patch.iter().filter(|(name, _)| *name != PATCH);
            return Ok(rest.map(|(name, value)| (name.clone(), value.clone())).collect());
        }
        Some(other) => return Err(malformed(format!("unknown patch type: {other:?}"))),
    }
    retain_keys(&mut target, patch)?;
    let orders = element_orders(&target, patch, inside)?;
    for (name, value) in patch {
        if name == PATCH || name == RETAIN_KEYS || name.starts_with(ELEMENT_ORDER) {
            continue;
        }
        if let Some(field) = name.strip_prefix(DELETE_LIST) {
            list::delete_values(target.get_mut(field), expect_list(name, value)?);
            continue;
        }
        if value.is_null() {
            target.remove(name);
            continue;
        }
        let old = target.remove(name);
        let merged = merge_value(old, value, name, inside)?;
        target.insert(name.clone(), merged);
    }
    for ElementOrder { field, order, server_order, key } in orders {
        if let Some(Value::Array(items)) = target.get_mut(field) {
            *items = list::reorder(std::mem::take(items), order, &server_order, key);
        }
    }
    Ok(target)
}

/// A `$setElementOrder` directive, and the order on the server before anything is merged.
struct ElementOrder<'a> {
    field: &'a str,
    order: &'a [Value],
    server_order: HashMap<String, usize>,
    key: Option<&'static str>,
}

fn element_orders<'a>(target: &Fields, patch: &'a Fields, inside: Inside) -> Result<Vec<ElementOrder<'a>>, PatchError> {
    let directives = patch.iter().filter_map(|(name, order)| Some((name, name.strip_prefix(ELEMENT_ORDER)?, order)));
    directives
        .map(|(name, field, order)| {
            let key = inside.field(field).and_then(|field| field.merge_key);
            let old = target.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let server_order = list::identities(old, key);
            Ok(ElementOrder { field, order: expect_list(name, order)?, server_order, key })
        })
        .collect()
}

fn merge_value(old: Option<Value>, new: &Value, name: &str, inside: Inside) -> Result<Value, PatchError> {
    let shape = inside.shape(name);
    match (old, new) {
        (Some(Value::Object(old)), Value::Object(new)) => Ok(Value::Object(merge_fields(old, new, Inside::of(shape))?)),
        (_, Value::Object(new)) => Ok(Value::Object(merge_fields(Fields::new(), new, Inside::of(shape))?)),
        (old, Value::Array(new)) => match inside.field(name) {
            Some(field) if field.is_merged => {
                let old = match old {
                    Some(Value::Array(old)) => old,
                    _ => Vec::new(),
                };
                let merged = match field.merge_key {
                    Some(key) => list::merge_objects(old, new, key, item_inside(field))?,
                    None => list::merge_values(old, new),
                };
                Ok(Value::Array(merged))
            }
            _ => Ok(Value::Array(new.clone())),
        },
        (_, new) => Ok(new.clone()),
    }
}

fn item_inside(field: &'static Field) -> Inside {
    match &field.shape {
        Shape::List(inner) => Inside::of(Some(inner)),
        _ => Inside::Unknown,
    }
}

/// Drops all fields but those that `$retainKeys` names; the patch may not set any other.
fn retain_keys(target: &mut Fields, patch: &Fields) -> Result<(), PatchError> {
    let Some(keys) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let keys = expect_list(RETAIN_KEYS, keys)?;
    let is_kept = |name: &str| keys.iter().any(|key| key == name);
    let stray = patch.iter().find(|(name, value)| !name.starts_with('$') && !value.is_null() && !is_kept(name));
    if let Some((name, _)) = stray {
        return Err(malformed(format!("{RETAIN_KEYS} does not name {name:?}, which the patch sets")));
    }
    target.retain(|name, _| is_kept(name));
    Ok(())
}

fn expect_list<'a>(directive: &str, value: &'a Value) -> Result<&'a [Value], PatchError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| malformed(format!("{directive} must be a list")))
}
