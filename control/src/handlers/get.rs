//! GET of one object: its stored bytes, the revision spliced in.

use axum::response::Response;
use coracle_api::status::{self, Status};
use coracle_store::Record;
use http::StatusCode;
use std::sync::Arc;

use super::Call;
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
    let accepted = respond::negotiate(&call.headers)?;
    let record = read(call, address).await?;
    Ok(respond::encoded(StatusCode::OK, accepted.encoding, &scale_of(&decode_record(&record))))
}

/// The object; any state will do for `resourceVersion=0`.
async fn read(call: &Call, address: &Address) -> Result<Arc<Record>, Status> {
    let name = address.name()?;
    if call.query.revision()? == Some(0) {
        let key = address.kind.key(address.namespace(), name);
        let found = call.app.objects.store().snapshot().get(&key);
        return call.app.objects.open(&found.ok_or_else(|| status::not_found(address.kind, name))?);
    }
    call.app.objects.get(address.kind, address.namespace(), name).await
}
