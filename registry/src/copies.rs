//! Copies of content on the members of a cluster: a push is copied before it is acknowledged, what is asked for and not here is taken
//! from a member that has it, and each member takes over in time what the others have.
//!
//! All of it is one operation: to take a manifest, with all that it names, from another member. Nothing is stored that does not have
//! the digest it was asked for by.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::future::BoxFuture;
use http::{Method, StatusCode, header};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::blob_store::{BlobStore, StoreError};
use crate::cluster::{Cluster, Peer};
use crate::digest::Digest;
use crate::manifest::{DOCKER_LIST, DOCKER_MANIFEST, Document, IMAGE_INDEX, IMAGE_MANIFEST};

/// So many things are taken at once; one that many ask for is taken once.
const LANES: usize = 16;
/// The longest time that taking something from one member may last.
const TAKE_TIMEOUT: Duration = Duration::from_secs(120);
/// How often the others are asked what they have.
const COMPARE_INTERVAL: Duration = Duration::from_secs(10);
const LIST_BYTES_MAX: usize = 64 << 20;
const ERROR_BYTES_MAX: usize = 16 << 10;

/// Where a member says what it has.
pub(crate) const LIST_PATH: &str = "/v2/_manifests";

/// A push that no other member has a copy of.
#[derive(Debug, thiserror::Error)]
#[error("this member has it, but no other took a copy ({0}): push it again")]
pub(crate) struct NotCopied(String);

/// Why something was not taken from a member.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    /// It doesn't have it.
    #[error("{0} does not have it")]
    NotThere(String),
    /// It cannot be asked, or sends something else.
    #[error("{0}: {1}")]
    Peer(String, String),
    /// It cannot be stored here.
    #[error(transparent)]
    Store(StoreError),
}

/// What can be taken.
#[derive(Clone, Copy, Debug)]
enum Content {
    Blob,
    Manifest,
}

/// Keeps copies; see the module.
pub(crate) struct Copies {
    store: Arc<BlobStore>,
    cluster: Arc<dyn Cluster>,
    lanes: [Mutex<()>; LANES],
    /// Ends what goes on after the request that it began with.
    shutdown: CancellationToken,
}

impl Copies {
    pub(crate) fn new(store: Arc<BlobStore>, cluster: Arc<dyn Cluster>, shutdown: CancellationToken) -> Copies {
        Copies { store, cluster, lanes: std::array::from_fn(|_| Mutex::default()), shutdown }
    }

    /// Sees to it that a manifest is here, with all that it names, if any member has it.
    pub(crate) async fn find_manifest(&self, repository: &str, digest: Digest) -> Result<(), StoreError> {
        self.find(Content::Manifest, repository, digest).await
    }

    /// Sees to it that a blob is here, if any member has it.
    pub(crate) async fn find_blob(&self, repository: &str, digest: Digest) -> Result<(), StoreError> {
        self.find(Content::Blob, repository, digest).await
    }

    /// Takes a manifest, with all that it names, from the member of this name, unless it is here.
    pub(crate) async fn take_from(&self, name: &str, repository: &str, digest: Digest) -> Result<(), TakeError> {
        let peer = self.cluster.others().into_iter().find(|peer| peer.name == name);
        let peer = peer.ok_or_else(|| TakeError::Peer(name.to_owned(), "no such member is known here".to_owned()))?;
        let _lane = self.lanes[digest.part(LANES)].lock().await;
        if self.has(Content::Manifest, repository, digest) {
            return Ok(());
        }
        self.take(&peer, Content::Manifest, repository, digest).await
    }

