//! Changes to a JSON document's tree.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

use super::bytes;
use crate::generate::WORDS;

/// Names that patches and objects give a meaning.
const NAMES: &[&str] = &[
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$setElementOrder/ports",
    "$deleteFromPrimitiveList/finalizers",
    "op",
    "path",
    "from",
    "value",
    "metadata",
    "name",
    "namespace",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "spec",
    "status",
    "containers",
    "ports",
    "containerPort",
    "protocol",
    "env",
    "volumes",
    "a",
    "",
];
/// Values that patches give a meaning.
const VALUES: &[&str] = &[
    "replace",
    "delete",
    "merge",
    "add",
    "remove",
    "copy",
    "move",
    "test",
    "/metadata/-",
    "/spec/containers/0",
    "/a~1b~0",
    "/",
    "/metadata/finalizers/-",
    "/spec/containers/18446744073709551616",
];

/// Changes a document; now and then as bytes, and always so where it is no JSON.
pub(crate) fn json(random: &mut StdRng, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice::<Value>(input) else { return bytes(random, input, others) };
    if random.random_bool(0.1) {
        return bytes(random, input, others);
    }
    let mut index = random.random_range(0..count(&document));
    let node = nth(&mut document, &mut index).unwrap();
    change(random, node, others);
    document.to_string().into_bytes()
}

fn change(random: &mut StdRng, node: &mut Value, others: &[Vec<u8>]) {
    match random.random_range(0..6) {
        0 => *node = plain(random),
        1 => {
            let other = others.choose(random).unwrap();
            let mut other = serde_json::from_slice::<Value>(other).unwrap_or_default();
            let mut index = random.random_range(0..count(&other));
            *node = nth(&mut other, &mut index).unwrap().take();
        }
        2 => remove(random, node),
        3 => {
            let name = if random.random_bool(0.5) { NAMES.choose(random) } else { WORDS.choose(random) };
            insert(node, name.unwrap(), plain(random));
        }
        4 => {
            for _ in 0..random.random_range(1..=120) {
                *node = if random.random_bool(0.5) { json!([node.take()]) } else { json!({ "a": node.take() }) };
            }
        }
        _ => repeat(random, node),
    }
}

fn plain(random: &mut StdRng) -> Value {
    match random.random_range(0..10) {
        0 => Value::Null,
        1 => random.random_bool(0.5).into(),
        2 => json!([]),
        3 => json!({}),
        4 => json!(*[0, 1, -1, i64::MAX, i64::MIN, 1 << 31, 65_535].choose(random).unwrap()),
        5 => json!(*[0.5, -0.0, 1e300, 5e-324].choose(random).unwrap()),
        6 => u64::MAX.into(),
        7 => (*VALUES.choose(random).unwrap()).into(),
        8 => "x".repeat(random.random_range(60..300)).into(),
        _ => (*WORDS.choose(random).unwrap()).into(),
    }
}

fn insert(node: &mut Value, name: &str, value: Value) {
    match node {
        Value::Object(fields) => drop(fields.insert(name.to_owned(), value)),
        Value::Array(items) => items.push(value),
        plain => *plain = json!({ name: value }),
    }
}

fn remove(random: &mut StdRng, node: &mut Value) {
    match node {
        Value::Array(items) if !items.is_empty() => drop(items.remove(random.random_range(0..items.len()))),
        Value::Object(fields) if !fields.is_empty() => {
            let name = fields.keys().nth(random.random_range(0..fields.len())).unwrap().clone();
            fields.remove(&name);
        }
        plain => *plain = Value::Null,
    }
}

/// Repeats an item of a list, or turns a field's value into a list of it.
fn repeat(random: &mut StdRng, node: &mut Value) {
    match node {
        Value::Array(items) if !items.is_empty() => {
            let item = items[random.random_range(0..items.len())].clone();
            let times = if random.random_bool(0.1) { 200 } else { 2 };
            items.extend(std::iter::repeat_n(item, times));
        }
        Value::Object(fields) if !fields.is_empty() => {
            let index = random.random_range(0..fields.len());
            let mut renamed: Map<String, Value> = fields.clone();
            let name = fields.keys().nth(index).unwrap().clone();
            let value = renamed.remove(&name).unwrap();
            renamed.insert((*NAMES.choose(random).unwrap()).to_owned(), value);
            *fields = renamed;
        }
        other => *other = json!([other.clone(), other.clone()]),
    }
}

/// How many values there are in a document, itself included.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// The value at an index, in the order they are written.
fn nth<'a>(value: &'a mut Value, index: &mut usize) -> Option<&'a mut Value> {
    if *index == 0 {
        return Some(value);
    }
    *index -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, index)),
        Value::Object(fields) => fields.values_mut().find_map(|item| nth(item, index)),
        _ => None,
    }
}
