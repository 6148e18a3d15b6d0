//! From a request and the object it acts on to the write it asks of the store: decode, default, admit, validate, stamp, encode.

use std::sync::Arc;

use bytes::Bytes;
use coracle_api::apply::ManagedFields;
use coracle_api::custom::{CustomKind, ScalePaths};
use coracle_api::kind::Kind;
use coracle_api::kinds::CUSTOM_RESOURCE_DEFINITION;
use coracle_api::patch::PatchKind;
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use coracle_api::{encode, kinds, names, object};
use coracle_store::{Operation, Precondition, Record, Revision, Snapshot, Tag, Write};
use jiff::Timestamp;
use serde_json::Value;

use super::ledger::Session;
use super::options::{Configuration, DeleteOptions, Part, WriteOptions};
use super::review::review;
use super::scale::scale_of;
use super::{Effect, bind, deletion, modify, ownership, schema, stamp};
use crate::admission::policies;
use crate::authorizer::{Authorizer, escalation, node_restriction, signing};
use crate::custom_kinds::Index;
use crate::sealing::Sealer;
use crate::{admission, quota};

/// A write, addressed.
pub(super) struct Request {
    pub(super) kind: &'static Kind,
    /// What else holds for the kind at the moment of the decision, where users defined it.
    pub(super) custom: Option<Arc<CustomKind>>,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) action: Action,
    pub(super) options: WriteOptions,
}

/// What to do with the object.
pub(super) enum Action {
    Create { object: Value },
    Update { part: Part, object: Value, revision: Option<Revision> },
    Patch { part: Part, patch_kind: PatchKind, body: Bytes },
    Apply { part: Part, configuration: Box<Configuration> },
    Bind { uid: String, node: String },
    Delete(DeleteOptions),
}

/// What a decision may know besides the request and the object.
pub(super) struct Context<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) custom_kinds: Arc<Index>,
    pub(super) now: Timestamp,
    pub(super) uids: &'a (dyn Fn() -> String + Send + Sync),
    pub(super) sealer: &'a Sealer,
    /// There where a quota may have a say.
    pub(super) quotas: Option<Session<'a>>,
    /// Where there are any.
    pub(super) policies: Option<Arc<policies::Index>>,
    pub(super) authorizer: &'a dyn Authorizer,
    /// What policies said of the request that is being decided on.
    pub(super) warnings: Vec<String>,
}

/// What happens when the object changed since the decision.
pub(super) enum Failure {
    /// Decide again; the status when that keeps happening.
    Retry(Status),
    /// The caller wanted exactly that object.
    Final(Status),
}

/// A decision.
pub(super) struct Prepared {
    /// What to write; `None` when there is nothing to do.
    pub(super) write: Option<Write>,
    /// The object as it would be: the answer when nothing is written.
    pub(super) record: Arc<Record>,
    pub(super) effect: Effect,
    pub(super) warnings: Vec<String>,
    pub(super) on_conflict: Failure,
}

impl Request {
    pub(super) fn new(
        kind: &'static Kind,
        namespace: Option<&str>,
        name: String,
        action: Action,
        options: &WriteOptions,
    ) -> Request {
        let namespace = namespace.filter(|_| kind.namespaced).map(str::to_owned);
        Request { kind, custom: None, namespace, name, action, options: options.clone() }
    }

    pub(super) fn key(&self) -> String {
        self.kind.key(self.namespace.as_deref(), &self.name)
    }

    /// The revision the caller ties the write to.
    fn revision(&self) -> Option<Revision> {
        match &self.action {
            Action::Update { revision, .. } => *revision,
            Action::Delete(options) => options.revision,
            Action::Create { .. } | Action::Patch { .. } | Action::Apply { .. } | Action::Bind { .. } => None,
        }
    }

