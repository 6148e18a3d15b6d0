//! Who owns which fields of a written object: `metadata.managedFields`.
//!
//! Clients' writes are recorded as Kubernetes records them. Our own writers pay only where it matters: what they create
//! starts without owners, as if it were older than all records, and the first application to it finds all its fields owned
//! by `before-first-apply`; what they change in an object that has owners is recorded, under one name for all of them. As
//! in Kubernetes, binding and deletion change no owners, and an object whose owners a client reset stays without until
//! something is applied to it.

use coracle_api::apply::{self, Application, ManagedFields, Writer};
use coracle_api::kind::Subresource;
use coracle_api::object;
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::options::{Configuration, Part};
use super::prepare::Request;
use super::{scale, schema, stamp};

/// Records the creator of an object.
pub(super) fn created(request: &Request, object: &mut Value, now: Timestamp) {
    if request.options.trusted {
        return;
    }
    let mut managed = ManagedFields::default();
    let changes = apply::changes(schema::of(request), &Value::Null, object, owned_part(request, Part::Main));
    managed.record(changes, &writer(request, Part::Main, now));
    managed.write_to(object);
}

/// Records who changed an object, which came with the owners it had before or those that its writer wants it to have.
pub(super) fn updated(
    request: &Request,
    part: Part,
    old: &Value,
    new: &mut Value,
    now: Timestamp,
    errors: &mut Vec<FieldError>,
) {
    const OWNERS: &[&str] = &["metadata", "managedFields"];
    if object::get(new, OWNERS).is_none() {
        return;
    }
    let changes = apply::changes(schema::of(request), old, new, owned_part(request, part));
    if changes.is_empty() && object::get(new, OWNERS) == object::get(old, OWNERS) {
        return;
    }
    match ManagedFields::of(new) {
        Err(error) => errors.push(error),
        Ok(mut managed) => {
            if !managed.is_empty() {
                managed.record(changes, &writer(request, part, now));
            }
            managed.write_to(new);
        }
    }
}

/// Records an application. One that changed nothing keeps the time of the last that did.
pub(super) fn applied(old: &Value, new: &mut Value, managed: ManagedFields) {
    let before = ManagedFields::of(old).unwrap_or_default();
    let is_news = !managed.agrees_with(&before);
    managed.write_to(new);
    if is_news {
        return;
    }
    let mut unchanged = new.clone();
    before.write_to(&mut unchanged);
    if unchanged == *old {
        *new = unchanged;
    }
}

/// Applies a configuration to an object, or to null where there is none so far; the owners are brought up to date in
/// `managed`.
pub(super) fn apply(
    request: &Request,
    part: Part,
    live: &Value,
    configuration: &Configuration,
    managed: &mut ManagedFields,
    now: Timestamp,
) -> Result<Value, Status> {
    let Configuration { object: config, force, .. } = configuration;
    let config = if part == Part::Scale { of_scale(request, config)? } else { of_object(request, config)? };
    let writer = writer(request, part, now);
    let application = Application { part: owned_part(request, part), writer: &writer, force: *force };
    apply::apply(schema::of(request), live, &config, managed, application).map_err(|error| error.to_status())
}

/// A configuration of the object, its address checked and filled in.
fn of_object(request: &Request, config: &Value) -> Result<Value, Status> {
    check_version(config, &request.kind.api_version())?;
    if config.pointer("/metadata/managedFields").is_some_and(|found| !found.is_null()) {
        return Err(status::bad_request("metadata.managedFields must be nil"));
    }
    let mut config = config.clone();
    stamp::check_type(request.kind, &mut config)?;
    apply::check(schema::of(request), &config).map_err(|error| error.to_status())?;
    stamp::check_namespace(request.kind, request.namespace.as_deref(), &mut config)?;
    stamp::complete_name(&request.name, &mut config)?;
    Ok(config)
}

/// What a configuration of a Scale means for its workload.
fn of_scale(request: &Request, config: &Value) -> Result<Value, Status> {
    check_version(config, "autoscaling/v1")?;
    let definition = coracle_api::schema::definition("io.k8s.api.autoscaling.v1.Scale");
    apply::check(definition.expect("invariant: the table has Scale"), config).map_err(|error| error.to_status())?;
    Ok(match scale::replicas(config)? {
        Some(replicas) => scale::at(&request.scale_paths().spec_replicas, replicas.into()),
        None => json!({}),
    })
}

fn check_version(config: &Value, expected: &str) -> Result<(), Status> {
    let found = object::api_version(config);
    if found == expected {
        return Ok(());
    }
    Err(status::bad_request(format!(
        "Incorrect version specified in apply patch. Specified patch version: {found}, expected: {expected}"
    )))
}

fn writer(request: &Request, part: Part, now: Timestamp) -> Writer {
    let subresource = match part {
        Part::Main => "",
        Part::Status => "status",
        Part::Scale => "scale",
        Part::Finalize => "finalize",
        Part::Approval => "approval",
    };
    Writer { manager: request.options.manager.clone(), api_version: request.kind.api_version(), subresource, now }
}

fn owned_part(request: &Request, part: Part) -> apply::Part<'_> {
    match part {
        Part::Main if request.kind.has(Subresource::Status) => apply::Part::AllButStatus,
        Part::Main | Part::Finalize => apply::Part::Whole,
        Part::Status | Part::Approval => apply::Part::Status,
        Part::Scale => apply::Part::Replicas(&request.scale_paths().spec_replicas),
    }
}
