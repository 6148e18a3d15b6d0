//! Pulling: from a reference to a verified file.
//!
//! Deliberately absent: retries and credentials' storage. Who pulls knows how often to try, and as whom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, header};

mod download;
mod turns;

pub use download::open_pulled;
use turns::Turns;

use crate::digest::Digest;
use crate::endpoints::Endpoints;
use crate::manifest::{
    ArtifactKind, DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Document, IMAGE_INDEX, IMAGE_MANIFEST, Manifest,
    NotAComponent,
};
use crate::reference::Reference;
use crate::transport::{Ask, Credentials, Session, Timeouts, Transport, TransportError};

/// So many hosts are asked for what no registry gives; the next pull asks others.
const HOSTS_MAX: usize = 16;
/// What Docker takes, and what one overlay can be made of.
const IMAGE_LAYERS_MAX: usize = 127;

/// How to pull.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The cluster that `registry.coracle.internal` is of; nothing if none is known.
    pub cluster: Option<Endpoints>,
    /// Registries besides those on this machine that are spoken to without TLS.
    pub insecure_hosts: Vec<String>,
    /// Who to be, by registry (as in the reference: host, and port if it has one).
    pub credentials: BTreeMap<String, Credentials>,
    /// The most bytes of a manifest.
    pub manifest_bytes_max: usize,
    /// The most bytes of a component.
    pub component_bytes_max: u64,
    /// The most bytes of a Linux image, as sent.
    pub image_bytes_max: u64,
    /// The longest time to connect.
    pub connect_timeout: Duration,
    /// The longest time without a byte.
    pub idle_timeout: Duration,
    /// The longest time for one request, body included.
    pub total_timeout: Duration,
}

impl Default for PullOptions {
    fn default() -> PullOptions {
        PullOptions {
            cluster: None,
            insecure_hosts: Vec::new(),
            credentials: BTreeMap::new(),
            manifest_bytes_max: 4 * 1024 * 1024,
            component_bytes_max: 64 * 1024 * 1024,
            image_bytes_max: 8 * 1024 * 1024 * 1024,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(600),
        }
    }
}

/// Why a pull failed: what, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot pull {reference}: {cause}")]
pub struct PullError {
    /// What was to be pulled.
    pub reference: String,
    /// Why it could not be.
    pub cause: Box<PullCause>,
}

/// What stopped a pull.
#[derive(Debug, thiserror::Error)]
pub enum PullCause {
    /// The registry did not give it.
    #[error("{0}")]
    Transport(TransportError),
    /// It is something else.
    #[error("{0}")]
    NotAComponent(NotAComponent),
    /// The manifest is not one.
    #[error("its manifest is not valid: {0}")]
    BadManifest(String),
    /// Something has another digest than it should.
    #[error(
        "the {what} that {registry} sent has digest {found} where {expected} was asked for: it was changed or damaged on the way, so it is not used"
    )]
    WrongDigest {
        /// Manifest or layer.
        what: &'static str,
        /// Host and port.
        registry: String,
        /// As asked for.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// A layer has another size than its manifest says.
    #[error("the layer that {registry} sent has {found} bytes where its manifest says {expected}: it is not used")]
    WrongSize {
        /// Host and port.
        registry: String,
        /// As the manifest says.
        expected: u64,
        /// As received, at least.
        found: u64,
    },
    /// The component is over the limit.
    #[error(
        "the component has {size} bytes, and at most {limit} are taken: strip debug information (`wasm-tools strip`), or move data out of it"
    )]
    TooLarge {
        /// As the manifest says.
        size: u64,
        /// The most taken.
        limit: u64,
    },
    /// The Linux image is over the limit.
    #[error(
        "the image has {size} bytes in {layers} layers, and at most {limit} bytes in {IMAGE_LAYERS_MAX} layers are taken"
    )]
    ImageTooLarge {
        /// As the manifest says.
        size: u64,
        /// Likewise.
        layers: usize,
        /// The most taken.
        limit: u64,
    },
    /// The cluster's registry is asked for, and nobody said where it is.
    #[error(
        "registry.coracle.internal is the registry of a cluster, and no cluster is known here: start one with `wasmctl up`, or name another registry"
    )]
    NoClusterRegistry,
    /// The registry's address makes no URL.
    #[error("the registry's address `{0}` is not valid")]
    BadAddress(String),
    /// Whoever pulls has no room for it.
    #[error("there is no room for it: {0}")]
    NoRoom(String),
    /// The file could not be written.
    #[error("it cannot be stored in {}: {cause}", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
}

