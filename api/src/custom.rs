//! Kinds that users define: what an established CustomResourceDefinition says, one version at a time.
//!
//! All versions of a kind have one set of objects, stored in the storage version. Another version shows them under its own
//! `apiVersion`, with its own defaults, and otherwise as they are. Deliberately absent: conversion by webhooks.

use std::cmp::Reverse;
use std::fmt;
use std::sync::LazyLock;

use serde_json::Value;

use crate::kind::Kind;
use crate::kinds::metadata::STANDARD_FINALIZERS;
use crate::object;
use crate::schema;
use crate::structural::Schema;

mod intern;

/// A kind that users define, in one of its versions.
pub struct CustomKind {
    /// Its names, columns and whatever else built-in kinds have, too.
    pub kind: &'static Kind,
    /// The kind of lists of its objects.
    pub list_kind: String,
    /// Whether requests may name this version.
    pub is_served: bool,
    /// Whether the definition is being deleted, so that no objects are created any more.
    pub is_terminating: bool,
    /// What whoever uses this version is told, where they should use another.
    pub deprecation: Option<String>,
    /// Where its replicas are, if it can be scaled.
    pub scale: Option<ScalePaths>,
    /// What its objects look like.
    pub schema: Schema,
    /// The same as it was written, in the form of OpenAPI v3.
    pub schema_text: Value,
    /// The `apiVersion` that objects are stored under.
    storage_version: String,
}

/// Where the object of a kind keeps what a Scale shows: fields joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// How many there should be.
    pub spec_replicas: String,
    /// How many there are.
    pub status_replicas: String,
    /// A label selector, as text.
    pub selector: Option<String>,
}

impl CustomKind {
    /// All versions of a definition; none unless it is established.
    pub fn versions_of(definition: &Value) -> Vec<CustomKind> {
        let versions = object::list_at(definition, &["spec", "versions"]);
        let group = text(definition, &["spec", "group"]);
        let stored = versions.iter().find(|version| version["storage"] == Value::Bool(true));
        let storage_version = format!("{group}/{}", stored.map_or("", |version| text(version, &["name"])));
        let of_version = |(version, kind): (&Value, &'static Kind)| {
            let schema_text = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
            let deprecation = object::bool_at(version, &["deprecated"]).unwrap_or(false).then(|| {
                let stated = object::str_at(version, &["deprecationWarning"]).map(str::to_owned);
                stated.unwrap_or_else(|| format!("{} {} is deprecated", kind.api_version(), kind.kind))
            });
            CustomKind {
                kind,
                list_kind: text(definition, &["status", "acceptedNames", "listKind"]).to_owned(),
                is_served: object::bool_at(version, &["served"]).unwrap_or(false),
                is_terminating: object::is_deleting(definition),
                deprecation,
                scale: ScalePaths::read(&version["subresources"]["scale"]),
                // The definition was validated as it was written.
                schema: Schema::parse(&schema_text, "", &mut Vec::new()),
                schema_text,
                storage_version: storage_version.clone(),
            }
        };
        versions.iter().zip(kinds_of(definition)).map(of_version).collect()
    }

    /// Takes out fields that the schema does not know, and returns their paths; an error says what is wrong with the metadata.
    pub fn prune(&self, object: &mut Value) -> Result<Vec<String>, String> {
        let definition =
            schema::definition(schema::OBJECT_META).expect("invariant: the table has the metadata of all kinds");
        let mut unknown = Vec::new();
        if let Some(metadata) = object.get_mut("metadata") {
            for mut problem in schema::check(definition, metadata) {
                problem.path = format!("metadata.{}", problem.path).trim_end_matches('.').to_owned();
                if problem.is_refused() {
                    return Err(problem.to_string());
                }
                unknown.push(problem.path);
            }
            if let Some(fields) = metadata.as_object_mut() {
                fields.retain(|name, _| definition.field(name).is_some());
            }
        }
        unknown.extend(self.schema.prune(object));
        Ok(unknown)
    }

