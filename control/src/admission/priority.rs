//! A pod's priority is that of the class it names, or of the class that is the default, or 0.
//!
//! Deliberately absent: preemption. Pods of higher priority are placed first, and none gives way to another.

use coracle_api::kinds::{POD, PRIORITY_CLASS};
use coracle_api::object;
use coracle_api::status::{self, Status};
use serde_json::{Map, Value};

use super::Attributes;
use crate::objects::decode_record;

const DEFAULT_TAG: &str = "globalDefault=true";
const PREEMPT: &str = "PreemptLowerPriority";

pub(super) fn admit(attributes: &Attributes<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
    if *attributes.kind == PRIORITY_CLASS {
        return only_one_default(attributes, object);
    }
    if *attributes.kind != POD {
        return Ok(());
    }
    let spec = object::child_mut(object, "spec");
    let name = spec.get("priorityClassName").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned);
    let class = match &name {
        None => default_class(attributes),
        Some(name) => match attributes.snapshot.get(&PRIORITY_CLASS.key(None, name)) {
            Some(record) => Some(decode_record(&record)),
            None => return Err(refused(attributes, &format!("no PriorityClass with name {name} was found"))),
        },
    };
    let (priority, policy) = match &class {
        None => (0, PREEMPT),
        Some(class) => (value(class), object::str_at(class, &["preemptionPolicy"]).unwrap_or(PREEMPT)),
    };
    if let Some(class) = class.as_ref().filter(|_| name.is_none()) {
        spec.insert("priorityClassName".to_owned(), object::name(class).into());
    }
    set(spec, "priority", priority.into()).map_err(|stated| {
        let because = format!(
            "the integer value of priority ({stated}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        );
        refused(attributes, &because)
    })?;
    set(spec, "preemptionPolicy", policy.into()).map_err(|stated| {
        let because = format!(
            "the string value of PreemptionPolicy ({}) must not be provided in pod spec; priority admission controller \
             computed {policy} from the given PriorityClass name",
            stated.as_str().unwrap_or_default()
        );
        refused(attributes, &because)
    })
}

/// A pod keeps the priority it was admitted with: who leaves it out of an update doesn't mean to change it.
pub(super) fn admit_update(attributes: &Attributes<'_>, old: &Value, new: &mut Value) -> Result<(), Status> {
    if *attributes.kind == PRIORITY_CLASS {
        return only_one_default(attributes, new);
    }
    if *attributes.kind == POD {
        let spec = object::child_mut(new, "spec");
        for field in ["priority", "preemptionPolicy"] {
            if let Some(kept) =
                object::get(old, &["spec", field]).filter(|_| spec.get(field).is_none_or(Value::is_null))
            {
                spec.insert(field.to_owned(), kept.clone());
            }
        }
    }
    Ok(())
}

/// Sets a field that is missing; one that is there must say the same, else it is returned.
fn set(spec: &mut Map<String, Value>, field: &str, value: Value) -> Result<(), Value> {
    match spec.get(field).filter(|stated| !stated.is_null()) {
        Some(stated) if *stated != value => Err(stated.clone()),
        _ => {
            spec.insert(field.to_owned(), value);
            Ok(())
        }
    }
}

fn value(class: &Value) -> i64 {
    object::i64_at(class, &["value"]).unwrap_or(0)
}

/// The default class; the lowest where a race made several.
fn default_class(attributes: &Attributes<'_>) -> Option<Value> {
    let prefix = PRIORITY_CLASS.prefix(None);
    let records = attributes.snapshot.range(&prefix, None);
    let marked = records.filter(|record| record.tags.iter().any(|tag| tag.as_str() == DEFAULT_TAG));
    marked.map(|record| decode_record(record)).min_by_key(value)
}

fn only_one_default(attributes: &Attributes<'_>, class: &Value) -> Result<(), Status> {
    if object::bool_at(class, &["globalDefault"]) != Some(true) {
        return Ok(());
    }
    match default_class(attributes) {
        Some(other) if object::name(&other) != attributes.name => {
            let because = format!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                object::name(&other)
            );
            Err(refused(attributes, &because))
        }
        _ => Ok(()),
    }
}

fn refused(attributes: &Attributes<'_>, because: &str) -> Status {
    status::forbidden(attributes.kind, attributes.name, because)
}
