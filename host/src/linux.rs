//! Runs Linux images by way of the OCI runtime on PATH, crun: one container a pod, with a network of its own and nothing in it.
//!
//! What runs here must not outlive its host unseen: containers are this process's children, and those of a host that was killed are removed when
//! the next one opens their folder. Deliberately absent: networking, volumes, user namespaces, and hosts that aren't root.
//!
//! ```text
//! linux/layers/2c26b46b…      a layer, unpacked upon those below it
//! linux/containers/UID-NAME-1 a container's files: config.json, rootfs, what it wrote (upper)
//! linux/state/…               the OCI runtime's own
//! ```

mod adopted;
mod bundle;
mod cgroup;
mod container;
mod image;
mod launch;
mod layers;
mod quarters;
pub(crate) mod spec;
mod unpack;
mod user;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use parking_lot::Mutex;
use rustix::process::Signal;

use self::cgroup::Layout;
use self::container::LinuxContainer;
use self::image::{Config, Image, ImageError};
use self::launch::Containers;
use self::layers::Layers;
use self::quarters::Quarters;
use self::unpack::UnpackError;
use crate::console::Console;
use crate::disk_quota::{DiskQuota, Hold};
use crate::runtime::{Clock, Container, ContainerSpec, LogSink, Prepared, PreparedArtifact, Runtime, StartError};

/// The OCI runtime that is looked for.
const PROGRAM: &str = "crun";

/// The runtime for Linux images. Until the first of them it costs nothing.
pub struct LinuxRuntime {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    layers: Arc<Layers>,
    opened: tokio::sync::OnceCell<Arc<Shared>>,
    /// Held while layers are unpacked: images share them.
    unpacking: tokio::sync::Mutex<()>,
    images: Mutex<HashMap<String, Weak<PreparedImage>>>,
}

/// What all containers of a host have in common.
pub(crate) struct Shared {
    quarters: Quarters,
    containers: Containers,
    clock: Arc<dyn Clock>,
    names: AtomicU64,
}

/// An image that containers can be made from.
pub(crate) struct PreparedImage {
    config: Config,
    /// The names of its layers, the uppermost first.
    layers: Vec<String>,
    /// They stay where they are.
    _held: Vec<Hold>,
}

