//! Fields that a configuration wants to change and another writer owns, and why else a configuration isn't applied.

use std::collections::BTreeMap;

use thiserror::Error;

use super::field_set::FieldSet;
use super::managed_fields::{Entry, Operation};
use crate::status::{self, Cause, Status};

/// Why a configuration is not applied.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ApplyError {
    /// The configuration is not one of this object, or has no well-defined set of fields.
    #[error("{0}")]
    Unfit(String),
    /// Other writers own fields that it would change.
    #[error("{}", message(.0))]
    Conflicts(Vec<Conflict>),
}

/// One field that another writer owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The other writer: `"kubectl" using apps/v1`.
    pub manager: String,
    /// The field: `.spec.replicas`.
    pub path: String,
}

impl ApplyError {
    /// The answer Kubernetes gives. Only the code of an unfit configuration differs: there it is 500, which would say that
    /// the server failed.
    pub fn to_status(&self) -> Status {
        match self {
            ApplyError::Unfit(message) => status::bad_request(message.as_str()),
            ApplyError::Conflicts(conflicts) => {
                let causes = conflicts.iter().map(|conflict| Cause {
                    reason: "FieldManagerConflict".to_owned(),
                    message: format!("conflict with {}", conflict.manager),
                    field: conflict.path.clone(),
                });
                status::apply_conflict(&self.to_string(), causes.collect())
            }
        }
    }
}

/// The conflicts over an entry's fields.
pub(super) fn over<'a>(entry: &Entry, fields: &'a FieldSet) -> impl Iterator<Item = Conflict> + use<'a> {
    let manager = name(entry);
    fields.paths().into_iter().map(move |path| Conflict { manager: manager.clone(), path })
}

fn name(entry: &Entry) -> String {
    let mut name = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        name.push_str(&format!(" with subresource {:?}", entry.subresource));
    }
    if entry.operation == Operation::Update {
        name.push_str(&format!(" using {}", entry.api_version));
    }
    name
}

fn message(conflicts: &[Conflict]) -> String {
    if let [Conflict { manager, path }] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut managers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Conflict { manager, path } in conflicts {
        managers.entry(manager).or_default().push(format!("\n- {path}"));
    }
    let lines = managers.iter().map(|(manager, paths)| format!("conflicts with {manager}:{}", paths.concat()));
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.collect::<Vec<_>>().join("\n"))
}
