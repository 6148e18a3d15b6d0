//! What every create and update passes besides its kind's own rules: a chain of pure functions, one a file.
//!
//! Deliberately absent: webhooks, and anything that depends on who is asking: that is the authorizer's, and that of `policies`, which are
//! asked last.

use coracle_api::kind::Kind;
use coracle_api::status::Status;
use coracle_store::Snapshot;
use serde_json::Value;

use crate::custom_kinds::Index;

mod awaited_controller;
mod default_class;
mod limit_ranger;
mod namespace_lifecycle;
mod pod_fields;
pub(crate) mod policies;
mod priority;
pub(crate) mod resource_quota;
mod runtime_class;
mod service_account;

/// What a step may know besides the object.
pub(crate) struct Attributes<'a> {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) custom_kinds: &'a Index,
    pub(crate) trusted: bool,
}

type CreateStep = fn(&Attributes<'_>, &mut Value, &mut Vec<String>) -> Result<(), Status>;
type UpdateStep = fn(&Attributes<'_>, &Value, &mut Value) -> Result<(), Status>;

const CREATE: &[CreateStep] = &[
    namespace_lifecycle::admit,
    limit_ranger::admit,
    service_account::admit,
    priority::admit,
    runtime_class::admit,
    default_class::admit,
    pod_fields::admit,
    awaited_controller::admit,
];
const UPDATE: &[UpdateStep] = &[priority::admit_update, pod_fields::admit_update];

/// Passes a new, defaulted object through the chain.
pub(crate) fn admit_create(
    attributes: &Attributes<'_>,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    CREATE.iter().try_for_each(|step| step(attributes, object, warnings))
}

/// Passes a changed object through the chain.
pub(crate) fn admit_update(attributes: &Attributes<'_>, old: &Value, new: &mut Value) -> Result<(), Status> {
    UPDATE.iter().try_for_each(|step| step(attributes, old, new))
}

/// Looks at an object once more, whole and valid; `old` is what it replaces. Quotas come after this, in `objects::ledger`.
pub(crate) fn check(attributes: &Attributes<'_>, old: Option<&Value>, new: &Value) -> Result<(), Status> {
    limit_ranger::check(attributes, old, new)
}
