//! OpenAPI v3: what `kubectl explain` prints and client-side apply patches by, made of the kinds and the schema table.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::kinds;
use crate::schema;

mod paths;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const REFERENCE: &str = "#/components/schemas/";

/// The groups and versions that have a document.
fn group_versions() -> BTreeSet<(&'static str, &'static str)> {
    let kinds = kinds::ALL.iter().map(|kind| (kind.group, kind.version));
    kinds.chain(paths::REVIEWS.iter().map(|review| (review.0, paths::REVIEW_VERSION))).collect()
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The answer to `/openapi/v3`: where each group's document is, under a hash that changes with it.
pub fn v3_index() -> Value {
    let paths: Map<String, Value> = group_versions()
        .into_iter()
        .map(|(group, version)| {
            let path = path_of(group, version);
            let url = format!("/openapi/v3/{path}?hash={}", hash(group, version));
            (path, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

/// The hash a group's document is listed under: 16 hexadecimal digits.
pub fn hash(group: &str, version: &str) -> String {
    let kinds = kinds::ALL.iter().filter(|kind| kind.group == group && kind.version == version);
    let parts = [env!("CARGO_PKG_VERSION"), group, version, schema::table_text()].into_iter();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.chain(kinds.map(|kind| kind.kind)).flat_map(str::bytes) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016X}")
}

/// The answer to `/openapi/v3/api/VERSION` and `/openapi/v3/apis/GROUP/VERSION`, as JSON.
pub fn v3_group(group: &str, version: &str) -> Option<Bytes> {
    if !group_versions().contains(&(group, version)) {
        return None;
    }
    let kinds: Vec<&Kind> =
        kinds::ALL.iter().copied().filter(|kind| kind.group == group && kind.version == version).collect();
    let mut paths = Map::new();
    for kind in &kinds {
        paths::add_kind(&mut paths, kind);
    }
    paths::add_reviews(&mut paths, group);
    let paths = Value::Object(paths).to_string();
    let mut names = closure(&paths);
    for kind in &kinds {
        names.extend(closure(&format!("\"{REFERENCE}{}List\"", kind.definition)));
    }
    let mut text = String::from(
        r#"{"openapi":"3.0.0","info":{"title":"Kubernetes","version":"v1.36.0"},"components":{"schemas":{"#,
    );
    for (index, name) in names.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let schema = schema::text(name).expect("invariant: the closure follows the table");
        text.push_str(&format!("{separator}\"{name}\":{schema}"));
    }
    text.push_str("}},\"paths\":");
    text.push_str(&paths);
    text.push('}');
    Some(Bytes::from(text))
}

/// The definitions that a text refers to, and those they refer to.
fn closure(text: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<&'static str> = references(text).collect();
    while let Some(name) = pending.pop() {
        if found.insert(name) {
            pending.extend(schema::text(name).into_iter().flat_map(references));
        }
    }
    found
}

fn references(text: &str) -> impl Iterator<Item = &'static str> {
    let names = text.split(REFERENCE).skip(1).filter_map(|rest| rest.split('"').next());
    names.filter_map(schema::definition_name)
}

#[cfg(test)]
mod tests;