impl PullError {
    /// The reason in a waiting container's state.
    pub fn reason(&self) -> &'static str {
        match &*self.cause {
            PullCause::NotAComponent(_)
            | PullCause::BadManifest(_)
            | PullCause::TooLarge { .. }
            | PullCause::ImageTooLarge { .. } => "InvalidImage",
            _ => "ErrImagePull",
        }
    }

    /// Whether trying again may help without anything being changed.
    pub fn is_temporary(&self) -> bool {
        match &*self.cause {
            PullCause::Transport(error) => {
                !matches!(error, TransportError::TooLarge { .. } | TransportError::NoTls { .. })
            }
            PullCause::Disk { .. } | PullCause::NoRoom(_) | PullCause::NoClusterRegistry => true,
            PullCause::WrongDigest { .. } | PullCause::WrongSize { .. } => true,
            PullCause::NotAComponent(_)
            | PullCause::BadManifest(_)
            | PullCause::TooLarge { .. }
            | PullCause::ImageTooLarge { .. }
            | PullCause::BadAddress(_) => false,
        }
    }

    /// Whether the disk that it was to be stored on is full.
    pub fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(&*self.cause, PullCause::Disk { cause, .. } if matches!(cause.kind(), StorageFull | QuotaExceeded))
    }
}

/// Makes room for what is pulled, before anything of it is fetched.
pub trait Room: Send + Sync {
    /// Makes room for so many bytes instead of what was asked for before, or says why there is none.
    fn make(&self, bytes: u64) -> BoxFuture<'_, Result<(), String>>;
}

/// There is room for all that may be pulled.
struct Boundless;

impl Room for Boundless {
    fn make(&self, _: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledArtifact {
    /// The digest of its manifest (of the chosen one, where an index was named).
    pub digest: Digest,
    /// The digest of the file at `path`.
    pub layer_digest: Digest,
    /// What it is.
    pub kind: ArtifactKind,
    /// How large it is: the component, or the parts of the Linux image together.
    pub size: u64,
    /// Where it is: the component, or the manifest of the Linux image.
    pub path: PathBuf,
    /// All files of a Linux image with their sizes: manifest, configuration, layers. None of a component.
    pub files: Vec<(PathBuf, u64)>,
    /// The manifest, and the index where one was named, with their sizes.
    pub manifests: Vec<(PathBuf, u64)>,
}

/// What may be pulled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Component,
    Any,
}

/// Pulls from any registry. Cheap to share by reference.
pub struct Puller {
    options: PullOptions,
    transport: Transport,
    /// Where the cluster's registries are, as known by now.
    servers: RwLock<Vec<String>>,
    /// Which of them answered last.
    current: AtomicUsize,
    /// Where hosts are that may have what they pulled.
    hosts: RwLock<Vec<String>>,
    /// Which of them are asked next.
    next_host: AtomicUsize,
}

/// The manifest that a reference leads to.
struct Found {
    manifest: Manifest,
    /// What it was found by.
    index: Option<Manifest>,
}

impl Found {
    async fn keep(&self, into: &Path) -> Result<Vec<(PathBuf, u64)>, PullCause> {
        let mut kept = Vec::new();
        for manifest in self.index.iter().chain([&self.manifest]) {
            download::keep(manifest, into).await?;
            kept.push((download::manifest_path(into, manifest.digest), manifest.bytes.len() as u64));
        }
        Ok(kept)
    }
}

impl Puller {
    /// A client with these options; connects to nothing yet.
    pub fn new(options: PullOptions) -> Puller {
        let timeouts =
            Timeouts { connect: options.connect_timeout, idle: options.idle_timeout, total: options.total_timeout };
        let tls = options.cluster.as_ref().and_then(|cluster| cluster.tls.clone());
        let servers = options.cluster.as_ref().map(|cluster| cluster.servers.clone()).unwrap_or_default();
        let transport = Transport::new(timeouts, tls);
        let [current, next_host] = [0, 0].map(AtomicUsize::new);
        Puller { options, transport, servers: RwLock::new(servers), current, hosts: RwLock::default(), next_host }
    }

