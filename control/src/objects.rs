//! The object service: the one way anything in the cluster changes, used by the HTTP handlers and by the controllers.
//!
//! Deliberately absent: reading many objects (take a `Snapshot` from the store) and watching (ask the store). What comes from
//! there goes through `open` before anybody sees it.

use std::sync::Arc;

use bytes::Bytes;
use coracle_api::kind::Kind;
use coracle_api::kinds::POD;
use coracle_api::object;
use coracle_api::patch::PatchKind;
use coracle_api::status::{self, Status};
use coracle_store::{EphemeralKeys, Record, Revision, Snapshot, Store};
use serde_json::Value;

use crate::Clock;
use crate::admission::policies::Policies;
use crate::authorizer::Authorizer;
use crate::custom_kinds::{self, CustomKinds};
use crate::sealing::Sealer;
use prepare::{Action, Request};

mod bind;
mod deletion;
mod engine;
mod ledger;
mod modify;
pub mod options;
mod ownership;
mod prepare;
mod review;
mod scale;
mod schema;
mod stamp;

pub(crate) use engine::read_failed;
pub use options::{Author, Configuration, DeleteOptions, FieldValidation, Part, Propagation, WriteOptions};
pub(crate) use prepare::{decode_record, stated_revision};
pub use scale::scale_of;

/// Reads and writes objects, with everything the API promises about a write.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    ledger: ledger::Ledger,
    clock: Arc<dyn Clock>,
    uids: Box<dyn Fn() -> String + Send + Sync>,
    sealer: Sealer,
    custom_kinds: CustomKinds,
    policies: Policies,
    authorizer: Arc<dyn Authorizer>,
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
    /// A service over this store, with random uids. What authors may grant, and what policies ask of users, the authorizer decides.
    pub fn new(store: Store, clock: Arc<dyn Clock>, sealer: Sealer, authorizer: Arc<dyn Authorizer>) -> Objects {
        Objects::with_uids(store, clock, sealer, authorizer, || uuid::Uuid::new_v4().to_string())
    }

    /// A service whose uids and generated name suffixes come from `uids`.
    pub fn with_uids(
        store: Store,
        clock: Arc<dyn Clock>,
        sealer: Sealer,
        authorizer: Arc<dyn Authorizer>,
        uids: impl Fn() -> String + Send + Sync + 'static,
    ) -> Objects {
        let (custom_kinds, policies) = (CustomKinds::default(), Policies::default());
        let (ledger, uids) = (ledger::Ledger::default(), Box::new(uids));
        Objects { inner: Arc::new(Inner { store, ledger, clock, uids, sealer, custom_kinds, policies, authorizer }) }
    }

    /// A record from the store as its writer wrote it: secrets are stored sealed.
    pub(crate) fn open(&self, record: &Arc<Record>) -> Result<Arc<Record>, Status> {
        self.inner.sealer.open_record(record).map_err(status::internal)
    }

    /// Who decides what users may do.
    pub(crate) fn authorizer(&self) -> &dyn Authorizer {
        &*self.inner.authorizer
    }

    /// What Secrets are sealed with.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.inner.sealer
    }

    /// The kinds that users define, as a snapshot has them.
    pub(crate) fn custom_kinds(&self, snapshot: &Snapshot) -> Arc<custom_kinds::Index> {
        self.inner.custom_kinds.at(snapshot)
    }

    /// The store underneath.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The clock that stamps objects.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// A new uid.
    pub(crate) fn new_uid(&self) -> String {
        (self.inner.uids)()
    }

    /// The object, at least as new as every write acknowledged before the call.
    pub async fn get(&self, kind: &'static Kind, namespace: Option<&str>, name: &str) -> Result<Arc<Record>, Status> {
        let snapshot = Box::pin(self.inner.store.read()).await.map_err(read_failed)?;
        let record = snapshot.get(&kind.key(namespace, name)).ok_or_else(|| status::not_found(kind, name))?;
        self.open(&record)
    }

    /// Creates an object.
    pub async fn create(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let name = object::name(&object).to_owned();
        self.run_one(Request::new(kind, namespace, name, Action::Create { object }, options)).await
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
        let revision = stated_revision(&object)?;
        let action = Action::Update { part, object, revision };
        self.run_one(Request::new(kind, namespace, name.to_owned(), action, options)).await
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
        body: Bytes,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let action = Action::Patch { part, patch_kind, body };
        self.run_one(Request::new(kind, namespace, name.to_owned(), action, options)).await
    }

    /// Applies a configuration to an object, or one part of it; creates the object where it isn't there.
    pub async fn apply(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        name: &str,
        part: Part,
        configuration: Configuration,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let action = Action::Apply { part, configuration: Box::new(configuration) };
        self.run_one(Request::new(kind, namespace, name.to_owned(), action, options)).await
    }

    /// Deletes an object, or marks it for deletion.
    pub async fn delete(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Written, Status> {
        let author = options.author.clone();
        let write_options = WriteOptions { dry_run: options.dry_run, author, ..WriteOptions::default() };
        let action = Action::Delete(options.clone());
        self.run_one(Request::new(kind, namespace, name.to_owned(), action, &write_options)).await
    }

    /// Assigns a pod to a node; an empty uid matches any pod of that name.
    pub async fn bind(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        node: &str,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let action = Action::Bind { uid: uid.to_owned(), node: node.to_owned() };
        self.run_one(Request::new(&POD, Some(namespace), name.to_owned(), action, options)).await
    }

    /// Carries out a controller's batch as one proposal; each write succeeds or fails by itself.
    pub async fn write_all(&self, writes: Vec<ObjectWrite>) -> Result<Vec<Result<Arc<Record>, Status>>, Status> {
        let requests = writes.into_iter().map(|write| write.into_request(&WriteOptions::trusted())).collect();
        let results = self.run(requests).await?;
        Ok(results.into_iter().map(|result| result.map(|written| written.record)).collect())
    }

    /// Carries out a client's batch as one proposal. Each deletion comes with its own options.
    pub(crate) async fn write_batch(
        &self,
        writes: Vec<(ObjectWrite, Option<DeleteOptions>)>,
        options: &WriteOptions,
    ) -> Result<Vec<Result<Written, Status>>, Status> {
        let requests = writes.into_iter().map(|(write, deletion)| {
            let mut request = write.into_request(options);
            if let (Action::Delete(asked), Some(deletion)) = (&mut request.action, deletion) {
                *asked = DeleteOptions { uid: asked.uid.take(), revision: asked.revision, ..deletion };
            }
            request
        });
        self.run(requests.collect()).await
    }

    async fn run_one(&self, request: Request) -> Result<Written, Status> {
        let mut results = Box::pin(self.run(vec![request])).await?;
        results.pop().expect("invariant: one result for each request")
    }
}

