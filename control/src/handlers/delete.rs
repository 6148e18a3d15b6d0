//! DELETE of an object or of a collection.

use axum::response::Response;
use bytes::Bytes;
use coracle_api::decode;
use coracle_api::kind::Kind;
use coracle_api::kinds::{NAMESPACE, POD, SERVICE, SERVICE_ACCOUNT};
use coracle_api::object;
use coracle_api::schema;
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use http::StatusCode;
use serde_json::Value;

use super::selection::Selection;
use super::{Call, list};
use crate::objects::{DeleteOptions, Effect, ObjectWrite, WriteOptions, decode_record};
use crate::request::{Address, propagation};
use crate::respond;

/// What the body of a deletion is.
const KIND: &str = "DeleteOptions";
const DEFINITION: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
/// Kinds whose deletion is answered with the object, not with a Status.
const ANSWERED_WITH_OBJECT: &[&Kind] = &[&POD, &SERVICE, &SERVICE_ACCOUNT];

pub(super) async fn delete(call: &Call, address: &Address, body: Bytes) -> Result<Response, Status> {
    let options = options(call, &body)?;
    let (kind, name) = (address.kind, address.name()?);
    let written = call.app.objects.delete(kind, address.namespace(), name, &options).await?;
    if written.effect == Effect::Deleted && !ANSWERED_WITH_OBJECT.contains(&kind) {
        let uid = object::uid(&decode_record(&written.record)).to_owned();
        let accepted = respond::negotiate(&call.headers)?;
        let body = serde_json::to_value(status::deleted(kind, name, &uid)).expect("invariant: a Status is JSON");
        let mut response = respond::encoded(StatusCode::OK, accepted.encoding, &body);
        respond::warn(&mut response, &written.warnings);
        return Ok(response);
    }
    call.written(StatusCode::OK, address, &written, &[])
}

pub(super) async fn collection(call: &Call, address: &Address, body: Bytes) -> Result<Response, Status> {
    let options = options(call, &body)?;
    let kind = address.kind;
    if *kind == NAMESPACE || (kind.namespaced && address.namespace.is_none()) {
        return Err(status::method_not_allowed());
    }
    let selection = Selection::new(kind, call.query.labels()?, call.query.fields(kind)?);
    for option in ["limit", "continue", "resourceVersion", "resourceVersionMatch"] {
        // With `resourceVersion=0` anything will do, and the newest does.
        if call.query.get(option).is_some_and(|stated| !["", "0"].contains(&stated)) {
            let message = format!("{option}: a collection is deleted as it is now and as a whole: leave {option} out");
            return Err(status::bad_request(message));
        }
    }
    let store = call.app.objects.store();
    let snapshot = store.read().await.map_err(crate::objects::read_failed)?;
    let prefix = kind.prefix(address.namespace());
    let selected: Vec<_> = snapshot.range(&prefix, None).filter(|record| selection.matches(record)).cloned().collect();
    let writes = selected.iter().map(|record| {
        let object = decode_record(record);
        let write = ObjectWrite::Delete {
            kind,
            namespace: object::namespace(&object).map(str::to_owned),
            name: object::name(&object).to_owned(),
            uid: options.uid.clone().or_else(|| Some(object::uid(&object).to_owned())),
            revision: options.revision,
        };
        (write, Some(options.clone()))
    });
    let author = options.author.clone();
    let write_options = WriteOptions { dry_run: options.dry_run, author, ..WriteOptions::default() };
    let results = call.app.objects.write_batch(writes.collect(), &write_options).await?;
    // Someone else may have deleted an object in between: that is what was asked for.
    if let Some(failure) = results.into_iter().filter_map(Result::err).find(|failure| !failure.is("NotFound")) {
        return Err(failure);
    }
    let accepted = respond::negotiate(&call.headers)?;
    list::answer(call, address, accepted, snapshot.revision(), &selected, None)
}

/// The options in the query and in the body; the body wins.
fn options(call: &Call, body: &[u8]) -> Result<DeleteOptions, Status> {
    let options = DeleteOptions { author: Some(call.author()), ..call.query.delete_options()? };
    if body.is_empty() {
        return Ok(options);
    }
    let decoded = decode::decode(body, call.body_type()?).map_err(|error| error.to_status(KIND, body))?;
    with_body(options, &decoded.value)
}

/// Options completed from a `DeleteOptions` object.
pub(super) fn with_body(mut options: DeleteOptions, body: &Value) -> Result<DeleteOptions, Status> {
    let text = |path: &[&str]| object::str_at(body, path).filter(|text| !text.is_empty());
    let definition = schema::definition(DEFINITION).expect("invariant: the table has the options of deletions");
    if let Some(wrong) = schema::check(definition, body).iter().find(|problem| problem.is_refused()) {
        return Err(decode::unfit(object::api_version(body), object::kind(body), KIND, &wrong.to_string()));
    }
    let refused = |error| Err(status::invalid_options("meta.k8s.io", KIND, "", &[error]));
    if let Some(kind) = text(&["kind"]).filter(|kind| *kind != KIND) {
        return Err(status::bad_request(format!("the body of a deletion must be of kind {KIND}, found {kind:?}")));
    }
    if let Some(seconds) = body.get("gracePeriodSeconds").filter(|value| !value.is_null()) {
        options.grace_period_seconds = seconds.as_i64();
    }
    let orphan = object::bool_at(body, &["orphanDependents"]).map(|orphan| orphan.to_string());
    if let Some(policy) = text(&["propagationPolicy"]).filter(|_| orphan.is_some()) {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        return refused(FieldError::invalid("propagationPolicy", policy, detail));
    }
    options.propagation = propagation(text(&["propagationPolicy"]), orphan.as_deref())?.or(options.propagation);
    match body.get("dryRun") {
        None | Some(Value::Null) => {}
        Some(Value::Array(stages)) => {
            if let Some(other) = stages.iter().find(|stage| **stage != "All") {
                return refused(FieldError::not_supported("dryRun", other.clone(), &["All"]));
            }
            options.dry_run |= !stages.is_empty();
        }
        Some(_) => unreachable!("invariant: checked to be a list"),
    }
    if let Some(uid) = text(&["preconditions", "uid"]) {
        options.uid = Some(uid.to_owned());
    }
    if let Some(revision) = text(&["preconditions", "resourceVersion"]) {
        let invalid = |_| status::bad_request(format!("preconditions.resourceVersion: invalid value {revision:?}"));
        options.revision = Some(revision.parse().map_err(invalid)?);
    }
    Ok(options)
}
