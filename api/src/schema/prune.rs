//! Makes of an object what Kubernetes' decoder does: unknown fields are gone, and nulls in lists and maps are empty values.

use serde_json::{Map, Value};

use super::{Definition, Shape};

/// Takes out what [`check`](super::check()) finds unknown, and puts empty values where it finds nulls.
pub fn prune(definition: &'static Definition, object: &mut Value) {
    if let Value::Object(fields) = object {
        prune_fields(definition, fields);
    }
}

fn prune_fields(definition: &'static Definition, fields: &mut Map<String, Value>) {
    if definition.is_open() {
        return;
    }
    fields.retain(|name, value| match definition.field(name) {
        Some(field) => {
            prune_value(&field.shape, value);
            true
        }
        None => false,
    });
}

fn prune_value(shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Object(reference), Value::Object(fields)) => {
            prune_fields(reference.definition().of_objects(), fields);
        }
        (Shape::List(inner), Value::Array(items)) => items.iter_mut().for_each(|item| prune_element(inner, item)),
        (Shape::Map(inner), Value::Object(fields)) => fields.values_mut().for_each(|item| prune_element(inner, item)),
        _ => {}
    }
}

fn prune_element(shape: &Shape, value: &mut Value) {
    match zero(shape).filter(|_| value.is_null()) {
        Some(zero) => *value = zero,
        None => prune_value(shape, value),
    }
}

/// What Go makes of a null; `None` where it stays one.
pub(super) fn zero(shape: &Shape) -> Option<Value> {
    Some(match shape {
        Shape::String | Shape::Bytes => "".into(),
        Shape::Boolean => false.into(),
        Shape::Integer32 | Shape::Integer64 | Shape::Number | Shape::IntOrString => 0.into(),
        Shape::Quantity => "0".into(),
        Shape::Object(reference) if !reference.definition().is_open() => Value::Object(Map::new()),
        Shape::Any | Shape::Time | Shape::MicroTime | Shape::List(_) | Shape::Map(_) | Shape::Object(_) => return None,
    })
}
