//! PUT of an object or one part of it.

use axum::response::Response;
use bytes::Bytes;
use coracle_api::kind::Subresource;
use coracle_api::kinds::SCALE;
use coracle_api::status::Status;
use http::StatusCode;

use super::{Call, get};
use crate::objects::{Effect, Part};
use crate::request::Address;
use crate::respond;

pub(super) async fn update(call: &Call, address: &Address, body: Bytes) -> Result<Response, Status> {
    let part = part(address);
    let (object, options) = call.decode_object(&body, if part == Part::Scale { &SCALE } else { address.kind })?;
    let (kind, namespace, name) = (address.kind, address.namespace(), address.name()?);
    let written = call.app.objects.update(kind, namespace, name, part, object, &options).await?;
    answer(call, address, part, &written, &[])
}

/// The part of the object a path names.
pub(super) fn part(address: &Address) -> Part {
    if address.is_at(Subresource::Status) {
        Part::Status
    } else if address.is_at(Subresource::Scale) {
        Part::Scale
    } else if address.is_at(Subresource::Approval) {
        Part::Approval
    } else if address.subresource.is_some() {
        Part::Finalize
    } else {
        Part::Main
    }
}

pub(super) fn answer(
    call: &Call,
    address: &Address,
    part: Part,
    written: &crate::objects::Written,
    complaints: &[String],
) -> Result<Response, Status> {
    if part == Part::Scale {
        let mut response = get::shown_scale(call, address, &written.record)?;
        respond::warn(&mut response, complaints);
        respond::warn(&mut response, &written.warnings);
        return Ok(response);
    }
    let code = if written.effect == Effect::Created { StatusCode::CREATED } else { StatusCode::OK };
    call.written(code, address, written, complaints)
}
