//! The object service: the one way anything in the cluster changes, used by the HTTP handlers and by the controllers.
//!
//! Deliberately absent: reading many objects (take a `Snapshot` from the store) and watching (ask the store).

use std::sync::Arc;

use coracle_api::kind::Kind;
use coracle_api::status::Status;
use coracle_store::{Record, Revision, Store};
use serde_json::Value;

use crate::Clock;

pub mod options;
pub use options::{DeleteOptions, FieldValidation, Part, PatchKind, Propagation, WriteOptions};

/// Reads and writes objects, with everything the API promises about a write.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    uids: Box<dyn Fn() -> String + Send + Sync>,
}

/// One write of a batch, by a controller.
#[derive(Clone, Debug)]
pub enum ObjectWrite {
    /// Create the object; its name must be free.
    Create {
        /// The object's kind.
        kind: &'static Kind,
        /// The object; `metadata.namespace` says where.
        object: Value,
    },
    /// Replace everything but the status.
    Update {
        /// The object's kind.
        kind: &'static Kind,
        /// The object, whole.
        object: Value,
        /// Only if it's still at this revision.
        revision: Option<Revision>,
    },
    /// Replace the status and nothing else. A `metadata.uid` in the object must match.
    UpdateStatus {
        /// The object's kind.
        kind: &'static Kind,
        /// The object; only name, namespace, uid and status are looked at.
        object: Value,
        /// Only if it's still at this revision; else the last writer wins.
        revision: Option<Revision>,
    },
    /// Assign a pod to a node.
    Bind {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        name: String,
        /// The pod's uid; empty matches any.
        uid: String,
        /// The node's name.
        node: String,
    },
    /// Delete the object, as a client's DELETE without options would: finalizers and grace periods apply.
    Delete {
        /// The object's kind.
        kind: &'static Kind,
        /// The object's namespace, for namespaced kinds.
        namespace: Option<String>,
        /// The object's name.
        name: String,
        /// Only if it has this uid.
        uid: Option<String>,
        /// Only if it's still at this revision.
        revision: Option<Revision>,
    },
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The object is new.
    Created,
    /// The object changed.
    Updated,
    /// The object already was as asked; nothing was written.
    Unchanged,
    /// The object is gone.
    Deleted,
    /// The object is marked for deletion and waits for finalizers or its grace period.
    Deleting,
}

/// A write that was carried out.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object after the write; after a deletion, its last value. After a dry run, its revision is 0 when new.
    pub record: Arc<Record>,
    /// What the write did.
    pub effect: Effect,
    /// What the caller should know although it was done.
    pub warnings: Vec<String>,
}

impl Objects {
    /// A service over this store, with random uids.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Objects {
        Objects::with_uids(store, clock, || uuid::Uuid::new_v4().to_string())
    }

    /// A service whose uids and generated name suffixes come from `uids`.
    pub fn with_uids(store: Store, clock: Arc<dyn Clock>, uids: impl Fn() -> String + Send + Sync + 'static) -> Objects {
        Objects { inner: Arc::new(Inner { store, clock, uids: Box::new(uids) }) }
    }

    /// The store underneath.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The clock that stamps objects.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The object, as of now or later than every acknowledged write.
    pub async fn get(&self, kind: &'static Kind, namespace: Option<&str>, name: &str) -> Result<Arc<Record>, Status> {
        todo!()
    }

    /// Creates an object.
    pub async fn create(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        todo!()
    }

    /// Replaces an object, or one part of it. A `metadata.resourceVersion` in the object must match.
    pub async fn update(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        name: &str,
        part: Part,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        todo!()
    }

    /// Applies a patch to an object, or one part of it.
    #[expect(clippy::too_many_arguments, reason = "an address, a part and a patch")]
    pub async fn patch(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        name: &str,
        part: Part,
        patch_kind: PatchKind,
        body: &[u8],
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        todo!()
    }

    /// Deletes an object, or marks it for deletion.
    pub async fn delete(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Written, Status> {
        todo!()
    }

    /// Carries out a batch as one proposal; each write succeeds or fails by itself.
    pub async fn write_all(&self, writes: Vec<ObjectWrite>) -> Result<Vec<Result<Arc<Record>, Status>>, Status> {
        todo!()
    }
}

/// Whether objects under this key live in the leader's memory only: heartbeats, which a new leader asks for anew.
pub fn is_ephemeral(key: &str) -> bool {
    key.starts_with("leases.coordination.k8s.io/kube-node-lease/")
}
