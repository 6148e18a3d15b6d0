//! Pushing a component as a CNCF Wasm OCI artifact: a configuration, one layer, a manifest.
//!
//! The same file and configuration give the same bytes, and so the same digest, on every machine.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::Url;
use serde::Serialize;

use crate::digest::Digest;
use crate::endpoints::Endpoints;
use crate::manifest::{IMAGE_MANIFEST, WASM_CONFIG, WASM_LAYER};
use crate::reference::{is_repository, is_tag};
use crate::transport::{Ask, Credentials, Session, Timeouts, Transport, TransportError};

const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(5), idle: Duration::from_secs(60), total: Duration::from_secs(600) };
/// When an artifact was made, if nobody says: the format wants a time, and the clock's would change the digest.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Where to push.
#[derive(Clone, Debug)]
pub struct PushTarget {
    /// The registry.
    pub registry: Endpoints,
    /// Who to be, where it asks.
    pub credentials: Option<Credentials>,
    /// The name in the registry.
    pub repository: String,
    /// A tag to set; without one the artifact is found by its digest only.
    pub tag: Option<String>,
}

/// What the artifact's configuration says of the component.
#[derive(Clone, Debug, Default)]
pub struct ComponentConfig {
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// The interfaces it exports.
    pub exports: Vec<String>,
    /// The WIT world it was made for, if known.
    pub target: Option<String>,
    /// `wasip2` if not given.
    pub os: Option<String>,
    /// When it was made, in RFC 3339; a fixed time if not given.
    pub created: Option<String>,
}

/// What was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushedComponent {
    /// The digest of the manifest: what references name.
    pub digest: Digest,
    /// The digest of the file.
    pub layer_digest: Digest,
    /// The size of the file.
    pub size: u64,
}

/// Why a push failed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The name is not one.
    #[error(
        "cannot push as `{0}`: a name has lower-case letters, digits and single `.`, `_`, `-` between them, in parts separated by `/`"
    )]
    Name(String),
    /// The tag is not one.
    #[error("cannot push with the tag `{0}`: a tag has letters, digits, `_`, `.` and `-`, at most 128")]
    Tag(String),
    /// The registry's address is not one.
    #[error("cannot push: `{0}` is not the address of a registry (http://HOST:PORT)")]
    Base(String),
    /// The registry refused or is not there.
    #[error("cannot push {repository}: {cause}")]
    Transport {
        /// What was to be pushed.
        repository: String,
        /// Why it could not be.
        cause: TransportError,
    },
    /// The registry stored something else.
    #[error("cannot push {repository}: the registry says it stored {found}, and {expected} was sent")]
    WrongDigest {
        /// What was to be pushed.
        repository: String,
        /// As computed.
        expected: Digest,
        /// As answered.
        found: String,
    },
}

impl PushError {
    fn is_absence(&self) -> bool {
        matches!(self, PushError::Transport { cause, .. } if cause.is_absence())
    }
}

/// Pushes a component; what the registry has already is not sent again.
pub async fn push_component(
    target: &PushTarget,
    component: Bytes,
    config: &ComponentConfig,
) -> Result<PushedComponent, PushError> {
    if !is_repository(&target.repository) {
        return Err(PushError::Name(target.repository.clone()));
    }
    if let Some(tag) = target.tag.as_ref().filter(|tag| !is_tag(tag)) {
        return Err(PushError::Tag(tag.clone()));
    }
    let transport = Transport::new(TIMEOUTS, target.registry.tls.clone());
    let mut failure = PushError::Base(String::new());
    for server in &target.registry.servers {
        match push_to(server, &transport, target, component.clone(), config).await {
            // Pushing again elsewhere is pushing once.
            Err(error) if error.is_absence() => failure = error,
            result => return result,
        }
    }
    Err(failure)
}

async fn push_to(
    server: &str,
    transport: &Transport,
    target: &PushTarget,
    component: Bytes,
    config: &ComponentConfig,
) -> Result<PushedComponent, PushError> {
    let base = Url::parse(server).ok().filter(|url| url.has_host());
    let base = base.ok_or_else(|| PushError::Base(server.to_owned()))?;
    let mut session = Session::new(transport, base, &target.repository, target.credentials.clone(), "pull,push");
    if target.registry.tls.is_some() {
        session = session.in_cluster(target.registry.token.as_deref());
    }
    let layer_digest = Digest::of(&component);
    let size = component.len() as u64;
    let config = config_bytes(config, layer_digest);
    let manifest = manifest_bytes(&config, layer_digest, size);
    let failed = |cause| PushError::Transport { repository: target.repository.clone(), cause };
    put_blob(&session, layer_digest, component).await.map_err(failed)?;
    put_blob(&session, Digest::of(&config), config).await.map_err(failed)?;
    let digest = Digest::of(&manifest);
    let key = target.tag.clone().unwrap_or_else(|| digest.to_string());
    let stored = put_manifest(&session, &key, manifest).await.map_err(failed)?;
    match stored.filter(|stored| *stored != digest.to_string()) {
        None => Ok(PushedComponent { digest, layer_digest, size }),
        Some(found) => Err(PushError::WrongDigest { repository: target.repository.clone(), expected: digest, found }),
    }
}

