//! The volumes of this host's pods: folders that are set up before containers start, follow what they are made from, and go with their pods.
//!
//! What files a volume holds is decided by pure functions ([`payload`]); here they are written. Deliberately absent: volumes that outlive
//! their pods, and `emptyDir` in memory.

mod atomic;
mod downward;
pub(crate) mod folder;
mod host_path;
mod keys;
mod mounts;
mod objects;
pub(crate) mod parse;
mod payload;
mod set_up;
mod size;
pub mod template;
mod token;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coracle_client::Client;
use futures::StreamExt as _;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use self::host_path::HostPath;
pub(crate) use self::mounts::MountError;
use self::mounts::{Content, Wanted};
use self::objects::{Key, Objects};
use self::payload::Inputs;
use self::set_up::{Known, PodVolumes, sources};
use self::template::{Part, Volume, VolumeMount, VolumeSource};
use crate::agent::Message;
use crate::pod::Template;
use crate::pod::environment::{self, Allocatable, Surroundings};
use crate::runtime::{Clock, Mount, PodIdentity};

/// Pods whose volumes are brought up to date at a time.
const REFRESHES_MAX: usize = 16;
/// The folder of containers' own files; no volume may be called so.
const MOUNTS: &str = ".mounts";

/// What the volumes of a host need.
pub(crate) struct Options {
    /// Where they are kept.
    pub(crate) dir: PathBuf,
    /// The cluster.
    pub(crate) client: Client,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The node's name.
    pub(crate) node_name: String,
    /// The node's address.
    pub(crate) host_ip: String,
    /// What the node has for pods.
    pub(crate) allocatable: Allocatable,
    /// Below these, pods may mount paths of the host.
    pub(crate) host_paths: Vec<PathBuf>,
    /// Hears of pods whose volumes changed.
    pub(crate) messages: mpsc::UnboundedSender<Message>,
}

/// The volumes of a host.
pub(crate) struct Volumes {
    options: Options,
    objects: Objects,
    pods: Mutex<HashMap<Arc<str>, Arc<PodVolumes>>>,
    /// When tokens of pods are to be renewed.
    renewals: Mutex<BTreeSet<(Timestamp, Arc<str>)>>,
    changes: mpsc::UnboundedSender<Change>,
}

/// What volumes may have to follow.
pub(crate) enum Change {
    /// An object changed.
    Object(Key),
    /// The pod itself did.
    Pod(Arc<str>),
    /// A token has another time at which it is renewed.
    Renewals,
}

/// Why a volume cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetUpError {
    /// For people; where it is Kubernetes' to fail so, in its words.
    pub(crate) message: String,
    /// It may work later, without the pod being changed.
    pub(crate) is_transient: bool,
}

impl Volumes {
    /// None yet. Must be called within the runtime, where a task follows changes for as long as this is there.
    pub(crate) fn open(options: Options) -> std::io::Result<Arc<Volumes>> {
        atomic::make_folder(&options.dir)?;
        let (changes, inbox) = mpsc::unbounded_channel();
        let objects = Objects::new(options.client.clone(), changes.clone());
        let volumes =
            Arc::new(Volumes { options, objects, pods: Mutex::default(), renewals: Mutex::default(), changes });
        tokio::spawn(follow(Arc::downgrade(&volumes), inbox));
        tokio::spawn(size::watch(Arc::downgrade(&volumes)));
        Ok(volumes)
    }

    /// A pod is there, or is written otherwise now: what it shows of itself changes, too.
    pub(crate) fn take(&self, uid: &Arc<str>, identity: &PodIdentity, template: &Arc<Template>) {
        if template.volumes.is_empty() {
            return;
        }
        let wanted = (identity.clone(), template.clone());
        let mut pods = self.pods.lock();
        if let Some(pod) = pods.get(uid) {
            *pod.wanted.lock() = wanted;
            // The task that hears it lives as long as this.
            let _ = self.changes.send(Change::Pod(uid.clone()));
        } else {
            let pod = PodVolumes { uid: uid.clone(), wanted: Mutex::new(wanted), state: tokio::sync::Mutex::default() };
            pods.insert(uid.clone(), Arc::new(pod));
        }
    }

