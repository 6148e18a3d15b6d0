//! What a write changed, field by field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Schema;
use super::extract::{Mark, collect};
use super::field_set::{FieldSet, Node};
use super::place::{self, Part, Place};

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
        (Some(Value::Object(old)), Some(Value::Object(new))) if place.is_shared_object() => {
            differ_in_fields(old, new, place)
        }
        (Some(old), Some(new)) => match (place.parts(old), place.parts(new)) {
            (Some(old), Some(new)) => differ_in_items(old, new),
            _ => Difference { modified: Node::leaf(), ..nothing },
        },
    }
}

/// Compares two objects. Most fields of most writes are as they were, so that only what differs is given an element.
fn differ_in_fields(old: &Map<String, Value>, new: &Map<String, Value>, place: Place<'_>) -> Difference {
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    let pairs = names.map(|name| (name, old.get(name), new.get(name))).filter(|(_, old, new)| old != new);
    let pairs = pairs.map(|(name, old, new)| {
        let (place, is_named) = place.entry(name);
        (place::field_element(name), Pair { old, new, place, is_named })
    });
    collect_differences(pairs)
}

/// Compares two lists whose items have keys.
fn differ_in_items(old: Vec<Part<'_>>, new: Vec<Part<'_>>) -> Difference {
    // Of items with the same key, which lists should not have and old objects may, the first counts.
    let mut pairs: BTreeMap<String, Pair<'_>> = BTreeMap::new();
    for Part { element, value, place, is_named } in old {
        pairs.entry(element).or_insert(Pair { old: Some(value), new: None, place, is_named });
    }
    for Part { element, value, place, is_named } in new {
        pairs.entry(element).or_insert(Pair { old: None, new: None, place, is_named }).new.get_or_insert(value);
    }
    collect_differences(pairs)
}

fn collect_differences<'a>(pairs: impl IntoIterator<Item = (String, Pair<'a>)>) -> Difference {
    let (mut added, mut modified, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (element, Pair { old, new, place, is_named }) in pairs {
        let mut difference = differ(old, new, place);
        difference.added.is_member |= !is_named && old.is_none_or(Value::is_null) && !difference.added.is_empty();
        difference.removed.is_member |= !is_named && new.is_none() && !difference.removed.is_empty();
        let Difference { added: more, modified: other, removed: less } = difference;
        for (nodes, node) in [(&mut added, more), (&mut modified, other), (&mut removed, less)] {
            if !node.is_empty() {
                nodes.push((element.clone(), node));
            }
        }
    }
    let [added, modified, removed] =
        [added, modified, removed].map(|nodes| Node { is_member: false, children: nodes.into_iter().collect() });
    Difference { added, modified, removed }
}
