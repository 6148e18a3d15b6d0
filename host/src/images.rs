//! Images on this host: which digests are here, what tags meant when they were last looked up, and one pull per digest at a time.
//!
//! Deliberately absent: deleting images that nothing uses any more, and verification of signatures.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coracle_registry::{ArtifactKind, PullError, Puller, Reference};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::pod::PullPolicy;

/// Where images come from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The digest that a reference means now.
    async fn resolve(&self, reference: &Reference) -> Result<String, ImageError>;
    /// Fetches a component or a Linux image into `folder`, verified.
    async fn pull(&self, reference: &Reference, folder: &Path) -> Result<Pulled, ImageError>;
}

/// What a pull brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The manifest's digest.
    pub digest: String,
    /// The digest of the file at `path`.
    pub layer_digest: String,
    /// The size of the component, or of the image's parts together.
    pub size: u64,
    /// Where the component is, or the image's manifest.
    pub path: PathBuf,
    /// All files of a Linux image with their sizes; none of a component.
    pub files: Vec<(PathBuf, u64)>,
}

/// Why there is no image; both texts are what the user sees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ImageError {
    /// `ErrImagePull`, `InvalidImageName`, …
    pub reason: String,
    /// For people.
    pub message: String,
    /// Trying again may help.
    pub is_transient: bool,
}

/// An image that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its reference by digest: `status.containerStatuses[].imageID`.
    pub id: String,
    /// What it holds.
    pub kind: ArtifactKind,
    /// The digest of the file at `path`, key of every cache.
    pub layer_digest: String,
    /// Where the component is, or the Linux image's manifest; the image's other parts lie beside it.
    pub path: PathBuf,
    /// Its size.
    pub size: u64,
}

/// How an image came to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was here.
    Present,
    /// It was pulled, in so much time.
    Pulled(Duration),
}

type Pull = Shared<BoxFuture<'static, Result<(Image, Duration), ImageError>>>;

/// The images of a host.
pub struct Images {
    folder: PathBuf,
    source: Arc<dyn Source>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    index: Index,
    /// By manifest digest: looked at on this run of the host, so the file is known to be there.
    present: HashMap<String, Image>,
    pulls: HashMap<String, Pull>,
    lookups: HashMap<String, Shared<BoxFuture<'static, Result<String, ImageError>>>>,
}

/// What is remembered across restarts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Index {
    /// By manifest digest.
    images: BTreeMap<String, IndexEntry>,
    /// What a reference by tag meant when it was last looked up.
    tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    layer_digest: String,
    size: u64,
    file: String,
    /// Of a Linux image all its files, `file` among them; empty for a component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<(String, u64)>,
}

impl IndexEntry {
    fn kind(&self) -> ArtifactKind {
        if self.files.is_empty() { ArtifactKind::Component } else { ArtifactKind::Container }
    }

    fn is_whole(&self, folder: &Path) -> bool {
        let has = |file: &str, size| std::fs::metadata(folder.join(file)).is_ok_and(|found| found.len() == size);
        match self.kind() {
            ArtifactKind::Component => has(&self.file, self.size),
            ArtifactKind::Container => self.files.iter().all(|(file, size)| has(file, *size)),
        }
    }

    fn image(&self, digest: &str, folder: &Path) -> Image {
        let path = folder.join(&self.file);
        let layer_digest = self.layer_digest.clone();
        Image { id: digest.to_owned(), kind: self.kind(), layer_digest, path, size: self.size }
    }
}

