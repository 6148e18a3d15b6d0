//! Structural schemas: what the objects of kinds that users define look like.
//!
//! A schema is parsed once ([`Schema::parse`]), and then prunes objects of fields it does not know, fills in its defaults and
//! judges values, with Kubernetes' words and paths. Deliberately absent: descriptions and examples, which OpenAPI takes from
//! the text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::pattern::Pattern;
use rule::Rule;

mod defaults;
mod embedded;
mod format;
mod parse;
mod prune;
mod rule;
mod shape;
mod validate;

/// What a value looks like.
#[derive(Debug, Default)]
pub struct Schema {
    pub(crate) value_type: Option<Type>,
    pub(crate) properties: BTreeMap<String, Schema>,
    /// What the values of other fields look like, where others are allowed.
    pub(crate) additional: Option<Box<Schema>>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) is_nullable: bool,
    pub(crate) is_int_or_string: bool,
    /// A whole object with metadata: the root, or an embedded resource.
    pub(crate) is_resource: bool,
    pub(crate) keeps_unknown_fields: bool,
    pub(crate) default: Option<Value>,
    pub(crate) list_type: ListType,
    /// Whether writers share the map or object as a whole.
    pub(crate) is_atomic_map: bool,
    pub(crate) rules: Rules,
    /// Rules in CEL.
    pub(crate) cel: Vec<Rule>,
    /// Whether there are rules in CEL here or below.
    pub(crate) has_rules: bool,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

/// How writers share a list (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    /// Items are told apart by these of their fields, sorted.
    Map(Vec<String>),
}

/// What is asked of a value besides its type.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) format: Option<String>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) length: Range,
    pub(crate) items: Range,
    pub(crate) properties: Range,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) required: Vec<String>,
    pub(crate) allowed: Option<Vec<Value>>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

/// An end of a range of numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    pub(crate) is_exclusive: bool,
}

/// How many there may be of something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    pub(crate) min: Option<usize>,
    pub(crate) max: Option<usize>,
}

impl Type {
    const ALL: [Type; 6] = [Type::Array, Type::Boolean, Type::Integer, Type::Number, Type::Object, Type::String];

    fn as_str(self) -> &'static str {
        match self {
            Type::Array => "array",
            Type::Boolean => "boolean",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Object => "object",
            Type::String => "string",
        }
    }
}

impl Schema {
    /// The schema of a plain field by the names on the way to it.
    pub(crate) fn at(&self, fields: &[&str]) -> Option<&Schema> {
        fields.iter().try_fold(self, |schema, field| schema.properties.get(*field))
    }

    /// Whether rules may speak of the field at the end of these. As in Kubernetes, they know only what has a type: nothing of what is kept
    /// although the schema does not know it, and of metadata the names.
    pub(crate) fn has_field(&self, fields: &[Cow<'_, str>]) -> bool {
        let Some((field, rest)) = fields.split_first() else { return true };
        if self.is_resource && matches!(&**field, "apiVersion" | "kind" | "metadata") {
            let is_name = |name: &str| field == "metadata" && matches!(name, "name" | "generateName");
            return rest.iter().all(|name| is_name(name)) && rest.len() <= 1;
        }
        match self.properties.get(&**field).or(self.additional.as_deref()) {
            Some(schema) if schema.value_type.is_none() && !schema.is_int_or_string => false,
            Some(schema) => schema.has_field(rest),
            None => self.is_int_or_string,
        }
    }

    /// Whether a field selector can compare it.
    pub(crate) fn is_selectable(&self) -> bool {
        matches!(self.value_type, Some(Type::String | Type::Boolean | Type::Integer))
    }

    /// The schemas right below, whatever leads to them.
    fn children(&self) -> impl Iterator<Item = &Schema> {
        self.properties.values().chain(self.additional.as_deref()).chain(self.items.as_deref())
    }

    /// Whether filling in defaults may change a value.
    pub(crate) fn has_defaults(&self) -> bool {
        self.default.is_some() || self.children().any(Schema::has_defaults)
    }
}

/// `parent.field`, or the field alone at the root.
fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") }
}

#[cfg(test)]
mod tests;
