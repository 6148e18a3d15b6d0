//! `apply` as kubectl does it on the client: what the last applied manifest had and this one has not is removed, what this one says
//! is set, everything else stays. The patch is decided by a pure function. Lists are replaced whole.

use coracle_api::{kind::Kind, kinds, object};
use coracle_client::{Client, PatchKind, WriteOptions};
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Result};

/// kubectl's own annotation, so that `kubectl apply` and `wasmctl apply` can take turns.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What became of an applied object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    Created,
    Configured,
    Unchanged,
}

impl Applied {
    /// kubectl's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Applied::Created => "created",
            Applied::Configured => "configured",
            Applied::Unchanged => "unchanged",
        }
    }
}

/// The kind of a manifest's object.
pub(crate) fn kind_of(manifest: &Value) -> Result<&'static Kind> {
    let api_version = manifest["apiVersion"].as_str().unwrap_or_default();
    let name = manifest["kind"].as_str().unwrap_or_default();
    kinds::ALL.iter().copied().find(|kind| kind.api_version() == api_version && kind.kind == name).ok_or_else(|| {
        Failure::new(format!("no kind `{name}` in `{api_version}` here"))
            .hint("`wasmctl version` and `kubectl api-resources` list what is")
    })
}

/// Creates or changes one object as its manifest says.
pub(crate) async fn apply(client: &Client, namespace: &str, manifest: &Value) -> Result<(Applied, Value)> {
    let kind = kind_of(manifest)?;
    let name = object::name(manifest);
    if name.is_empty() {
        return Err(Failure::new(format!("{}: metadata.name: required to apply an object", kind.kind)));
    }
    let namespace = kind.namespaced.then(|| object::namespace(manifest).unwrap_or(namespace).to_owned());
    let marked = mark(manifest);
    match client.get(kind, namespace.as_deref(), name).await {
        Err(error) if error.is_not_found() => {
            match client.create(kind, namespace.as_deref(), &marked, &WriteOptions::strict()).await {
                Ok(created) => Ok((Applied::Created, created)),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
        Ok(live) => change(client, kind, namespace.as_deref(), &live, &marked).await,
    }
}

async fn change(
    client: &Client,
    kind: &'static Kind,
    namespace: Option<&str>,
    live: &Value,
    marked: &Value,
) -> Result<(Applied, Value)> {
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str().and_then(|text| serde_json::from_str(text).ok());
    let patch = merge_patch(last.as_ref().unwrap_or(&Value::Null), marked, live);
    if patch.as_object().is_some_and(Map::is_empty) {
        return Ok((Applied::Unchanged, live.clone()));
    }
    let changed =
        client.patch(kind, namespace, object::name(live), PatchKind::Merge, &patch, &WriteOptions::strict()).await?;
    let is_same = object::resource_version(&changed) == object::resource_version(live);
    Ok((if is_same { Applied::Unchanged } else { Applied::Configured }, changed))
}

/// The manifest with itself as the last-applied annotation.
fn mark(manifest: &Value) -> Value {
    let mut marked = manifest.clone();
    let text = format!("{manifest}\n");
    if !marked["metadata"]["annotations"].is_object() {
        marked["metadata"]["annotations"] = json!({});
    }
    marked["metadata"]["annotations"][LAST_APPLIED] = Value::String(text);
    marked
}

/// The JSON merge patch (RFC 7386) that takes `live` to what `new` says, given what was `last` applied; empty if it is there already.
fn merge_patch(last: &Value, new: &Value, live: &Value) -> Value {
    let mut patch = Map::new();
    for (key, wanted) in new.as_object().into_iter().flatten() {
        let current = &live[key];
        if wanted.is_object() && current.is_object() {
            let inner = merge_patch(&last[key], wanted, current);
            if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                patch.insert(key.clone(), inner);
            }
        } else if !covers(current, wanted) {
            patch.insert(key.clone(), wanted.clone());
        }
    }
    for key in last.as_object().into_iter().flatten().map(|(key, _)| key) {
        if new.get(key).is_none() && live.get(key).is_some() {
            patch.insert(key.clone(), Value::Null);
        }
    }
    Value::Object(patch)
}

/// Does `current` already say all that `wanted` says? Objects inside lists may have defaults beside what was wanted.
fn covers(current: &Value, wanted: &Value) -> bool {
    match (current, wanted) {
        (Value::Object(current), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| current.get(key).is_some_and(|current| covers(current, wanted)))
        }
        (Value::Array(current), Value::Array(wanted)) => {
            current.len() == wanted.len() && current.iter().zip(wanted).all(|(current, wanted)| covers(current, wanted))
        }
        (Value::Number(current), Value::Number(wanted)) => current.as_f64() == wanted.as_f64(),
        _ => current == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(last: Value, new: Value, live: Value, expected: Value) {
        assert_eq!(merge_patch(&last, &new, &live), expected);
    }

    #[test]
    fn sets_what_differs_and_nothing_else() {
        check(
            Value::Null,
            json!({"a": 1, "b": {"c": 2}}),
            json!({"a": 1, "b": {"c": 3, "default": 4}}),
            json!({"b": {"c": 2}}),
        );
    }

    #[test]
    fn removes_what_was_applied_before_and_is_gone() {
        check(
            json!({"labels": {"x": "1", "y": "2"}}),
            json!({"labels": {"x": "1"}}),
            json!({"labels": {"x": "1", "y": "2", "z": "3"}}),
            json!({"labels": {"y": null}}),
        );
    }

    #[test]
    fn keeps_what_others_set() {
        check(json!({"a": 1}), json!({"a": 1}), json!({"a": 1, "other": true}), json!({}));
    }

    #[test]
    fn defaults_inside_lists_are_no_change() {
        check(
            Value::Null,
            json!({"ports": [{"port": 80}]}),
            json!({"ports": [{"port": 80, "protocol": "TCP"}]}),
            json!({}),
        );
        check(
            Value::Null,
            json!({"ports": [{"port": 81}]}),
            json!({"ports": [{"port": 80, "protocol": "TCP"}]}),
            json!({"ports": [{"port": 81}]}),
        );
        check(
            json!({"ports": [{"port": 1}, {"port": 2}]}),
            json!({"ports": [{"port": 1}]}),
            json!({"ports": [{"port": 1}, {"port": 2}]}),
            json!({"ports": [{"port": 1}]}),
        );
    }
}
