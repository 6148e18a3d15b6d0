//! Nothing is created in a namespace that isn't there or is on its way out.

use coracle_api::kinds::NAMESPACE;
use coracle_api::object;
use coracle_api::status::{self, Cause, Status};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Attributes;

/// The finalizer in a Namespace's spec; its controller removes it once the namespace is empty.
const FINALIZER: &str = "kubernetes";

pub(super) fn admit(attributes: &Attributes<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
    if *attributes.kind == NAMESPACE {
        object::child_mut(object, "spec").insert("finalizers".to_owned(), Value::Array(vec![FINALIZER.into()]));
        object::child_mut(object, "status").insert("phase".to_owned(), "Active".into());
        object::set_label(object, "kubernetes.io/metadata.name", attributes.name);
        return Ok(());
    }
    let Some(namespace) = attributes.namespace else { return Ok(()) };
    let Some(record) = attributes.snapshot.get(&NAMESPACE.key(None, namespace)) else {
        return Err(status::not_found(&NAMESPACE, namespace));
    };
    if !is_deleting(&record.json) {
        return Ok(());
    }
    let because = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut refused = status::forbidden(attributes.kind, attributes.name, &because);
    if let Some(details) = &mut refused.details {
        details.causes.push(Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
    }
    Err(refused)
}

/// Whether a stored object is on its way out. Every create asks this, so nothing is decoded unless it may be.
fn is_deleting(json: &[u8]) -> bool {
    if !str::from_utf8(json).is_ok_and(|json| json.contains("\"deletionTimestamp\"")) {
        return false;
    }
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(rename = "deletionTimestamp")]
        deletion_timestamp: Option<IgnoredAny>,
    }
    let object: Object = serde_json::from_slice(json).expect("invariant: only encoded objects are stored");
    object.metadata.deletion_timestamp.is_some()
}
