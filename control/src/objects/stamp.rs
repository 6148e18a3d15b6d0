//! The metadata the server owns: stamped on create, kept on update, whatever the client sends.

use coracle_api::kind::{Kind, Subresource};
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use coracle_api::{decode, kinds, object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Metadata that only the server writes.
const OWNED: &[&str] =
    &["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"];

/// Lists and maps of the metadata that are left out where they are empty.
const OMITTED: &[&str] = &["annotations", "finalizers", "labels", "ownerReferences"];

/// Checks that a body is of the kind its path says; a body that doesn't say gets it filled in.
pub(super) fn check_type(kind: &Kind, body: &mut Value) -> Result<(), Status> {
    check_envelope(kind, body)?;
    // Kinds that users define have no type in the API server that a body without one could be of.
    if object::kind(body).is_empty() && !kinds::is_built_in(kind) && *kind != kinds::SCALE {
        return Err(status::bad_request(format!("Object 'Kind' is missing in '{body}'")));
    }
    let version = kind.api_version();
    match object::api_version(body) {
        "" => body["apiVersion"] = version.into(),
        found if found == version => {}
        found => {
            return Err(status::bad_request(format!(
                "the API version in the data ({found}) does not match the expected API version ({version})"
            )));
        }
    }
    match object::kind(body) {
        "" => body["kind"] = kind.kind.into(),
        found if found == kind.kind => {}
        found => {
            return Err(status::bad_request(format!(
                "the kind in the data ({found}) does not match the expected kind ({})",
                kind.kind
            )));
        }
    }
    Ok(())
}

/// What says which object it is must be of the right types before it can be compared or filled in.
fn check_envelope(kind: &Kind, body: &Value) -> Result<(), Status> {
    let found = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    for field in ["apiVersion", "kind"] {
        if let Some(value) = body.get(field).filter(|value| !value.is_null() && !value.is_string()) {
            return Err(status::bad_request(format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .{field} of type string",
                found(value)
            )));
        }
    }
    if let Some(value) = body.get("metadata").filter(|value| !value.is_null() && !value.is_object()) {
        let error = format!(
            "json: cannot unmarshal {} into Go struct field {}.metadata of type v1.ObjectMeta",
            found(value),
            kind.kind
        );
        return Err(decode::unfit(object::api_version(body), object::kind(body), kind.kind, &error));
    }
    Ok(())
}

/// Checks a body's namespace against its path's, and fills it in.
pub(super) fn check_namespace(kind: &Kind, namespace: Option<&str>, body: &mut Value) -> Result<(), Status> {
    let found = object::namespace(body).unwrap_or_default();
    match namespace {
        Some(namespace) if found.is_empty() => {
            object::set_namespace(body, namespace);
            Ok(())
        }
        Some(namespace) if found == namespace => Ok(()),
        None if !kind.namespaced => {
            object::metadata_mut(body).remove("namespace");
            Ok(())
        }
        _ => Err(status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

/// Fills in the name of a configuration, which may leave it to its path, or checks it.
pub(super) fn complete_name(name: &str, body: &mut Value) -> Result<(), Status> {
    if object::name(body).is_empty() {
        object::set_name(body, name);
    }
    check_name(name, body)
}

/// Checks a body's name against its path's.
pub(super) fn check_name(name: &str, body: &Value) -> Result<(), Status> {
    match object::name(body) {
        "" => {
            return Err(status::bad_request(format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            )));
        }
        found if found == name => {}
        found => {
            return Err(status::bad_request(format!(
                "the name of the object ({found}) does not match the name on the URL ({name})"
            )));
        }
    }
    Ok(())
}

/// Checks a body's uid, where it has one, against the stored object's.
pub(super) fn check_uid(kind: &Kind, body: &Value, old: &Value) -> Result<(), Status> {
    let (asked, found) = (object::uid(body), object::uid(old));
    if asked.is_empty() || asked == found {
        return Ok(());
    }
    let cause = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {found}");
    Err(status::conflict_because(kind, object::name(old), &cause))
}

/// Stamps a new object.
pub(super) fn on_create(body: &mut Value, uid: String, now: Timestamp) {
    let has_spec = body.get("spec").is_some();
    let metadata = object::metadata_mut(body);
    for field in OWNED {
        metadata.remove(*field);
    }
    metadata.remove("managedFields");
    omit_empty(metadata);
    object::set_uid(body, uid);
    object::set_creation_timestamp(body, now);
    if has_spec {
        object::set_generation(body, 1);
    }
}

/// Keeps what the server owns as it was.
pub(super) fn on_update(body: &mut Value, old: &Value, trusted: bool) {
    let old = object::metadata(old);
    let metadata = object::metadata_mut(body);
    // A writer may state the owners; one that states none means those there are.
    let states_owners = metadata.get("managedFields").is_some_and(|stated| !stated.is_null() && *stated != json!([]));
    let owners = (trusted || !states_owners).then_some(&"managedFields");
    for field in OWNED.iter().chain(owners) {
        match old.and_then(|old| old.get(*field)) {
            Some(value) => metadata.insert((*field).to_owned(), value.clone()),
            None => metadata.remove(*field),
        };
    }
    if let Some(value) = old.and_then(|old| old.get("generateName")) {
        metadata.insert("generateName".to_owned(), value.clone());
    }
    omit_empty(metadata);
}

/// An object reads the same whether a client said `annotations: {}` or nothing.
fn omit_empty(metadata: &mut Map<String, Value>) {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    metadata.retain(|field, value| !(OMITTED.contains(&field.as_str()) && is_empty(value)));
}

/// Counts a change of what is wanted: anything besides metadata and status.
pub(super) fn bump_generation(kind: &'static Kind, new: &mut Value, old: &Value) {
    let generation = object::generation(old);
    // Where users define a kind, a status without a path of its own is a field like any other.
    let has_status = kinds::is_built_in(kind) || kind.has(Subresource::Status);
    let wanted = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        let fields = fields.filter(|(field, _)| match field.as_str() {
            "apiVersion" | "kind" | "metadata" => false,
            "status" => !has_status,
            _ => true,
        });
        fields.map(|(field, value)| (field.clone(), value.clone())).collect()
    };
    if generation > 0 && wanted(new) != wanted(old) {
        object::set_generation(new, generation + 1);
    }
}

/// An object on its way out takes no new finalizers.
pub(super) fn check_finalizers(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if !object::is_deleting(old) {
        return;
    }
    let known: Vec<&str> = object::finalizers(old).collect();
    let added: Vec<String> = object::finalizers(new)
        .filter(|finalizer| !known.contains(finalizer))
        .map(|name| format!("{name:?}"))
        .collect();
    if !added.is_empty() {
        errors.push(FieldError::forbidden(
            "metadata.finalizers",
            format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            ),
        ));
    }
}
