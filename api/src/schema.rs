//! The schemas of Kubernetes 1.36 and of our own kinds: which fields an object may have, of which types, and how lists of them are
//! patched.
//!
//! The table is the text of `schema/coracle.json` and `schema/kubernetes-1.36.json`, one definition a line, sorted by name: a
//! definition is parsed when it is first asked for. Missing fields are no concern here: Kubernetes' decoder doesn't know them, validation does.

use std::sync::{LazyLock, OnceLock};

pub use check::{Problem, ProblemKind, check};
pub use prune::prune;

mod check;
mod parse;
mod prune;

static TEXT: &str = concat!(include_str!("../schema/coracle.json"), include_str!("../schema/kubernetes-1.36.json"));

/// The definition of the metadata that all objects have.
pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// What an untyped definition of a schema or something else holds where it is an object: a schema.
const JSON_SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

static TABLE: LazyLock<Vec<Slot>> = LazyLock::new(|| {
    let lines = TEXT.lines().filter_map(|line| line.strip_prefix('"')?.split_once("\":"));
    lines.map(|(name, text)| Slot { name, text: text.trim_end_matches(','), parsed: OnceLock::new() }).collect()
});

struct Slot {
    name: &'static str,
    text: &'static str,
    parsed: OnceLock<Definition>,
}

/// One definition: a named object type.
#[derive(Debug)]
pub struct Definition {
    /// Its name, `io.k8s.api.core.v1.Pod`.
    pub name: &'static str,
    /// Its fields, sorted by name; none where any are allowed.
    fields: Vec<Field>,
    /// Whether it has no type, so that its values need not be objects.
    is_untyped: bool,
    /// How writers share its objects, unless the field that holds one says otherwise.
    pub map_type: MapType,
}

/// One field of a definition.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether a strategic patch merges the list (or map) instead of replacing it.
    pub is_merged: bool,
    /// Whether a strategic patch may name the only keys to keep.
    pub retains_keys: bool,
    /// The field that tells the items of a merged list apart; `None` for a list of plain values.
    pub merge_key: Option<&'static str>,
    /// How writers share a list, for server-side apply.
    pub list_type: ListType,
    /// How writers share a map or an object, where the field says so itself.
    pub map_type: Option<MapType>,
}

/// How writers share a list (`x-kubernetes-list-type`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListType {
    /// As a whole.
    Atomic,
    /// Item by item, each told apart by its value.
    Set,
    /// Item by item, each told apart by these of its fields, sorted by name.
    Map(Vec<ListKey>),
}

/// A field that tells the items of a list apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListKey {
    /// Its name.
    pub name: &'static str,
    /// What an item means that lacks it.
    pub default: Option<&'static str>,
}

/// How writers share a map or an object (`x-kubernetes-map-type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapType {
    /// Entry by entry.
    #[default]
    Granular,
    /// As a whole.
    Atomic,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    String,
    /// Bytes in base64.
    Bytes,
    /// An integer of 32 bits.
    Integer32,
    /// An integer of 64 bits.
    Integer64,
    /// A number.
    Number,
    /// A boolean.
    Boolean,
    /// A moment, to the second.
    Time,
    /// A moment, to the microsecond.
    MicroTime,
    /// An integer or a string.
    IntOrString,
    /// A quantity, as a string or a number.
    Quantity,
    /// Anything.
    Any,
    /// A list.
    List(Box<Shape>),
    /// A map with free keys.
    Map(Box<Shape>),
    /// An object with its own definition.
    Object(Reference),
}

/// A reference to another definition; following it costs an array access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference(u16);

impl Reference {
    /// The definition referred to.
    pub fn definition(self) -> &'static Definition {
        TABLE[usize::from(self.0)].definition()
    }
}

impl Slot {
    fn definition(&self) -> &Definition {
        self.parsed.get_or_init(|| parse::definition(self.name, self.text))
    }
}

impl Definition {
    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let index = self.fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
        Some(&self.fields[index])
    }

    /// The fields, sorted by name.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether any field is allowed.
    pub fn is_open(&self) -> bool {
        self.fields.is_empty()
    }

    /// The definition of its values that are objects.
    fn of_objects(&'static self) -> &'static Definition {
        let is_schema = self.is_untyped && self.name.starts_with(JSON_SCHEMA);
        if is_schema { definition(JSON_SCHEMA).unwrap_or(self) } else { self }
    }

    /// The type's name as Go prints it: `v1.Pod`.
    pub(crate) fn go_name(&self) -> &str {
        let short = self.name.rsplit('.').next().unwrap_or(self.name);
        let version = self.name.strip_suffix(short).and_then(|rest| rest.trim_end_matches('.').rfind('.'));
        version.map_or(self.name, |position| &self.name[position + 1..])
    }
}

impl Shape {
    /// The definition of the objects inside: of this one, of a list's items, of a map's values.
    pub fn definition(&self) -> Option<&'static Definition> {
        match self {
            Shape::Object(reference) => Some(reference.definition()),
            Shape::List(inner) | Shape::Map(inner) => inner.definition(),
            _ => None,
        }
    }
}

fn find(name: &str) -> Option<usize> {
    TABLE.binary_search_by(|slot| slot.name.cmp(name)).ok()
}

/// A definition by its name, `io.k8s.api.core.v1.Pod`.
pub fn definition(name: &str) -> Option<&'static Definition> {
    Some(TABLE[find(name)?].definition())
}

/// The names of all definitions, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|slot| slot.name)
}

/// A definition's name as the table holds it; `None` where the table has none such.
pub(crate) fn definition_name(name: &str) -> Option<&'static str> {
    Some(TABLE[find(name)?].name)
}

/// A definition's OpenAPI v3 schema, as text.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    Some(TABLE[find(name)?].text)
}

/// The whole table's text.
pub(crate) fn table_text() -> &'static str {
    TEXT
}

#[cfg(test)]
mod tests;
