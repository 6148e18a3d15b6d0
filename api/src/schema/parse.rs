//! One line of the schema table to its compact form.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Definition, Field, ListKey, ListType, MapType, Reference, Shape, find};

pub(crate) const PREFIX: &str = "#/components/schemas/";

#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(rename = "$ref")]
    reference: Option<&'a str>,
    #[serde(rename = "allOf", default, borrow)]
    all_of: Vec<Schema<'a>>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    format: Option<&'a str>,
    #[serde(borrow)]
    items: Option<Box<Schema<'a>>>,
    #[serde(rename = "additionalProperties", borrow)]
    additional: Option<Box<Schema<'a>>>,
    #[serde(default, borrow)]
    properties: BTreeMap<&'a str, Schema<'a>>,
    #[serde(rename = "x-kubernetes-patch-merge-key")]
    merge_key: Option<&'a str>,
    #[serde(rename = "x-kubernetes-patch-strategy", borrow)]
    strategy: Option<Cow<'a, str>>,
    #[serde(rename = "x-kubernetes-list-map-keys", default, borrow)]
    map_keys: Vec<&'a str>,
    #[serde(rename = "x-kubernetes-list-type")]
    list_type: Option<&'a str>,
    #[serde(rename = "x-kubernetes-map-type")]
    map_type: Option<&'a str>,
}

/// What the items of a list mean that lack a key, by the list's field. The published table leaves defaults out; these are
/// Kubernetes' `+default` markers on `ContainerPort`, `ServicePort` and `LocalObjectReference`.
const KEY_DEFAULTS: &[(&str, &str, &str)] = &[("ports", "protocol", "TCP"), ("imagePullSecrets", "name", "")];

pub(super) fn definition(name: &'static str, text: &'static str) -> Definition {
    let schema: Schema<'static> = serde_json::from_str(text).expect("invariant: the embedded table is tested whole");
    let (map_type, is_untyped) = (map_type(&schema).unwrap_or_default(), schema.kind.is_none());
    let fields = schema.properties.into_iter().map(|(name, schema)| field(name, &schema)).collect();
    Definition { name, fields, is_untyped, map_type }
}

fn field(name: &'static str, schema: &Schema<'static>) -> Field {
    let strategy = schema.strategy.as_deref().unwrap_or_default();
    Field {
        name,
        shape: shape(schema),
        is_merged: strategy.split(',').any(|word| word == "merge"),
        retains_keys: strategy.split(',').any(|word| word == "retainKeys"),
        merge_key: schema.merge_key,
        list_type: list_type(name, schema),
        map_type: map_type(schema),
    }
}

fn list_type(field: &str, schema: &Schema<'static>) -> ListType {
    let key = |name: &&'static str| {
        let default = KEY_DEFAULTS.iter().find(|(list, key, _)| *list == field && key == name);
        ListKey { name, default: default.map(|(.., value)| *value) }
    };
    match schema.list_type {
        Some("set") => ListType::Set,
        Some("map") => {
            let mut keys: Vec<ListKey> = schema.map_keys.iter().map(key).collect();
            keys.sort_by_key(|key| key.name);
            ListType::Map(keys)
        }
        _ => ListType::Atomic,
    }
}

fn map_type(schema: &Schema<'_>) -> Option<MapType> {
    match schema.map_type? {
        "atomic" => Some(MapType::Atomic),
        _ => Some(MapType::Granular),
    }
}

fn shape(schema: &Schema<'_>) -> Shape {
    if let Some(reference) = schema.reference.or_else(|| schema.all_of.first()?.reference) {
        return referred(reference.strip_prefix(PREFIX).unwrap_or(reference));
    }
    match (schema.kind, schema.format) {
        (Some("string"), Some("byte")) => Shape::Bytes,
        (Some("string"), _) => Shape::String,
        (Some("integer"), Some("int32")) => Shape::Integer32,
        (Some("integer"), _) => Shape::Integer64,
        (Some("number"), _) => Shape::Number,
        (Some("boolean"), _) => Shape::Boolean,
        (Some("array"), _) => Shape::List(Box::new(schema.items.as_deref().map_or(Shape::Any, shape))),
        (Some("object"), _) => {
            schema.additional.as_deref().map_or(Shape::Any, |inner| Shape::Map(Box::new(shape(inner))))
        }
        _ => Shape::Any,
    }
}

fn referred(name: &str) -> Shape {
    match name.rsplit('.').next().unwrap_or(name) {
        "IntOrString" => Shape::IntOrString,
        "Quantity" => Shape::Quantity,
        "Time" => Shape::Time,
        "MicroTime" => Shape::MicroTime,
        "RawExtension" | "FieldsV1" | "Patch" => Shape::Any,
        _ => {
            let index = find(name).expect("invariant: the embedded table is closed");
            Shape::Object(Reference(u16::try_from(index).expect("invariant: the embedded table is small")))
        }
    }
}
