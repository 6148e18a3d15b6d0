//! What a write changed, field by field.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Schema;
use super::extract::{Mark, collect};
use super::field_set::{FieldSet, Node};
use super::place::{Part, Place};

/// The fields in which two objects differ. Null counts as absent, but null in place of a value changes that value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What only the new object has.
    pub added: FieldSet,
    /// What both have, differently.
    pub modified: FieldSet,
    /// What only the old object has.
    pub removed: FieldSet,
}

/// Compares two objects of a definition in one walk.
pub fn compare<'a>(schema: impl Into<Schema<'a>>, old: &Value, new: &Value) -> Comparison {
    let Difference { added, modified, removed } = differ(Some(old), Some(new), Place::of(schema.into()));
    Comparison { added: added.children, modified: modified.children, removed: removed.children }
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Applies a function to each of the three sets.
    pub(super) fn each(&mut self, change: impl Fn(&mut FieldSet)) {
        change(&mut self.added);
        change(&mut self.modified);
        change(&mut self.removed);
    }
}

#[derive(Default)]
struct Difference {
    added: Node,
    modified: Node,
    removed: Node,
}

/// One part of two values.
struct Pair<'a> {
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    place: Place<'a>,
    is_named: bool,
}

fn differ(old: Option<&Value>, new: Option<&Value>, place: Place<'_>) -> Difference {
    let nothing = Difference::default();
    match (old.filter(|old| !old.is_null()), new) {
        (None, None | Some(Value::Null)) => nothing,
        (None, Some(new)) => Difference { added: collect(new, place, Mark::Written), ..nothing },
        (Some(old), None) => Difference { removed: collect(old, place, Mark::Written), ..nothing },
        (Some(old), Some(new)) if old == new => nothing,
        (Some(old), Some(new)) => match (place.parts(old), place.parts(new)) {
            (Some(old), Some(new)) => differ_in_parts(old, new),
            _ => Difference { modified: Node::leaf(), ..nothing },
        },
    }
}

fn differ_in_parts(old: Vec<Part<'_>>, new: Vec<Part<'_>>) -> Difference {
    // Of items with the same key, which lists should not have and old objects may, the first counts.
    let mut pairs: BTreeMap<String, Pair<'_>> = BTreeMap::new();
    for Part { element, value, place, is_named } in old {
        pairs.entry(element).or_insert(Pair { old: Some(value), new: None, place, is_named });
    }
    for Part { element, value, place, is_named } in new {
        pairs.entry(element).or_insert(Pair { old: None, new: None, place, is_named }).new.get_or_insert(value);
    }
    let mut difference = Difference::default();
    for (element, Pair { old, new, place, is_named }) in pairs {
        let Difference { mut added, modified, mut removed } = differ(old, new, place);
        added.is_member |= !is_named && old.is_none_or(Value::is_null) && !added.is_empty();
        removed.is_member |= !is_named && new.is_none() && !removed.is_empty();
        for (set, node) in
            [(&mut difference.added, added), (&mut difference.modified, modified), (&mut difference.removed, removed)]
        {
            if !node.is_empty() {
                set.children.push(element.clone(), node);
            }
        }
    }
    difference
}
