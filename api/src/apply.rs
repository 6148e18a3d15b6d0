//! Server-side apply: a configuration is merged into an object field by field, and the object knows who owns which field.
//!
//! The rules are those of Kubernetes' structured merge: a manager owns what its configuration speaks of; what it stops to
//! speak of goes, unless someone else owns it; changing what another owns is a conflict, unless forced. The pieces:
//! [`FieldSet`] (what is owned), [`ManagedFields`] (by whom), [`compare`] (what a write changed), [`apply`].
//!
//! Deliberately absent: conversion between versions of a kind, which differ in nothing but their `apiVersion`; and marks for objects that
//! the schema names, which Kubernetes sets on some (`f:rollingUpdate: {".": {}}`): they follow from the fields inside.

use serde_json::Value;

use crate::object;
use crate::schema::Definition;
use crate::structural;

mod compare;
mod conflict;
mod extract;
mod field_set;
mod last_applied;
mod managed_fields;
mod merge;
mod place;

pub use compare::{Comparison, compare};
pub use conflict::{ApplyError, Conflict};
pub use field_set::FieldSet;
pub use managed_fields::{ManagedFields, Operation, Writer, is_reset};

use extract::Mark;
use field_set::Node;
use place::Place;

/// The media type of a configuration to apply.
pub const MEDIA_TYPE: &str = "application/apply-patch+yaml";

/// What is known of the fields of a kind.
#[derive(Clone, Copy, Debug)]
pub enum Schema<'a> {
    /// The kind is built in.
    BuiltIn(&'static Definition),
    /// Users defined it.
    Custom(&'a structural::Schema),
}

impl From<&'static Definition> for Schema<'_> {
    fn from(definition: &'static Definition) -> Self {
        Schema::BuiltIn(definition)
    }
}

/// The part of an object that a write addresses, which is all it can own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The object, and its status with it, where status has no path of its own.
    Whole,
    /// All but the status.
    AllButStatus,
    /// The status.
    Status,
    /// The replicas alone; the fields that lead to them, joined by dots.
    Replicas(&'a str),
}

/// Who applies, and how.
#[derive(Clone, Copy, Debug)]
pub struct Application<'a> {
    /// What the configuration can own.
    pub part: Part<'a>,
    /// Who applies it.
    pub writer: &'a Writer,
    /// Whether fields that others own are taken from them.
    pub force: bool,
}

/// The owner of an object that was written before anyone kept track.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Metadata that is the server's, and the object's address: nobody owns them.
const UNOWNED: &[&str] = &[
    "f:clusterName",
    "f:creationTimestamp",
    "f:generation",
    "f:managedFields",
    "f:name",
    "f:namespace",
    "f:resourceVersion",
    "f:selfLink",
    "f:uid",
];

impl Part<'_> {
    /// Leaves in a set only what a write of this part can own.
    fn restrict(self, set: &mut FieldSet) {
        match self {
            Part::Whole => {}
            Part::AllButStatus => set.remove("f:status"),
            Part::Status => set.retain_only("f:status"),
            Part::Replicas(path) => retain_path(set, path),
        }
        set.remove("f:apiVersion");
        set.remove("f:kind");
        if let Some(metadata) = set.get_mut("f:metadata") {
            metadata.is_member = false;
            UNOWNED.iter().for_each(|element| metadata.children.remove(element));
        }
        set.prune_empty();
    }
}

/// Leaves in a set only one field.
fn retain_path(set: &mut FieldSet, path: &str) {
    let (field, rest) = path.split_once('.').map_or((path, None), |(field, rest)| (field, Some(rest)));
    let element = place::field_element(field);
    set.retain_only(&element);
    if let (Some(node), Some(rest)) = (set.get_mut(&element), rest) {
        node.is_member = false;
        retain_path(&mut node.children, rest);
    }
}

/// The fields that a configuration speaks of and can own.
pub fn extract<'a>(schema: impl Into<Schema<'a>>, config: &Value, part: Part<'_>) -> FieldSet {
    let mut fields = extract::collect(config, Place::of(schema.into()), Mark::Applied).children;
    part.restrict(&mut fields);
    fields
}

/// What a write changed that it can own.
pub fn changes<'a>(schema: impl Into<Schema<'a>>, old: &Value, new: &Value, part: Part<'_>) -> Comparison {
    let mut comparison = compare(schema, old, new);
    comparison.each(|set| part.restrict(set));
    comparison
}

/// Checks that a configuration has a well-defined set of fields: only known ones, of the right types, and lists whose items
/// can be told apart.
pub fn check<'a>(schema: impl Into<Schema<'a>>, config: &Value) -> Result<(), ApplyError> {
    let problems = extract::problems(schema.into(), config);
    let problems = match problems.as_slice() {
        [] => return Ok(()),
        [problem] => problem.clone(),
        _ => format!("errors:\n  {}", problems.join("\n  ")),
    };
    let version = object::api_version(config);
    let group = if version.contains('/') { "" } else { "/" };
    Err(ApplyError::Unfit(format!(
        "failed to create typed patch object ({}/{}; {group}{version}, Kind={}): {problems}",
        object::namespace(config).unwrap_or_default(),
        object::name(config),
        object::kind(config),
    )))
}

/// Applies a configuration, which [`check`] let pass, to an object; null stands for an object there isn't so far.
///
/// Returns the new object before defaulting. Its `managedFields` are the old ones: the new ones are in `managed`, which
/// after an error is of no use.
pub fn apply<'a>(
    schema: impl Into<Schema<'a>>,
    live: &Value,
    config: &Value,
    managed: &mut ManagedFields,
    application: Application<'_>,
) -> Result<Value, ApplyError> {
    let Application { part, writer, force } = application;
    let schema = schema.into();
    let place = Place::of(schema);
    if managed.is_empty() && !live.is_null() {
        let unknown = Writer { manager: BEFORE_FIRST_APPLY.to_owned(), ..writer.clone() };
        managed.record(changes(schema, &Value::Null, live, part), &unknown);
    }
    let fields = extract(schema, config, part);
    let mut object = if live.is_null() { config.clone() } else { merge::merge(live, config, place) };
    let own = managed.position(writer, Operation::Apply);
    if let Some(own) = own {
        let mut held = fields.clone();
        // The metadata never goes whole: nobody owns the name in it.
        held.union(FieldSet::from_iter([("f:metadata".to_owned(), Node::leaf())]));
        let others = managed.entries.iter().enumerate().filter(|(index, _)| *index != own);
        others.for_each(|(_, entry)| held.union(entry.fields.clone()));
        merge::remove(&mut object, place, &managed.entries[own].fields, &held);
    }
    let Comparison { added: mut written, modified, removed } = changes(schema, live, &object, part);
    written.union(modified);
    let allowed = last_applied::allowed(schema, live, &writer.manager, part);
    let mut conflicts = Vec::new();
    for (_, entry) in managed.entries.iter_mut().enumerate().filter(|(index, _)| Some(*index) != own) {
        let lost = entry.fields.intersection(&written);
        let refused = lost.difference(&allowed);
        conflicts.extend(conflict::over(entry, &refused));
        entry.fields = entry.fields.difference(&lost).difference(&removed);
    }
    if !force && !conflicts.is_empty() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    managed.record_applied(fields, writer);
    last_applied::follow(&mut object, config, &writer.manager);
    Ok(object)
}

#[cfg(test)]
mod tests;