    /// Sets up a pod's volumes, or brings them up to date; there is nothing to do for a pod that has none.
    pub(crate) async fn set_up(&self, uid: &Arc<str>) -> Result<(), Vec<SetUpError>> {
        let pod = self.pods.lock().get(uid).cloned();
        let Some(pod) = pod else { return Ok(()) };
        let mut state = pod.state.lock().await;
        self.bring_up_to_date(&pod, &mut state).await
    }

    /// What a container of a pod that is set up sees, given its variables.
    pub(crate) async fn mounts(
        &self,
        uid: &Arc<str>,
        index: usize,
        env: &[(String, String)],
    ) -> Result<Vec<Mount>, MountError> {
        let pod = self.pods.lock().get(uid).cloned();
        let Some(pod) = pod else { return Ok(Vec::new()) };
        let state = pod.state.lock().await;
        let (identity, template) = pod.wanted.lock().clone();
        let known = state.known().await;
        let inputs = self.inputs(&identity, &known);
        let container = &template.containers[index];
        let mut wanted = Vec::new();
        for mount in &container.mounts {
            let volume = template.volumes.iter().find(|volume| volume.name == mount.volume);
            let volume = volume.expect("a pod whose mounts name no volume of it is refused");
            let content = self.content(uid, volume, mount, env, inputs)?;
            wanted.push(Wanted { path: mount.path.clone(), is_read_only: mount.is_read_only, content });
        }
        let own = self.folder(uid).join(MOUNTS).join(&container.name);
        let prepared = tokio::task::spawn_blocking(move || mounts::prepare(wanted, &own)).await;
        prepared.unwrap_or_else(|error| Err(MountError::Io(std::io::Error::other(error))))
    }

    /// The pod is gone, or over: so are its volumes.
    pub(crate) fn release(&self, uid: &Arc<str>) {
        let Some(pod) = self.pods.lock().remove(uid) else { return };
        self.renewals.lock().retain(|(_, other)| other != uid);
        let folder = self.folder(uid);
        tokio::spawn(async move {
            let mut state = pod.state.lock().await;
            state.release();
            let _ = tokio::task::spawn_blocking(move || remove(&folder)).await;
        });
    }

    /// Removes what pods left behind that are none of these.
    pub(crate) fn retain(&self, uids: &HashSet<Arc<str>>) {
        for entry in fs::read_dir(&self.options.dir).into_iter().flatten().flatten() {
            let is_known = entry.file_name().to_str().is_some_and(|name| uids.contains(name));
            if !is_known {
                tokio::task::spawn_blocking(move || remove(&entry.path()));
            }
        }
    }

    fn folder(&self, uid: &str) -> PathBuf {
        self.options.dir.join(uid)
    }

