//! A lease: who holds a lock, and that they are alive.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "coordination.k8s.io",
    version: "v1",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    short_names: &[],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.coordination.v1.Lease",
    subresources: &[],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Holder", 0, "holderIdentity contains the identity of the holder of a current lease.", holder),
    cells::AGE,
];

fn holder(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["spec", "holderIdentity"], "")
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let number = |field| object::i64_at(object, &["spec", field]);
    if let Some(seconds) = number("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    check::not_negative(errors, "spec.leaseTransitions", number("leaseTransitions"));
}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
