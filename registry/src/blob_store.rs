//! The registry's files: content under its digest, and per repository what it has of it.
//!
//! Deliberately absent: tags. What they mean is the same on all members of a cluster, so no member keeps it by itself.
//!
//! ```text
//! blobs/sha256/ab/ab12…              content: layers, configurations, manifests
//! repositories/NAME/_blobs/ab12…     this repository has this blob
//! repositories/NAME/_manifests/ab12… this repository has this manifest; holds its media type
//! repositories/NAME/_referrers/ab12…/cd34… a manifest that names another as its subject; holds its descriptor
//! uploads/…                          not finished; emptied at open
//! ```
//!
//! A file is made beside its place, synced, moved there, and its folder synced: what was acknowledged survives a crash,
//! and nothing is ever seen half.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::digest::{Digest, DigestError};
use crate::manifest::{Descriptor, Document, IMAGE_MANIFEST};

mod files;
mod uploads;

use files::Files;
use uploads::Uploads;
pub(crate) use uploads::{Upload, UploadId};

/// What may be stored.
#[derive(Clone, Debug)]
pub struct StoreLimits {
    /// The most bytes of a manifest.
    pub manifest_bytes_max: usize,
    /// The most bytes of a blob.
    pub blob_bytes_max: u64,
    /// The most uploads begun and not finished.
    pub uploads_max: usize,
    /// How long an upload may rest before it is forgotten, when there is want of room for others.
    pub upload_idle_max: Duration,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits {
            manifest_bytes_max: 4 * 1024 * 1024,
            blob_bytes_max: 64 * 1024 * 1024,
            uploads_max: 256,
            upload_idle_max: Duration::from_secs(600),
        }
    }
}

