//! From the text of a schema to its compact form, and what keeps it from being structural.
//!
//! The texts are Kubernetes'. Paths always name the version, also where Kubernetes speaks of the schema of all versions.

use serde_json::{Map, Value};

use super::rule::Rule;
use super::{Bound, ListType, Range, Rules, Schema, Type, join};
use crate::object;
use crate::pattern::Pattern;
use crate::validation::FieldError;

/// Keywords of JSON Schema that no structural schema may use.
const UNSUPPORTED: &[&str] =
    &["$ref", "$schema", "additionalItems", "definitions", "dependencies", "id", "patternProperties"];

/// Keywords that say more than which values are allowed: `allOf`, `anyOf`, `oneOf` and `not` may not use them.
const STRUCTURAL_ONLY: &[&str] = &[
    "additionalProperties",
    "default",
    "description",
    "nullable",
    "title",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];

/// Where in a schema a node is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
    /// Inside `allOf`, `anyOf`, `oneOf` or `not`.
    Rule,
}

struct Parser<'e> {
    errors: &'e mut Vec<FieldError>,
    /// The outermost list around what is parsed whose items nothing tells apart.
    uncorrelated: Option<String>,
}

impl Schema {
    /// Parses the schema of whole objects, and appends what is wrong with it; `path` is where it is written.
    pub fn parse(value: &Value, path: &str, errors: &mut Vec<FieldError>) -> Schema {
        let mut parser = Parser { errors, uncorrelated: None };
        let schema = parser.node(value, path, Level::Root);
        parser.check_root(&schema, value, path);
        schema
    }
}