    /// The cluster's registries are there from now on.
    pub fn set_servers(&self, servers: Vec<String>) {
        *self.servers.write().unwrap_or_else(PoisonError::into_inner) = servers;
    }

    /// The servers of hosts, which give what they have pulled themselves: asked for digests of the cluster's registry that no member
    /// gives. They are spoken to like the members.
    pub fn set_hosts(&self, hosts: Vec<String>) {
        *self.hosts.write().unwrap_or_else(PoisonError::into_inner) = hosts;
    }

    /// Hosts to ask, others than the last time as far as there are.
    fn some_hosts(&self) -> Vec<String> {
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        let count = hosts.len().min(HOSTS_MAX);
        let first = self.next_host.fetch_add(count, Ordering::Relaxed) % hosts.len().max(1);
        hosts.iter().cycle().skip(first).take(count).cloned().collect()
    }

    /// The digest a reference stands for now: its own, or that of its tag.
    pub async fn resolve(&self, reference: &Reference) -> Result<Digest, PullError> {
        if let Some(digest) = reference.digest() {
            return Ok(digest);
        }
        let mut turns = Turns::new(self, reference);
        loop {
            let session = turns.next()?;
            if let Some(digest) = turns.settle(self.resolve_by(&session, reference).await)? {
                return Ok(digest);
            }
        }
    }

    /// The manifest of a reference: verified, and the one for WebAssembly where an index is named.
    pub async fn manifest(&self, reference: &Reference) -> Result<Manifest, PullError> {
        let mut turns = Turns::new(self, reference);
        loop {
            let session = turns.next()?;
            if let Some(found) = turns.settle(self.find(&session, reference, Wanted::Component).await)? {
                return Ok(found.manifest);
            }
        }
    }

    /// Pulls the component of a reference into the folder `into`, under its digest's digits and `.wasm`, and then what led there, for
    /// [`open_pulled`]. A component that is there already and intact is kept.
    pub async fn pull_component(&self, reference: &Reference, into: &Path) -> Result<PulledArtifact, PullError> {
        self.pull_wanted(reference, into, Wanted::Component, &Boundless).await
    }

    /// Pulls what a reference leads to: a component, like [`Puller::pull_component`], or a Linux image for this machine, whose
    /// configuration and layers come to lie in `into` under their digests' digits and `.blob`. `room` is asked for before.
    pub async fn pull_any(
        &self,
        reference: &Reference,
        into: &Path,
        room: &dyn Room,
    ) -> Result<PulledArtifact, PullError> {
        self.pull_wanted(reference, into, Wanted::Any, room).await
    }

    async fn pull_wanted(
        &self,
        reference: &Reference,
        into: &Path,
        wanted: Wanted,
        room: &dyn Room,
    ) -> Result<PulledArtifact, PullError> {
        let mut turns = Turns::new(self, reference);
        loop {
            let session = turns.next()?;
            if let Some(pulled) = turns.settle(self.pull(&session, reference, into, (wanted, room)).await)? {
                return Ok(pulled);
            }
        }
    }

    async fn resolve_by(&self, session: &Session<'_>, reference: &Reference) -> Result<Digest, PullCause> {
        let what = format!("manifest `{}` in `{}`", reference.manifest_key(), reference.repository());
        let ask = manifest_ask(session, &reference.manifest_key(), Method::HEAD, &what);
        let response = session.send(ask).await.map_err(PullCause::Transport)?;
        match content_digest(response.headers()) {
            Some(digest) => Ok(digest),
            None => Ok(self.fetch(session, reference, None).await?.digest),
        }
    }

    async fn pull(
        &self,
        session: &Session<'_>,
        reference: &Reference,
        into: &Path,
        (wanted, room): (Wanted, &dyn Room),
    ) -> Result<PulledArtifact, PullCause> {
        let found = self.find(session, reference, wanted).await?;
        let layer = match found.manifest.document.component_layer() {
            Ok(layer) => layer,
            Err(NotAComponent::Container { .. }) if wanted == Wanted::Any => {
                return self.pull_container(session, found, into, room).await;
            }
            Err(error) => return Err(PullCause::NotAComponent(error)),
        };
        let limit = self.options.component_bytes_max;
        if layer.size > limit {
            return Err(PullCause::TooLarge { size: layer.size, limit });
        }
        room.make(layer.size).await.map_err(PullCause::NoRoom)?;
        let path = download::layer(session, layer, download::component_path(into, layer.digest)).await?;
        let (layer_digest, size) = (layer.digest, layer.size);
        let manifests = found.keep(into).await?;
        let (digest, kind) = (found.manifest.digest, ArtifactKind::Component);
        Ok(PulledArtifact { digest, layer_digest, kind, size, path, files: Vec::new(), manifests })
    }

