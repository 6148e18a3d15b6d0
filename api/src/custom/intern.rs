//! Kinds made at run time, each once.
//!
//! A `Kind` lives for ever, as those that are built in do: it is leaked, a few hundred bytes for each distinct set of names,
//! subresources, columns and selectable fields that any definition ever had. Schemas, which are large and change more
//! often, are no part of it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use super::text;
use crate::json_path::JsonPath;
use crate::kind::{Cell, Column, Kind, Subresource};
use crate::kinds::cells;
use crate::object;

static KINDS: LazyLock<Mutex<HashMap<String, &'static Kind>>> = LazyLock::new(Mutex::default);

/// The kind of one version of a definition.
pub(super) fn kind(definition: &Value, version: &Value) -> &'static Kind {
    let spec = &definition["spec"];
    let fields = ["name", "subresources", "additionalPrinterColumns", "selectableFields"].map(|field| &version[field]);
    let names = &definition["status"]["acceptedNames"];
    let identity = json!([spec["group"], spec["scope"], names, fields]).to_string();
    let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    kinds.entry(identity).or_insert_with(|| Box::leak(Box::new(make(spec, names, version))))
}

fn make(spec: &Value, names: &Value, version: &Value) -> Kind {
    let (group, name, kind) = (text(spec, &["group"]), text(version, &["name"]), text(names, &["kind"]));
    let reversed: Vec<&str> = group.rsplit('.').collect();
    let parts = [("status", Subresource::Status), ("scale", Subresource::Scale)];
    let subresources = parts.into_iter().filter(|(part, _)| version["subresources"][part].is_object());
    let selectable = object::list_at(version, &["selectableFields"]).iter();
    let selectable = selectable.filter_map(|field| object::str_at(field, &["jsonPath"]));
    Kind {
        group: leak(group),
        version: leak(name),
        kind: leak(kind),
        plural: leak(text(names, &["plural"])),
        singular: leak(text(names, &["singular"])),
        short_names: leak_all(object::list_at(names, &["shortNames"]).iter().filter_map(Value::as_str)),
        categories: leak_all(object::list_at(names, &["categories"]).iter().filter_map(Value::as_str)),
        namespaced: text(spec, &["scope"]) == "Namespaced",
        definition: leak(&format!("{}.{name}.{kind}", reversed.join("."))),
        subresources: Vec::leak(subresources.map(|(_, subresource)| subresource).collect()),
        columns: Vec::leak(columns(version)),
        fields: leak_all(selectable.map(|path| path.trim_start_matches('.'))),
        // What holds for the kind's objects is in its schema, which is no part of the kind.
        ..Kind::PLAIN
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let stated = object::list_at(version, &["additionalPrinterColumns"]);
    let column = |column: &Value| {
        let path = JsonPath::parse(text(column, &["jsonPath"])).ok()?;
        Some(Column {
            name: leak(text(column, &["name"])),
            kind: leak(text(column, &["type"])),
            format: leak(text(column, &["format"])),
            description: leak(text(column, &["description"])),
            priority: object::i64_at(column, &["priority"]).and_then(|number| i32::try_from(number).ok()).unwrap_or(0),
            cell: Cell::At(Box::leak(Box::new(path))),
        })
    };
    let age = Column { kind: "date", ..cells::AGE };
    let stated = stated.iter().filter_map(column).chain(stated.is_empty().then_some(age));
    std::iter::once(cells::NAME).chain(stated).collect()
}

fn leak(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

fn leak_all<'a>(texts: impl Iterator<Item = &'a str>) -> &'static [&'static str] {
    Vec::leak(texts.map(leak).collect())
}
