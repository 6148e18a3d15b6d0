//! The fields that a configuration speaks of, and what keeps it from being applied.

use std::collections::HashSet;

use serde_json::Value;

use super::Schema;
use super::field_set::{Node, spell};
use super::place::Place;
use crate::schema::{self, ProblemKind};

/// Whose words a set records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A configuration's: it speaks of a list's items and of a map's keys, never of the list or the map itself.
    Applied,
    /// A write's: it made the list or the map, too.
    Written,
}

/// The fields in a value.
pub(super) fn collect(value: &Value, place: Place<'_>, mark: Mark) -> Node {
    let Some(parts) = place.parts(value).filter(|parts| !parts.is_empty()) else { return Node::leaf() };
    let is_member = mark == Mark::Written && !place.is_named();
    let parts = parts.into_iter().filter(|part| mark == Mark::Applied || !part.value.is_null());
    let children = parts.map(|part| {
        let mut below = collect(part.value, part.place, mark);
        below.is_member |= !part.is_named;
        (part.element, below)
    });
    Node { is_member, children: children.collect() }
}

/// What keeps a configuration from having a well-defined set of fields, in the words of Kubernetes.
pub(super) fn problems(schema: Schema<'_>, config: &Value) -> Vec<String> {
    let unknown = |path: &str| format!(".{path}: field not declared in schema");
    let mut problems: Vec<String> = match schema {
        Schema::BuiltIn(definition) => schema::check(definition, config)
            .into_iter()
            .map(|problem| match problem.kind {
                ProblemKind::Unknown => unknown(&problem.path),
                _ => format!(".{}: {problem}", problem.path),
            })
            .collect(),
        Schema::Custom(schema) => schema.prune(&mut config.clone()).iter().map(|path| unknown(path)).collect(),
    };
    if problems.is_empty() {
        check_keys(config, Place::of(schema), "", &mut problems);
    }
    problems
}

/// Finds items of lists that lack a key, or have one that is taken.
fn check_keys(value: &Value, place: Place<'_>, path: &str, problems: &mut Vec<String>) {
    match value {
        Value::Array(items) if place.is_shared_list() => {
            let mut seen = HashSet::new();
            for (index, item) in items.iter().enumerate() {
                match place.element(item) {
                    Err(problem) => problems.push(format!("{path}: element {index}: {problem}")),
                    Ok(element) => {
                        let spelled = spell(&element);
                        check_keys(item, place.item(), &format!("{path}{spelled}"), problems);
                        if !seen.insert(element) {
                            problems.push(format!("{path}: duplicate entries for key {spelled}"));
                        }
                    }
                }
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                check_keys(value, place.entry(name).0, &format!("{path}.{name}"), problems);
            }
        }
        _ => {}
    }
}
