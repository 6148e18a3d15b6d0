//! The `scale` subresource: a workload's replicas, seen as an `autoscaling/v1` Scale.

use coracle_api::object;
use coracle_api::selector::LabelSelector;
use coracle_api::status::{self, Status};
use serde_json::{Value, json};

/// The Scale of a workload.
pub fn scale_of(workload: &Value) -> Value {
    let metadata = workload.get("metadata");
    let copied = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
    let metadata: serde_json::Map<String, Value> =
        copied.iter().filter_map(|field| Some(((*field).to_owned(), metadata?.get(*field)?.clone()))).collect();
    let mut status = json!({ "replicas": object::i64_at(workload, &["status", "replicas"]).unwrap_or(0) });
    if let Some(selector) = workload.pointer("/spec/selector").and_then(|value| LabelSelector::from_value(value).ok()) {
        status["selector"] = selector.to_string().into();
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": { "replicas": object::i64_at(workload, &["spec", "replicas"]).unwrap_or(0) },
        "status": status,
    })
}

/// The replicas that a Scale asks for.
pub(super) fn replicas(scale: &Value) -> Result<Option<i64>, Status> {
    match scale.pointer("/spec/replicas") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64().filter(|replicas| i32::try_from(*replicas).is_ok()) {
            Some(replicas) => Ok(Some(replicas)),
            None => Err(status::bad_request(format!(
                "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas: expected an int32, found {value}"
            ))),
        },
    }
}

/// The workload with the replicas of a Scale.
pub(super) fn rescaled(workload: &Value, scale: &Value) -> Result<Value, Status> {
    let replicas = replicas(scale)?.unwrap_or(0);
    let mut new = workload.clone();
    object::child_mut(&mut new, "spec").insert("replicas".to_owned(), replicas.into());
    Ok(new)
}
