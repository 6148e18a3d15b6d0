//! POST of a Batch: many writes, one proposal; each succeeds or fails by itself.

use axum::response::Response;
use coracle_api::kind::Kind;
use coracle_api::status::{self, Status};
use coracle_api::{kinds, object};
use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use super::delete::with_body;
use crate::objects::{DeleteOptions, ObjectWrite, Written, stated_revision};
use crate::request::Address;
use crate::respond;

/// How many writes one batch may hold.
const ITEMS_MAX: usize = 10_000;

type Item = (ObjectWrite, Option<DeleteOptions>);

pub(super) async fn run(call: &Call, mut batch: Value) -> Result<Response, Status> {
    let options = call.write_options()?;
    let items = match batch.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => {
            return Err(status::bad_request(
                "Batch in version \"v1\" cannot be handled as a Batch: items: expected a list",
            ));
        }
    };
    if items.len() > ITEMS_MAX {
        return Err(status::bad_request(format!("a batch holds at most {ITEMS_MAX} items, found {}", items.len())));
    }
    let (mut writes, mut refused) = (Vec::new(), Vec::new());
    for item in items {
        match prepare(call, item, &options).await {
            Ok(item) => {
                writes.push(item);
                refused.push(None);
            }
            Err(status) => refused.push(Some(status)),
        }
    }
    let mut written = call.app.objects.write_batch(writes, &options).await?.into_iter();
    let items: Vec<Value> = refused
        .into_iter()
        .map(|refused| match refused {
            Some(status) => outcome(Err(status)),
            None => outcome(written.next().expect("invariant: one result for each write")),
        })
        .collect();
    let body = json!({ "apiVersion": "coracle.dev/v1", "kind": "Batch", "items": items });
    Ok(respond::value(StatusCode::OK, &body))
}

fn outcome(result: Result<Written, Status>) -> Value {
    match result {
        Ok(written) => {
            let metadata = metadata(&written.record);
            json!({ "code": 200, "object": { "metadata": metadata } })
        }
        Err(status) => json!({ "code": status.code, "status": status }),
    }
}

/// Name, namespace, uid and revision: all that a writer in bulk needs.
fn metadata(record: &coracle_store::Record) -> Value {
    #[derive(serde::Deserialize)]
    struct Named {
        metadata: Fields,
    }
    #[derive(serde::Deserialize)]
    struct Fields {
        name: String,
        namespace: Option<String>,
        uid: Option<String>,
    }
    let Named { metadata } = serde_json::from_slice(&record.json).expect("invariant: only encoded objects are stored");
    let mut value =
        json!({ "name": metadata.name, "uid": metadata.uid, "resourceVersion": record.revision.to_string() });
    if let Some(namespace) = metadata.namespace {
        value["namespace"] = namespace.into();
    }
    value
}

/// One item: its kind looked up, its sender's right to it checked.
async fn prepare(call: &Call, mut item: Value, options: &crate::objects::WriteOptions) -> Result<Item, Status> {
    let verb = object::str_at(&item, &["verb"]).unwrap_or_default().to_owned();
    let object = item.get_mut("object").map(Value::take).unwrap_or_default();
    if !object.is_object() {
        return Err(status::bad_request("object: Required value: an object to write"));
    }
    let (api_version, name) = (object::api_version(&object), object::kind(&object));
    let built_in = kinds::by_api_version(api_version, name);
    let custom = call.app.custom_kinds().by_api_version(api_version, name).cloned();
    let kind: &'static Kind = built_in
        .or(custom.as_ref().map(|custom| custom.kind))
        .ok_or_else(|| status::bad_request(format!("no matches for kind {name:?} in version {api_version:?}")))?;
    if kind.namespaced && object::namespace(&object).is_none() {
        return Err(status::bad_request("object.metadata.namespace: Required value"));
    }
    let (authorized_verb, subresource) = match verb.as_str() {
        "updateStatus" => ("update", Some("status".to_owned())),
        "create" | "update" | "delete" => (verb.as_str(), None),
        other => {
            return Err(status::bad_request(format!(
                "verb: Unsupported value: {other:?}: supported values: \"create\", \"update\", \"updateStatus\", \"delete\""
            )));
        }
    };
    let address = Address {
        kind,
        custom,
        namespace: object::namespace(&object).map(str::to_owned).filter(|_| kind.namespaced),
        name: Some(object::name(&object)).filter(|name| !name.is_empty()).map(str::to_owned),
        subresource,
    };
    if address.name.is_none() && verb != "create" {
        return Err(status::bad_request("object.metadata.name: Required value"));
    }
    call.app.authorize_for_sure(&call.user, authorized_verb, &address, None).await?;
    let revision = if verb == "create" { None } else { stated_revision(&object)? };
    Ok(match verb.as_str() {
        "create" => (ObjectWrite::Create { kind, object }, None),
        "update" => (ObjectWrite::Update { kind, object, revision }, None),
        "updateStatus" => (ObjectWrite::UpdateStatus { kind, object, revision }, None),
        _ => {
            let base = DeleteOptions { dry_run: options.dry_run, ..DeleteOptions::default() };
            let deletion = item.get("options").map(|asked| with_body(base, asked)).transpose()?;
            let uid = Some(object::uid(&object)).filter(|uid| !uid.is_empty()).map(str::to_owned);
            let uid = uid.or_else(|| deletion.as_ref().and_then(|deletion| deletion.uid.clone()));
            let revision = revision.or_else(|| deletion.as_ref().and_then(|deletion| deletion.revision));
            let (namespace, name) = (address.namespace, address.name.unwrap_or_default());
            (ObjectWrite::Delete { kind, namespace, name, uid, revision }, deletion)
        }
    })
}