    /// Has the other members take a manifest from here, and returns when the first that votes has it; the others go on.
    pub(crate) async fn spread(self: &Arc<Self>, repository: &str, digest: Digest) -> Result<(), NotCopied> {
        let mut voters = self.cluster.others();
        voters.retain(|peer| peer.is_voter);
        if voters.is_empty() {
            return Ok(());
        }
        let (answer, mut answers) = mpsc::unbounded_channel();
        for peer in voters {
            let (copies, answer, repository) = (self.clone(), answer.clone(), repository.to_owned());
            let work = async move {
                let path = format!("/v2/{repository}/manifests/{digest}?from={}", copies.cluster.own_name());
                // Nobody listens any more once one has it.
                drop(answer.send(copies.ask(&peer, Method::POST, &path).await.map(drop)));
            };
            tokio::spawn(self.shutdown.clone().run_until_cancelled_owned(work));
        }
        drop(answer);
        let mut reasons = Vec::new();
        while let Some(answered) = answers.recv().await {
            match answered {
                Ok(()) => return Ok(()),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        Err(NotCopied(reasons.join("; ")))
    }

    /// Sees whether all other members can be asked: else nothing is to be deleted.
    pub(crate) async fn reach_all(&self) -> Result<(), TakeError> {
        for peer in self.cluster.others() {
            self.ask(&peer, Method::GET, LIST_PATH).await?;
        }
        Ok(())
    }

    /// Deletes something on all other members; one that cannot be asked would bring it back.
    pub(crate) async fn delete_elsewhere(&self, path: &str) -> Result<(), TakeError> {
        for peer in self.cluster.others() {
            match self.ask(&peer, Method::DELETE, path).await {
                Ok(_) | Err(TakeError::NotThere(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes over what the others have and this member lacks, again and again: what was pushed while it was away or not a member yet.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(COMPARE_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let compare = async {
            loop {
                ticks.tick().await;
                for peer in self.cluster.others() {
                    match self.take_over(&peer).await {
                        Ok(0) => {}
                        Ok(count) => tracing::info!(from = peer.name, count, "artifacts were taken over"),
                        Err(error) => tracing::debug!(%error, "artifacts of another member could not be taken over"),
                    }
                }
            }
        };
        self.shutdown.run_until_cancelled(compare).await;
    }

    /// Takes all manifests of a member that are not here; says how many.
    pub(crate) async fn take_over(&self, peer: &Peer) -> Result<usize, TakeError> {
        let listed = self.ask(peer, Method::GET, LIST_PATH).await?;
        let listed = read(peer, listed, LIST_BYTES_MAX).await?;
        let own: HashSet<_> = self.blocking(BlobStore::manifests).await?.into_iter().collect();
        let mut count = 0;
        for line in String::from_utf8_lossy(&listed).lines() {
            let Some((repository, digest)) = line.split_once('@') else { continue };
            let Ok(digest) = digest.parse() else { continue };
            if own.contains(&(repository.to_owned(), digest)) {
                continue;
            }
            self.take_from(&peer.name, repository, digest).await?;
            count += 1;
        }
        Ok(count)
    }

    async fn find(&self, content: Content, repository: &str, digest: Digest) -> Result<(), StoreError> {
        if self.has(content, repository, digest) {
            return Ok(());
        }
        let _lane = self.lanes[digest.part(LANES)].lock().await;
        if self.has(content, repository, digest) {
            return Ok(());
        }
        for peer in self.cluster.others() {
            match self.take(&peer, content, repository, digest).await {
                Ok(()) => return Ok(()),
                Err(TakeError::NotThere(_)) => {}
                Err(TakeError::Store(error)) => return Err(error),
                Err(error) => tracing::info!(%error, repository, %digest, "content could not be taken from a member"),
            }
        }
        // Nobody has it: who asks for it now is told so.
        Ok(())
    }

    fn has(&self, content: Content, repository: &str, digest: Digest) -> bool {
        match content {
            Content::Blob => self.store.has_blob(repository, digest),
            Content::Manifest => self.store.has_manifest(repository, digest),
        }
    }

    async fn take(&self, peer: &Peer, content: Content, repository: &str, digest: Digest) -> Result<(), TakeError> {
        let work = async {
            match content {
                Content::Blob => self.take_blob(peer, repository, digest).await,
                Content::Manifest => self.take_manifest(peer, repository, digest).await,
            }
        };
        let late = |_| Err(TakeError::Peer(peer.name.clone(), "it took too long".to_owned()));
        tokio::time::timeout(TAKE_TIMEOUT, work).await.unwrap_or_else(late)
    }

    /// Takes what a manifest names, then the manifest.
    fn take_manifest<'a>(
        &'a self,
        peer: &'a Peer,
        repository: &'a str,
        digest: Digest,
    ) -> BoxFuture<'a, Result<(), TakeError>> {
        Box::pin(async move {
            let response = self.ask(peer, Method::GET, &format!("/v2/{repository}/manifests/{digest}")).await?;
            let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = content_type.map(str::to_owned);
            let bytes = read(peer, response, self.store.limits().manifest_bytes_max).await?;
            let found = Digest::of(&bytes);
            if found != digest {
                let wrong = format!("it sent {found} where {digest} was asked for, which is not kept");
                return Err(TakeError::Peer(peer.name.clone(), wrong));
            }
            let document: Document = serde_json::from_slice(&bytes)
                .map_err(|error| TakeError::Peer(peer.name.clone(), format!("{digest} is no manifest: {error}")))?;
            for blob in document.blobs().filter(|blob| !self.has(Content::Blob, repository, blob.digest)) {
                self.take_blob(peer, repository, blob.digest).await?;
            }
            for entry in document.manifests.iter().flatten() {
                if !self.has(Content::Manifest, repository, entry.digest) {
                    self.take_manifest(peer, repository, entry.digest).await?;
                }
            }
            let repository = repository.to_owned();
            let put = move |store: &BlobStore| {
                store.put_manifest(&repository, Some(digest), content_type.as_deref(), &bytes).map(drop)
            };
            self.blocking(put).await
        })
    }

    async fn take_blob(&self, peer: &Peer, repository: &str, digest: Digest) -> Result<(), TakeError> {
        let name = repository.to_owned();
        // Another repository here may have it.
        if self.blocking(move |store| store.mount(&name, digest, None)).await? {
            return Ok(());
        }
        let mut response = self.ask(peer, Method::GET, &format!("/v2/{repository}/blobs/{digest}")).await?;
        let id = self.store.begin_upload(repository).map_err(TakeError::Store)?;
        let _cancel = self.store.cancel_on_drop(&id);
        let upload = self.store.upload(repository, &id).map_err(TakeError::Store)?;
        let mut upload = upload.lock().await;
        let limit = self.store.limits().blob_bytes_max;
        while let Some(chunk) = response.chunk().await.map_err(|error| unreached(peer, error))? {
            upload.append(&chunk, limit).await.map_err(|error| store_or_peer(peer, error))?;
        }
        let path = upload.finish(digest).await.map_err(|error| store_or_peer(peer, error))?;
        let name = repository.to_owned();
        self.blocking(move |store| store.finish_upload(&name, &path, digest)).await
    }

    /// Asks another member; its answer is a success.
    async fn ask(&self, peer: &Peer, method: Method, path: &str) -> Result<reqwest::Response, TakeError> {
        let accepted = format!("{IMAGE_MANIFEST}, {IMAGE_INDEX}, {DOCKER_MANIFEST}, {DOCKER_LIST}");
        let request = self.cluster.client().request(method, format!("{}{path}", peer.base));
        let response = request.header(header::ACCEPT, accepted).timeout(TAKE_TIMEOUT).send().await;
        let response = response.map_err(|error| unreached(peer, error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND => Err(TakeError::NotThere(peer.name.clone())),
            status => {
                let text = read(peer, response, ERROR_BYTES_MAX).await.unwrap_or_default();
                let text = crate::transport::message_of(&text).unwrap_or_default();
                Err(TakeError::Peer(peer.name.clone(), format!("it answered {status} {text}")))
            }
        }
    }

    /// Runs what blocks on the disk where it may.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&BlobStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, TakeError> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || call(&store)).await;
        done.expect("invariant: the store's calls don't panic, and the runtime outlives its tasks")
            .map_err(TakeError::Store)
    }
}

async fn read(peer: &Peer, mut response: reqwest::Response, bytes_max: usize) -> Result<BytesMut, TakeError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(peer, error))? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(TakeError::Peer(peer.name.clone(), format!("it sent more than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn unreached(peer: &Peer, error: reqwest::Error) -> TakeError {
    TakeError::Peer(peer.name.clone(), crate::transport::innermost(&error))
}

/// What a member sent may be wrong; all else is this member's disk.
fn store_or_peer(peer: &Peer, error: StoreError) -> TakeError {
    match error {
        StoreError::DigestMismatch { .. } | StoreError::TooLarge { .. } => {
            TakeError::Peer(peer.name.clone(), error.to_string())
        }
        error => TakeError::Store(error),
    }
}

#[cfg(test)]
mod tests;