    /// The namespace whose quotas it may use up.
    pub(super) fn spends_in(&self) -> Option<&str> {
        let may_spend = match &self.action {
            Action::Create { .. } => true,
            Action::Update { part, .. } | Action::Patch { part, .. } => {
                *part == Part::Main && quota::reads_content(self.kind)
            }
            // It may turn out to be a create.
            Action::Apply { part, .. } => *part == Part::Main,
            Action::Bind { .. } | Action::Delete(_) => false,
        };
        self.namespace.as_deref().filter(|_| may_spend)
    }

    /// Whether a snapshot is new enough to decide on: no write is refused because of what is there, or isn't, if that may be long past.
    pub(super) fn is_covered_by(&self, snapshot: &Snapshot) -> bool {
        let is_create = matches!(self.action, Action::Create { .. });
        is_create != snapshot.get(&self.key()).is_some()
            && self.revision().is_none_or(|revision| revision <= snapshot.revision())
    }

    /// The body; kept for another attempt only where there may be one.
    fn take_object(object: &mut Value, is_retried: bool) -> Value {
        if is_retried { object.clone() } else { object.take() }
    }

    /// Finds out what holds for a kind that users define. One that is gone by now has no objects.
    fn look_up_kind(&mut self, custom_kinds: &Index) -> Result<(), Status> {
        let may_use = |custom: &&Arc<CustomKind>| custom.is_served || self.options.trusted;
        self.custom = custom_kinds.of(self.kind).filter(may_use).cloned();
        let is_known = self.custom.is_some() || kinds::is_built_in(self.kind);
        if is_known { Ok(()) } else { Err(status::unknown_resource()) }
    }

    /// Where the kind keeps what a Scale shows.
    pub(super) fn scale_paths(&self) -> &ScalePaths {
        let stated = self.custom.as_ref().and_then(|custom| custom.scale.as_ref());
        stated.unwrap_or_else(|| ScalePaths::built_in())
    }

    fn failure(&self) -> Failure {
        let status = status::conflict(self.kind, &self.name);
        if self.revision().is_some() { Failure::Final(status) } else { Failure::Retry(status) }
    }
}

/// Decides on a request. `seen` is the object that beat an earlier attempt, where there was one.
pub(super) fn prepare(
    request: &mut Request,
    seen: Option<Option<Arc<Record>>>,
    context: &mut Context<'_>,
) -> Result<Prepared, Status> {
    request.look_up_kind(&context.custom_kinds)?;
    if let Action::Create { .. } = request.action {
        return create(request, context);
    }
    let current = seen.unwrap_or_else(|| context.snapshot.get(&request.key()));
    if current.is_none() && matches!(request.action, Action::Apply { part: Part::Main, .. }) {
        return create_applied(request, context);
    }
    let current = current.ok_or_else(|| status::not_found(request.kind, &request.name))?;
    let current = context.sealer.open_record(&current).map_err(status::internal)?;
    if request.revision().is_some_and(|revision| revision != current.revision) {
        return Err(status::conflict(request.kind, &request.name));
    }
    let mut old = decode_record(&current);
    if let Some(custom) = &request.custom {
        custom.present(&mut old);
    }
    let mut warnings = Vec::new();
    let (kind, trusted) = (request.kind, request.options.trusted);
    let failure = request.failure();
    let change = match &mut request.action {
        Action::Create { .. } => unreachable!("handled above"),
        Action::Update { part, object, revision } => {
            let part = *part;
            let is_unconditional = revision.is_none() && !trusted && part != Part::Scale;
            if is_unconditional && (request.custom.is_some() || *kind == CUSTOM_RESOURCE_DEFINITION) {
                let error = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
                return Err(status::invalid(kind, &request.name, &[error]));
            }
            let body = Request::take_object(object, revision.is_none());
            let new = modify::replace(request, part, &old, body, &mut warnings)?;
            warnings.extend(custom_warnings(request, &new, &old));
            finish_update(request, part, &current, old, new, None, context)?
        }
        Action::Patch { part, patch_kind, body } => {
            let (part, patch_kind, body) = (*part, *patch_kind, body.clone());
            let new = modify::patch(request, part, patch_kind, &old, &body, &mut warnings)?;
            warnings.extend(custom_warnings(request, &new, &old));
            finish_update(request, part, &current, old, new, None, context)?
        }
        Action::Apply { part, configuration } => {
            let (part, configuration) = (*part, configuration.clone());
            let mut managed = ManagedFields::of(&old).unwrap_or_default();
            let new = modify::apply(request, part, &old, &configuration, &mut managed, context.now)?;
            warnings.extend(custom_warnings(request, &new, &old));
            finish_update(request, part, &current, old, new, Some(managed), context)?
        }
        Action::Bind { uid, node } => {
            let (binding, new) = (bind::binding(&old, node), bind::assign(kind, &old, uid, node, context.now)?);
            review(request, "CREATE", "binding", &binding, &Value::Null, context)?;
            Change::Put(new)
        }
        Action::Delete(options) => {
            let (change, eviction) =
                (deletion::decide(kind, &old, options, trusted, context.now)?, options.eviction.clone());
            match eviction {
                Some(eviction) => review(request, "CREATE", "eviction", &eviction, &Value::Null, context)?,
                None => review(request, "DELETE", "", &Value::Null, &old, context)?,
            }
            change
        }
    };
    Ok(conclude(request, &current, change, warnings, failure))
}

