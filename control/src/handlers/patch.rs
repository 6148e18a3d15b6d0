//! PATCH of an object or one part of it.
//!
//! Deliberately absent: server-side apply, which is refused with a way out.

use axum::response::Response;
use bytes::Bytes;
use coracle_api::patch::PatchKind;
use coracle_api::status::{self, Status};

use super::Call;
use super::update::{answer, part};
use crate::request::Address;

pub(super) async fn patch(call: &Call, address: &Address, body: Bytes) -> Result<Response, Status> {
    let options = call.query.write_options()?;
    let content_type = call.content_type();
    let patch_kind = PatchKind::parse(content_type).ok_or_else(|| refused(content_type))?;
    let part = part(address);
    let (kind, namespace, name) = (address.kind, address.namespace(), address.name()?);
    let written = call.app.objects.patch(kind, namespace, name, part, patch_kind, body, &options).await?;
    answer(call, address, part, &written, &[])
}

fn refused(content_type: &str) -> Status {
    let mut refused = status::unsupported_patch_type();
    if content_type.starts_with("application/apply-patch") {
        "server-side apply is not supported by this version of Coracle: use client-side apply (kubectl apply without --server-side)"
            .clone_into(&mut refused.message);
    }
    refused
}
