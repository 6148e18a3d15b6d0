//! PATCH of an object or one part of it, server-side apply among them.

use axum::response::Response;
use bytes::Bytes;
use coracle_api::apply;
use coracle_api::decode::{self, ContentType};
use coracle_api::patch::PatchKind;
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use serde_json::Value;

use super::Call;
use super::update::{answer, part};
use crate::objects::{Configuration, FieldValidation, WriteOptions};
use crate::request::Address;

pub(super) async fn patch(call: &Call, address: &Address, body: Bytes) -> Result<Response, Status> {
    let content_type = call.content_type();
    if content_type.split(';').next().is_some_and(|essence| essence.trim() == apply::MEDIA_TYPE) {
        return apply(call, address, &body).await;
    }
    let patch_kind = PatchKind::parse(content_type).ok_or_else(status::unsupported_patch_type)?;
    if call.query.get("force").is_some() {
        return Err(refused(FieldError::forbidden("force", "may not be specified for non-apply patch")));
    }
    let options = call.write_options()?;
    let part = part(address);
    let (kind, namespace, name) = (address.kind, address.namespace(), address.name()?);
    let written = call.app.objects.patch(kind, namespace, name, part, patch_kind, body, &options).await?;
    answer(call, address, part, &written, &[])
}

async fn apply(call: &Call, address: &Address, body: &[u8]) -> Result<Response, Status> {
    if call.query.get("fieldManager").is_none() {
        return Err(refused(FieldError::required("fieldManager", "is required for apply patch")));
    }
    let options = call.write_options()?;
    let (object, warnings) = configuration(body, &options)?;
    let part = part(address);
    let (kind, namespace, name) = (address.kind, address.namespace(), address.name()?);
    let creation_refused = call.app.authorize_address(&call.user, "create", address, None).err();
    let configuration = Configuration { object, force: call.query.flag("force"), creation_refused };
    let written = call.app.objects.apply(kind, namespace, name, part, configuration, &options).await?;
    answer(call, address, part, &written, &warnings)
}

/// The configuration in a body, and what its sender should know. Unknown fields are refused in any case, later on.
fn configuration(body: &[u8], options: &WriteOptions) -> Result<(Value, Vec<String>), Status> {
    let decoded = decode::decode(body, ContentType::Yaml)
        .map_err(|error| status::bad_request(format!("error decoding YAML: {error}")))?;
    let complaints = decode::complaints(&[], &decoded.duplicates);
    match options.field_validation {
        FieldValidation::Ignore => Ok((decoded.value, Vec::new())),
        FieldValidation::Strict if !complaints.is_empty() => {
            Err(status::bad_request(format!("error strict decoding YAML: {}", complaints.join(", "))))
        }
        _ => Ok((decoded.value, complaints)),
    }
}

fn refused(error: FieldError) -> Status {
    status::invalid_options("meta.k8s.io", "PatchOptions", "", &[error])
}
