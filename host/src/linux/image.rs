//! A Linux image as it was pulled: its manifest and configuration, read and checked, and its layers' files.
//!
//! The formats are OCI's image specification 1.1 and Docker's schema 2, which say the same in other media types. Deliberately absent: pulling, and
//! unpacking layers.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The most bytes of a manifest or a configuration; pulled manifests are no larger either.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// A Linux image on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// What it says of containers made from it.
    pub(crate) config: Config,
    /// From the lowest up.
    pub(crate) layers: Vec<Layer>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The file as it was sent.
    pub(crate) path: PathBuf,
    /// How that is packed.
    pub(crate) packing: Packing,
    /// The digest of the archive in it: `sha256:` and 64 hex digits.
    pub(crate) diff_id: String,
    /// Names this layer upon all those below it: OCI's ChainID, without `sha256:`.
    pub(crate) chain_id: String,
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    None,
    /// With gzip, in one or several members.
    Gzip,
    /// With zstd, in one or several frames.
    Zstd,
}

/// An image's defaults for its containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Config {
    #[serde(deserialize_with = "or_null")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_null")]
    pub(crate) cmd: Vec<String>,
    /// `NAME=value`.
    #[serde(deserialize_with = "or_null")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "or_null")]
    pub(crate) working_dir: String,
    /// `user`, `uid`, `user:group`, `uid:gid`, …
    #[serde(deserialize_with = "or_null")]
    pub(crate) user: String,
    #[serde(deserialize_with = "or_null")]
    pub(crate) stop_signal: String,
}

/// Why an image can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// One of its files can't be read.
    #[error("{} cannot be read: {cause}", .path.display())]
    Read { path: PathBuf, cause: io::Error },
    /// Its documents don't say what they should.
    #[error("{0}")]
    Invalid(String),
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default, deserialize_with = "or_null")]
    config: Config,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(deserialize_with = "or_null")]
    diff_ids: Vec<String>,
}

impl Image {
    /// Reads the image whose manifest is this file; its other parts lie beside it.
    pub(crate) fn read(manifest: &Path) -> Result<Image, ImageError> {
        let folder = manifest.parent().unwrap_or(Path::new("."));
        let blob = |descriptor: &Descriptor| match descriptor.digest.strip_prefix("sha256:").filter(|hex| is_hex(hex)) {
            Some(hex) => Ok(folder.join(format!("{hex}.blob"))),
            None => Err(invalid(format!("its manifest names {:?}, which is no SHA-256 digest", descriptor.digest))),
        };
        let parts: Manifest = read_json(manifest, "manifest")?;
        let file: ConfigFile = read_json(&blob(&parts.config)?, "configuration")?;
        if !matches!(file.os.as_str(), "" | "linux") {
            return Err(invalid(format!("it is for {}/{}, and this host is Linux", file.os, file.architecture)));
        }
        let (layers, diff_ids) = (parts.layers.len(), file.rootfs.diff_ids);
        if layers == 0 || layers != diff_ids.len() {
            return Err(invalid(format!("its manifest has {layers} layers and its configuration {}", diff_ids.len())));
        }
        let mut chain = String::new();
        let layers = parts.layers.iter().zip(diff_ids).map(|(descriptor, diff_id)| {
            if !diff_id.strip_prefix("sha256:").is_some_and(is_hex) {
                return Err(invalid(format!("its configuration names {diff_id:?}, which is no SHA-256 digest")));
            }
            chain = match chain.is_empty() {
                true => diff_id.clone(),
                false => format!("sha256:{}", hex::encode(Sha256::digest(format!("{chain} {diff_id}")))),
            };
            let chain_id = chain.trim_start_matches("sha256:").to_owned();
            Ok(Layer { path: blob(descriptor)?, packing: packing(&descriptor.media_type)?, diff_id, chain_id })
        });
        Ok(Image { layers: layers.collect::<Result<_, _>>()?, config: file.config })
    }
}

fn packing(media_type: &str) -> Result<Packing, ImageError> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Packing::None),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(Packing::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Packing::Zstd),
        other => {
            Err(invalid(format!("it has a layer of type `{other}`, and this host unpacks tar, tar+gzip and tar+zstd")))
        }
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path, what: &str) -> Result<T, ImageError> {
    let unreadable = |cause| ImageError::Read { path: path.to_owned(), cause };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > DOCUMENT_BYTES_MAX {
        return Err(invalid(format!("its {what} has {bytes} bytes, and at most {DOCUMENT_BYTES_MAX} are read")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    serde_json::from_slice(&bytes).map_err(|error| invalid(format!("its {what} is not valid: {error}")))
}

fn invalid(why: String) -> ImageError {
    ImageError::Invalid(why)
}

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Go's encoders write `null` for what is empty.
fn or_null<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
