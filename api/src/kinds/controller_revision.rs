//! A controller revision: what a stateful set's or daemon set's template was at some time, so that it can be again.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::cells;
use crate::kinds::check::{self, Errors};
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "ControllerRevision",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    short_names: &[],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.apps.v1.ControllerRevision",
    subresources: &[],
    columns: &[
        cells::NAME,
        Column::string("Controller", 0, "Controller of the object", controller),
        Column::string(
            "Revision",
            0,
            "Revision indicates the revision of the state represented by Data.",
            |object, _| cells::number(object, &["revision"]),
        ),
        cells::AGE,
    ],
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: false,
    status_on_create: false,
    default: |_| {},
    validate,
    validate_update: |new, old, errors| check::immutable(errors, "data", new.get("data"), old.get("data")),
};

/// The controller as `statefulset.apps/web`.
fn controller(object: &Value, _: Timestamp) -> Value {
    let Some(owner) = object::controller_of(object) else { return cells::NONE.into() };
    let group = owner.api_version.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
    format!("{}{group}/{}", owner.kind.to_lowercase(), owner.name).into()
}

fn validate(object: &Value, errors: &mut Errors) {
    if !check::is_set(object, "data") {
        errors.push(FieldError::required("data", "data is mandatory"));
    }
    check::not_negative(errors, "revision", object::i64_at(object, &["revision"]));
}