impl Parser<'_> {
    fn node(&mut self, value: &Value, path: &str, level: Level) -> Schema {
        self.check_keywords(value, path, level);
        let flag = |name: &str| object::bool_at(value, &[name]).unwrap_or(false);
        let mut schema = Schema {
            value_type: self.value_type(value, path),
            is_nullable: flag("nullable"),
            is_int_or_string: flag("x-kubernetes-int-or-string"),
            is_resource: level == Level::Root || flag("x-kubernetes-embedded-resource"),
            keeps_unknown_fields: flag("x-kubernetes-preserve-unknown-fields"),
            is_atomic_map: text(value, "x-kubernetes-map-type") == Some("atomic"),
            ..Schema::default()
        };
        let inner = if level == Level::Rule { Level::Rule } else { Level::Field };
        for (name, property) in entries(value, "properties") {
            let property = self.node(property, &format!("{path}.properties[{name}]"), inner);
            schema.properties.insert(name.clone(), property);
        }
        schema.additional = match value.get("additionalProperties") {
            None | Some(Value::Null | Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(Box::new(Schema { keeps_unknown_fields: true, ..Schema::default() })),
            Some(additional) => {
                Some(Box::new(self.node(additional, &format!("{path}.additionalProperties"), Level::Field)))
            }
        };
        let inner = if level == Level::Rule { Level::Rule } else { Level::Item };
        if let Some(items) = value.get("items").filter(|items| items.is_object()) {
            let outer = self.uncorrelated.clone();
            if text(value, "x-kubernetes-list-type") != Some("map") {
                self.uncorrelated.get_or_insert_with(|| path.to_owned());
            }
            schema.items = Some(Box::new(self.node(items, &format!("{path}.items"), inner)));
            self.uncorrelated = outer;
        }
        schema.rules = self.rules(value, path);
        if level != Level::Rule {
            self.check_structure(&schema, value, path, level);
            schema.list_type = self.list_type(&schema, value, path);
            self.check_alternatives(&schema, path);
            schema.default = value.get("default").filter(|default| !default.is_null() || schema.is_nullable).cloned();
            self.check_default(&schema, path, level);
            for (index, rule) in object::list_at(value, &["x-kubernetes-validations"]).iter().enumerate() {
                let path = format!("{path}.x-kubernetes-validations[{index}]");
                let uncorrelated = self.uncorrelated.as_deref();
                schema.cel.extend(Rule::parse(rule, &schema, uncorrelated, &path, self.errors));
            }
            schema.has_rules = !schema.cel.is_empty() || schema.children().any(|child| child.has_rules);
        }
        schema
    }

    fn check_keywords(&mut self, value: &Value, path: &str, level: Level) {
        for name in UNSUPPORTED.iter().filter(|name| is_set(value, name)) {
            self.forbid(path, name, &format!("{name} is not supported"));
        }
        if value.get("items").is_some_and(Value::is_array) {
            self.forbid(path, "items", "items must be a schema object and not an array");
        }
        if is_true(value, "uniqueItems") {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.forbid(path, "uniqueItems", detail);
        }
        if value.get("additionalProperties") == Some(&Value::Bool(false)) {
            self.forbid(path, "additionalProperties", "additionalProperties cannot be set to false");
        }
        if is_set(value, "additionalProperties") && entries(value, "properties").next().is_some() {
            self.forbid(path, "additionalProperties", "additionalProperties and properties are mutual exclusive");
        }
        if value.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            let path = join(path, "x-kubernetes-preserve-unknown-fields");
            self.errors.push(FieldError::invalid(path, false, "must be true or undefined"));
        }
        for (name, supported) in [
            ("x-kubernetes-list-type", &["atomic", "map", "set"][..]),
            ("x-kubernetes-map-type", &["atomic", "granular"][..]),
        ] {
            if let Some(found) = text(value, name).filter(|found| !supported.contains(found)) {
                self.errors.push(FieldError::not_supported(join(path, name), found, supported));
            }
        }
        if level == Level::Rule {
            for name in STRUCTURAL_ONLY.iter().filter(|name| is_set(value, name) && value[**name] != Value::Bool(false))
            {
                self.forbid(path, name, "must be undefined to be structural");
            }
        }
    }

    fn value_type(&mut self, value: &Value, path: &str) -> Option<Type> {
        let found = text(value, "type").filter(|found| !found.is_empty())?;
        let known = Type::ALL.into_iter().find(|known| known.as_str() == found);
        if found == "null" {
            self.forbid(path, "type", "type cannot be set to null, use nullable as an alternative");
        } else if known.is_none() {
            let supported = Type::ALL.map(Type::as_str);
            self.errors.push(FieldError::not_supported(join(path, "type"), found, &supported));
        }
        known
    }

    fn rules(&mut self, value: &Value, path: &str) -> Rules {
        let number = |name: &str| value.get(name).and_then(Value::as_f64);
        let count = |name: &str| value.get(name).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        let range = |min: &str, max: &str| Range { min: count(min), max: count(max) };
        let bound = |name: &str, exclusive: &str| {
            number(name).map(|bound| Bound { value: bound, is_exclusive: is_true(value, exclusive) })
        };
        let pattern = text(value, "pattern").filter(|pattern| !pattern.is_empty()).map(Pattern::new);
        let pattern = pattern.and_then(|pattern| {
            let refused = |error| {
                let detail = format!("must be a valid regular expression, but isn't: {error}");
                FieldError::invalid(join(path, "pattern"), text(value, "pattern").unwrap_or_default(), detail)
            };
            pattern.map_err(|error| self.errors.push(refused(error))).ok()
        });
        let multiple_of = number("multipleOf").filter(|factor| {
            let fits = *factor > 0.0;
            if !fits {
                let detail = "must be greater than 0";
                self.errors.push(FieldError::invalid(join(path, "multipleOf"), *factor, detail));
            }
            fits
        });
        let required = object::list_at(value, &["required"]).iter().filter_map(Value::as_str).map(str::to_owned);
        let mut schemas = |name: &str| -> Vec<Schema> {
            let found = object::list_at(value, &[name]).iter().enumerate();
            found.map(|(index, schema)| self.node(schema, &format!("{path}.{name}[{index}]"), Level::Rule)).collect()
        };
        let (all_of, any_of, one_of) = (schemas("allOf"), schemas("anyOf"), schemas("oneOf"));
        let not = value.get("not").filter(|not| not.is_object());
        Rules {
            format: text(value, "format").filter(|format| !format.is_empty()).map(str::to_owned),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of,
            length: range("minLength", "maxLength"),
            items: range("minItems", "maxItems"),
            properties: range("minProperties", "maxProperties"),
            pattern,
            required: required.collect(),
            allowed: value.get("enum").and_then(Value::as_array).cloned(),
            all_of,
            any_of,
            one_of,
            not: not.map(|not| Box::new(self.node(not, &format!("{path}.not"), Level::Rule))),
        }
    }

    /// Types must be stated, once.
    fn check_structure(&mut self, schema: &Schema, value: &Value, path: &str, level: Level) {
        let type_path = join(path, "type");
        let mut must_be = |is_wanted: bool, wanted: Type, because: &str| {
            if is_wanted && schema.value_type != Some(wanted) {
                let detail = format!("must be {} if {because}", wanted.as_str());
                let found = schema.value_type.map_or("", Type::as_str);
                self.errors.push(FieldError::invalid(type_path.as_str(), found, detail));
            }
        };
        must_be(
            is_true(value, "x-kubernetes-embedded-resource"),
            Type::Object,
            "x-kubernetes-embedded-resource is true",
        );
        must_be(is_set(value, "x-kubernetes-map-type"), Type::Object, "x-kubernetes-map-type is specified");
        must_be(is_set(value, "x-kubernetes-list-type"), Type::Array, "x-kubernetes-list-type is specified");
        if let Some(found) = schema.value_type.filter(|_| schema.is_int_or_string) {
            let detail = "must be empty if x-kubernetes-int-or-string is true";
            self.errors.push(FieldError::invalid(type_path.as_str(), found.as_str(), detail));
        }
        if schema.value_type.is_none() && !schema.is_int_or_string && !schema.keeps_unknown_fields {
            let detail = match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field | Level::Rule => "must not be empty for specified object fields",
            };
            self.errors.push(FieldError::required(type_path.as_str(), detail));
        }
        if schema.value_type == Some(Type::Array) && schema.items.is_none() && !schema.keeps_unknown_fields {
            self.errors.push(FieldError::required(join(path, "items"), "must be specified"));
        }
        let is_bare = schema.properties.is_empty() && !schema.keeps_unknown_fields && schema.additional.is_none();
        if is_true(value, "x-kubernetes-embedded-resource") && is_bare {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                          x-kubernetes-preserve-unknown-fields";
            self.errors.push(FieldError::required(join(path, "properties"), detail));
        }
        if schema.is_resource {
            self.check_implied(schema, path);
        }
    }

    /// What every whole object has need not be described, and cannot be described otherwise.
    fn check_implied(&mut self, schema: &Schema, path: &str) {
        for (name, wanted) in [("apiVersion", Type::String), ("kind", Type::String), ("metadata", Type::Object)] {
            let Some(found) = schema.properties.get(name) else { continue };
            let path = format!("{path}.properties[{name}]");
            if let Some(other) = found.value_type.filter(|found| *found != wanted) {
                let detail = format!("must be {}", wanted.as_str());
                self.errors.push(FieldError::invalid(join(&path, "type"), other.as_str(), detail));
            }
            let is_allowed = |field: &String| matches!(field.as_str(), "name" | "generateName");
            if name == "metadata" && !(found.properties.keys().all(is_allowed) && found.additional.is_none()) {
                let detail = "must not specify anything other than name and generateName, but metadata is implicitly \
                              specified";
                self.errors.push(FieldError::forbidden(path, detail));
            }
        }
    }

    fn check_root(&mut self, schema: &Schema, value: &Value, path: &str) {
        if let Some(found) = schema.value_type.filter(|found| *found != Type::Object) {
            self.errors.push(FieldError::invalid(join(path, "type"), found.as_str(), "must be object at the root"));
        }
        if schema.is_nullable {
            self.forbid(path, "nullable", "nullable cannot be true at the root");
        }
        if is_set(value, "default") {
            self.forbid(path, "default", "must not be set at the root");
        }
    }

    fn list_type(&mut self, schema: &Schema, value: &Value, path: &str) -> ListType {
        let keys = object::list_at(value, &["x-kubernetes-list-map-keys"]);
        let found = text(value, "x-kubernetes-list-type");
        if !keys.is_empty() && found != Some("map") {
            let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
            let path = join(path, "x-kubernetes-list-type");
            self.errors.push(match found {
                None => FieldError::required(path, detail),
                Some(found) => FieldError::invalid(path, found, detail),
            });
        }
        match found {
            Some("set") => {
                self.check_set(schema, path);
                ListType::Set
            }
            Some("map") => {
                let mut keys: Vec<String> = keys.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                self.check_map(schema, &keys, path);
                keys.sort();
                ListType::Map(keys)
            }
            _ => ListType::Atomic,
        }
    }

    fn check_set(&mut self, schema: &Schema, path: &str) {
        let Some(items) = &schema.items else { return };
        if items.is_nullable {
            self.forbid(path, "items.nullable", "cannot be nullable when x-kubernetes-list-type is set");
        }
        let is_shared_in_parts = match items.value_type {
            Some(Type::Object) => !items.is_atomic_map,
            Some(Type::Array) => items.list_type != ListType::Atomic,
            _ => false,
        };
        if is_shared_in_parts {
            let detail = "items of a set must be atomic: set x-kubernetes-map-type or x-kubernetes-list-type of the items to \
                          atomic";
            self.errors.push(FieldError::invalid(join(path, "items"), "", detail));
        }
    }

    fn check_map(&mut self, schema: &Schema, keys: &[String], path: &str) {
        if keys.is_empty() {
            let detail = "must not be empty if x-kubernetes-list-type is map";
            self.errors.push(FieldError::required(join(path, "x-kubernetes-list-map-keys"), detail));
        }
        let Some(items) = &schema.items else { return };
        if items.value_type != Some(Type::Object) {
            let found = items.value_type.map_or("", Type::as_str);
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            self.errors.push(FieldError::invalid(format!("{path}.items.type"), found, detail));
        }
        for (index, key) in keys.iter().enumerate() {
            let list_path = format!("{path}.x-kubernetes-list-map-keys[{index}]");
            if keys[..index].contains(key) {
                self.errors.push(FieldError::duplicate(list_path, key.as_str()));
                continue;
            }
            let Some(property) = items.properties.get(key) else {
                let detail = "entries must all be names of item properties";
                self.errors.push(FieldError::invalid(list_path, key.as_str(), detail));
                continue;
            };
            let path = format!("{path}.items.properties[{key}]");
            if let Some(found @ (Type::Array | Type::Object)) = property.value_type {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                self.errors.push(FieldError::invalid(join(&path, "type"), found.as_str(), detail));
            }
            if property.default.is_none() && !items.rules.required.contains(key) {
                let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                              property";
                self.errors.push(FieldError::required(join(&path, "default"), detail));
            }
            if property.is_nullable {
                self.forbid(
                    &path,
                    "nullable",
                    "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
                );
            }
        }
    }

    fn check_alternatives(&mut self, schema: &Schema, path: &str) {
        self.check_rules_of(schema, schema, path, path);
    }

    /// What `allOf` and the like speak of must be described outside of them, and typed there.
    fn check_rules_of(&mut self, holder: &Schema, outer: &Schema, holder_path: &str, outer_path: &str) {
        let rules = &holder.rules;
        for (name, schemas) in [("allOf", &rules.all_of), ("anyOf", &rules.any_of), ("oneOf", &rules.one_of)] {
            for (index, schema) in schemas.iter().enumerate() {
                self.check_rule(schema, outer, &format!("{holder_path}.{name}[{index}]"), outer_path);
            }
        }
        if let Some(schema) = &rules.not {
            self.check_rule(schema, outer, &format!("{holder_path}.not"), outer_path);
        }
    }

    fn check_rule(&mut self, rule: &Schema, outer: &Schema, path: &str, outer_path: &str) {
        if rule.value_type.is_some() && !outer.is_int_or_string {
            self.forbid(path, "type", "must be empty to be structural");
        }
        for (name, property) in &rule.properties {
            let (path, outer_path) = (format!("{path}.properties[{name}]"), format!("{outer_path}.properties[{name}]"));
            match outer.properties.get(name).or(outer.additional.as_deref()) {
                Some(outer) => self.check_rule(property, outer, &path, &outer_path),
                None => {
                    self.errors.push(FieldError::required(outer_path, format!("because it is defined in {path}")));
                }
            }
        }
        if let Some(items) = &rule.items {
            let (path, outer_path) = (format!("{path}.items"), format!("{outer_path}.items"));
            match &outer.items {
                Some(outer) => self.check_rule(items, outer, &path, &outer_path),
                None => self.errors.push(FieldError::required(outer_path, format!("because it is defined in {path}"))),
            }
        }
        self.check_rules_of(rule, outer, path, outer_path);
    }

    /// A default must be a value that the schema allows.
    fn check_default(&mut self, schema: &Schema, path: &str, level: Level) {
        let Some(default) = schema.default.as_ref().filter(|_| level != Level::Root) else { return };
        let path = join(path, "default");
        let mut value = default.clone();
        let unknown = schema.prune(&mut value);
        if !unknown.is_empty() {
            let detail = format!("must not have fields that the schema does not know: {}", unknown.join(", "));
            self.errors.push(FieldError::invalid(path.as_str(), default.clone(), detail));
        }
        schema.fill_defaults(&mut value);
        let mut errors = Vec::new();
        schema.validate_at(&path, &value, None, &mut errors);
        self.errors.append(&mut errors);
    }

    fn forbid(&mut self, path: &str, field: &str, detail: &str) {
        self.errors.push(FieldError::forbidden(join(path, field), detail));
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    object::str_at(value, &[name])
}

fn is_set(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|value| !value.is_null())
}

fn is_true(value: &Value, name: &str) -> bool {
    object::bool_at(value, &[name]) == Some(true)
}

fn entries<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}
