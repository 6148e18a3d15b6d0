//! Server-side apply: a configuration is merged into an object field by field, and the object knows who owns which field.
//!
//! The rules are those of Kubernetes' structured merge: a manager owns what its configuration speaks of; what it stops to
//! speak of goes, unless someone else owns it; changing what another owns is a conflict, unless forced. The pieces:
//! [`FieldSet`] (what is owned), [`ManagedFields`] (by whom), [`compare`] (what a write changed), [`apply`].
//!
//! Deliberately absent: conversion between versions of a kind, as every kind is served in one; and marks for objects that
//! the schema names, which Kubernetes sets on some (`f:rollingUpdate: {".": {}}`): they follow from the fields inside.

use serde_json::Value;

use crate::object;
use crate::schema::Definition;

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

/// The part of an object that a write addresses, which is all it can own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object, and its status with it, where status has no path of its own.
    Whole,
    /// All but the status.
    AllButStatus,
    /// The status.
    Status,
    /// `spec.replicas`.
    Replicas,
}

/// Who applies, and how.
#[derive(Clone, Copy, Debug)]
pub struct Application<'a> {
    /// What the configuration can own.
    pub part: Part,
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

impl Part {
    /// Leaves in a set only what a write of this part can own.
    fn restrict(self, set: &mut FieldSet) {
        match self {
            Part::Whole => {}
            Part::AllButStatus => set.remove("f:status"),
            Part::Status => set.retain_only("f:status"),
            Part::Replicas => {
                set.retain_only("f:spec");
                if let Some(spec) = set.get_mut("f:spec") {
                    spec.is_member = false;
                    spec.children.retain_only("f:replicas");
                }
            }
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

/// The fields that a configuration speaks of and can own.
pub fn extract(definition: &'static Definition, config: &Value, part: Part) -> FieldSet {
    let mut fields = extract::collect(config, Place::of_definition(definition), Mark::Applied).children;
    part.restrict(&mut fields);
    fields
}

/// What a write changed that it can own.
pub fn changes(definition: &'static Definition, old: &Value, new: &Value, part: Part) -> Comparison {
    let mut comparison = compare(definition, old, new);
    comparison.each(|set| part.restrict(set));
    comparison
}

/// Checks that a configuration has a well-defined set of fields: only known ones, of the right types, and lists whose items
/// can be told apart.
pub fn check(definition: &'static Definition, config: &Value) -> Result<(), ApplyError> {
    let problems = extract::problems(definition, config);
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
pub fn apply(
    definition: &'static Definition,
    live: &Value,
    config: &Value,
    managed: &mut ManagedFields,
    application: Application<'_>,
) -> Result<Value, ApplyError> {
    let Application { part, writer, force } = application;
    let place = Place::of_definition(definition);
    if managed.is_empty() && !live.is_null() {
        let unknown = Writer { manager: BEFORE_FIRST_APPLY.to_owned(), ..writer.clone() };
        managed.record(changes(definition, &Value::Null, live, part), &unknown);
    }
    let fields = extract(definition, config, part);
    let mut object = if live.is_null() { config.clone() } else { merge::merge(live, config, place) };
    let own = managed.position(writer, Operation::Apply);
    if let Some(own) = own {
        let mut held = fields.clone();
        // The metadata never goes whole: nobody owns the name in it.
        let mut metadata = FieldSet::default();
        metadata.insert("f:metadata".to_owned(), Node::leaf());
        held.union(metadata);
        let others = managed.entries.iter().enumerate().filter(|(index, _)| *index != own);
        others.for_each(|(_, entry)| held.union(entry.fields.clone()));
        merge::remove(&mut object, place, &managed.entries[own].fields, &held);
    }
    let Comparison { added: mut written, modified, removed } = changes(definition, live, &object, part);
    written.union(modified);
    let allowed = last_applied::allowed(definition, live, &writer.manager, part);
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
