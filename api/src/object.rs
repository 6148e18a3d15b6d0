//! Reading and stamping the metadata every object has, on plain JSON values.
//!
//! A missing or mistyped field reads as absent: callers decode and validate before they trust a value.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde_json::{Map, Value};

static EMPTY: &str = "";

const SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
const MICROSECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// The value at a path of field names, or `None` where any step is missing.
pub fn get<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, field| value.get(*field))
}

/// The string at a path of field names.
pub fn str_at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a str> {
    get(object, path)?.as_str()
}

/// The integer at a path of field names.
pub fn i64_at(object: &Value, path: &[&str]) -> Option<i64> {
    get(object, path)?.as_i64()
}

/// The boolean at a path of field names.
pub fn bool_at(object: &Value, path: &[&str]) -> Option<bool> {
    get(object, path)?.as_bool()
}

/// The items of the list at a path of field names; none where there is no list.
pub fn list_at<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    get(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `apiVersion`, or the empty string.
pub fn api_version(object: &Value) -> &str {
    str_at(object, &["apiVersion"]).unwrap_or(EMPTY)
}

/// `kind`, or the empty string.
pub fn kind(object: &Value) -> &str {
    str_at(object, &["kind"]).unwrap_or(EMPTY)
}

/// `metadata`, where it is there.
pub fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata")?.as_object()
}

/// `metadata`, made where it is missing or not an object.
///
/// # Panics
/// When `object` is neither a JSON object nor null.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(object, "metadata")
}

/// The object under `field`, made where it is missing or not an object.
///
/// # Panics
/// When `parent` is neither a JSON object nor null.
pub fn child_mut<'a>(parent: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    let child = &mut parent[field];
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child.as_object_mut().expect("invariant: just made an object")
}

fn metadata_str<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    str_at(object, &["metadata", field]).filter(|text| !text.is_empty())
}

/// `metadata.name`, or the empty string.
pub fn name(object: &Value) -> &str {
    metadata_str(object, "name").unwrap_or(EMPTY)
}

/// `metadata.generateName`, where set.
pub fn generate_name(object: &Value) -> Option<&str> {
    metadata_str(object, "generateName")
}

/// `metadata.namespace`, where set.
pub fn namespace(object: &Value) -> Option<&str> {
    metadata_str(object, "namespace")
}

/// `metadata.uid`, or the empty string.
pub fn uid(object: &Value) -> &str {
    metadata_str(object, "uid").unwrap_or(EMPTY)
}

/// `metadata.resourceVersion` as a revision; `None` where unset or not a number.
pub fn resource_version(object: &Value) -> Option<u64> {
    metadata_str(object, "resourceVersion")?.parse().ok()
}

/// `metadata.generation`, 0 where unset.
pub fn generation(object: &Value) -> i64 {
    i64_at(object, &["metadata", "generation"]).unwrap_or(0)
}

fn metadata_time(object: &Value, field: &str) -> Option<Timestamp> {
    metadata_str(object, field)?.parse().ok()
}

/// `metadata.creationTimestamp`, where set.
pub fn creation_timestamp(object: &Value) -> Option<Timestamp> {
    metadata_time(object, "creationTimestamp")
}

/// `metadata.deletionTimestamp`, where set.
pub fn deletion_timestamp(object: &Value) -> Option<Timestamp> {
    metadata_time(object, "deletionTimestamp")
}

/// Whether the object waits for its finalizers or its grace period to go.
pub fn is_deleting(object: &Value) -> bool {
    metadata_str(object, "deletionTimestamp").is_some()
}

fn pairs<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let map = get(object, &["metadata", field]).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// The labels, in the order they are stored.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(object, "labels")
}

/// One label's value.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    str_at(object, &["metadata", "labels", key])
}

/// The annotations, in the order they are stored.
pub fn annotations(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(object, "annotations")
}

/// One annotation's value.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    str_at(object, &["metadata", "annotations", key])
}

/// The finalizers.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list_at(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str)
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerReference<'a> {
    /// The owner's `apiVersion`.
    pub api_version: &'a str,
    /// The owner's kind.
    pub kind: &'a str,
    /// The owner's name.
    pub name: &'a str,
    /// The owner's uid.
    pub uid: &'a str,
    /// Whether this owner manages the object.
    pub controller: bool,
    /// Whether a foreground deletion of the owner waits for the object.
    pub block_owner_deletion: bool,
}