impl Images {
    /// The images in `folder`. A damaged index is forgotten: images are then pulled again.
    pub fn open(folder: PathBuf, source: Arc<dyn Source>) -> std::io::Result<Arc<Images>> {
        std::fs::create_dir_all(&folder)?;
        let index = match std::fs::read(folder.join("index.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "the index of images is damaged; images are pulled again");
                Index::default()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(error),
        };
        Ok(Arc::new(Images { folder, source, state: Mutex::new(State { index, ..State::default() }) }))
    }

    /// The image, if it can be had without asking anyone.
    pub fn present(&self, image: &str, policy: PullPolicy) -> Option<Image> {
        let reference: Reference = image.parse().ok()?;
        let digest = match reference.digest() {
            Some(digest) => digest.to_string(),
            None if policy == PullPolicy::Always => return None,
            None => self.state.lock().index.tags.get(&reference.to_string())?.clone(),
        };
        self.known(&reference, &digest)
    }

    /// The image, pulled if need be and allowed. `pulling` is called before anything is fetched.
    pub async fn ensure(
        self: &Arc<Images>,
        image: &str,
        policy: PullPolicy,
        pulling: impl FnOnce(),
    ) -> Result<(Image, Arrival), ImageError> {
        if let Some(image) = self.present(image, policy) {
            return Ok((image, Arrival::Present));
        }
        let reference: Reference = image.parse().map_err(|error| ImageError {
            reason: "InvalidImageName".to_owned(),
            message: format!(
                "Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {error}"
            ),
            is_transient: false,
        })?;
        if policy == PullPolicy::Never {
            return Err(ImageError {
                reason: "ErrImageNeverPull".to_owned(),
                message: format!("Container image {image:?} is not present with pull policy of Never"),
                is_transient: false,
            });
        }
        let digest = match reference.digest() {
            Some(digest) => digest.to_string(),
            None => {
                let digest = self.resolve(&reference).await?;
                if let Some(image) = self.known(&reference, &digest) {
                    return Ok((image, Arrival::Present));
                }
                digest
            }
        };
        pulling();
        let (image, took) = self.pull(&reference, digest).await?;
        Ok((Image { id: image_id(&reference, &image.id), ..image }, Arrival::Pulled(took)))
    }

    /// The image of that digest, if it is here.
    fn known(&self, reference: &Reference, digest: &str) -> Option<Image> {
        let mut state = self.state.lock();
        if let Some(image) = state.present.get(digest) {
            return Some(Image { id: image_id(reference, digest), ..image.clone() });
        }
        let entry = state.index.images.get(digest)?.clone();
        if !entry.is_whole(&self.folder) {
            state.index.images.remove(digest);
            return None;
        }
        let image = entry.image(digest, &self.folder);
        state.present.insert(digest.to_owned(), image.clone());
        Some(Image { id: image_id(reference, digest), ..image })
    }

    /// What the tag means now; concurrent callers share the question.
    async fn resolve(self: &Arc<Images>, reference: &Reference) -> Result<String, ImageError> {
        let key = reference.to_string();
        let lookup = {
            let mut state = self.state.lock();
            state
                .lookups
                .entry(key.clone())
                .or_insert_with(|| {
                    let (images, reference) = (self.clone(), reference.clone());
                    async move {
                        let answer = images.source.resolve(&reference).await;
                        let mut state = images.state.lock();
                        state.lookups.remove(&reference.to_string());
                        if let Ok(digest) = &answer {
                            state.index.tags.insert(reference.to_string(), digest.clone());
                        }
                        answer
                    }
                    .boxed()
                    .shared()
                })
                .clone()
        };
        lookup.await
    }

    /// Pulls a digest; concurrent callers share the pull.
    async fn pull(self: &Arc<Images>, reference: &Reference, digest: String) -> Result<(Image, Duration), ImageError> {
        let pull = {
            let mut state = self.state.lock();
            state
                .pulls
                .entry(digest.clone())
                .or_insert_with(|| {
                    let (images, reference) = (self.clone(), reference.clone());
                    async move {
                        let result = images.pull_now(&reference, &digest).await;
                        images.state.lock().pulls.remove(&digest);
                        result
                    }
                    .boxed()
                    .shared()
                })
                .clone()
        };
        pull.await
    }

    async fn pull_now(&self, reference: &Reference, digest: &str) -> Result<(Image, Duration), ImageError> {
        let started = tokio::time::Instant::now();
        let pinned = pin(reference, digest)?;
        let pulled = self.source.pull(&pinned, &self.folder).await?;
        let name = |path: &Path| path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().into_owned();
        let files = pulled.files.iter().map(|(path, size)| (name(path), *size)).collect();
        let Pulled { layer_digest, size, .. } = pulled;
        let entry = IndexEntry { layer_digest, size, file: name(&pulled.path), files };
        let image = entry.image(digest, &self.folder);
        let index = {
            let mut state = self.state.lock();
            state.present.insert(digest.to_owned(), image.clone());
            state.index.images.insert(digest.to_owned(), entry);
            state.index.clone()
        };
        let path = self.folder.join("index.json");
        // Losing the index costs pulling again, nothing else.
        if let Err(error) = write_whole(&path, &index).await {
            tracing::warn!(path = %path.display(), %error, "the index of images could not be written");
        }
        Ok((image, started.elapsed()))
    }
}

fn pin(reference: &Reference, digest: &str) -> Result<Reference, ImageError> {
    let digest = digest.parse().map_err(|error| ImageError {
        reason: "ErrImagePull".to_owned(),
        message: format!("the registry answered with digest {digest:?} for {reference}: {error}"),
        is_transient: true,
    })?;
    Ok(reference.at(digest))
}

/// `registry/name@sha256:…`, without a tag.
fn image_id(reference: &Reference, digest: &str) -> String {
    format!("{}/{}@{digest}", reference.registry(), reference.repository())
}

/// Written beside, then renamed: readers see the old index or the new one.
async fn write_whole(path: &Path, index: &Index) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(index)?;
    let beside = path.with_extension("json.new");
    tokio::fs::write(&beside, bytes).await?;
    tokio::fs::rename(&beside, path).await
}

#[async_trait]
impl Source for Puller {
    async fn resolve(&self, reference: &Reference) -> Result<String, ImageError> {
        Puller::resolve(self, reference).await.map(|digest| digest.to_string()).map_err(image_error)
    }

    async fn pull(&self, reference: &Reference, folder: &Path) -> Result<Pulled, ImageError> {
        let pulled = self.pull_any(reference, folder).await.map_err(image_error)?;
        Ok(Pulled {
            digest: pulled.digest.to_string(),
            layer_digest: pulled.layer_digest.to_string(),
            size: pulled.size,
            path: pulled.path,
            files: pulled.files,
        })
    }
}

fn image_error(error: PullError) -> ImageError {
    ImageError {
        reason: error.reason().to_owned(),
        // Even a missing image is asked for again: it may be pushed later.
        is_transient: error.is_temporary() || error.reason() == "ErrImagePull",
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