async fn put_blob(session: &Session<'_>, digest: Digest, bytes: Bytes) -> Result<(), TransportError> {
    let what = format!("blob {digest}");
    let ask = |method, url, headers, body| Ask { method, url, headers, body, what: &what };
    let url = session.url(&format!("blobs/{digest}"));
    match session.send(ask(Method::HEAD, url, HeaderMap::new(), None)).await {
        Ok(_) => return Ok(()),
        // Some registries hide from strangers what they lack: the upload tells.
        Err(TransportError::NotFound { .. } | TransportError::Unauthorized { .. }) => {}
        Err(error) => return Err(error),
    }
    let begun =
        session.send(ask(Method::POST, session.url("blobs/uploads/"), HeaderMap::new(), Some(Bytes::new()))).await?;
    let location = begun.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.and_then(|location| begun.url().join(location).ok());
    let Some(mut location) = location else {
        let problem = "an upload to nowhere".to_owned();
        return Err(TransportError::Redirect { registry: session.registry(), problem });
    };
    location.query_pairs_mut().append_pair("digest", &digest.to_string());
    let headers = HeaderMap::from_iter([content_type("application/octet-stream")]);
    session.send(ask(Method::PUT, location, headers, Some(bytes))).await.map(drop)
}

async fn put_manifest(session: &Session<'_>, key: &str, bytes: Bytes) -> Result<Option<String>, TransportError> {
    let what = format!("manifest `{key}`");
    let headers = HeaderMap::from_iter([content_type(IMAGE_MANIFEST)]);
    let url = session.url(&format!("manifests/{key}"));
    let response = session.send(Ask { method: Method::PUT, url, headers, body: Some(bytes), what: &what }).await?;
    let stored = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
    Ok(stored.map(str::to_owned))
}

fn content_type(value: &'static str) -> (http::HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static(value))
}

// Written by structs, not as JSON values: the order of the fields is part of the digest.

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFile<'a> {
    created: &'a str,
    architecture: &'static str,
    os: &'a str,
    layer_digests: [Digest; 1],
    component: ConfigComponent<'a>,
}

#[derive(Serialize)]
struct ConfigComponent<'a> {
    exports: &'a [String],
    imports: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestFile {
    schema_version: u8,
    media_type: &'static str,
    config: FileDescriptor,
    layers: [FileDescriptor; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileDescriptor {
    media_type: &'static str,
    digest: Digest,
    size: u64,
}

fn config_bytes(config: &ComponentConfig, layer: Digest) -> Bytes {
    let file = ConfigFile {
        created: config.created.as_deref().unwrap_or(EPOCH),
        architecture: "wasm",
        os: config.os.as_deref().unwrap_or("wasip2"),
        layer_digests: [layer],
        component: ConfigComponent {
            exports: &config.exports,
            imports: &config.imports,
            target: config.target.as_deref(),
        },
    };
    serde_json::to_vec(&file).expect("invariant: strings become JSON").into()
}

fn manifest_bytes(config: &Bytes, layer: Digest, layer_size: u64) -> Bytes {
    let file = ManifestFile {
        schema_version: 2,
        media_type: IMAGE_MANIFEST,
        config: FileDescriptor { media_type: WASM_CONFIG, digest: Digest::of(config), size: config.len() as u64 },
        layers: [FileDescriptor { media_type: WASM_LAYER, digest: layer, size: layer_size }],
    };
    serde_json::to_vec(&file).expect("invariant: strings and numbers become JSON").into()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_same_component_gives_the_same_bytes() {
        let layer = Digest::of(b"component");
        let interfaces = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let config = ComponentConfig {
            imports: interfaces(&["wasi:http/types@0.2.0"]),
            exports: interfaces(&["wasi:http/incoming-handler@0.2.0"]),
            ..ComponentConfig::default()
        };
        let config = config_bytes(&config, layer);
        let manifest = manifest_bytes(&config, layer, 9);
        expect![[r#"{"created":"1970-01-01T00:00:00Z","architecture":"wasm","os":"wasip2","layerDigests":["sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa"],"component":{"exports":["wasi:http/incoming-handler@0.2.0"],"imports":["wasi:http/types@0.2.0"]}}"#]]
            .assert_eq(std::str::from_utf8(&config).unwrap());
        expect![[r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:29bb994ff984932ebfa2306d66e271a141bf88aaf12bd2149223cd4f80ff613c","size":258},"layers":[{"mediaType":"application/wasm","digest":"sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa","size":9}]}"#]].assert_eq(std::str::from_utf8(&manifest).unwrap());
    }
}
