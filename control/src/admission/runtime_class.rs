//! A pod that names a runtime class gets what the class says of its pods: overhead, nodes and tolerations.
//!
//! The class `wasm` needs no object: it is how hosts run pods that name none. Whether a host can run another class is
//! the host's to say.

use coracle_api::kinds::{POD, RUNTIME_CLASS};
use coracle_api::object;
use coracle_api::status::{self, Status};
use serde_json::{Map, Value, json};

use super::Attributes;
use crate::objects::decode_record;

const BUILT_IN: &str = "wasm";

pub(super) fn admit(attributes: &Attributes<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
    if *attributes.kind != POD {
        return Ok(());
    }
    let refused = |because: &str| status::forbidden(&POD, attributes.name, because);
    let spec = object::child_mut(object, "spec");
    let name = spec.get("runtimeClassName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let record = name.and_then(|name| attributes.snapshot.get(&RUNTIME_CLASS.key(None, name)));
    let class = match (record, name) {
        (Some(record), _) => decode_record(&record),
        (None, None | Some(BUILT_IN)) => Value::Null,
        (None, Some(name)) => return Err(refused(&format!("pod rejected: RuntimeClass {name:?} not found"))),
    };
    add_overhead(spec, &class).map_err(&refused)?;
    add_scheduling(spec, &class).map_err(|because| refused(&because))
}

/// The overhead of a pod is its class's; a user may state it, but nothing else.
fn add_overhead(spec: &mut Map<String, Value>, class: &Value) -> Result<(), &'static str> {
    let stated = spec.get("overhead").filter(|overhead| !overhead.is_null());
    match (object::get(class, &["overhead", "podFixed"]), stated) {
        (None, None) => {}
        (None, Some(_)) => {
            return Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
        }
        (Some(fixed), Some(stated)) if stated != fixed => {
            return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
        }
        (Some(fixed), _) => {
            spec.insert("overhead".to_owned(), fixed.clone());
        }
    }
    Ok(())
}

/// The pod goes to nodes that suit both it and its class, and tolerates what either does.
fn add_scheduling(spec: &mut Map<String, Value>, class: &Value) -> Result<(), String> {
    let labels = object::get(class, &["scheduling", "nodeSelector"]).and_then(Value::as_object);
    for (key, wanted) in labels.into_iter().flatten() {
        let selector = spec.entry("nodeSelector").or_insert_with(|| json!({}));
        match selector.get(key).filter(|found| *found != wanted) {
            Some(found) => {
                let [wanted, found] = [wanted, found].map(|value| value.as_str().unwrap_or_default());
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {found}"
                ));
            }
            None => selector[key] = wanted.clone(),
        }
    }
    for toleration in object::list_at(class, &["scheduling", "tolerations"]) {
        let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
        if let Some(list) = tolerations.as_array_mut().filter(|list| !list.contains(toleration)) {
            list.push(toleration.clone());
        }
    }
    Ok(())
}
