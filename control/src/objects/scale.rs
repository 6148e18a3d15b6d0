//! The `scale` subresource: the replicas of an object, seen as an `autoscaling/v1` Scale.

use coracle_api::custom::ScalePaths;
use coracle_api::kinds::SCALE;
use coracle_api::object;
use coracle_api::selector::LabelSelector;
use coracle_api::status::{self, Status};
use serde_json::{Map, Value, json};

use super::prepare::Request;

/// The Scale of an object. Users may define kinds whose objects lack the replicas; such an object has none.
pub fn scale_of(object: &Value, paths: &ScalePaths) -> Result<Value, Status> {
    let metadata = object.get("metadata");
    let copied = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
    let metadata: Map<String, Value> =
        copied.iter().filter_map(|field| Some(((*field).to_owned(), metadata?.get(*field)?.clone()))).collect();
    let number = |path: &str| get(object, path).and_then(Value::as_i64);
    let replicas = number(&paths.spec_replicas);
    let is_built_in = std::ptr::eq(paths, ScalePaths::built_in());
    if replicas.is_none() && !is_built_in {
        let path = &paths.spec_replicas;
        return Err(status::internal(format!("the spec replicas field \".{path}\" does not exist")));
    }
    let mut status = json!({ "replicas": number(&paths.status_replicas).unwrap_or(0) });
    let selector = if is_built_in {
        LabelSelector::of_object(object).ok().map(|selector| selector.to_string())
    } else {
        paths.selector.as_ref().and_then(|path| get(object, path)?.as_str().map(str::to_owned))
    };
    if let Some(selector) = selector {
        status["selector"] = selector.into();
    }
    Ok(json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": { "replicas": replicas.unwrap_or(0) },
        "status": status,
    }))
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

/// The object with the replicas of a Scale.
pub(super) fn rescaled(request: &Request, object: &Value, scale: &Value) -> Result<Value, Status> {
    let replicas = replicas(scale)?.unwrap_or(0);
    let mut new = object.clone();
    let paths = request.scale_paths();
    let path = &paths.spec_replicas;
    let (parents, field) = path.rsplit_once('.').unwrap_or(("", path));
    let parents = parents.split('.').filter(|parent| !parent.is_empty());
    let parent = parents.fold(&mut new, |parent, field| {
        object::child_mut(parent, field);
        &mut parent[field]
    });
    parent[field] = replicas.into();
    let mut errors = Vec::new();
    SCALE.validate(&scale_of(&new, paths)?, &mut errors);
    if errors.is_empty() { Ok(new) } else { Err(status::invalid(&SCALE, &request.name, &errors)) }
}

/// An object with nothing but a value at a path.
pub(super) fn at(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |value, field| json!({ field: value }))
}

fn get<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, field| value.get(field))
}
