//! OpenAPI v3: what `kubectl explain` prints and client-side apply patches by, made of the kinds and the schema table.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::custom::CustomKind;
use crate::kind::Kind;
use crate::kinds;
use crate::patch::PatchKind;
use crate::schema;

mod custom;
mod paths;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const REFERENCE: &str = "#/components/schemas/";

/// The groups and versions that have a document.
fn group_versions(custom: &[Arc<CustomKind>]) -> BTreeSet<(&str, &str)> {
    let kinds = kinds::ALL.iter().copied().chain(custom.iter().map(|custom| custom.kind));
    let reviews = paths::REVIEWS.iter().map(|review| (review.0, paths::REVIEW_VERSION));
    kinds.map(|kind| (kind.group, kind.version)).chain(reviews).collect()
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The answer to `/openapi/v3`: where each group's document is, under a hash that changes with it.
pub fn v3_index(custom: &[Arc<CustomKind>]) -> Value {
    let paths: Map<String, Value> = group_versions(custom)
        .into_iter()
        .map(|(group, version)| {
            let path = path_of(group, version);
            let url = format!("/openapi/v3/{path}?hash={}", hash(group, version, custom));
            (path, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

/// The hash a group's document is listed under: 16 hexadecimal digits.
pub fn hash(group: &str, version: &str, custom: &[Arc<CustomKind>]) -> String {
    let is_here = |kind: &Kind| kind.group == group && kind.version == version;
    let mut parts: Vec<String> = [env!("CARGO_PKG_VERSION"), group, version].map(str::to_owned).into();
    parts.extend(kinds::ALL.iter().filter(|kind| is_here(kind)).map(|kind| kind.kind.to_owned()));
    for custom in custom.iter().filter(|custom| is_here(custom.kind)) {
        let Kind { kind, plural, namespaced, subresources, .. } = custom.kind;
        let (list, schema) = (&custom.list_kind, &custom.schema_text);
        parts.push(format!("{kind} {list} {plural} {namespaced} {subresources:?} {schema}"));
    }
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.iter().map(String::as_str).chain([schema::table_text()]).flat_map(str::bytes) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016X}")
}

/// The answer to `/openapi/v3/api/VERSION` and `/openapi/v3/apis/GROUP/VERSION`, as JSON.
pub fn v3_group(group: &str, version: &str, custom: &[Arc<CustomKind>]) -> Option<Bytes> {
    if !group_versions(custom).contains(&(group, version)) {
        return None;
    }
    let is_here = |kind: &Kind| kind.group == group && kind.version == version;
    let kinds: Vec<&Kind> = kinds::ALL.iter().copied().filter(|kind| is_here(kind)).collect();
    let custom: Vec<&CustomKind> = custom.iter().map(AsRef::as_ref).filter(|custom| is_here(custom.kind)).collect();
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for kind in &kinds {
        paths::add_kind(&mut paths, kind, PatchKind::ACCEPTED);
    }
    for custom in custom {
        paths::add_kind(&mut paths, custom.kind, PatchKind::ACCEPTED_BY_CUSTOM);
        custom::add_schemas(&mut schemas, custom);
    }
    paths::add_reviews(&mut paths, group);
    let paths = Value::Object(paths).to_string();
    let mut names = closure(&paths);
    names.extend(schemas.values().flat_map(|schema| closure(&schema.to_string())));
    for kind in &kinds {
        names.extend(closure(&format!("\"{REFERENCE}{}List\"", kind.definition)));
    }
    let mut text = String::from(
        r#"{"openapi":"3.0.0","info":{"title":"Kubernetes","version":"v1.36.0"},"components":{"schemas":{"#,
    );
    let listed = names.into_iter().map(|name| {
        let schema = schema::text(name).expect("invariant: the closure follows the table");
        format!("\"{name}\":{schema}")
    });
    let defined = schemas.iter().map(|(name, schema)| format!("{}:{schema}", Value::from(name.as_str())));
    text.push_str(&listed.chain(defined).collect::<Vec<String>>().join(","));
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
