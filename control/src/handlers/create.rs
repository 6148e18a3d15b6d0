//! POST to a collection.

use axum::response::Response;
use bytes::Bytes;
use coracle_api::object;
use coracle_api::status::{self, Status};
use http::StatusCode;

use super::Call;
use crate::request::Address;

pub(super) async fn create(call: &Call, address: &Address, body: Bytes) -> Result<Response, Status> {
    if address.name.is_some() || (address.kind.namespaced && address.namespace.is_none()) {
        return Err(status::method_not_allowed());
    }
    let (object, options) = call.decode_object(&body, address.kind)?;
    let name = Some(object::name(&object)).filter(|name| !name.is_empty()).map(str::to_owned);
    let named = Address { name, ..address.clone() };
    if named.name.is_some() {
        call.app.authorize_address(&call.user, "create", &named, None)?;
    }
    if let Some(name) = named.name {
        // Also where it is refused.
        call.created.get_or_init(|| name);
    }
    let written = call.app.objects.create(address.kind, address.namespace(), object, &options).await?;
    call.created.get_or_init(|| written.record.key.rsplit('/').next().unwrap_or_default().to_owned());
    call.written(StatusCode::CREATED, address, &written, &[])
}