/// Why something was not stored or not found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk has no room.
    #[error("the registry's disk is full: free some space where {} is", .path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The disk cannot be written.
    #[error("the registry's folder cannot be written ({}): check that its disk is not mounted read-only and who owns it", .path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The disk failed in another way.
    #[error("the registry's file {} failed: {cause}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file has not the content of its name.
    #[error("the registry's file {} is damaged: delete it and push its content again", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// No such blob here.
    #[error("blob unknown to the registry")]
    BlobUnknown,
    /// No such manifest or tag.
    #[error("manifest unknown")]
    ManifestUnknown,
    /// No such repository.
    #[error("repository name not known to the registry")]
    NameUnknown,
    /// A manifest names a blob or manifest that is not here.
    #[error("the manifest names {0}, which this repository does not have: push it first")]
    ManifestBlobUnknown(Digest),
    /// A manifest is none.
    #[error("manifest invalid: {0}")]
    ManifestInvalid(String),
    /// The content has another digest than announced.
    #[error("provided digest {expected} did not match uploaded content {found}")]
    DigestMismatch {
        /// As announced.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// A digest is none.
    #[error(transparent)]
    DigestInvalid(#[from] DigestError),
    /// It is over a limit.
    #[error("a {what} may have at most {limit} bytes here")]
    TooLarge {
        /// Blob or manifest.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// No such upload, or its connection broke at a point it cannot go on from.
    #[error("blob upload unknown to the registry: begin it again")]
    UploadUnknown,
    /// A chunk that doesn't follow the last one.
    #[error("the chunk does not follow what was uploaded, which is {size} bytes")]
    UploadOutOfOrder {
        /// How much there is.
        size: u64,
    },
    /// Another request is writing to it.
    #[error("another request is sending to this upload")]
    UploadBusy,
    /// Too many unfinished uploads.
    #[error("{0} uploads are unfinished already: finish or cancel some, or wait")]
    TooManyUploads(usize),
}

/// A manifest as stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredManifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// The content and the repositories of a registry. All its calls block on the disk.
pub struct BlobStore {
    files: Files,
    limits: StoreLimits,
    uploads: Uploads,
    /// Held while content is linked or unlinked, so that nothing is removed that is just being taken up.
    links: Mutex<()>,
}

impl BlobStore {
    /// Opens the store in a folder, which is made if need be. Unfinished uploads are removed.
    pub fn open(dir: &Path, limits: StoreLimits) -> Result<BlobStore, StoreError> {
        let files = Files::open(dir)?;
        let uploads = Uploads::new(limits.uploads_max, limits.upload_idle_max);
        Ok(BlobStore { files, limits, uploads, links: Mutex::new(()) })
    }

    /// What may be stored.
    pub fn limits(&self) -> &StoreLimits {
        &self.limits
    }

    /// Whether the repository has the blob.
    pub(crate) fn has_blob(&self, repository: &str, digest: Digest) -> bool {
        self.files.exists(&self.blob_link(repository, digest)) && self.files.exists(&blob_path(digest))
    }

    /// A blob's size, if the repository has it.
    pub(crate) fn blob_size(&self, repository: &str, digest: Digest) -> Result<u64, StoreError> {
        Ok(self.open_blob(repository, digest)?.1)
    }

    /// A blob's file and size, if the repository has it.
    pub(crate) fn open_blob(&self, repository: &str, digest: Digest) -> Result<(File, u64), StoreError> {
        if !self.files.exists(&self.blob_link(repository, digest)) {
            return Err(StoreError::BlobUnknown);
        }
        self.files.open_file(&blob_path(digest))?.ok_or(StoreError::BlobUnknown)
    }

    /// Takes over a blob of another repository (of any, if none is named); false if it is not there.
    pub(crate) fn mount(&self, repository: &str, digest: Digest, from: Option<&str>) -> Result<bool, StoreError> {
        let _links = self.lock();
        let is_there = match from {
            Some(from) => self.files.exists(&self.blob_link(from, digest)),
            None => true,
        };
        if !is_there || !self.files.exists(&blob_path(digest)) {
            return Ok(false);
        }
        self.files.write(&self.blob_link(repository, digest), b"")?;
        Ok(true)
    }

    /// Takes a blob from a repository; its content goes with the last one.
    pub(crate) fn delete_blob(&self, repository: &str, digest: Digest) -> Result<(), StoreError> {
        let _links = self.lock();
        if !self.files.remove(&self.blob_link(repository, digest))? {
            return Err(StoreError::BlobUnknown);
        }
        self.drop_content(digest)
    }

    /// Begins an upload.
    pub(crate) fn begin_upload(&self, repository: &str) -> Result<UploadId, StoreError> {
        self.uploads.begin(repository, |name| self.files.create_upload(name))
    }

    /// The upload, for one request at a time.
    pub(crate) fn upload(&self, repository: &str, id: &str) -> Result<Arc<tokio::sync::Mutex<Upload>>, StoreError> {
        self.uploads.find(repository, id)
    }

    /// Forgets an upload and its bytes.
    pub(crate) fn cancel_upload(&self, id: &str) {
        self.uploads.forget(id);
    }

    /// Forgets an upload when the guard is dropped, also when whoever holds it goes away in the middle.
    pub(crate) fn cancel_on_drop(self: &Arc<Self>, id: &str) -> CancelUpload {
        CancelUpload { store: self.clone(), id: id.to_owned() }
    }

    /// Makes a finished upload, whose bytes are synced, a blob of its repository.
    pub(crate) fn finish_upload(&self, repository: &str, path: &Path, digest: Digest) -> Result<(), StoreError> {
        let _links = self.lock();
        self.files.adopt(path, &blob_path(digest))?;
        self.files.write(&self.blob_link(repository, digest), b"")
    }

    /// Stores a manifest, of this digest if one is given. What it names has to be there.
    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        expected: Option<Digest>,
        content_type: Option<&str>,
        bytes: &[u8],
    ) -> Result<(Digest, Option<Digest>), StoreError> {
        let limit = self.limits.manifest_bytes_max;
        if bytes.len() > limit {
            return Err(StoreError::TooLarge { what: "manifest", limit: limit as u64 });
        }
        let found = Digest::of(bytes);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(StoreError::DigestMismatch { expected, found });
        }
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| StoreError::ManifestInvalid(error.to_string()))?;
        let media_type = media_type(&document, content_type)?;
        let _links = self.lock();
        self.check_references(repository, &document)?;
        self.files.write(&blob_path(found), bytes)?;
        if let Some(subject) = &document.subject {
            let descriptor = referrer(&document, &media_type, found, bytes.len());
            let path = referrers_path(repository, subject.digest).join(found.hex());
            self.files.write(&path, &serde_json::to_vec(&descriptor).expect("invariant: a descriptor becomes JSON"))?;
        }
        self.files.write(&manifest_link(repository, found), media_type.as_bytes())?;
        Ok((found, document.subject.map(|subject| subject.digest)))
    }

    /// Whether the repository has the manifest.
    pub(crate) fn has_manifest(&self, repository: &str, digest: Digest) -> bool {
        self.files.exists(&manifest_link(repository, digest)) && self.files.exists(&blob_path(digest))
    }

    /// Every manifest, with the repository that has it.
    pub(crate) fn manifests(&self) -> Result<Vec<(String, Digest)>, StoreError> {
        let mut found = Vec::new();
        for repository in self.repositories()? {
            let names = self.files.names(&repository_path(&repository).join("_manifests"))?;
            // A file of another name is none of ours.
            let digests = names.iter().filter_map(|name| format!("sha256:{name}").parse().ok());
            found.extend(digests.map(|digest| (repository.clone(), digest)));
        }
        Ok(found)
    }

    /// The manifest of a digest.
    pub(crate) fn manifest(&self, repository: &str, digest: Digest) -> Result<StoredManifest, StoreError> {
        let media_type =
            self.files.read_text(&manifest_link(repository, digest))?.ok_or(StoreError::ManifestUnknown)?;
        let path = blob_path(digest);
        let bytes = self.files.read(&path)?.ok_or(StoreError::ManifestUnknown)?;
        if Digest::of(&bytes) != digest {
            return Err(StoreError::Corrupt { path: self.files.absolute(&path) });
        }
        Ok(StoredManifest { digest, media_type, bytes: bytes.into() })
    }

    /// Removes a manifest; its content goes with the last repository that has it.
    pub(crate) fn delete_manifest(&self, repository: &str, digest: Digest) -> Result<(), StoreError> {
        let _links = self.lock();
        let manifest = self.manifest(repository, digest)?;
        let document: Option<Document> = serde_json::from_slice(&manifest.bytes).ok();
        if let Some(subject) = document.and_then(|document| document.subject) {
            self.files.remove(&referrers_path(repository, subject.digest).join(digest.hex()))?;
        }
        self.files.remove(&manifest_link(repository, digest))?;
        self.drop_content(digest)
    }

    /// Whether a repository has, or had, a manifest.
    pub(crate) fn has_repository(&self, repository: &str) -> bool {
        self.files.exists(&repository_path(repository).join("_manifests"))
    }

    /// The repositories that have a manifest, in order.
    pub(crate) fn repositories(&self) -> Result<Vec<String>, StoreError> {
        let mut names = self.repositories_with("_manifests")?;
        names.sort_unstable();
        Ok(names)
    }

    /// The descriptors of manifests whose subject is `digest`.
    pub(crate) fn referrers(&self, repository: &str, digest: Digest) -> Result<Vec<Descriptor>, StoreError> {
        let dir = referrers_path(repository, digest);
        let mut descriptors = Vec::new();
        for name in self.files.names(&dir)? {
            let Some(bytes) = self.files.read(&dir.join(&name))? else { continue };
            let corrupt = |_| StoreError::Corrupt { path: self.files.absolute(&dir.join(&name)) };
            descriptors.push(serde_json::from_slice(&bytes).map_err(corrupt)?);
        }
        Ok(descriptors)
    }

    fn check_references(&self, repository: &str, document: &Document) -> Result<(), StoreError> {
        for blob in document.blobs() {
            self.blob_size(repository, blob.digest).map_err(|error| match error {
                StoreError::BlobUnknown => StoreError::ManifestBlobUnknown(blob.digest),
                other => other,
            })?;
        }
        for manifest in document.manifests.iter().flatten() {
            if !self.files.exists(&manifest_link(repository, manifest.digest)) {
                return Err(StoreError::ManifestBlobUnknown(manifest.digest));
            }
        }
        Ok(())
    }

    /// Removes content that no repository links any more.
    fn drop_content(&self, digest: Digest) -> Result<(), StoreError> {
        for repository in self.repositories_with("")? {
            let is_linked = self.files.exists(&self.blob_link(&repository, digest))
                || self.files.exists(&manifest_link(&repository, digest));
            if is_linked {
                return Ok(());
            }
        }
        self.files.remove(&blob_path(digest)).map(drop)
    }

    /// Every name under which there is a folder `part` (any folder of ours, if empty).
    fn repositories_with(&self, part: &str) -> Result<Vec<String>, StoreError> {
        let (mut found, mut open) = (Vec::new(), vec![String::new()]);
        while let Some(name) = open.pop() {
            let children = self.files.names(&repository_path(&name))?;
            let is_one = children.iter().any(|child| child.starts_with('_') && (part.is_empty() || child == part));
            for child in children.iter().filter(|child| !child.starts_with('_')) {
                open.push(if name.is_empty() { child.clone() } else { format!("{name}/{child}") });
            }
            if is_one {
                found.push(name);
            }
        }
        Ok(found)
    }

    fn blob_link(&self, repository: &str, digest: Digest) -> PathBuf {
        repository_path(repository).join("_blobs").join(digest.hex())
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets an upload when dropped.
pub(crate) struct CancelUpload {
    store: Arc<BlobStore>,
    id: UploadId,
}

impl Drop for CancelUpload {
    fn drop(&mut self) {
        self.store.cancel_upload(&self.id);
    }
}

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Tag(String),
    Digest(Digest),
}

