//! Reads what a user names on the command line: components, as binary or text, and manifests, as files, folders or standard input.
//! Every error names the file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Failure, Result};

/// The largest component that is read, as the registry allows.
pub(crate) const COMPONENT_BYTES_MAX: u64 = 64 << 20;
/// The largest manifest file that is read.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// An object to be, and where it was read.
pub(crate) struct Manifest {
    /// The file, for messages.
    pub(crate) origin: String,
    /// With `apiVersion` and `kind`.
    pub(crate) object: Value,
}

/// Reads a `.wasm` or `.wat` file as a binary component.
pub(crate) fn read_component(path: &Path) -> Result<Vec<u8>> {
    let bytes = read_capped(path, COMPONENT_BYTES_MAX, "a component")?;
    if path.extension().is_some_and(|extension| extension == "wat") {
        return wat::parse_bytes(&bytes).map(std::borrow::Cow::into_owned).map_err(|mut error| {
            error.set_path(path);
            Failure::new(format!("{}: {error}", path.display()))
        });
    }
    Ok(bytes)
}

/// Is this word a component file, by its extension?
pub(crate) fn is_component(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm" || extension == "wat")
}

/// Is this word a manifest: a YAML or JSON file, a folder, or `-`?
pub(crate) fn is_manifest(path: &Path) -> bool {
    path == Path::new("-") || path.is_dir() || has_manifest_extension(path)
}

/// Reads every object of a manifest file, of a folder's manifests in name order, or of standard input (`-`).
pub(crate) fn read_manifests(path: &Path) -> Result<Vec<Manifest>> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::new(format!("standard input: {error}")))?;
        return parse_manifests("standard input", &text);
    }
    let mut objects = Vec::new();
    for file in manifest_files(path)? {
        let bytes = read_capped(&file, MANIFEST_BYTES_MAX, "a manifest")?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::new(format!("{}: not UTF-8 text", file.display())))?;
        objects.extend(parse_manifests(&file.display().to_string(), &text)?);
    }
    if objects.is_empty() {
        return Err(Failure::new(format!("{}: no objects in it", path.display())));
    }
    Ok(objects)
}

fn has_manifest_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

fn manifest_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| Failure::file(path, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| Failure::file(path, &error))?.path();
        if file.is_file() && has_manifest_extension(&file) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn parse_manifests(origin: &str, text: &str) -> Result<Vec<Manifest>> {
    let documents = coracle_api::yaml::parse_all(text).map_err(|error| Failure::new(format!("{origin}: {error}")))?;
    let mut objects = Vec::new();
    for document in documents {
        if document["kind"] == "List" && document["apiVersion"] == "v1" {
            objects.extend(document["items"].as_array().cloned().unwrap_or_default());
        } else if !document.is_null() {
            objects.push(document);
        }
    }
    for (index, object) in objects.iter().enumerate() {
        if !object["kind"].is_string() || !object["apiVersion"].is_string() {
            return Err(Failure::new(format!("{origin}: object {} has no `apiVersion` and `kind`", index + 1)));
        }
    }
    Ok(objects.into_iter().map(|object| Manifest { origin: origin.to_owned(), object }).collect())
}

fn read_capped(path: &Path, bytes_max: u64, what: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::new(format!("{}: a folder, not {what}", path.display())));
    }
    if metadata.len() > bytes_max {
        return Err(Failure::new(format!("{}: {} MiB is too large for {what}", path.display(), metadata.len() >> 20))
            .detail(format!("the limit is {} MiB", bytes_max >> 20)));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::new(format!(
            "{}: more than {} MiB, too large for {what}",
            path.display(),
            bytes_max >> 20
        )));
    }
    Ok(bytes)
}