    fn inputs<'a>(&'a self, identity: &'a PodIdentity, known: &'a Known) -> Inputs<'a> {
        let Options { node_name, host_ip, allocatable, .. } = &self.options;
        let around = Surroundings { pod: identity, node_name, host_ip, allocatable: *allocatable };
        Inputs { around, objects: &known.objects, tokens: &known.tokens }
    }

    /// What a mount leads to.
    fn content(
        &self,
        uid: &str,
        volume: &Volume,
        mount: &VolumeMount,
        env: &[(String, String)],
        inputs: Inputs<'_>,
    ) -> Result<Content, MountError> {
        let part = match &mount.part {
            Part::Whole => None,
            Part::Below(path) => Some(path.clone()),
            Part::Expression(expression) => Some(expanded(expression, env, &volume.name)?),
        };
        let folder = match &volume.source {
            VolumeSource::Files(projections) if part.is_some() => {
                let failed = |error: payload::PayloadError| mounts::sub_path(&volume.name, &error.to_string());
                let files = payload::payload(projections, inputs).map_err(failed)?;
                let part = payload::part(&files, part.as_deref().unwrap_or_default());
                return mounts::written(part, &volume.name);
            }
            VolumeSource::EmptyDir { .. } | VolumeSource::Files(_) => {
                folder::Folder::new(self.folder(uid).join(&volume.name))
            }
            VolumeSource::HostPath { path, kind } => match host_path::find(path, *kind, &self.options.host_paths) {
                Ok(HostPath::Folder(folder)) => folder,
                Ok(HostPath::File) => return Err(mounts::host_file(&mount.path)),
                Err(error) => return Err(mounts::sub_path(&volume.name, &error.to_string())),
            },
        };
        let Some(part) = part else { return Ok(Content::Folder(folder)) };
        match mounts::below(&folder, &part, &volume.name)? {
            Content::File(_) if matches!(volume.source, VolumeSource::HostPath { .. }) => {
                Err(mounts::host_file(&mount.path))
            }
            content => Ok(content),
        }
    }

    /// Pods that are made from an object.
    fn pods_of(&self, key: &Key) -> Vec<Arc<PodVolumes>> {
        let (namespace, kind, name) = key;
        let pods = self.pods.lock();
        let is_made_of = |pod: &&Arc<PodVolumes>| {
            let wanted = pod.wanted.lock();
            let mut sources = wanted.1.volumes.iter().flat_map(sources);
            wanted.0.namespace == *namespace && sources.any(|source| source.0 == *kind && source.1 == *name)
        };
        pods.values().filter(is_made_of).cloned().collect()
    }

    async fn refresh(&self, pod: &PodVolumes) {
        let mut state = pod.state.lock().await;
        let was_up = state.is_up;
        let result = self.bring_up_to_date(pod, &mut state).await;
        // One that waits to be set up says itself why it does.
        let failures = result.err().filter(|_| was_up).unwrap_or_default();
        // The agent is gone only when the host ends.
        let _ = self.options.messages.send(Message::VolumesChanged { uid: pod.uid.clone(), failures });
    }

    /// The pods whose tokens are to be renewed by now.
    fn due(&self) -> Vec<Arc<PodVolumes>> {
        let now = self.options.clock.now();
        let mut renewals = self.renewals.lock();
        let due: Vec<_> = renewals.iter().take_while(|(at, _)| *at <= now).cloned().collect();
        renewals.retain(|entry| !due.contains(entry));
        let pods = self.pods.lock();
        due.iter().filter_map(|(_, uid)| pods.get(uid).cloned()).collect()
    }

    fn until_next_renewal(&self) -> Option<Duration> {
        let at = self.renewals.lock().first()?.0;
        let left = self.options.clock.now().duration_until(at);
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO) + Duration::from_millis(1))
    }
}

/// Brings volumes up to date as what they are made from changes.
async fn follow(volumes: std::sync::Weak<Volumes>, mut inbox: mpsc::UnboundedReceiver<Change>) {
    loop {
        let Some(pause) = volumes.upgrade().map(|volumes| volumes.until_next_renewal()) else { return };
        let renewal = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        let change = tokio::select! {
            change = inbox.recv() => match change {
                Some(change) => change,
                None => return,
            },
            () = renewal => Change::Renewals,
        };
        let Some(volumes) = volumes.upgrade() else { return };
        let pods = match change {
            Change::Object(key) => volumes.pods_of(&key),
            Change::Pod(uid) => volumes.pods.lock().get(&uid).cloned().into_iter().collect(),
            Change::Renewals => volumes.due(),
        };
        futures::stream::iter(pods).for_each_concurrent(REFRESHES_MAX, async |pod| volumes.refresh(&pod).await).await;
    }
}

/// `subPathExpr` with the container's variables in it; the texts are Kubernetes'.
fn expanded(expression: &str, env: &[(String, String)], volume: &str) -> Result<String, MountError> {
    let path = environment::expand_all(expression, env)
        .map_err(|missing| mounts::sub_path(volume, &format!("missing value for {missing:?}")))?;
    if path.starts_with('/') {
        return Err(mounts::sub_path(volume, &format!("error SubPath `{path}` must not be an absolute path")));
    }
    if path.split('/').any(|step| step == "..") {
        let cause = format!("unable to provision SubPath `{path}`: must not contain '..'");
        return Err(mounts::sub_path(volume, &cause));
    }
    Ok(path)
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "the volumes of a pod that is gone could not be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
