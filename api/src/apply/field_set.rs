//! Sets of field paths, and their `fieldsV1` form.
//!
//! A set is a tree. Its elements are the very words of `fieldsV1`: `f:NAME` for a field or a map's key, `k:{…}` for an item
//! of a list told apart by its keys, `v:…` for an item that is its own key, `i:N` for a place in a list. So writing a set
//! is renaming nothing, and reading one only brings the JSON inside an element into its canonical form.
//!
//! Each level is a sorted list: most have a few elements, and are made in order, at each write.

use serde_json::{Map, Value};

/// A set of field paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Sorted, each once.
    elements: Vec<(String, Node)>,
}

/// What a set says of one element: whether the path that ends there is in the set, and the paths that go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) is_member: bool,
    pub(super) children: FieldSet,
}

/// The element that marks its parent as a member.
const SELF: &str = ".";

impl Node {
    /// A path that ends here.
    pub(super) fn leaf() -> Node {
        Node { is_member: true, children: FieldSet::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_member && self.children.is_empty()
    }

    fn union(&mut self, other: Node) {
        self.is_member |= other.is_member;
        self.children.union(other.children);
    }
}

impl FieldSet {
    /// Reads `fieldsV1`; an error says what is wrong with it.
    pub fn from_value(value: &Value) -> Result<FieldSet, String> {
        let Value::Object(fields) = value else { return Err("must be an object".to_owned()) };
        let fields = fields.iter().filter(|(element, _)| *element != SELF);
        fields.map(|(element, below)| Ok((canonical(element)?, node_from_value(below)?))).collect()
    }

    /// Writes `fieldsV1`.
    pub fn into_value(self) -> Value {
        let write = |(element, node): (String, Node)| {
            let is_marked = node.is_member && !node.children.is_empty();
            let mut below = node.children.into_value();
            if is_marked {
                below[SELF] = Value::Object(Map::new());
            }
            (element, below)
        };
        self.elements.into_iter().map(write).collect()
    }

    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Adds all paths of another set.
    pub fn union(&mut self, other: FieldSet) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let mut others = other.elements.into_iter().peekable();
        let mut union = Vec::with_capacity(self.elements.len() + others.len());
        for (element, mut node) in std::mem::take(&mut self.elements) {
            while let Some(other) = others.next_if(|(other, _)| *other < element) {
                union.push(other);
            }
            if let Some((_, other)) = others.next_if(|(other, _)| *other == element) {
                node.union(other);
            }
            union.push((element, node));
        }
        union.extend(others);
        self.elements = union;
    }

    /// The paths that are not in another set.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        let mut set = FieldSet::default();
        for (element, node) in &self.elements {
            let left = match other.get(element) {
                None => node.clone(),
                Some(taken) => Node {
                    is_member: node.is_member && !taken.is_member,
                    children: node.children.difference(&taken.children),
                },
            };
            set.push(element.clone(), left);
        }
        set
    }

    /// The paths that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut set = FieldSet::default();
        for (element, node) in &self.elements {
            if let Some(wanted) = other.get(element) {
                let is_member = node.is_member && wanted.is_member;
                let children = node.children.intersection(&wanted.children);
                set.push(element.clone(), Node { is_member, children });
            }
        }
        set
    }

    /// The paths as people read them, `.spec.containers[name="web"].image`: those that end at a level come before those
    /// that go on.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.write_paths("", &mut paths);
        paths
    }

    fn write_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        let members = self.elements.iter().filter(|(_, node)| node.is_member);
        paths.extend(members.map(|(element, _)| format!("{prefix}{}", spell(element))));
        for (element, node) in self.elements.iter().filter(|(_, node)| !node.children.is_empty()) {
            node.children.write_paths(&format!("{prefix}{}", spell(element)), paths);
        }
    }

    fn position(&self, element: &str) -> Option<usize> {
        self.elements.binary_search_by(|(found, _)| found.as_str().cmp(element)).ok()
    }

    pub(super) fn get(&self, element: &str) -> Option<&Node> {
        self.position(element).map(|position| &self.elements[position].1)
    }

    pub(super) fn get_mut(&mut self, element: &str) -> Option<&mut Node> {
        self.position(element).map(|position| &mut self.elements[position].1)
    }

    /// Adds what is said of an element that comes after all others; nothing, where that is nothing.
    pub(super) fn push(&mut self, element: String, node: Node) {
        debug_assert!(self.elements.last().is_none_or(|(last, _)| *last < element), "{element} is out of order");
        if !node.is_empty() {
            self.elements.push((element, node));
        }
    }

    /// Takes out an element and all below it.
    pub(super) fn remove(&mut self, element: &str) {
        if let Some(position) = self.position(element) {
            self.elements.remove(position);
        }
    }

    /// Takes out all elements but one.
    pub(super) fn retain_only(&mut self, element: &str) {
        self.elements.retain(|(found, _)| found == element);
    }

    /// Takes out elements that say nothing (any more).
    pub(super) fn prune_empty(&mut self) {
        self.elements.retain(|(_, node)| !node.is_empty());
    }
}

/// What is said of elements, in any order; what is said of one several times is said together, and what says nothing is left out.
impl FromIterator<(String, Node)> for FieldSet {
    fn from_iter<Elements: IntoIterator<Item = (String, Node)>>(elements: Elements) -> FieldSet {
        let mut elements: Vec<_> = elements.into_iter().filter(|(_, node)| !node.is_empty()).collect();
        if !elements.is_sorted_by(|(one, _), (next, _)| one < next) {
            elements.sort_by(|(one, _), (other, _)| one.cmp(other));
            elements.dedup_by(|(element, node), (kept, kept_node)| {
                let is_same = element == kept;
                if is_same {
                    kept_node.union(std::mem::take(node));
                }
                is_same
            });
        }
        FieldSet { elements }
    }
}

fn node_from_value(value: &Value) -> Result<Node, String> {
    let is_leaf = value.as_object().is_some_and(Map::is_empty);
    let children = FieldSet::from_value(value)?;
    Ok(Node { is_member: is_leaf || value.get(SELF).is_some(), children })
}

/// An element with the JSON inside it as this module writes it.
fn canonical(element: &str) -> Result<String, String> {
    let invalid = || format!("{element:?} is no path element: expected f:NAME, k:KEYS, v:VALUE or i:INDEX");
    let (kind, rest) = element.split_once(':').ok_or_else(invalid)?;
    match kind {
        "f" => Ok(element.to_owned()),
        "k" | "v" => {
            let json: Value = serde_json::from_str(rest).map_err(|_| invalid())?;
            if kind == "k" && !json.is_object() { Err(invalid()) } else { Ok(format!("{kind}:{json}")) }
        }
        "i" => rest.parse::<u32>().map(|_| element.to_owned()).map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

/// An element as part of a path.
pub(super) fn spell(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        Some((_, index)) => format!("[{index}]"),
        None => element.to_owned(),
    }
}