/// The owner references.
pub fn owner_references(object: &Value) -> impl Iterator<Item = OwnerReference<'_>> {
    list_at(object, &["metadata", "ownerReferences"]).iter().map(|entry| {
        let text = |field| str_at(entry, &[field]).unwrap_or(EMPTY);
        let flag = |field| bool_at(entry, &[field]).unwrap_or(false);
        OwnerReference {
            api_version: text("apiVersion"),
            kind: text("kind"),
            name: text("name"),
            uid: text("uid"),
            controller: flag("controller"),
            block_owner_deletion: flag("blockOwnerDeletion"),
        }
    })
}

/// The owner that manages the object.
pub fn controller_of(object: &Value) -> Option<OwnerReference<'_>> {
    owner_references(object).find(|owner| owner.controller)
}

/// An owner reference to `owner`, as its managing controller.
pub fn controller_reference(owner: &Value) -> Value {
    serde_json::json!({
        "apiVersion": api_version(owner), "kind": kind(owner), "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn set_str(object: &mut Value, field: &str, value: impl Into<String>) {
    metadata_mut(object).insert(field.to_owned(), Value::String(value.into()));
}

/// Sets `metadata.name`.
pub fn set_name(object: &mut Value, name: impl Into<String>) {
    set_str(object, "name", name);
}

/// Sets `metadata.namespace`.
pub fn set_namespace(object: &mut Value, namespace: impl Into<String>) {
    set_str(object, "namespace", namespace);
}

/// Sets `metadata.uid`.
pub fn set_uid(object: &mut Value, uid: impl Into<String>) {
    set_str(object, "uid", uid);
}

/// Sets `metadata.resourceVersion`.
pub fn set_resource_version(object: &mut Value, revision: u64) {
    set_str(object, "resourceVersion", revision.to_string());
}

/// Removes `metadata.resourceVersion`.
pub fn remove_resource_version(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
}

/// Sets `metadata.generation`.
pub fn set_generation(object: &mut Value, generation: i64) {
    metadata_mut(object).insert("generation".to_owned(), generation.into());
}

/// Sets `metadata.creationTimestamp`.
pub fn set_creation_timestamp(object: &mut Value, now: Timestamp) {
    set_str(object, "creationTimestamp", timestamp(now));
}

/// Sets `metadata.deletionTimestamp` and `metadata.deletionGracePeriodSeconds`.
pub fn set_deletion(object: &mut Value, at: Timestamp, grace_period_seconds: i64) {
    set_str(object, "deletionTimestamp", timestamp(at));
    metadata_mut(object).insert("deletionGracePeriodSeconds".to_owned(), grace_period_seconds.into());
}

fn set_pair(object: &mut Value, field: &str, key: &str, value: String) {
    let pairs = metadata_mut(object).entry(field).or_insert_with(|| Value::Object(Map::new()));
    if !pairs.is_object() {
        *pairs = Value::Object(Map::new());
    }
    pairs[key] = Value::String(value);
}

/// Sets one label.
pub fn set_label(object: &mut Value, key: &str, value: impl Into<String>) {
    set_pair(object, "labels", key, value.into());
}

/// Sets one annotation.
pub fn set_annotation(object: &mut Value, key: &str, value: impl Into<String>) {
    set_pair(object, "annotations", key, value.into());
}

/// Adds a finalizer; one that is there already stays once.
pub fn add_finalizer(object: &mut Value, finalizer: &str) {
    if finalizers(object).any(|other| other == finalizer) {
        return;
    }
    let list = metadata_mut(object).entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut().expect("invariant: just made a list").push(finalizer.into());
}

/// Removes a finalizer, and the list with its last one; says whether it was there.
pub fn remove_finalizer(object: &mut Value, finalizer: &str) -> bool {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return false };
    let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) else { return false };
    let before = list.len();
    list.retain(|other| other != finalizer);
    let removed = list.len() < before;
    if list.is_empty() {
        metadata.remove("finalizers");
    }
    removed
}

/// Replaces `metadata.ownerReferences`; an empty list removes the field.
pub fn set_owner_references(object: &mut Value, owners: Vec<Value>) {
    let metadata = metadata_mut(object);
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    } else {
        metadata.insert("ownerReferences".to_owned(), Value::Array(owners));
    }
}

/// A moment as Kubernetes' `Time` prints it: RFC 3339 in UTC, cut to whole seconds.
pub fn timestamp(at: Timestamp) -> String {
    SECONDS.timestamp_to_string(&at)
}

/// A moment as Kubernetes' `MicroTime` prints it: RFC 3339 in UTC, always with six decimals.
pub fn micro_timestamp(at: Timestamp) -> String {
    MICROSECONDS.timestamp_to_string(&at)
}

#[cfg(test)]
mod tests;
