//! Objects as `meta.k8s.io/v1` Tables, the form in which `kubectl get` asks for them.
//!
//! Deliberately absent: the list's own metadata (`resourceVersion`, `continue`), which the one who made the list sets.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::kinds::POD;
use crate::object;

/// What a row carries of its object besides the cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata, as a `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// The `includeObject` query parameter; `None` where the value isn't known.
    pub fn parse(text: &str) -> Option<Include> {
        match text {
            "" | "Metadata" => Some(Include::Metadata),
            "None" => Some(Include::None),
            "Object" => Some(Include::Object),
            _ => None,
        }
    }
}

/// A Table of the objects, with its column definitions and empty metadata.
pub fn render<'a>(kind: &Kind, items: impl IntoIterator<Item = &'a Value>, include: Include, now: Timestamp) -> Value {
    let rows: Vec<Value> = items.into_iter().map(|object| row(kind, object, include, now)).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": column_definitions(kind),
        "rows": rows,
    })
}

/// The columns of a kind's Tables; a watch sends them with its first event only.
pub fn column_definitions(kind: &Kind) -> Value {
    let columns = kind.columns.iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.kind,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        })
    });
    columns.collect()
}

/// One object's row.
pub fn row(kind: &Kind, object: &Value, include: Include, now: Timestamp) -> Value {
    let cells: Vec<Value> = kind.columns.iter().map(|column| column.cell(object, now)).collect();
    let included = match include {
        Include::None => Value::Null,
        Include::Metadata => partial_object_metadata(object),
        Include::Object => object.clone(),
    };
    let mut row = json!({ "cells": cells, "object": included });
    if let Some(condition) = completed_condition(kind, object) {
        row["conditions"] = json!([condition]);
    }
    row
}

/// An object's metadata as the `PartialObjectMetadata` of a row or of a metadata-only read.
pub fn partial_object_metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// Marks the rows of pods that have run to their end, which `kubectl get` can leave out.
fn completed_condition(kind: &Kind, object: &Value) -> Option<Value> {
    if *kind != POD {
        return None;
    }
    let (reason, message) = match object::str_at(object, &["status", "phase"])? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({ "type": "Completed", "status": "True", "reason": reason, "message": message }))
}
