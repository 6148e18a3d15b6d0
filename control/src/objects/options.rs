//! What a caller may ask of a write or a deletion.

use std::fmt;
use std::sync::Arc;

use coracle_api::status::Status;
use coracle_store::Revision;
use serde_json::Value;

use crate::audit::Annotations;
use crate::authentication::User;

/// Someone outside the control plane who writes.
#[derive(Clone)]
pub struct Author {
    /// Who.
    pub user: User,
    /// What the audit log is told of the request besides what it asks.
    pub(crate) annotations: Arc<Annotations>,
}

impl fmt::Debug for Author {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.user.fmt(formatter)
    }
}

/// What to do with fields the schema doesn't know. Fields of a wrong type are refused always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them and say nothing.
    Ignore,
    /// Drop them and send a warning for each.
    #[default]
    Warn,
    /// Refuse the object.
    Strict,
}

/// How a create, update or patch is carried out.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Do everything but write.
    pub dry_run: bool,
    /// What to do with unknown fields.
    pub field_validation: FieldValidation,
    /// The fields that the body has twice; they are told of with the unknown ones.
    pub duplicates: Vec<String>,
    /// The object comes from inside the control plane: skip the schema check, and allow what only controllers may write.
    pub trusted: bool,
    /// The name under which the fields written are owned.
    pub manager: String,
    /// Who writes, where it isn't the control plane: they may not grant what they don't hold.
    pub author: Option<Author>,
}

/// The name under which the controllers own fields.
const CONTROLLERS: &str = "coracle-controllers";

impl WriteOptions {
    /// The options of a controller's writes.
    pub fn trusted() -> WriteOptions {
        WriteOptions { trusted: true, manager: CONTROLLERS.to_owned(), ..WriteOptions::default() }
    }
}

/// A configuration to apply.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The fields wanted, as an object.
    pub object: Value,
    /// Whether fields that others own are taken from them.
    pub force: bool,
    /// Why the object may not be created, where it isn't there.
    pub creation_refused: Option<Status>,
}

/// What becomes of the objects owned by a deleted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The owner goes first; the garbage collector deletes the rest.
    Background,
    /// The dependents go first; the owner waits for them with a finalizer.
    Foreground,
    /// The dependents stay and lose their reference.
    Orphan,
}

/// How a deletion is carried out.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Do everything but delete.
    pub dry_run: bool,
    /// Seconds a pod gets to stop; the pod's own setting when absent.
    pub grace_period_seconds: Option<i64>,
    /// What becomes of dependents; background when absent.
    pub propagation: Option<Propagation>,
    /// Delete only the object with this uid.
    pub uid: Option<String>,
    /// Delete only the object at this revision.
    pub revision: Option<Revision>,
    /// The Eviction that asks for it, where one does.
    pub eviction: Option<Value>,
    /// Who deletes, where it isn't the control plane.
    pub author: Option<Author>,
}

/// The part of an object that an update or patch addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Everything but the status.
    #[default]
    Main,
    /// The status alone.
    Status,
    /// `spec.replicas`, seen as an `autoscaling/v1` Scale.
    Scale,
    /// A Namespace's `spec.finalizers` alone.
    Finalize,
    /// The conditions of a certificate signing request alone.
    Approval,
}

impl Part {
    /// The last segment of its path; empty for the object itself.
    pub(crate) fn subresource(self) -> &'static str {
        match self {
            Part::Main => "",
            Part::Status => "status",
            Part::Scale => "scale",
            Part::Finalize => "finalize",
            Part::Approval => "approval",
        }
    }
}
