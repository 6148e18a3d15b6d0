//! GET of one object: its stored bytes, the revision spliced in.

use axum::response::Response;
use coracle_api::kinds::SCALE;
use coracle_api::status::{self, Status};
use coracle_store::Record;
use http::StatusCode;
use std::sync::Arc;

use super::{Call, list};
use crate::custom_kinds::present;
use crate::objects::{decode_record, scale_of};
use crate::request::Address;
use crate::respond;

pub(super) async fn object(call: &Call, address: &Address) -> Result<Response, Status> {
    let accepted = respond::negotiate(&call.headers)?;
    let record = read(call, address).await?;
    let now = call.app.objects.clock().now();
    Ok(respond::object(StatusCode::OK, accepted, address.kind, &record, call.include()?, now))
}

pub(super) async fn scale(call: &Call, address: &Address) -> Result<Response, Status> {
    let record = read(call, address).await?;
    shown_scale(call, address, &record)
}

/// The Scale of a record, in the shape asked for.
pub(super) fn shown_scale(call: &Call, address: &Address, record: &Record) -> Result<Response, Status> {
    let accepted = respond::negotiate(&call.headers)?;
    let scale = scale_of(&decode_record(record), address.scale_paths())?;
    let now = call.app.objects.clock().now();
    Ok(respond::shaped(StatusCode::OK, accepted, &SCALE, scale, call.include()?, now))
}

/// The object, as its kind shows it; any state will do for `resourceVersion=0`.
async fn read(call: &Call, address: &Address) -> Result<Arc<Record>, Status> {
    let name = address.name()?;
    if call.query.revision()? == Some(0) {
        let key = address.kind.key(address.namespace(), name);
        let found = call.app.objects.store().snapshot().get(&key);
        let found = found.ok_or_else(|| status::not_found(address.kind, name))?;
        return call.app.open(address.custom.as_deref(), &found);
    }
    if let Some(revision) = call.query.revision()? {
        list::at_least(call, revision).await?;
    }
    let record = call.app.objects.get(address.kind, address.namespace(), name).await?;
    Ok(present(address.custom.as_deref(), record))
}