/// What those who write an object of a kind that users define are told of it.
fn custom_warnings(request: &Request, new: &Value, old: &Value) -> Vec<String> {
    request.custom.as_ref().map(|custom| custom.warnings(new, old)).unwrap_or_default()
}

/// What becomes of an existing object.
pub(super) enum Change {
    /// It becomes this.
    Put(Value),
    /// It becomes this, on its way out.
    Mark(Value),
    /// It goes.
    Remove,
    /// Nothing changes.
    Nothing,
}

fn create(request: &mut Request, context: &mut Context<'_>) -> Result<Prepared, Status> {
    let Action::Create { object } = &mut request.action else { unreachable!("only called for creates") };
    let prefix = object::generate_name(object).filter(|_| object::name(object).is_empty()).map(str::to_owned);
    let mut object = Request::take_object(object, prefix.is_some());
    let kind = request.kind;
    stamp::check_type(kind, &mut object)?;
    stamp::check_namespace(kind, request.namespace.as_deref(), &mut object)?;
    let warnings = schema::check(request, kind, &mut object)?;
    let uid = (context.uids)();
    if let Some(prefix) = &prefix {
        request.name = names::seeded_name(prefix, seed(&uid));
        object::set_name(&mut object, request.name.as_str());
    }
    let taken = status::already_exists(kind, &request.name);
    let on_conflict = if prefix.is_some() { Failure::Retry(taken) } else { Failure::Final(taken) };
    finish_create(request, object, uid, None, warnings, on_conflict, context)
}

/// Creates the object that a configuration was to be applied to.
fn create_applied(request: &Request, context: &mut Context<'_>) -> Result<Prepared, Status> {
    let Action::Apply { part, configuration } = &request.action else { unreachable!("only called for applications") };
    if let Some(refused) = &configuration.creation_refused {
        return Err(refused.clone());
    }
    let mut managed = ManagedFields::default();
    let object = ownership::apply(request, *part, &Value::Null, configuration, &mut managed, context.now)?;
    let uid = object::uid(&object);
    if !uid.is_empty() {
        let cause = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
        return Err(status::conflict_because(request.kind, &request.name, &cause));
    }
    let on_conflict = Failure::Retry(status::conflict(request.kind, &request.name));
    finish_create(request, object, (context.uids)(), Some(managed), Vec::new(), on_conflict, context)
}