    async fn pull_container(
        &self,
        session: &Session<'_>,
        found: Found,
        into: &Path,
        room: &dyn Room,
    ) -> Result<PulledArtifact, PullCause> {
        let document = &found.manifest.document;
        let (layers, limit) = (document.layers.len(), self.options.image_bytes_max);
        let size = document.container_parts().fold(0_u64, |sum, part| sum.saturating_add(part.size));
        if size > limit || layers > IMAGE_LAYERS_MAX {
            return Err(PullCause::ImageTooLarge { size, layers, limit });
        }
        room.make(size).await.map_err(PullCause::NoRoom)?;
        let digest = found.manifest.digest;
        let path = download::manifest_path(into, digest);
        let mut files = vec![(path.clone(), found.manifest.bytes.len() as u64)];
        for part in document.container_parts() {
            files.push((download::layer(session, part, download::blob_path(into, part.digest)).await?, part.size));
        }
        let manifests = found.keep(into).await?;
        let kind = ArtifactKind::Container;
        Ok(PulledArtifact { digest, layer_digest: digest, kind, size, path, files, manifests })
    }

    async fn find(&self, session: &Session<'_>, reference: &Reference, wanted: Wanted) -> Result<Found, PullCause> {
        let named = self.fetch(session, reference, None).await?;
        let chosen = match wanted {
            Wanted::Component => named.document.wasm_manifest(),
            Wanted::Any => named.document.runnable_manifest(),
        };
        let Some(chosen) = chosen else { return Ok(Found { manifest: named, index: None }) };
        let chosen = chosen.map_err(PullCause::NotAComponent)?;
        let chosen = self.fetch(session, reference, Some(chosen)).await?;
        match chosen.document.manifests {
            Some(_) => Err(PullCause::NotAComponent(NotAComponent::NestedIndex)),
            None => Ok(Found { manifest: chosen, index: Some(named) }),
        }
    }

    /// Gets the manifest of a reference, or that of an index's entry in the same repository.
    async fn fetch(
        &self,
        session: &Session<'_>,
        reference: &Reference,
        entry: Option<&Descriptor>,
    ) -> Result<Manifest, PullCause> {
        let key = entry.map_or_else(|| reference.manifest_key(), |entry| entry.digest.to_string());
        let what = format!("manifest `{key}` in `{}`", reference.repository());
        let transport = PullCause::Transport;
        let response = session.send(manifest_ask(session, &key, Method::GET, &what)).await.map_err(transport)?;
        let announced = content_digest(response.headers());
        let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.and_then(|value| value.split(';').next()).map(|value| value.trim().to_owned());
        let bytes = session.read(response, self.options.manifest_bytes_max, "manifest").await.map_err(transport)?;
        let digest = Digest::of(&bytes);
        let expected = entry.map_or(reference.digest(), |entry| Some(entry.digest)).or(announced);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            let registry = session.registry();
            return Err(PullCause::WrongDigest { what: "manifest", registry, expected, found: digest });
        }
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| PullCause::BadManifest(error.to_string()))?;
        let media_type = document.media_type.clone().or(content_type).unwrap_or_else(|| IMAGE_MANIFEST.to_owned());
        Ok(Manifest { digest, media_type, bytes, document })
    }
}

fn manifest_ask<'a>(session: &Session<'_>, key: &str, method: Method, what: &'a str) -> Ask<'a> {
    let accepted = format!("{IMAGE_MANIFEST}, {IMAGE_INDEX}, {DOCKER_MANIFEST}, {DOCKER_LIST}");
    let accepted = HeaderValue::try_from(accepted).expect("invariant: media types are a header value");
    let headers = HeaderMap::from_iter([(header::ACCEPT, accepted)]);
    Ask { method, url: session.url(&format!("manifests/{key}")), headers, body: None, what }
}

fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
