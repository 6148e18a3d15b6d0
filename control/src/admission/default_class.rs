//! Ingresses and claims that name no class get the one marked as default; of several, the newest.

use coracle_api::kind::Kind;
use coracle_api::kinds::{self, INGRESS, INGRESS_CLASS, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS};
use coracle_api::object;
use coracle_api::status::Status;
use coracle_store::Snapshot;
use serde_json::Value;

use super::Attributes;
use crate::objects::decode_record;

/// The annotation that named an ingress' class before there was a field.
const INGRESS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) fn admit(attributes: &Attributes<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
    let (field, class) = if *attributes.kind == INGRESS {
        let is_stated = object::str_at(object, &["spec", "ingressClassName"]).is_some()
            || object::annotation(object, INGRESS_ANNOTATION).is_some();
        let default = || newest(attributes.snapshot, &INGRESS_CLASS, kinds::ingress_class::is_default);
        ("ingressClassName", if is_stated { None } else { default() })
    } else if *attributes.kind == PERSISTENT_VOLUME_CLAIM {
        let default = || newest(attributes.snapshot, &STORAGE_CLASS, kinds::storage_class::is_default);
        ("storageClassName", if kinds::storage::states_class(object) { None } else { default() })
    } else {
        return Ok(());
    };
    if let Some(class) = class {
        object::child_mut(object, "spec").insert(field.to_owned(), class.into());
    }
    Ok(())
}

/// The name of the newest class that is a default, the first by name of those made at once.
fn newest(snapshot: &Snapshot, kind: &Kind, is_default: fn(&Value) -> bool) -> Option<String> {
    let classes = snapshot.range(&kind.prefix(None), None).map(|record| decode_record(record)).collect::<Vec<_>>();
    let defaults = classes.iter().filter(|class| is_default(class));
    let newest = defaults.min_by_key(|class| {
        let age = object::creation_timestamp(class).map(|at| -at.as_second());
        (age, object::name(class).to_owned())
    });
    newest.map(|class| object::name(class).to_owned())
}