/// Carries on with a new object that has its name; `managed` are its owners where it was applied.
fn finish_create(
    request: &Request,
    mut object: Value,
    uid: String,
    managed: Option<ManagedFields>,
    mut warnings: Vec<String>,
    on_conflict: Failure,
    context: &mut Context<'_>,
) -> Result<Prepared, Status> {
    let (kind, options) = (request.kind, &request.options);
    if request.custom.as_ref().is_some_and(|custom| custom.is_terminating) {
        return Err(status::kind_is_terminating());
    }
    if stated_revision(&object)?.is_some() {
        return Err(status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    warnings.extend(custom_warnings(request, &object, &Value::Null));
    stamp::on_create(&mut object, uid, context.now);
    if request.custom.is_some() {
        object::set_generation(&mut object, 1);
    }
    kind.prepare(&mut object);
    fill_defaults(request, &mut object);
    let custom_kinds = Arc::clone(&context.custom_kinds);
    let attributes = attributes(request, context.snapshot, &custom_kinds);
    admission::admit_create(&attributes, &mut object, &mut warnings)?;
    if let Some(author) = &options.author {
        escalation::check((&author.user, context.authorizer), kind, &object, None, context.snapshot)?;
        signing::admit(kind, &author.user, &mut object)?;
        node_restriction::check(&author.user, kind, &object, None)?;
    }
    let mut errors = Vec::new();
    kind.validate(&object, &mut errors);
    if let Some(custom) = &request.custom {
        custom.schema.validate(&object, None, &mut errors);
    }
    refuse_invalid(kind, &request.name, &errors)?;
    admission::check(&attributes, None, &object)?;
    review(request, "CREATE", "", &object, &Value::Null, context)?;
    let key = request.key();
    if let Failure::Final(taken) = &on_conflict
        && context.snapshot.get(&key).is_some()
    {
        return Err(taken.clone());
    }
    match managed {
        Some(managed) => managed.write_to(&mut object),
        None => ownership::created(request, &mut object, context.now),
    }
    if let Some(quotas) = &mut context.quotas {
        quotas.charge(&attributes, None, &object, options.dry_run)?;
    }
    let record = encode_record(request, &key, object, 0);
    let write = (!options.dry_run).then(|| put(&record, Precondition::Absent, false));
    Ok(Prepared { write, record, effect: Effect::Created, warnings, on_conflict })
}

/// Carries on with an object that is there; `managed` are its owners where it was applied.
fn finish_update(
    request: &Request,
    part: Part,
    current: &Record,
    old: Value,
    mut new: Value,
    managed: Option<ManagedFields>,
    context: &mut Context<'_>,
) -> Result<Change, Status> {
    let kind = request.kind;
    let mut errors = Vec::new();
    let custom_kinds = Arc::clone(&context.custom_kinds);
    let attributes = attributes(request, context.snapshot, &custom_kinds);
    let is_status = matches!(part, Part::Status | Part::Finalize | Part::Approval);
    if is_status {
        if part == Part::Approval {
            signing::date_conditions(&mut new, &old, context.now);
        }
        if let Some(author) = &request.options.author {
            signing::check((&author.user, context.authorizer), kind, part, &new, &old, context.snapshot)?;
        }
        fill_defaults(request, &mut new);
        kind.validate_status_update(&new, &old, &mut errors);
    } else {
        admission::admit_update(&attributes, &old, &mut new)?;
        kind.default(&mut new);
        fill_defaults(request, &mut new);
        if let Some(author) = &request.options.author {
            escalation::check((&author.user, context.authorizer), kind, &new, Some(&old), context.snapshot)?;
            node_restriction::check(&author.user, kind, &new, Some(&old))?;
        }
        stamp::bump_generation(kind, &mut new, &old);
        stamp::check_finalizers(&new, &old, &mut errors);
        kind.validate_update(&new, &old, &mut errors);
    }
    if let Some(custom) = &request.custom {
        custom.schema.validate(&new, Some(&old), &mut errors);
    }
    match managed {
        Some(managed) => ownership::applied(&old, &mut new, managed),
        None => ownership::updated(request, part, &old, &mut new, context.now, &mut errors),
    }
    refuse_invalid(kind, &request.name, &errors)?;
    match part {
        Part::Scale => {
            // Objects of a kind that users define may have had no replicas, and so no Scale.
            let scale = |object: &Value| scale_of(object, request.scale_paths()).unwrap_or_default();
            review(request, "UPDATE", "scale", &scale(&new), &scale(&old), context)?;
        }
        part => review(request, "UPDATE", part.subresource(), &new, &old, context)?,
    }
    if !is_status {
        admission::check(&attributes, Some(&old), &new)?;
        if let Some(quotas) = &mut context.quotas {
            quotas.charge(&attributes, Some((current, &old)), &new, request.options.dry_run)?;
        }
    }
    if deletion::is_complete(&new) {
        return Ok(Change::Remove);
    }
    Ok(Change::Put(new))
}

fn conclude(
    request: &Request,
    current: &Arc<Record>,
    change: Change,
    warnings: Vec<String>,
    on_conflict: Failure,
) -> Prepared {
    let precondition = Precondition::Revision(current.revision);
    let dry_run = request.options.dry_run;
    let (new, effect) = match change {
        Change::Put(new) => (new, Effect::Updated),
        Change::Mark(new) => (new, Effect::Deleting),
        Change::Remove => {
            let write =
                Write { key: current.key.clone(), operation: Operation::Delete, precondition, frees_space: true };
            let write = (!dry_run).then_some(write);
            return Prepared { write, record: Arc::clone(current), effect: Effect::Deleted, warnings, on_conflict };
        }
        Change::Nothing => {
            let record = Arc::clone(current);
            return Prepared { write: None, record, effect: Effect::Deleting, warnings, on_conflict };
        }
    };
    let frees_space = object::is_deleting(&new);
    let record = encode_record(request, &current.key, new, current.revision);
    if record.json == current.json {
        let effect = if effect == Effect::Updated { Effect::Unchanged } else { effect };
        return Prepared { write: None, record: Arc::clone(current), effect, warnings, on_conflict };
    }
    let write = (!dry_run).then(|| put(&record, precondition, frees_space));
    Prepared { write, record, effect, warnings, on_conflict }
}

fn refuse_invalid(kind: &Kind, name: &str, errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(status::invalid(kind, name, errors)) }
}

fn put(record: &Record, precondition: Precondition, frees_space: bool) -> Write {
    let operation =
        Operation::Put { json: record.json.clone(), splice_offset: record.splice_offset, tags: record.tags.clone() };
    Write { key: record.key.clone(), operation, precondition, frees_space }
}

fn attributes<'a>(request: &'a Request, snapshot: &'a Snapshot, custom_kinds: &'a Index) -> admission::Attributes<'a> {
    let Request { kind, namespace, name, options, .. } = request;
    let (namespace, trusted) = (namespace.as_deref(), options.trusted);
    admission::Attributes { kind, namespace, name, snapshot, custom_kinds, trusted }
}

