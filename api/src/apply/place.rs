//! A place in an object as the schema sees it, and the parts that the value there falls into.

use serde_json::{Map, Value};

use crate::schema::{Definition, Field, ListKey, ListType, MapType, Shape};

/// How the value at a place is shared among its writers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// As a whole: plain values, atomic lists, maps and objects.
    Whole,
    /// Field by field; the fields are the schema's.
    Object(&'static Definition),
    /// Key by key; the keys are free.
    Map(&'static Shape),
    /// Key by key where it is an object, else as a whole: what no schema describes.
    Any,
    /// Item by item; an item is its own key.
    Set,
    /// Item by item, told apart by these fields.
    List(&'static [ListKey], &'static Shape),
}

/// One part of a value.
pub(super) struct Part<'a> {
    /// Its element in a field set.
    pub(super) element: String,
    pub(super) value: &'a Value,
    pub(super) place: Place,
    /// Whether the schema names it. Such a field needs no mark of its own in a set: it is there when anything in it is.
    pub(super) is_named: bool,
}

impl Place {
    pub(super) fn of_definition(definition: &'static Definition) -> Place {
        if definition.is_open() { Place::Any } else { Place::Object(definition) }
    }

    fn of_shape(shape: &'static Shape, stated: Option<MapType>) -> Place {
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

    fn of_field(field: &'static Field) -> Place {
        match (&field.shape, &field.list_type) {
            (Shape::List(_), ListType::Set) => Place::Set,
            (Shape::List(inner), ListType::Map(keys)) => Place::List(keys, inner),
            (shape, _) => Place::of_shape(shape, field.map_type),
        }
    }

    /// The place of an entry of an object, and whether the schema names it.
    pub(super) fn entry(self, name: &str) -> (Place, bool) {
        match self {
            Place::Object(definition) => {
                definition.field(name).map_or((Place::Any, false), |field| (Place::of_field(field), true))
            }
            Place::Map(inner) => (Place::of_shape(inner, None), false),
            _ => (Place::Any, false),
        }
    }

    /// The place of a list's items.
    pub(super) fn item(self) -> Place {
        match self {
            Place::List(_, inner) => Place::of_shape(inner, None),
            _ => Place::Whole,
        }
    }

    /// The element of a list's item; why it has none otherwise.
    pub(super) fn element(self, item: &Value) -> Result<String, String> {
        let Place::List(keys, _) = self else { return Ok(format!("v:{item}")) };
        let Value::Object(fields) = item else {
            return Err("associative list with keys may not have non-map elements".to_owned());
        };
        let mut found = Map::new();
        for key in keys {
            let value = fields.get(key.name).filter(|value| !value.is_null()).cloned();
            let value = value.or_else(|| key.default.map(Value::from)).ok_or_else(|| {
                let name = key.name;
                format!(
                    "associative list with keys has an element that omits key field {name:?} (and doesn't have default value)"
                )
            })?;
            found.insert(key.name.to_owned(), value);
        }
        Ok(format!("k:{}", Value::Object(found)))
    }

    /// The parts of a value; `None` where it is shared as a whole, or is no such value as the schema expects here.
    pub(super) fn parts(self, value: &Value) -> Option<Vec<Part<'_>>> {
        match (self, value) {
            (Place::Object(_) | Place::Map(_) | Place::Any, Value::Object(fields)) => {
                let parts = fields.iter().map(|(name, value)| {
                    let (place, is_named) = self.entry(name);
                    Part { element: field_element(name), value, place, is_named }
                });
                Some(parts.collect())
            }
            (Place::Set | Place::List(..), Value::Array(items)) => {
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
