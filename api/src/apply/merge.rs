//! A configuration merged into the live object, and the removal of what its manager no longer applies.

use serde_json::{Map, Value};

use super::field_set::{FieldSet, Node};
use super::place::{Place, field_element};

/// The live value with a configuration's values in place of its own. Lists that are shared item by item take the
/// configuration's order; items that only the live list has stay before the shared item they stood before.
pub(super) fn merge(live: &Value, config: &Value, place: Place<'_>) -> Value {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if place.is_shared_object() => {
            let mut merged = live.clone();
            for (name, value) in config {
                let value = match live.get(name) {
                    Some(old) => merge(old, value, place.entry(name).0),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(config)) if place.is_shared_list() => {
            merge_lists(live, config, place).map_or_else(|| config.clone().into(), Value::Array)
        }
        (_, config) => config.clone(),
    }
}

/// `None` where an item lacks a key.
fn merge_lists(live: &[Value], config: &[Value], place: Place<'_>) -> Option<Vec<Value>> {
    let elements = |items: &[Value]| items.iter().map(|item| place.element(item).ok()).collect::<Option<Vec<String>>>();
    let (live_elements, config_elements) = (elements(live)?, elements(config)?);
    let mut merged = Vec::with_capacity(live.len() + config.len());
    let mut cursor = 0;
    for (index, item) in config.iter().enumerate() {
        let next_shared = config_elements[index..].iter().find(|element| live_elements.contains(element));
        while cursor < live.len() && Some(&live_elements[cursor]) != next_shared {
            if !config_elements.contains(&live_elements[cursor]) {
                merged.push(live[cursor].clone());
            }
            cursor += 1;
        }
        let old = live_elements.iter().position(|element| *element == config_elements[index]);
        merged.push(old.map_or_else(|| item.clone(), |old| merge(&live[old], item, place.item())));
    }
    let rest = live_elements.iter().zip(live).skip(cursor).filter(|(element, _)| !config_elements.contains(element));
    merged.extend(rest.map(|(_, item)| item.clone()));
    Some(merged)
}

/// Removes what the manager applied the last time and nobody holds any longer. What is removed goes whole, with fields in
/// it that nobody owns (defaults, say); what is emptied that way goes, too.
pub(super) fn remove(value: &mut Value, place: Place<'_>, last: &FieldSet, held: &FieldSet) {
    match value {
        Value::Object(fields) if place.is_shared_object() => {
            remove_entries(fields, place, last, held);
        }
        Value::Array(items) if place.is_shared_list() => {
            items.retain_mut(|item| {
                let Ok(element) = place.element(item) else { return true };
                !is_removed(item, place.item(), false, last.get(&element), held.get(&element))
            });
        }
        _ => {}
    }
}

fn remove_entries(fields: &mut Map<String, Value>, place: Place<'_>, last: &FieldSet, held: &FieldSet) {
    fields.retain(|name, value| {
        let element = field_element(name);
        let (place, is_named) = place.entry(name);
        !is_removed(value, place, is_named, last.get(&element), held.get(&element))
    });
}

/// Whether a part of a value goes; if not, what is to go in it is removed.
fn is_removed(value: &mut Value, place: Place<'_>, is_named: bool, last: Option<&Node>, held: Option<&Node>) -> bool {
    let Some(last) = last else { return false };
    let claims = |node: &Node| node.is_member || (is_named && !node.children.is_empty());
    if claims(last) && !held.is_some_and(claims) {
        return true;
    }
    let nothing = FieldSet::default();
    let was_empty = is_empty(value);
    remove(value, place, &last.children, held.map_or(&nothing, |held| &held.children));
    !was_empty && is_empty(value)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