impl FromStr for Key {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Key, StoreError> {
        if text.contains(':') {
            return Ok(Key::Digest(text.parse()?));
        }
        if crate::reference::is_tag(text) { Ok(Key::Tag(text.to_owned())) } else { Err(StoreError::ManifestUnknown) }
    }
}

fn media_type(document: &Document, content_type: Option<&str>) -> Result<String, StoreError> {
    let invalid = |text: String| Err(StoreError::ManifestInvalid(text));
    let content_type =
        content_type.and_then(|value| value.split(';').next()).map(str::trim).filter(|text| !text.is_empty());
    if document.config.is_none() && document.manifests.is_none() {
        return invalid("it has neither `config` nor `manifests`".to_owned());
    }
    match (content_type, document.media_type.as_deref()) {
        (Some(sent), Some(inside)) if sent != inside => {
            invalid(format!("its Content-Type is {sent} and its mediaType is {inside}"))
        }
        (sent, inside) => Ok(sent.or(inside).unwrap_or(IMAGE_MANIFEST).to_owned()),
    }
}

fn referrer(document: &Document, media_type: &str, digest: Digest, size: usize) -> Descriptor {
    let config_type = || document.config.as_ref().map(|config| config.media_type.clone());
    Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size: size as u64,
        platform: None,
        artifact_type: document.artifact_type.clone().or_else(config_type),
        urls: None,
        annotations: document.annotations.clone(),
    }
}

fn blob_path(digest: Digest) -> PathBuf {
    let hex = digest.hex();
    Path::new("blobs/sha256").join(&hex[..2]).join(&hex)
}

fn repository_path(repository: &str) -> PathBuf {
    Path::new("repositories").join(repository)
}

fn manifest_link(repository: &str, digest: Digest) -> PathBuf {
    repository_path(repository).join("_manifests").join(digest.hex())
}

fn referrers_path(repository: &str, subject: Digest) -> PathBuf {
    repository_path(repository).join("_referrers").join(subject.hex())
}

#[cfg(test)]
pub(crate) mod tests;
