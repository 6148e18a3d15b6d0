//! An event: a note about something that happened to an object.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::cells;
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.Event",
    subresources: &[],
    columns: COLUMNS,
    fields: &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "type",
    ],
    name_rule: NameRule::PathSegment,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    Column::string(
        "Last Seen",
        0,
        "The time at which the most recent occurrence of this event was recorded.",
        last_seen,
    ),
    Column::string(
        "Type",
        0,
        "Type of this event (Normal, Warning), new types could be added in the future",
        event_type,
    ),
    Column::string(
        "Reason",
        0,
        "This should be a short, machine understandable string that gives the reason for the transition into the \
        object's current status.",
        reason,
    ),
    Column::string("Object", 0, "The object that this event is about.", involved),
    Column::string(
        "Subobject",
        1,
        "If referring to a piece of an object instead of an entire object, this string should contain a valid \
        JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the object \
        reference is to a container within a pod, this would take on a value like: \"spec.containers{name}\" (where \
        \"name\" refers to the name of the container that triggered the event) or if no container name is specified \
        \"spec.containers[2]\" (container with index 2 in this pod). This syntax is chosen only to have some \
        well-defined way of referencing a part of an object.",
        subobject,
    ),
    Column::string(
        "Source",
        1,
        "The component reporting this event. Should be a short machine understandable string.",
        source,
    ),
    Column::string("Message", 0, "A human-readable description of the status of this operation.", message),
    Column::string(
        "First Seen",
        1,
        "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
        first_seen,
    ),
    Column::string("Count", 1, "The number of times this event has occurred.", count),
    cells::name(1),
];

fn last_seen(object: &Value, now: Timestamp) -> Value {
    if object::get(object, &["series"]).is_some_and(Value::is_object) {
        return cells::since(cells::timestamp_at(object, &["series", "lastObservedTime"]), now).into();
    }
    match cells::timestamp_at(object, &["lastTimestamp"]) {
        Some(last) => cells::since(Some(last), now).into(),
        None => first_seen(object, now),
    }
}

fn first_seen(object: &Value, now: Timestamp) -> Value {
    let first = cells::timestamp_at(object, &["firstTimestamp"]);
    cells::since(first.or_else(|| cells::timestamp_at(object, &["eventTime"])), now).into()
}

fn event_type(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["type"], "")
}

fn reason(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["reason"], "")
}

fn involved(object: &Value, _: Timestamp) -> Value {
    let kind = object::str_at(object, &["involvedObject", "kind"]).unwrap_or_default().to_lowercase();
    match object::str_at(object, &["involvedObject", "name"]) {
        Some(name) if !name.is_empty() => format!("{kind}/{name}").into(),
        _ => kind.into(),
    }
}

fn subobject(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["involvedObject", "fieldPath"], "")
}

fn source(object: &Value, _: Timestamp) -> Value {
    let first = |paths: [&[&str]; 2]| {
        let texts = paths.iter().filter_map(|path| object::str_at(object, path));
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    };
    let component = first([&["source", "component"], &["reportingComponent"]]);
    match first([&["source", "host"], &["reportingInstance"]]) {
        "" => component.into(),
        instance => format!("{component}, {instance}").into(),
    }
}

fn message(object: &Value, _: Timestamp) -> Value {
    object::str_at(object, &["message"]).unwrap_or_default().trim().into()
}

fn count(object: &Value, _: Timestamp) -> Value {
    if object::get(object, &["series"]).is_some_and(Value::is_object) {
        return cells::number(object, &["series", "count"]);
    }
    object::i64_at(object, &["count"]).unwrap_or(0).max(1).into()
}

fn tags(object: &Value) -> Vec<String> {
    let tag = |field: &str| {
        let value = object::str_at(object, &["involvedObject", field]).filter(|value| !value.is_empty())?;
        Some(format!("involvedObject.{field}={value}"))
    };
    ["name", "uid"].into_iter().filter_map(tag).collect()
}

fn default(_: &mut Value) {}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let involved = object::str_at(object, &["involvedObject", "namespace"]).unwrap_or_default();
    let namespace = object::namespace(object).unwrap_or_default();
    // Events about objects without a namespace go to `default`.
    let matches = if involved.is_empty() { matches!(namespace, "" | "default") } else { involved == namespace };
    if !matches {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", involved, detail));
    }
}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
