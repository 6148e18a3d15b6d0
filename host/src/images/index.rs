//! What is in the folder of images, as one file says: it is read when the folder is opened, and what it doesn't name is removed.
//!
//! Deliberately absent: care for the file. Losing it costs pulling again, nothing else; an image of it that lacks a file is none.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;

use coracle_registry::ArtifactKind;
use serde::{Deserialize, Serialize};

use super::Image;
use crate::disk_quota::Part;

const FILE: &str = "index.json";

/// What is remembered across restarts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Index {
    /// By manifest digest.
    pub(super) images: BTreeMap<String, IndexEntry>,
    /// What a reference by tag meant when it was last looked up.
    pub(super) tags: BTreeMap<String, String>,
}

/// One image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexEntry {
    pub(super) layer_digest: String,
    pub(super) size: u64,
    pub(super) file: String,
    /// Of a Linux image all its files, `file` among them; empty for a component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<(String, u64)>,
    /// Its manifest, and the index that led to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) manifests: Vec<(String, u64)>,
}

impl Index {
    /// That of a folder. Emptied is the folder of parts of pulls that broke off, and of what was pulled or evicted when the host was killed.
    pub(super) fn open(folder: &Path) -> io::Result<Index> {
        let mut index = match std::fs::read(folder.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "the index of images is damaged; images are pulled again");
                Index::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(error),
        };
        index.images.retain(|_, entry| entry.is_whole(folder));
        let known = index.all_files();
        for file in std::fs::read_dir(folder)? {
            let file = file?;
            let name = file.file_name();
            if name == FILE || name.to_str().is_some_and(|name| known.contains(name)) {
                continue;
            }
            if let Err(error) = std::fs::remove_file(file.path()) {
                tracing::warn!(file = %file.path().display(), %error, "what is of no image could not be removed");
            }
        }
        Ok(index)
    }

    /// Writes it beside, then renames it: readers see the old one or the new one.
    pub(super) async fn write(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(FILE);
        let beside = path.with_extension("json.new");
        tokio::fs::write(&beside, serde_json::to_vec(self)?).await?;
        tokio::fs::rename(&beside, path).await
    }

    /// The files of all images.
    pub(super) fn all_files(&self) -> HashSet<&str> {
        self.images.values().flat_map(|entry| entry.all_files().into_keys()).collect()
    }
}

impl IndexEntry {
    fn kind(&self) -> ArtifactKind {
        if self.files.is_empty() { ArtifactKind::Component } else { ArtifactKind::Container }
    }

    pub(super) fn is_whole(&self, folder: &Path) -> bool {
        let has = |file: &str, size| std::fs::metadata(folder.join(file)).is_ok_and(|found| found.len() == size);
        match self.kind() {
            ArtifactKind::Component => has(&self.file, self.size),
            ArtifactKind::Container => self.files.iter().all(|(file, size)| has(file, *size)),
        }
    }

    /// All its files with their sizes, each once.
    pub(super) fn all_files(&self) -> BTreeMap<&str, u64> {
        let own = self.files.is_empty().then_some((self.file.as_str(), self.size));
        let others = self.files.iter().chain(&self.manifests).map(|(file, size)| (file.as_str(), *size));
        own.into_iter().chain(others).collect()
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        self.all_files().into_iter().map(|(name, bytes)| Part { name: name.to_owned(), bytes }).collect()
    }

    pub(super) fn image(&self, digest: &str, folder: &Path) -> Image {
        let path = folder.join(&self.file);
        let layer_digest = self.layer_digest.clone();
        Image { id: digest.to_owned(), kind: self.kind(), layer_digest, path, size: self.size }
    }
}
