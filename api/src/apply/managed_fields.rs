//! `metadata.managedFields`: who wrote which fields of an object, one entry a writer.
//!
//! An entry without a field is dropped; entries are sorted, so that equal knowledge has one form.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::compare::Comparison;
use super::field_set::FieldSet;
use crate::object;
use crate::validation::FieldError;

/// How many entries plain writes may leave. Beyond it the oldest are merged, as in Kubernetes.
const UPDATES_MAX: usize = 10;
/// The writer that merged entries are named after.
const MERGED: &str = "ancient-changes";
const FIELDS_TYPE: &str = "FieldsV1";
const PATH: &str = "metadata.managedFields";

/// How a writer came to its fields. Appliers sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It applied a configuration that has them.
    Apply,
    /// It changed them by any other write.
    Update,
}

/// Who writes what part of an object, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The `fieldManager`.
    pub manager: String,
    /// The version the fields are named in.
    pub api_version: String,
    /// The subresource written through; empty for the object itself.
    pub subresource: &'static str,
    /// The time of the write.
    pub now: Timestamp,
}

/// One writer's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
    /// RFC 3339; empty where none was recorded.
    time: String,
    pub(super) fields: FieldSet,
}

/// All writers' fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedFields {
    pub(super) entries: Vec<Entry>,
}

impl ManagedFields {
    /// Reads an object's `metadata.managedFields`. None, and the single empty entry with which clients reset them, are no
    /// writers.
    pub fn of(object: &Value) -> Result<ManagedFields, FieldError> {
        let entries = match object::get(object, &["metadata", "managedFields"]) {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(entries)) => entries.as_slice(),
            Some(other) => return Err(FieldError::type_invalid(PATH, other.clone(), "must be a list")),
        };
        if is_reset(entries) {
            return Ok(ManagedFields::default());
        }
        let entries = entries.iter().enumerate().map(|(index, entry)| read(index, entry));
        Ok(ManagedFields { entries: entries.collect::<Result<_, _>>()? })
    }

    /// Writes an object's `metadata.managedFields`; none, where there are no writers.
    pub fn write_to(mut self, object: &mut Value) {
        self.settle();
        let metadata = object::metadata_mut(object);
        if self.entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            let entries = self.entries.into_iter().map(Entry::into_value).collect();
            metadata.insert("managedFields".to_owned(), entries);
        }
    }

    /// Whether nobody's fields are known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether two say the same, whenever it was written.
    pub fn agrees_with(&self, other: &ManagedFields) -> bool {
        let timeless = |managed: &ManagedFields| {
            let mut managed = managed.clone();
            managed.entries.iter_mut().for_each(|entry| entry.time.clear());
            managed.settle();
            managed
        };
        timeless(self) == timeless(other)
    }

    /// Records a write that was no application: its writer owns what it set, alone; what it removed is nobody's.
    pub fn record(&mut self, comparison: Comparison, writer: &Writer) {
        let Comparison { added, modified, removed } = comparison;
        let mut written = added;
        written.union(modified);
        for entry in &mut self.entries {
            entry.fields = entry.fields.difference(&written).difference(&removed);
        }
        if !written.is_empty() {
            let entry = self.entry(writer, Operation::Update);
            entry.fields.union(written);
            entry.time = object::timestamp(writer.now);
        }
        self.merge_oldest();
    }

    /// Records what a writer applied, in place of what it applied before.
    pub(super) fn record_applied(&mut self, fields: FieldSet, writer: &Writer) {
        let entry = self.entry(writer, Operation::Apply);
        entry.fields = fields;
        entry.api_version.clone_from(&writer.api_version);
        entry.time = object::timestamp(writer.now);
    }

    /// A writer's entry, where it has one.
    pub(super) fn position(&self, writer: &Writer, operation: Operation) -> Option<usize> {
        self.entries.iter().position(|entry| entry.is_of(writer, operation))
    }

    fn entry(&mut self, writer: &Writer, operation: Operation) -> &mut Entry {
        let position = self.position(writer, operation).unwrap_or_else(|| {
            self.entries.push(Entry {
                manager: writer.manager.clone(),
                operation,
                api_version: writer.api_version.clone(),
                subresource: writer.subresource.to_owned(),
                time: String::new(),
                fields: FieldSet::default(),
            });
            self.entries.len() - 1
        });
        &mut self.entries[position]
    }

    fn merge_oldest(&mut self) {
        self.settle();
        let updates = self.entries.iter().filter(|entry| entry.operation == Operation::Update).count();
        for _ in UPDATES_MAX..updates {
            // Sorted, the updates stand behind the applications, the oldest first.
            let oldest = self.entries.len() - self.entries.iter().rev().take_while(|entry| entry.is_update()).count();
            let Entry { api_version, fields, time, .. } = self.entries.remove(oldest);
            let is_bucket = |entry: &&mut Entry| entry.manager == MERGED && entry.api_version == api_version;
            match self.entries.iter_mut().find(is_bucket) {
                Some(bucket) => bucket.fields.union(fields),
                None => self.entries.push(Entry {
                    manager: MERGED.to_owned(),
                    operation: Operation::Update,
                    api_version,
                    subresource: String::new(),
                    time,
                    fields,
                }),
            }
        }
    }

    fn settle(&mut self) {
        self.entries.retain(|entry| !entry.fields.is_empty());
        self.entries.sort_by(|one, other| one.place().cmp(&other.place()));
    }
}

