//! Server-side apply: what this manifest says is set, what the last one said and this one doesn't is removed, what others set stays.

use coracle_api::{kind::Kind, object};
use coracle_client::{Client, PatchKind, WriteOptions};
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::files::Manifest;

/// Who owns the fields that are applied here.
const MANAGER: &str = "wasmctl";

/// What became of an applied object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    Created,
    Configured,
    Unchanged,
}

impl Applied {
    /// kubectl's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Applied::Created => "created",
            Applied::Configured => "configured",
            Applied::Unchanged => "unchanged",
        }
    }
}

/// Creates or changes one object as its manifest says. Whose a field was doesn't matter: the manifest has the last word on what it says.
///
/// # Errors
/// They begin with where the manifest is from.
pub(crate) async fn apply(
    client: &Client,
    kind: &Kind,
    namespace: &str,
    manifest: &Manifest,
) -> Result<(Applied, Value)> {
    let applied = apply_object(client, kind, namespace, &manifest.object).await;
    applied.map_err(|failure| failure.within(&manifest.origin))
}

async fn apply_object(client: &Client, kind: &Kind, namespace: &str, wanted: &Value) -> Result<(Applied, Value)> {
    let name = object::name(wanted);
    if name.is_empty() {
        return Err(Failure::new(format!("{}: metadata.name: required to apply an object", kind.kind)));
    }
    let namespace = kind.namespaced.then(|| object::namespace(wanted).unwrap_or(namespace));
    let mut wanted = wanted.clone();
    if let Some(namespace) = namespace {
        object::set_namespace(&mut wanted, namespace);
    }
    let before = match client.get(kind, namespace, name).await {
        Ok(before) => object::resource_version(&before),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let options = WriteOptions { field_manager: Some(MANAGER.to_owned()), force: true, ..WriteOptions::strict() };
    let stored = client.patch(kind, namespace, name, PatchKind::Apply, &wanted, &options).await?;
    let applied = match before {
        None => Applied::Created,
        before if before == object::resource_version(&stored) => Applied::Unchanged,
        _ => Applied::Configured,
    };
    Ok((applied, stored))
}
