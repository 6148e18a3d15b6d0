//! A scale: how many replicas an object of another kind has, and how many it should have.
//!
//! Deliberately absent: being stored. It is a part of that other object, seen in a form that all such kinds share.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind};
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "autoscaling",
    version: "v1",
    kind: "Scale",
    plural: "scales",
    singular: "scale",
    namespaced: true,
    definition: "io.k8s.api.autoscaling.v1.Scale",
    columns: COLUMNS,
    validate,
    ..Kind::PLAIN
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::integer("Desired", 0, "replicas is the desired number of instances for the scaled object.", desired),
    Column::integer(
        "Available",
        0,
        "replicas is the actual number of observed instances of the scaled object.",
        available,
    ),
    cells::AGE,
];

fn desired(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["spec", "replicas"])
}

fn available(object: &Value, _: Timestamp) -> Value {
    cells::number(object, &["status", "replicas"])
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    check::not_negative(errors, "spec.replicas", object::i64_at(object, &["spec", "replicas"]));
}
