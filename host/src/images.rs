//! Images on this host: which digests are here, what tags meant when they were last looked up, and one pull per digest at a time.
//!
//! Which of them go when there is want of room, [`DiskQuota`] decides. Deliberately absent: verification of signatures.

mod index;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use coracle_registry::{ArtifactKind, PullError, Puller, Reference, Room};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use self::index::{Index, IndexEntry};
use crate::disk_quota::{DiskQuota, Hold, Keeper, Key, Kind, Reservation, used_at};
use crate::pod::PullPolicy;

/// Where images come from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The digest that a reference means now.
    async fn resolve(&self, reference: &Reference) -> Result<String, ImageError>;
    /// Fetches a component or a Linux image into `folder`, verified, once `room` is made for it.
    async fn pull(&self, reference: &Reference, folder: &Path, room: &dyn Room) -> Result<Pulled, ImageError>;
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
    /// The manifest, and the index that led to it, with their sizes.
    pub manifests: Vec<(PathBuf, u64)>,
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
    /// The disk has no room, whatever the quota says.
    pub is_disk_full: bool,
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
    quota: Arc<DiskQuota>,
    state: Mutex<State>,
    /// Held while the index is written, so that an older one never replaces a newer one.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    index: Index,
    /// By manifest digest: looked at on this run of the host, so the file is known to be there.
    present: HashMap<String, Image>,
    pulls: HashMap<String, Pull>,
    lookups: HashMap<String, Shared<BoxFuture<'static, Result<String, ImageError>>>>,
}

impl Images {
    /// The images in `folder`. A damaged index is forgotten: images are then pulled again.
    pub fn open(folder: PathBuf, source: Arc<dyn Source>, quota: Arc<DiskQuota>) -> std::io::Result<Arc<Images>> {
        std::fs::create_dir_all(&folder)?;
        let index = Index::open(&folder)?;
        for (digest, entry) in &index.images {
            quota.put(image_key(digest), entry.parts(), Some(used_at(&folder.join(&entry.file))));
        }
        let state = Mutex::new(State { index, ..State::default() });
        let images = Arc::new(Images { folder, source, quota, state, writing: tokio::sync::Mutex::default() });
        let keeper: Weak<Images> = Arc::downgrade(&images);
        images.quota.join(Kind::Image, keeper);
        Ok(images)
    }

    /// The image, if it can be had without asking anyone.
    pub(crate) fn present(&self, image: &str, policy: PullPolicy) -> Option<(Image, Hold)> {
        let reference: Reference = image.parse().ok()?;
        let digest = match reference.digest() {
            Some(digest) => digest.to_string(),
            None if policy == PullPolicy::Always => return None,
            None => self.state.lock().index.tags.get(&reference.to_string())?.clone(),
        };
        self.known(&reference, &digest)
    }

    /// The image, pulled if need be and allowed; it stays for as long as it is held. `pulling` is called before anything is fetched.
    pub(crate) async fn ensure(
        self: &Arc<Images>,
        image: &str,
        policy: PullPolicy,
        pulling: impl FnOnce(),
    ) -> Result<(Image, Arrival, Hold), ImageError> {
        if let Some((image, hold)) = self.present(image, policy) {
            return Ok((image, Arrival::Present, hold));
        }
        let reference: Reference = image.parse().map_err(|error| ImageError {
            reason: "InvalidImageName".to_owned(),
            message: format!(
                "Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {error}"
            ),
            is_transient: false,
            is_disk_full: false,
        })?;
        if policy == PullPolicy::Never {
            return Err(ImageError {
                reason: "ErrImageNeverPull".to_owned(),
                message: format!("Container image {image:?} is not present with pull policy of Never"),
                is_transient: false,
                is_disk_full: false,
            });
        }
        let digest = match reference.digest() {
            Some(digest) => digest.to_string(),
            None => {
                let digest = self.resolve(&reference).await?;
                if let Some((image, hold)) = self.known(&reference, &digest) {
                    return Ok((image, Arrival::Present, hold));
                }
                digest
            }
        };
        pulling();
        let hold = self.quota.hold(image_key(&digest));
        let (image, took) = self.pull(&reference, digest).await?;
        Ok((Image { id: image_id(&reference, &image.id), ..image }, Arrival::Pulled(took), hold))
    }

    /// The image of that digest, if it is here.
    fn known(&self, reference: &Reference, digest: &str) -> Option<(Image, Hold)> {
        // First, so that it isn't evicted meanwhile; and before the lock, as whoever evicts takes it, too.
        let hold = self.quota.hold(image_key(digest));
        let image = self.look_up(digest)?;
        Some((Image { id: image_id(reference, digest), ..image }, hold))
    }