fn fill_defaults(request: &Request, object: &mut Value) {
    if let Some(custom) = &request.custom {
        custom.schema.fill_defaults(object);
    }
}

/// An object as it is stored: of a kind that users define, in its storage version.
fn encode_record(request: &Request, key: &str, mut object: Value, revision: Revision) -> Arc<Record> {
    if let Some(custom) = &request.custom {
        custom.store(&mut object);
    }
    let encoded = encode::encode(&object);
    let tags = (request.kind.tags)(&object).iter().map(|tag| Tag::new(tag)).collect();
    Arc::new(Record { key: key.into(), json: encoded.json, splice_offset: encoded.splice_offset, tags, revision })
}

/// A stored object as a value, with its revision.
pub(crate) fn decode_record(record: &Record) -> Value {
    let mut value: Value = serde_json::from_slice(&record.json).expect("invariant: only encoded objects are stored");
    object::set_resource_version(&mut value, record.revision);
    value
}

/// The `metadata.resourceVersion` of a body; empty means none.
pub(crate) fn stated_revision(object: &Value) -> Result<Option<Revision>, Status> {
    match object::str_at(object, &["metadata", "resourceVersion"]) {
        None | Some("" | "0") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            status::bad_request(format!("metadata.resourceVersion: invalid value {text:?}: not a number"))
        }),
    }
}

fn seed(uid: &str) -> u64 {
    uid.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
