//! GET of a collection: the stored bytes one after the other, at one revision, page by page.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use coracle_api::continue_token::ContinueToken;
use coracle_api::kinds::SECRET;
use coracle_api::status::{self, Status};
use coracle_api::table::{self, Include};
use coracle_api::validation::FieldError;
use coracle_store::{Record, Revision, Snapshot};
use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use super::selection::Selection;
use crate::objects::{decode_record, read_failed};
use crate::request::{Address, Query};
use crate::respond::{self, Accepted, Encoding, Shape};

/// How long a request waits for a revision that is not there yet.
const REVISION_TIMEOUT: Duration = Duration::from_secs(3);

/// What a page says about the pages after it.
pub(super) struct More {
    token: String,
    remaining: Option<usize>,
}

pub(super) async fn list(call: &Call, address: &Address) -> Result<Response, Status> {
    let accepted = respond::negotiate(&call.headers)?;
    let (kind, query) = (address.kind, &call.query);
    let selection = Selection::new(kind, query.labels()?, query.fields(kind)?);
    check_options(query)?;
    query.number("timeoutSeconds")?;
    let limit = usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(0);
    let prefix = kind.prefix(address.namespace());
    let (snapshot, start_after) = match query.get("continue") {
        Some(token) => resume(call, &prefix, token)?,
        None => (snapshot(call).await?, None),
    };
    if let Some(name) = selection.name().filter(|_| !kind.namespaced || address.namespace.is_some()) {
        let found = snapshot.get(&format!("{prefix}{name}"));
        let found: Vec<_> = found.filter(|record| selection.matches(record)).into_iter().collect();
        return answer(call, address, accepted, snapshot.revision(), &found, None);
    }
    let mut selected =
        snapshot.range(&prefix, start_after.as_deref()).filter(|record| selection.matches(record)).peekable();
    let page: Vec<Arc<Record>> = match limit {
        0 => selected.by_ref().cloned().collect(),
        limit => {
            let mut page = Vec::new();
            while page.len() < limit
                && let Some(record) = selected.next()
            {
                page.push(Arc::clone(record));
            }
            page
        }
    };
    let more = match (page.last(), selected.peek().is_some()) {
        (Some(last), true) if limit > 0 => {
            call.app.snapshots.keep(&snapshot);
            let last_key = last.key[prefix.len()..].to_owned();
            let token = ContinueToken { revision: Some(snapshot.revision()), last: last_key }.encode();
            let remaining = selection.is_everything().then(|| snapshot.range(&prefix, Some(&last.key)).count());
            Some(More { token, remaining })
        }
        _ => None,
    };
    answer(call, address, accepted, snapshot.revision(), &page, more)
}

/// Which options go together, as Kubernetes' `ValidateListOptions` has it.
fn check_options(query: &Query) -> Result<(), Status> {
    const MATCH: &str = "resourceVersionMatch";
    let mut errors = Vec::new();
    if let Some(found) = query.get(MATCH) {
        let mut forbid = |detail: &str| errors.push(FieldError::forbidden(MATCH, detail));
        if query.get("resourceVersion").is_none() {
            forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if query.get("continue").is_some() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        }
        if !["Exact", "NotOlderThan"].contains(&found) {
            errors.push(FieldError::not_supported(MATCH, found, &["Exact", "NotOlderThan", ""]));
        }
        if found == "Exact" && query.get("resourceVersion") == Some("0") {
            let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(MATCH, detail));
        }
    }
    if query.get("sendInitialEvents").is_some() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if errors.is_empty() { Ok(()) } else { Err(status::invalid_options("meta.k8s.io", "ListOptions", "", &errors)) }
}

/// The objects as they were, or are, at the revision the request asks for.
async fn snapshot(call: &Call) -> Result<Snapshot, Status> {
    let (query, store) = (&call.query, call.app.objects.store());
    let is_exact = query.get("resourceVersionMatch") == Some("Exact");
    match query.revision()? {
        None => store.read().await.map_err(read_failed),
        Some(0) => Ok(store.snapshot()),
        Some(revision) => {
            let snapshot = at_least(call, revision).await?;
            if !is_exact || snapshot.revision() == revision {
                return Ok(snapshot);
            }
            let current = snapshot.revision();
            let kept = call.app.snapshots.get(revision);
            kept.ok_or_else(|| status::expired(format!("too old resource version: {revision} ({current})")))
        }
    }
}