    fn look_up(&self, digest: &str) -> Option<Image> {
        let mut state = self.state.lock();
        if let Some(image) = state.present.get(digest) {
            return Some(image.clone());
        }
        let entry = state.index.images.get(digest)?.clone();
        if !entry.is_whole(&self.folder) {
            state.index.images.remove(digest);
            return None;
        }
        let image = entry.image(digest, &self.folder);
        state.present.insert(digest.to_owned(), image.clone());
        Some(image)
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
        let room = PullRoom { quota: self.quota.clone(), reservation: tokio::sync::Mutex::default() };
        let pulled = match self.source.pull(&pinned, &self.folder, &room).await {
            Err(error) if error.is_disk_full => {
                let quota = self.quota.clone();
                // It is pulled again soon; a panic in there was reported by its hook.
                let _ = tokio::task::spawn_blocking(move || quota.evict_unused()).await;
                return Err(error);
            }
            pulled => pulled?,
        };
        let name = |path: &Path| path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().into_owned();
        let names = |files: &[(PathBuf, u64)]| files.iter().map(|(path, size)| (name(path), *size)).collect();
        let (files, manifests) = (names(&pulled.files), names(&pulled.manifests));
        let Pulled { layer_digest, size, .. } = pulled;
        let entry = IndexEntry { layer_digest, size, file: name(&pulled.path), files, manifests };
        let (image, parts) = (entry.image(digest, &self.folder), entry.parts());
        {
            let mut state = self.state.lock();
            if !entry.is_whole(&self.folder) {
                return Err(ImageError {
                    reason: "ErrImagePull".to_owned(),
                    message: format!("what {reference} shares with another image was evicted with that"),
                    is_transient: true,
                    is_disk_full: false,
                });
            }
            state.present.insert(digest.to_owned(), image.clone());
            state.index.images.insert(digest.to_owned(), entry);
        }
        self.quota.put(image_key(digest), parts, None);
        drop(room);
        // Losing the index costs pulling again, nothing else.
        if let Err(error) = self.write_index().await {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "the index of images could not be written");
        }
        Ok((image, started.elapsed()))
    }

    async fn write_index(&self) -> std::io::Result<()> {
        let _alone = self.writing.lock().await;
        let index = self.state.lock().index.clone();
        index.write(&self.folder).await
    }
}

/// What is evicted stays in the index on disk until that is written for another reason: images of it that lack files are none.
impl Keeper for Images {
    fn remove(&self, name: &str) -> std::io::Result<()> {
        let mut state = self.state.lock();
        state.present.remove(name);
        let Some(entry) = state.index.images.remove(name) else { return Ok(()) };
        let others = state.index.all_files();
        for file in entry.all_files().into_keys().filter(|file| !others.contains(file)) {
            match std::fs::remove_file(self.folder.join(file)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.join(&self.state.lock().index.images.get(name)?.file))
    }
}

/// Room for one pull, kept until what it brings counts by itself.
struct PullRoom {
    quota: Arc<DiskQuota>,
    reservation: tokio::sync::Mutex<Option<Reservation>>,
}

impl Room for PullRoom {
    fn make(&self, bytes: u64) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let mut reservation = self.reservation.lock().await;
            *reservation = None;
            let quota = self.quota.clone();
            let made = tokio::task::spawn_blocking(move || quota.reserve(bytes)).await;
            let made = made.map_err(|error| error.to_string())?;
            *reservation = Some(made.map_err(|error| error.to_string())?);
            Ok(())
        }
        .boxed()
    }
}

fn image_key(digest: &str) -> Key {
    Key::new(Kind::Image, digest)
}

fn pin(reference: &Reference, digest: &str) -> Result<Reference, ImageError> {
    let digest = digest.parse().map_err(|error| ImageError {
        reason: "ErrImagePull".to_owned(),
        message: format!("the registry answered with digest {digest:?} for {reference}: {error}"),
        is_transient: true,
        is_disk_full: false,
    })?;
    Ok(reference.at(digest))
}

/// `registry/name@sha256:…`, without a tag.
fn image_id(reference: &Reference, digest: &str) -> String {
    format!("{}/{}@{digest}", reference.registry(), reference.repository())
}

#[async_trait]
impl Source for Puller {
    async fn resolve(&self, reference: &Reference) -> Result<String, ImageError> {
        Puller::resolve(self, reference).await.map(|digest| digest.to_string()).map_err(image_error)
    }

    async fn pull(&self, reference: &Reference, folder: &Path, room: &dyn Room) -> Result<Pulled, ImageError> {
        let pulled = self.pull_any(reference, folder, room).await.map_err(image_error)?;
        Ok(Pulled {
            digest: pulled.digest.to_string(),
            layer_digest: pulled.layer_digest.to_string(),
            size: pulled.size,
            path: pulled.path,
            files: pulled.files,
            manifests: pulled.manifests,
        })
    }
}

fn image_error(error: PullError) -> ImageError {
    ImageError {
        reason: error.reason().to_owned(),
        // Even a missing image is asked for again: it may be pushed later.
        is_transient: error.is_temporary() || error.reason() == "ErrImagePull",
        is_disk_full: error.is_disk_full(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
