//! The kinds as clients meet them: Tables, defaults, validation, names.

#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "these are tables of tests")]

mod admission;
mod batch;
mod defaults;
mod definitions;
mod libraries;
mod lookup;
mod pods;
mod policies;
mod resources;
mod sets;
mod tables;
mod unsupported;
mod updates;
mod validation;

use coracle_api::kind::Kind;
use coracle_api::{kinds, yaml};
use serde_json::Value;

/// The one object of a manifest.
fn object(manifest: &str) -> Value {
    yaml::parse_all(manifest).expect("a manifest").remove(0)
}

fn kind_of(object: &Value) -> &'static Kind {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    kinds::by_api_version(text("apiVersion"), text("kind")).expect("a known kind")
}

/// A manifest as it is after creation, in namespace `default` where it names none.
fn prepared(manifest: &str) -> Value {
    let mut object = object(manifest);
    let kind = kind_of(&object);
    if kind.namespaced && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = "default".into();
    }
    kind.prepare(&mut object);
    object
}