/// The objects at a revision or later.
pub(super) async fn at_least(call: &Call, revision: Revision) -> Result<Snapshot, Status> {
    let store = call.app.objects.store();
    match tokio::time::timeout(REVISION_TIMEOUT, store.wait_for(revision)).await {
        Ok(snapshot) => snapshot.map_err(read_failed),
        Err(_) => Err(status::too_large_resource_version(revision, store.snapshot().revision())),
    }
}

/// The snapshot and the key a token continues from.
fn resume(call: &Call, prefix: &str, text: &str) -> Result<(Snapshot, Option<String>), Status> {
    let token = ContinueToken::decode(text);
    let token = token.map_err(|error| status::bad_request(format!("invalid continue token: {error}")))?;
    if call.query.revision()?.is_some_and(|revision| revision > 0) {
        return Err(status::bad_request("specifying resource version is not allowed when using continue"));
    }
    let start_after = Some(format!("{prefix}{}", token.last));
    let Some(revision) = token.revision else {
        return Ok((call.app.objects.store().snapshot(), start_after));
    };
    match call.app.snapshots.get(revision) {
        Some(snapshot) => Ok((snapshot, start_after)),
        None => Err(status::expired_continue(&ContinueToken { revision: None, ..token }.encode())),
    }
}

/// The answer to a list, in the shape asked for.
pub(super) fn answer(
    call: &Call,
    address: &Address,
    accepted: Accepted,
    revision: Revision,
    records: &[Arc<Record>],
    more: Option<More>,
) -> Result<Response, Status> {
    let (kind, custom) = (address.kind, address.custom.as_deref());
    let opened: Vec<Arc<Record>>;
    let records = if *kind == SECRET || custom.is_some() {
        opened = records.iter().map(|record| call.app.open(custom, record)).collect::<Result<_, _>>()?;
        &opened
    } else {
        records
    };
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    if let Some(more) = more {
        metadata["continue"] = more.token.into();
        if let Some(remaining) = more.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    let now = call.app.objects.clock().now();
    let include = if accepted.shape == Shape::Table { call.include()? } else { Include::None };
    let (mut frame, field) = match accepted.shape {
        Shape::Object => (json!({ "kind": address.list_kind(), "apiVersion": kind.api_version() }), "items"),
        Shape::Metadata => (json!({ "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1" }), "items"),
        Shape::Table => (table::render(kind, [], include, now), "rows"),
    };
    frame["metadata"] = metadata;
    let item = |record: &Record| match accepted.shape {
        Shape::Object => decode_record(record),
        Shape::Metadata => table::partial_object_metadata(&decode_record(record)),
        Shape::Table => table::row(kind, &decode_record(record), include, now),
    };
    match accepted {
        Accepted { encoding: Encoding::Json, shape: Shape::Object } => {
            let body = concatenate(frame, field, records, |record, out| record.append_json(out));
            Ok(respond::json(StatusCode::OK, body))
        }
        // One after the other: decoded, an object takes ten times its bytes.
        Accepted { encoding: Encoding::Json, .. } => {
            let write = |record: &Record, out: &mut Vec<u8>| {
                serde_json::to_writer(out, &item(record)).expect("invariant: a JSON value always serialises");
            };
            Ok(respond::json(StatusCode::OK, concatenate(frame, field, records, write)))
        }
        Accepted { encoding: Encoding::Yaml, .. } => {
            frame[field] = records.iter().map(|record| item(record)).collect();
            Ok(respond::encoded(StatusCode::OK, Encoding::Yaml, &frame))
        }
    }
}

/// The frame with a field that holds what `write` appends for each record.
fn concatenate(
    mut frame: Value,
    field: &str,
    records: &[Arc<Record>],
    write: impl Fn(&Record, &mut Vec<u8>),
) -> Vec<u8> {
    frame.as_object_mut().expect("invariant: a list is an object").remove(field);
    let mut out = respond::to_bytes(&frame);
    let size: usize = records.iter().map(|record| record.json.len() + 40).sum();
    out.reserve(size);
    out.pop();
    out.extend_from_slice(format!(",\"{field}\":[").as_bytes());
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(record, &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}
