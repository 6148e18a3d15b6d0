//! Frames of a watch, and those that many watches share.

use std::sync::Arc;

use bytes::Bytes;
use coracle_api::custom::CustomKind;
use coracle_api::kind::Kind;
use coracle_api::table::{self, Include};
use coracle_store::{Record, Revision};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::custom_kinds::present;
use crate::objects::decode_record;
use crate::request::Address;
use crate::respond::Shape;

/// How many frames are kept for other watches of the same objects.
const SHARED_MAX: usize = 1024;
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What happened to an object, as a watch tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventType {
    Added,
    Modified,
    Deleted,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            EventType::Added => "ADDED",
            EventType::Modified => "MODIFIED",
            EventType::Deleted => "DELETED",
        }
    }
}

type Slot = Mutex<Option<(Revision, EventType, Bytes)>>;

/// The latest frames: a change that many watch is rendered once. A revision names one change of one object.
pub(crate) struct Frames {
    slots: Box<[Slot]>,
}

impl Default for Frames {
    fn default() -> Frames {
        Frames { slots: (0..SHARED_MAX).map(|_| Mutex::new(None)).collect() }
    }
}

impl Frames {
    fn shared(&self, event_type: EventType, record: &Record) -> Bytes {
        let index = usize::try_from(record.revision % SHARED_MAX as u64).expect("invariant: less than the slots");
        let mut slot = self.slots[index].lock();
        match &*slot {
            Some((revision, kept, frame)) if (*revision, *kept) == (record.revision, event_type) => frame.clone(),
            _ => {
                let frame = plain(event_type, record);
                *slot = Some((record.revision, event_type, frame.clone()));
                frame
            }
        }
    }
}

fn plain(event_type: EventType, record: &Record) -> Bytes {
    let mut out = Vec::with_capacity(record.json.len() + 96);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(event_type.as_str().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    record.append_json(&mut out);
    out.extend_from_slice(b"}\n");
    Bytes::from(out)
}

/// Renders the frames of one watch.
pub(super) struct Renderer {
    kind: &'static Kind,
    custom: Option<Arc<CustomKind>>,
    shape: Shape,
    include: Include,
    /// Columns go with the first Table only.
    has_sent_columns: bool,
}

impl Renderer {
    pub(super) fn new(address: &Address, shape: Shape, include: Include) -> Renderer {
        let (kind, custom) = (address.kind, address.custom.clone());
        Renderer { kind, custom, shape, include, has_sent_columns: false }
    }

    pub(super) fn render(
        &mut self,
        frames: &Frames,
        event_type: EventType,
        record: &Arc<Record>,
        now: Timestamp,
    ) -> Bytes {
        let record = &*present(self.custom.as_deref(), Arc::clone(record));
        match self.shape {
            // What left a selection is told as it was before: that frame is this watch's own.
            Shape::Object if event_type == EventType::Deleted => plain(event_type, record),
            // Versions of a kind show one change each in their own way.
            Shape::Object if self.custom.is_some() => plain(event_type, record),
            Shape::Object => frames.shared(event_type, record),
            Shape::Metadata => frame(event_type.as_str(), &table::partial_object_metadata(&decode_record(record))),
            Shape::Table => {
                let row = table::row(self.kind, &decode_record(record), self.include, now);
                frame(event_type.as_str(), &self.table(record.revision, row))
            }
        }
    }

    /// A bookmark; the one that ends the initial events says so.
    pub(super) fn bookmark(&mut self, revision: Revision, ends_initial: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if ends_initial {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let object = |kind: &str, version: &str| json!({ "kind": kind, "apiVersion": version, "metadata": metadata });
        let body = match self.shape {
            Shape::Object => object(self.kind.kind, &self.kind.api_version()),
            Shape::Metadata => object("PartialObjectMetadata", "meta.k8s.io/v1"),
            Shape::Table => {
                let cells: Vec<Value> = self.kind.columns.iter().map(|_| Value::Null).collect();
                let row = json!({ "cells": cells, "object": object("PartialObjectMetadata", "meta.k8s.io/v1") });
                self.table(revision, row)
            }
        };
        frame("BOOKMARK", &body)
    }

    fn table(&mut self, revision: Revision, row: Value) -> Value {
        let columns = if self.has_sent_columns { Value::Null } else { table::column_definitions(self.kind) };
        self.has_sent_columns = true;
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": { "resourceVersion": revision.to_string() },
            "columnDefinitions": columns,
            "rows": [row],
        })
    }
}

fn frame(event_type: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{event_type}\",\"object\":{object}}}\n"))
}
