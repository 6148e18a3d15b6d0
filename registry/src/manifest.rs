//! What a manifest says, and whether it is a component's.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub(crate) const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const WASM_LAYER: &str = "application/wasm";

/// Layer media types under which components were published before `application/wasm` was agreed on.
const OLD_WASM_LAYERS: [&str; 2] =
    ["application/vnd.wasm.content.layer.v1+wasm", "application/vnd.module.wasm.content.layer.v1+wasm"];
const SPIN_CONFIG: &str = "application/vnd.fermyon.spin.application.v1+config";
const CONTAINER_LAYER_PREFIXES: [&str; 2] =
    ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];

/// A piece of content named by a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) urls: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

/// For which machine a manifest of an index is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// This machine's architecture, as images name it (Go's words).
pub(crate) const ARCHITECTURE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    _ => std::env::consts::ARCH,
};

/// A manifest's or an index's own words; an image has `config` and `layers`, an index `manifests`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    #[serde(default)]
    pub(crate) media_type: Option<String>,
    #[serde(default)]
    pub(crate) config: Option<Descriptor>,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(crate) manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    pub(crate) subject: Option<Descriptor>,
    #[serde(default)]
    pub(crate) artifact_type: Option<String>,
    #[serde(default)]
    pub(crate) annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A manifest, verified against its digest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
    pub(crate) document: Document,
}

/// What an artifact holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactKind {
    /// One WebAssembly file.
    Component,
    /// A Linux container image.
    Container,
}

/// Why a manifest is not that of a component.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAComponent {
    /// It is a Linux image.
    #[error(
        "it is a Linux container image (layer {layer}), and a WebAssembly component is wanted here: push one with `wasmctl push FILE.wasm NAME`, or run the image as a container of a Pod"
    )]
    Container {
        /// The media type of its first layer.
        layer: String,
    },
    /// It has no layers.
    #[error("its manifest has no layer, so there is nothing to run")]
    NoLayer,
    /// It has several layers, so which to run isn't clear.
    #[error(
        "its manifest has {count} layers ({layers}), and a component is exactly one: compose the parts first, or push them one by one"
    )]
    ManyLayers {
        /// How many.
        count: usize,
        /// Their media types.
        layers: String,
    },
    /// The layer is something else.
    #[error("its layer is `{layer}`, and a component's is `application/wasm`")]
    OtherLayer {
        /// Its media type.
        layer: String,
    },
    /// An index none of whose manifests is for WebAssembly.
    #[error(
        "it is an index for {platforms}, and none of these is `wasm`: add a manifest with architecture wasm, or name one by its digest"
    )]
    NoWasmPlatform {
        /// What it has.
        platforms: String,
    },
    /// An index none of whose manifests this machine can run.
    #[error(
        "it is an index for {platforms}, and none of these is `wasm` or `linux/{ARCHITECTURE}`: add a manifest for one of them, or name one by its digest"
    )]
    NoPlatform {
        /// What it has.
        platforms: String,
    },
    /// An index in an index.
    #[error("its index leads to another index: name the component's manifest by its digest")]
    NestedIndex,
    /// Neither a manifest nor an index.
    #[error("its manifest has neither `config` and `layers` nor `manifests`: it is no OCI image manifest")]
    NoImage,
}

impl Document {
    /// The blobs that a registry has to have for it: not those that are to be had elsewhere.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let is_elsewhere = |blob: &&Descriptor| blob.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        self.config.iter().chain(&self.layers).filter(move |blob| !is_elsewhere(blob))
    }

    /// The manifest for WebAssembly among those of an index; `None` if this is no index.
    pub(crate) fn wasm_manifest(&self) -> Option<Result<&Descriptor, NotAComponent>> {
        let manifests = self.manifests.as_ref()?;
        let rank = |descriptor: &&Descriptor| match descriptor.platform.as_ref() {
            Some(platform) if platform.architecture == "wasm" || platform.architecture == "wasm32" => {
                match platform.os.as_str() {
                    "wasip2" => Some(0),
                    "wasip3" => Some(1),
                    "wasi" | "wasip1" | "unknown" | "" => Some(2),
                    _ => Some(3),
                }
            }
            _ => None,
        };
        let best =
            manifests.iter().filter_map(|descriptor| Some((rank(&descriptor)?, descriptor))).min_by_key(|best| best.0);
        Some(best.map(|best| best.1).ok_or_else(|| NotAComponent::NoWasmPlatform { platforms: platforms(manifests) }))
    }

    /// The manifest for WebAssembly among those of an index, or else that for this machine's Linux; `None` if this is no index.
    pub(crate) fn runnable_manifest(&self) -> Option<Result<&Descriptor, NotAComponent>> {
        let manifests = self.manifests.as_ref()?;
        if let Some(Ok(wasm)) = self.wasm_manifest() {
            return Some(Ok(wasm));
        }
        let is_ours = |platform: &Platform| platform.os == "linux" && platform.architecture == ARCHITECTURE;
        let ours = manifests.iter().find(|descriptor| descriptor.platform.as_ref().is_some_and(is_ours));
        Some(ours.ok_or_else(|| NotAComponent::NoPlatform { platforms: platforms(manifests) }))
    }

    /// What a Linux image consists of: its configuration, then its layers from the lowest up.
    pub(crate) fn container_parts(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// The layer that is the component.
    pub(crate) fn component_layer(&self) -> Result<&Descriptor, NotAComponent> {
        let config = self.config.as_ref().ok_or(NotAComponent::NoImage)?;
        let is_wasm =
            |layer: &&Descriptor| layer.media_type == WASM_LAYER || OLD_WASM_LAYERS.contains(&&*layer.media_type);
        if let Some(layer) = self.layers.iter().find(|layer| is_container_layer(layer)) {
            return Err(NotAComponent::Container { layer: layer.media_type.clone() });
        }
        // A Spin application carries its files and its manifest beside the one component.
        if config.media_type == SPIN_CONFIG {
            let mut wasm = self.layers.iter().filter(is_wasm);
            if let (Some(layer), None) = (wasm.next(), wasm.next()) {
                return Ok(layer);
            }
        }
        match &self.layers[..] {
            [] => Err(NotAComponent::NoLayer),
            [layer] if is_wasm(&layer) => Ok(layer),
            [layer] => Err(NotAComponent::OtherLayer { layer: layer.media_type.clone() }),
            layers => {
                let types: Vec<_> = layers.iter().take(8).map(|layer| layer.media_type.as_str()).collect();
                Err(NotAComponent::ManyLayers { count: layers.len(), layers: types.join(", ") })
            }
        }
    }
}

impl Manifest {
    /// What the artifact holds, or why it cannot be told.
    pub fn kind(&self) -> Result<ArtifactKind, NotAComponent> {
        match self.document.component_layer() {
            Ok(_) => Ok(ArtifactKind::Component),
            Err(NotAComponent::Container { .. }) => Ok(ArtifactKind::Container),
            Err(error) => Err(error),
        }
    }
}

/// The platforms of an index, for people.
fn platforms(manifests: &[Descriptor]) -> String {
    let name = |descriptor: &Descriptor| match &descriptor.platform {
        Some(platform) => format!("{}/{}", platform.os, platform.architecture),
        None => "no platform".to_owned(),
    };
    let names: Vec<_> = manifests.iter().take(8).map(name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn is_container_layer(layer: &Descriptor) -> bool {
    CONTAINER_LAYER_PREFIXES.iter().any(|prefix| layer.media_type.starts_with(prefix))
}
