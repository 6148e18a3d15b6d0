//! Every pod runs as some service account: `default` where it names none.

use coracle_api::kinds::{POD, SERVICE_ACCOUNT};
use coracle_api::object;
use coracle_api::status::{self, Status};
use serde_json::Value;

use super::Attributes;

const DEFAULT: &str = "default";

pub(super) fn admit(attributes: &Attributes<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
    if *attributes.kind != POD {
        return Ok(());
    }
    let spec = object::child_mut(object, "spec");
    let stated = |field: &str| spec.get(field).and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = stated("serviceAccountName").or_else(|| stated("serviceAccount")).unwrap_or(DEFAULT).to_owned();
    // `default` is made with its namespace, a moment later: a pod need not wait for it.
    if name != DEFAULT && attributes.snapshot.get(&SERVICE_ACCOUNT.key(attributes.namespace, &name)).is_none() {
        let namespace = attributes.namespace.unwrap_or_default();
        let because = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(status::forbidden(&POD, attributes.name, &because));
    }
    spec.insert("serviceAccountName".to_owned(), name.as_str().into());
    spec.insert("serviceAccount".to_owned(), name.into());
    Ok(())
}