    /// Makes a stored object what this version shows.
    pub fn present(&self, object: &mut Value) {
        object["apiVersion"] = self.kind.api_version().into();
        self.schema.fill_defaults(object);
    }

    /// Makes an object of this version what is stored.
    pub fn store(&self, object: &mut Value) {
        object["apiVersion"] = self.storage_version.as_str().into();
    }

    /// What those who write an object are told, as by Kubernetes: of finalizers that it has now and whose names others may use, too.
    pub fn warnings(&self, new: &Value, old: &Value) -> Vec<String> {
        let advice = "prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other \
            finalizer writers";
        let is_plain = |name: &&str| !name.contains('/') && !STANDARD_FINALIZERS.contains(name);
        let added = object::finalizers(new).filter(|name| object::finalizers(old).all(|known| known != *name));
        added.filter(is_plain).map(|name| format!("metadata.finalizers: {name:?}: {advice}")).collect()
    }

    /// Whether stored JSON already is what this version shows.
    pub fn shows_as_stored(&self, json: &[u8]) -> bool {
        let start = format!("{{\"apiVersion\":\"{}\",", self.kind.api_version());
        json.starts_with(start.as_bytes()) && !self.schema.has_defaults()
    }
}

/// Equal kinds show the same objects in the same way.
impl PartialEq for CustomKind {
    fn eq(&self, other: &CustomKind) -> bool {
        std::ptr::eq(self.kind, other.kind)
            && (self.is_served, &self.list_kind, &self.scale) == (other.is_served, &other.list_kind, &other.scale)
            && self.schema_text == other.schema_text
    }
}

impl Eq for CustomKind {}

impl fmt::Debug for CustomKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CustomKind({} {})", self.kind.api_version(), self.kind.kind)
    }
}

impl ScalePaths {
    /// Where all built-in kinds that can be scaled keep it; their selector is no text.
    pub fn built_in() -> &'static ScalePaths {
        static PATHS: LazyLock<ScalePaths> = LazyLock::new(|| {
            let [spec_replicas, status_replicas] = ["spec.replicas", "status.replicas"].map(str::to_owned);
            ScalePaths { spec_replicas, status_replicas, selector: None }
        });
        &PATHS
    }

    fn read(scale: &Value) -> Option<ScalePaths> {
        let path = |field: &str| object::str_at(scale, &[field]).map(|path| path.trim_start_matches('.').to_owned());
        let selector = path("labelSelectorPath").filter(|path| !path.is_empty());
        Some(ScalePaths {
            spec_replicas: path("specReplicasPath")?,
            status_replicas: path("statusReplicasPath")?,
            selector,
        })
    }
}

/// The kinds of all versions of a definition, in their order there; none unless it is established.
pub fn kinds_of(definition: &Value) -> Vec<&'static Kind> {
    if !is_established(definition) {
        return Vec::new();
    }
    let versions = object::list_at(definition, &["spec", "versions"]).iter();
    versions.map(|version| intern::kind(definition, version)).collect()
}

/// Whether a definition's kind is, or was, served.
pub fn is_established(definition: &Value) -> bool {
    let conditions = object::list_at(definition, &["status", "conditions"]);
    conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

/// The place of a version among others: stable ones first, then beta and alpha, newer ones before older ones.
pub fn precedence(version: &str) -> impl Ord + use<> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    let numbers = version.strip_prefix('v').and_then(|rest| {
        let marks = [("beta", 1_u8), ("alpha", 0)];
        let marked = marks.iter().find_map(|(mark, rank)| Some((rest.split_once(mark)?, *rank)));
        match marked {
            None => Some((2, number(rest)?, 0)),
            Some(((major, minor), rank)) => Some((rank, number(major)?, number(minor)?)),
        }
    });
    (Reverse(numbers), version.to_owned())
}

fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    object::str_at(value, path).unwrap_or_default()
}

#[cfg(test)]
mod tests;