impl Shared {
    /// A name that no other has while this host runs.
    fn next_name(&self, stem: &str) -> String {
        format!("{stem}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }
}

impl LinuxRuntime {
    /// Keeps everything in `data_dir/linux`, layers within the quota. Containers that a host left there when it was killed are ended and
    /// removed.
    pub fn open(data_dir: &Path, clock: Arc<dyn Clock>, quota: Arc<DiskQuota>) -> LinuxRuntime {
        let dir = data_dir.join("linux");
        let runtime = LinuxRuntime {
            layers: Layers::open(dir.join("layers"), quota),
            dir,
            clock,
            opened: tokio::sync::OnceCell::new(),
            unpacking: tokio::sync::Mutex::default(),
            images: Mutex::default(),
        };
        runtime.sweep();
        runtime
    }

    fn sweep(&self) {
        let Ok(left) = std::fs::read_dir(self.dir.join("containers")) else { return };
        let ids: Vec<String> = left.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        if ids.is_empty() {
            return;
        }
        let swept = self.containers().and_then(|containers| {
            let quarters = self.quarters()?;
            let (tell, told) = std::sync::mpsc::channel();
            quarters.begin(move || {
                ids.iter().for_each(|id| containers.remove(id));
                // Whoever opens waits for it.
                let _ = tell.send(());
            });
            told.recv().map_err(|error| StartError::Host { reason: error.to_string() })
        });
        if let Err(error) = swept {
            tracing::warn!(%error, "containers of the host before this one cannot be removed");
        }
    }

    /// What it takes to run containers, or what is missing.
    fn containers(&self) -> Result<Containers, StartError> {
        let lacks = |reason: String| StartError::NoLinux { reason };
        if !rustix::process::geteuid().is_root() {
            return Err(lacks("it doesn't run as root; start it with sudo".to_owned()));
        }
        let program = find_program(PROGRAM).ok_or_else(|| {
            lacks(format!(
                "{PROGRAM} is not on its PATH; install it, with `apt install {PROGRAM}` or `dnf install {PROGRAM}`"
            ))
        })?;
        let unusable = |error: std::io::Error| StartError::Host { reason: format!("{}: {error}", self.dir.display()) };
        for part in ["layers", "containers", "state"] {
            std::fs::create_dir_all(self.dir.join(part)).map_err(unusable)?;
        }
        // Programs of images that anybody could start as they are would be another way to become root.
        rustix::fs::chmod(&self.dir, rustix::fs::Mode::RWXU).map_err(|error| unusable(error.into()))?;
        let dir = self.dir.canonicalize().map_err(unusable)?;
        let [containers, state] = ["containers", "state"].map(|part| dir.join(part));
        Ok(Containers { program, dir: containers, state, layout: Layout::look() })
    }

    fn quarters(&self) -> Result<Quarters, StartError> {
        let opened = Quarters::open(self.dir.join("layers"));
        opened.map_err(|error| StartError::NoLinux { reason: format!("it may not make namespaces: {error}") })
    }

    async fn shared(&self) -> Result<Arc<Shared>, StartError> {
        let open = async {
            let containers = self.containers()?;
            let host = |reason: String| StartError::Host { reason };
            let layers = self.dir.join("layers");
            layers::sweep(&layers).map_err(|error| host(format!("{}: {error}", layers.display())))?;
            // What the OCI runtime starts and leaves becomes this process's child, which waits for it.
            let own = rustix::process::getpid();
            rustix::process::set_child_subreaper(Some(own)).map_err(|error| host(error.to_string()))?;
            tokio::spawn(adopted::keep_reaping());
            let quarters = self.quarters()?;
            Ok(Arc::new(Shared { quarters, containers, clock: self.clock.clone(), names: AtomicU64::new(0) }))
        };
        self.opened.get_or_try_init(|| open).await.cloned()
    }

    fn known(&self, digest: &str) -> Option<Arc<PreparedImage>> {
        self.images.lock().get(digest).and_then(Weak::upgrade)
    }
}

#[async_trait]
impl Runtime for LinuxRuntime {
    async fn prepare(&self, spec: &ContainerSpec) -> Result<Prepared, StartError> {
        let shared = self.shared().await?;
        let prepared =
            |image: Arc<PreparedImage>| Ok(Prepared { artifact: PreparedArtifact::Image(image.clone()), kept: image });
        if let Some(image) = self.known(&spec.digest) {
            return prepared(image);
        }
        let _alone = self.unpacking.lock().await;
        if let Some(image) = self.known(&spec.digest) {
            return prepared(image);
        }
        // It is read from another working directory.
        let absolute = std::path::absolute(&spec.artifact);
        let manifest = absolute.map_err(|error| StartError::Host { reason: error.to_string() })?;
        let layers = self.layers.clone();
        let done = shared.quarters.run(move || {
            let image = Image::read(&manifest)?;
            let (names, held) = layers.ensure(&image)?;
            Ok(PreparedImage { config: image.config, layers: names, _held: held })
        });
        let image: Result<PreparedImage, StartError> =
            done.await.unwrap_or_else(|error| Err(StartError::Host { reason: error.to_string() }));
        let image = Arc::new(image?);
        let mut images = self.images.lock();
        images.retain(|_, image| image.strong_count() > 0);
        images.insert(spec.digest.clone(), Arc::downgrade(&image));
        prepared(image)
    }

    async fn start(
        &self,
        spec: ContainerSpec,
        prepared: Prepared,
        logs: Arc<dyn LogSink>,
    ) -> Result<Box<dyn Container>, StartError> {
        let shared = self.shared().await?;
        let PreparedArtifact::Image(image) = prepared.artifact else {
            return Err(StartError::Host { reason: "it is no Linux image".to_owned() });
        };
        let stop_signal = stop_signal(&image.config.stop_signal)?;
        let id: Arc<str> = shared.next_name(&format!("{}-{}", spec.pod.uid, spec.name)).into();
        let console = Console::new(spec.stdin);
        let (containers, own_id) = (shared.containers.clone(), id.clone());
        let launched = shared.quarters.run(move || containers.launch(&own_id, &spec, &image)).await;
        let launched = launched.unwrap_or_else(|error| Err(StartError::Host { reason: error.to_string() }))?;
        Ok(Box::new(LinuxContainer::supervise(shared, id, launched, stop_signal, console, logs)))
    }
}

impl From<ImageError> for StartError {
    fn from(error: ImageError) -> StartError {
        match error {
            ImageError::Read { .. } => StartError::Host { reason: error.to_string() },
            ImageError::Invalid(reason) => StartError::BadImage { reason },
        }
    }
}

impl From<UnpackError> for StartError {
    fn from(error: UnpackError) -> StartError {
        match error {
            UnpackError::Host { .. } => StartError::Host { reason: error.to_string() },
            UnpackError::Layer(reason) => StartError::BadImage { reason },
        }
    }
}

/// The signal that an image wants its programs to be stopped with: `SIGTERM` if it says nothing.
fn stop_signal(text: &str) -> Result<Signal, StartError> {
    const NAMES: [(&str, Signal); 8] = [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("HUP", Signal::HUP),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("WINCH", Signal::WINCH),
        ("KILL", Signal::KILL),
    ];
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let by_name = || NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal);
    let by_number = || text.parse().ok().and_then(Signal::from_named_raw);
    match text {
        "" => Ok(Signal::TERM),
        _ => by_name().or_else(by_number).ok_or_else(|| StartError::BadImage {
            reason: format!("its configuration has the stop signal {text:?}, which this host doesn't know"),
        }),
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests;
