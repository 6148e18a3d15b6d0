//! What deployments and replica sets share: a replica count, a selector and a pod template.

use serde_json::Value;

use crate::kinds::cells;
use crate::object;

fn containers(object: &Value) -> &[Value] {
    object::list_at(object, &["spec", "template", "spec", "containers"])
}

pub(crate) fn container_names(object: &Value) -> Value {
    cells::join(containers(object), "name").into()
}

pub(crate) fn container_images(object: &Value) -> Value {
    cells::join(containers(object), "image").into()
}

/// The selector as `a=b,c in (d,e),!f`, sorted by key; empty where it selects nothing in particular.
pub(crate) fn selector_text(object: &Value) -> String {
    let labels = object::get(object, &["spec", "selector", "matchLabels"]).and_then(Value::as_object);
    let mut parts: Vec<(&str, String)> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for requirement in object::list_at(object, &["spec", "selector", "matchExpressions"]) {
        let key = object::str_at(requirement, &["key"]).unwrap_or_default();
        let mut values: Vec<&str> =
            object::list_at(requirement, &["values"]).iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match object::str_at(requirement, &["operator"]) {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key, text));
    }
    parts.sort_by_key(|(key, _)| *key);
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}
