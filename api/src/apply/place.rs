//! A place in an object as the schema sees it, and the parts that the value there falls into.

use serde_json::{Map, Value};

use super::Schema;
use crate::schema::{self, Definition, Field, ListKey, ListType, MapType, Shape};
use crate::structural;

/// How the value at a place is shared among its writers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// As a whole: plain values, atomic lists, maps and objects.
    Whole,
    /// Field by field; the fields are the schema's.
    Object(&'static Definition),
    /// Field by field, of a kind that users define; keys may be free.
    CustomObject(&'a structural::Schema),
    /// Key by key; the keys are free.
    Map(&'static Shape),
    /// Key by key where it is an object, else as a whole: what no schema describes.
    Any,
    /// Item by item; an item is its own key.
    Set,
    /// Item by item, told apart by these fields.
    List(&'static [ListKey], &'static Shape),
    /// Item by item, told apart by these fields, in a kind that users define.
    CustomList(&'a [String], &'a structural::Schema),
}

/// One part of a value.
pub(super) struct Part<'a> {
    /// Its element in a field set.
    pub(super) element: String,
    pub(super) value: &'a Value,
    pub(super) place: Place<'a>,
    /// Whether the schema names it. Such a field needs no mark of its own in a set: it is there when anything in it is.
    pub(super) is_named: bool,
}

impl<'a> Place<'a> {
    pub(super) fn of(schema: Schema<'a>) -> Place<'a> {
        match schema {
            Schema::BuiltIn(definition) => Place::of_definition(definition),
            Schema::Custom(schema) => Place::of_custom(schema),
        }
    }

    pub(super) fn of_definition(definition: &'static Definition) -> Place<'a> {
        if definition.is_open() { Place::Any } else { Place::Object(definition) }
    }

    fn of_shape(shape: &'static Shape, stated: Option<MapType>) -> Place<'a> {
        let own =
            shape.definition().filter(|_| matches!(shape, Shape::Object(_))).map(|definition| definition.map_type);
        match (shape, stated.or(own)) {
            (Shape::Map(_) | Shape::Any | Shape::Object(_), Some(MapType::Atomic)) => Place::Whole,
            (Shape::Object(reference), _) => Place::of_definition(reference.definition()),
            (Shape::Map(inner), _) => Place::Map(inner),
            (Shape::Any, _) => Place::Any,
            _ => Place::Whole,
        }
    }

    fn of_field(field: &'static Field) -> Place<'a> {
        match (&field.shape, &field.list_type) {
            (Shape::List(_), ListType::Set) => Place::Set,
            (Shape::List(inner), ListType::Map(keys)) => Place::List(keys, inner),
            (shape, _) => Place::of_shape(shape, field.map_type),
        }
    }

    fn of_custom(schema: &'a structural::Schema) -> Place<'a> {
        match (schema.value_type, &schema.list_type, &schema.items) {
            (Some(structural::Type::Object), ..) if schema.is_atomic_map => Place::Whole,
            (Some(structural::Type::Object), ..) => Place::CustomObject(schema),
            (Some(structural::Type::Array), structural::ListType::Set, _) => Place::Set,
            (Some(structural::Type::Array), structural::ListType::Map(keys), Some(items)) => {
                Place::CustomList(keys, items)
            }
            (None, ..) if schema.keeps_unknown_fields => Place::Any,
            _ => Place::Whole,
        }
    }

    /// Whether the parts of a value here are fields that the schema names.
    pub(super) fn is_named(self) -> bool {
        match self {
            Place::Object(_) => true,
            Place::CustomObject(schema) => schema.is_resource || !schema.properties.is_empty(),
            _ => false,
        }
    }

    /// Whether an object here has parts.
    pub(super) fn is_shared_object(self) -> bool {
        matches!(self, Place::Object(_) | Place::CustomObject(_) | Place::Map(_) | Place::Any)
    }

    /// Whether a list here has parts.
    pub(super) fn is_shared_list(self) -> bool {
        matches!(self, Place::Set | Place::List(..) | Place::CustomList(..))
    }

    /// The place of an entry of an object, and whether the schema names it.
    pub(super) fn entry(self, name: &str) -> (Place<'a>, bool) {
        match self {
            Place::Object(definition) => {
                definition.field(name).map_or((Place::Any, false), |field| (Place::of_field(field), true))
            }
            Place::CustomObject(schema) if schema.is_resource && name == "metadata" => {
                (schema::definition(schema::OBJECT_META).map_or(Place::Any, Place::of_definition), true)
            }
            Place::CustomObject(schema) if schema.is_resource && matches!(name, "apiVersion" | "kind") => {
                (Place::Whole, true)
            }
            Place::CustomObject(schema) => match (schema.properties.get(name), &schema.additional) {
                (Some(property), _) => (Place::of_custom(property), true),
                (None, Some(additional)) => (Place::of_custom(additional), false),
                (None, None) => (Place::Any, false),
            },
            Place::Map(inner) => (Place::of_shape(inner, None), false),
            _ => (Place::Any, false),
        }
    }

    /// The place of a list's items.
    pub(super) fn item(self) -> Place<'a> {
        match self {
            Place::List(_, inner) => Place::of_shape(inner, None),
            Place::CustomList(_, items) => Place::of_custom(items),
            _ => Place::Whole,
        }
    }

    /// The element of a list's item; why it has none otherwise.
    pub(super) fn element(self, item: &Value) -> Result<String, String> {
        let keys: Vec<(&str, Option<Value>)> = match self {
            Place::List(keys, _) => keys.iter().map(|key| (key.name, key.default.map(Value::from))).collect(),
            Place::CustomList(keys, items) => {
                let default = |key: &str| items.properties.get(key).and_then(|property| property.default.clone());
                keys.iter().map(|key| (key.as_str(), default(key))).collect()
            }
            _ => return Ok(format!("v:{item}")),
        };
        let Value::Object(fields) = item else {
            return Err("associative list with keys may not have non-map elements".to_owned());
        };
        let mut found = Map::new();
        for (name, default) in keys {
            let value = fields.get(name).filter(|value| !value.is_null()).cloned();
            let value = value.or(default).ok_or_else(|| {
                format!(
                    "associative list with keys has an element that omits key field {name:?} (and doesn't have default value)"
                )
            })?;
            found.insert(name.to_owned(), value);
        }
        Ok(format!("k:{}", Value::Object(found)))
    }

    /// The parts of a value; `None` where it is shared as a whole, or is no such value as the schema expects here.
    pub(super) fn parts<'v>(self, value: &'v Value) -> Option<Vec<Part<'v>>>
    where
        'a: 'v,
    {
        match value {
            Value::Object(fields) if self.is_shared_object() => {
                let parts = fields.iter().map(|(name, value)| {
                    let (place, is_named) = self.entry(name);
                    Part { element: field_element(name), value, place, is_named }
                });
                Some(parts.collect())
            }
            Value::Array(items) if self.is_shared_list() => {
                let place = self.item();
                let part = |value| {
                    let element = self.element(value).ok()?;
                    Some(Part { element, value, place, is_named: false })
                };
                items.iter().map(part).collect()
            }
            _ => None,
        }
    }
}

/// The element of a field or of a map's key.
pub(super) fn field_element(name: &str) -> String {
    let mut element = String::with_capacity(2 + name.len());
    element.push_str("f:");
    element.push_str(name);
    element
}
