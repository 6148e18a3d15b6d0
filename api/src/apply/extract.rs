//! The fields that a configuration speaks of, and what keeps it from being applied.

use std::collections::HashSet;

use serde_json::Value;

use super::field_set::{FieldSet, Node, spell};
use super::place::Place;
use crate::schema::{self, Definition, ProblemKind};

/// Whose words a set records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A configuration's: it speaks of a list's items and of a map's keys, never of the list or the map itself.
    Applied,
    /// A write's: it made the list or the map, too.
    Written,
}

/// The fields in a value.
pub(super) fn collect(value: &Value, place: Place, mark: Mark) -> Node {
    let Some(parts) = place.parts(value).filter(|parts| !parts.is_empty()) else { return Node::leaf() };
    let is_member = mark == Mark::Written && !matches!(place, Place::Object(_));
    let mut node = Node { is_member, children: FieldSet::default() };
    for part in parts {
        if mark == Mark::Applied || !part.value.is_null() {
            let mut below = collect(part.value, part.place, mark);
            below.is_member |= !part.is_named;
            node.children.insert(part.element, below);
        }
    }
    node
}

/// What keeps a configuration from having a well-defined set of fields, in the words of Kubernetes.
pub(super) fn problems(definition: &'static Definition, config: &Value) -> Vec<String> {
    let mut problems: Vec<String> = schema::check(definition, config)
        .into_iter()
        .map(|problem| match problem.kind {
            ProblemKind::Unknown => format!(".{}: field not declared in schema", problem.path),
            _ => format!(".{}: {problem}", problem.path),
        })
        .collect();
    if problems.is_empty() {
        check_keys(config, Place::of_definition(definition), "", &mut problems);
    }
    problems
}

/// Finds items of lists that lack a key, or have one that is taken.
fn check_keys(value: &Value, place: Place, path: &str, problems: &mut Vec<String>) {
    match (place, value) {
        (Place::Set | Place::List(..), Value::Array(items)) => {
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
        (_, Value::Object(fields)) => {
            for (name, value) in fields {
                check_keys(value, place.entry(name).0, &format!("{path}.{name}"), problems);
            }
        }
        _ => {}
    }
}