impl ObjectWrite {
    fn into_request(self, options: &WriteOptions) -> Request {
        let (kind, namespace, name, action) = match self {
            ObjectWrite::Create { kind, object } => {
                let (namespace, name) = address(&object);
                (kind, namespace, name, Action::Create { object })
            }
            ObjectWrite::Update { kind, object, revision } => {
                let (namespace, name) = address(&object);
                (kind, namespace, name, Action::Update { part: Part::Main, object, revision })
            }
            ObjectWrite::UpdateStatus { kind, object, revision } => {
                let (namespace, name) = address(&object);
                (kind, namespace, name, Action::Update { part: Part::Status, object, revision })
            }
            ObjectWrite::Bind { namespace, name, uid, node } => {
                (&POD, Some(namespace), name, Action::Bind { uid, node })
            }
            ObjectWrite::Delete { kind, namespace, name, uid, revision } => {
                (kind, namespace, name, Action::Delete(DeleteOptions { uid, revision, ..DeleteOptions::default() }))
            }
        };
        Request::new(kind, namespace.as_deref(), name, action, options)
    }
}

fn address(object: &Value) -> (Option<String>, String) {
    (object::namespace(object).map(str::to_owned), object::name(object).to_owned())
}

/// What lives in the leader's memory only: heartbeats, which a new leader waits for anew.
pub const EPHEMERAL: EphemeralKeys = EphemeralKeys::under("leases.coordination.k8s.io/kube-node-lease/");