impl Entry {
    fn is_update(&self) -> bool {
        self.operation == Operation::Update
    }

    /// An applier stays the same when it changes to another version of the kind; other writers don't.
    fn is_of(&self, writer: &Writer, operation: Operation) -> bool {
        self.operation == operation
            && self.manager == writer.manager
            && self.subresource == writer.subresource
            && (operation == Operation::Apply || self.api_version == writer.api_version)
    }

    fn place(&self) -> (Operation, &str, &str, &str, &str) {
        (self.operation, &self.time, &self.manager, &self.api_version, &self.subresource)
    }

    fn into_value(self) -> Value {
        let operation = if self.is_update() { "Update" } else { "Apply" };
        let mut value = Map::from_iter([
            ("apiVersion".to_owned(), self.api_version.into()),
            ("fieldsType".to_owned(), FIELDS_TYPE.into()),
            ("fieldsV1".to_owned(), self.fields.into_value()),
            ("manager".to_owned(), self.manager.into()),
            ("operation".to_owned(), operation.into()),
        ]);
        for (name, text) in [("time", self.time), ("subresource", self.subresource)] {
            if !text.is_empty() {
                value.insert(name.to_owned(), text.into());
            }
        }
        value.into()
    }
}

/// Whether a client asks to forget all writers: one entry, with nothing in it.
pub fn is_reset(entries: &[Value]) -> bool {
    matches!(entries, [Value::Object(entry)] if entry.values().all(Value::is_null))
}

fn read(index: usize, entry: &Value) -> Result<Entry, FieldError> {
    let path = |field: &str| format!("{PATH}[{index}].{field}");
    let empty = Map::new();
    let fields = entry.as_object().unwrap_or(&empty);
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        other => return Err(FieldError::invalid(path("operation"), other, "must be `Apply` or `Update`")),
    };
    let fields_type = text("fieldsType");
    if fields_type != FIELDS_TYPE {
        return Err(FieldError::invalid(path("fieldsType"), fields_type, "must be `FieldsV1`"));
    }
    let fields = match fields.get("fieldsV1") {
        None | Some(Value::Null) => FieldSet::default(),
        Some(value) => FieldSet::from_value(value)
            .map_err(|problem| FieldError::invalid(path("fieldsV1"), value.clone(), problem))?,
    };
    Ok(Entry {
        manager: text("manager"),
        operation,
        api_version: text("apiVersion"),
        subresource: text("subresource"),
        time: text("time"),
        fields,
    })
}
