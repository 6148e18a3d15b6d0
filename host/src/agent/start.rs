//! Starting one container: its image, its environment, its runtime. The only place where a pod waits for others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use coracle_api::kinds;
use coracle_client::Client;
use coracle_registry::ArtifactKind;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Message;
use super::report::Note;
use crate::images::{Arrival, Image, Images};
use crate::inspect::inspect;
use crate::link::{self, Part};
use crate::logs::{LogKey, LogStore, Sink};
use crate::pod::environment::{self, Allocatable, Surroundings, Values};
use crate::pod::template::{LibraryShare, SourceKind};
use crate::pod::{ContainerTemplate, Failure, PullPolicy, Template};
use crate::runtime::{
    Clock, Container, ContainerSpec, Kept, Kind, Library, LinuxSpec, LogSink, Mount, PodIdentity, RequestFailure,
    Runtime, StartError, Stream,
};
use crate::volumes::{MountError, SetUpError, Volumes};

/// What Linux takes as a machine's name; Kubernetes cuts there, too.
const HOSTNAME_CHARACTERS_MAX: usize = 63;

/// What all starts need.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) images: Arc<Images>,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) volumes: Arc<Volumes>,
    pub(crate) node_name: String,
    pub(crate) host_ip: String,
    pub(crate) allocatable: Allocatable,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Which container to start.
pub(crate) struct Order {
    pub(crate) uid: Arc<str>,
    pub(crate) index: usize,
    pub(crate) identity: PodIdentity,
    pub(crate) template: Arc<Template>,
    pub(crate) incarnation: u32,
    /// The libraries that are linked into it, as references by digest.
    pub(crate) libraries: Vec<String>,
}

/// What became of it.
pub(crate) struct Outcome {
    pub(crate) uid: Arc<str>,
    pub(crate) index: usize,
    pub(crate) notes: Vec<Note>,
    pub(crate) result: Result<Started, Failure>,
}

/// A container that runs, or a library that is here.
pub(crate) struct Started {
    /// `None` for a library.
    pub(crate) container: Option<Box<dyn Container>>,
    pub(crate) image_id: String,
    /// What it is made from, on disk.
    pub(crate) kept: Vec<Kept>,
}

/// Starts the container and tells the agent.
pub(crate) async fn start(shared: Arc<Shared>, order: Order, messages: mpsc::UnboundedSender<Message>) {
    let (notes, kept) = (Vec::new(), Vec::new());
    let mut starter = Starter { shared: &shared, order: &order, messages: &messages, notes, kept };
    let result = starter.start().await;
    let notes = starter.notes;
    let Order { uid, index, .. } = order;
    // The agent is gone only when the host shuts down; the container ends with the message.
    let _ = messages.send(Message::Started(Outcome { uid, index, notes, result }));
}

struct Starter<'a> {
    shared: &'a Shared,
    order: &'a Order,
    messages: &'a mpsc::UnboundedSender<Message>,
    notes: Vec<Note>,
    /// What is held so far.
    kept: Vec<Kept>,
}

impl Starter<'_> {
    fn template(&self) -> &ContainerTemplate {
        &self.order.template.containers[self.order.index]
    }

    fn note(&self, is_warning: bool, reason: &'static str, message: String) -> Note {
        Note { uid: self.order.uid.clone(), container: Some(self.order.index), is_warning, reason, message }
    }

    fn failure(&self, reason: impl Into<String>, message: String, is_transient: bool) -> Failure {
        Failure { reason: reason.into(), message, at: self.shared.clock.now(), is_transient }
    }

    async fn start(&mut self) -> Result<Started, Failure> {
        if self.order.template.is_library(self.order.index) {
            return self.fetch_library().await;
        }
        self.volumes().await?;
        let image = self.image().await?;
        if image.kind == ArtifactKind::Container {
            self.refuse_linux()?;
        }
        let spec = self.spec(&image).await?;
        let prepared = self.shared.runtime.prepare(&spec).await;
        let prepared = prepared.map_err(|error| self.refused(error))?;
        self.kept.push(prepared.kept.clone());
        if let Some(kind) = prepared.kind() {
            self.refuse_checks(&spec.name, kind)?;
            self.refuse_endless(&spec.name, kind)?;
        }
        self.notes.push(self.note(false, "Created", format!("Created container: {}", spec.name)));
        let key = LogKey { uid: self.order.uid.clone(), container: spec.name.as_str().into() };
        let log = self.shared.logs.start(key, self.order.incarnation);
        let name = spec.name.clone();
        let (uid, messages) = (self.order.uid.clone(), self.messages.clone());
        let failure_told_at = Mutex::default();
        let sink = NotedSink { sink: Sink(log), uid, container: self.order.index, messages, failure_told_at };
        let started = self.shared.runtime.start(spec, prepared, Arc::new(sink)).await;
        let container = started.map_err(|error| self.refused(error))?;
        self.notes.push(self.note(false, "Started", format!("Started container {name}")));
        Ok(Started { container: Some(container), image_id: image.id, kept: std::mem::take(&mut self.kept) })
    }

    /// Pulls a library, and sees whether it is one. Whether it fits is seen when a container is linked with it.
    async fn fetch_library(&mut self) -> Result<Started, Failure> {
        let image = self.image().await?;
        if image.kind == ArtifactKind::Container {
            let message = format!("library {:?} is a Linux image: only components are linked", self.template().name);
            return Err(self.refuse(message));
        }
        let (name, path) = (self.template().name.clone(), image.path.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let bytes = std::fs::read(&path).map_err(|error| StartError::Host { reason: error.to_string() })?;
            let inspection = inspect(&bytes).map_err(StartError::Unusable)?;
            link::refuse_as_library(Part { name: &name, inspection: &inspection })
                .map_err(|error| StartError::LinkFailed { reason: error.to_string() })
        });
        let looked = looked.await.unwrap_or_else(|error| Err(StartError::Host { reason: error.to_string() }));
        looked.map_err(|error| self.refused(error))?;
        Ok(Started { container: None, image_id: image.id, kept: std::mem::take(&mut self.kept) })
    }

    /// The files of the libraries that are linked into the container.
    async fn libraries(&mut self) -> Result<Vec<Library>, Failure> {
        let template = &self.order.template;
        let is_shared = template.main_count() > 1;
        let mut libraries = Vec::new();
        for (index, id) in template.libraries.iter().zip(&self.order.libraries) {
            let image = self.shared.images.ensure(id, PullPolicy::IfNotPresent, || {}).await;
            let (image, _, hold) =
                image.map_err(|error| self.failure(error.reason, error.message, error.is_transient))?;
            self.kept.push(hold);
            libraries.push(Library {
                name: template.containers[*index].name.clone(),
                artifact: image.path,
                digest: image.layer_digest,
                is_shared,
            });
        }
        Ok(libraries)
    }

    /// Refuses probes and hooks that what turned up can't have.
    fn refuse_checks(&mut self, name: &str, kind: Kind) -> Result<(), Failure> {
        let Some(why) = self.template().checks.as_deref().and_then(|checks| checks.refuse_for(kind)) else {
            return Ok(());
        };
        let message = format!("container {name:?}: {why}");
        Err(self.refuse(message))
    }

    /// Refuses what a Linux container can't have.
    fn refuse_linux(&mut self) -> Result<(), Failure> {
        let refusal = self.template().linux.refusal.clone();
        refusal.map_or(Ok(()), |message| Err(self.refuse(message)))
    }

    fn refuse(&mut self, message: String) -> Failure {
        self.notes.push(self.note(true, "Failed", format!("Error: CreateContainerConfigError: {message}")));
        self.failure("CreateContainerConfigError", message, false)
    }

    /// Refuses a handler where others wait for its end.
    fn refuse_endless(&mut self, name: &str, kind: Kind) -> Result<(), Failure> {
        if !self.order.template.is_init(self.order.index) || kind.is_command() {
            return Ok(());
        }
        let message = format!(
            "init container {name:?} is a {}, which has no end; make it one of spec.containers",
            kind.describe()
        );
        Err(self.refuse(message))
    }

    fn refused(&mut self, error: StartError) -> Failure {
        let reason = error.reason();
        let is_transient = error.is_transient() || reason == "RunContainerError";
        self.notes.push(self.note(true, "Failed", format!("Error: {error}")));
        self.failure(reason, error.to_string(), is_transient)
    }

    /// Nothing starts before all of the pod's volumes are there.
    async fn volumes(&mut self) -> Result<(), Failure> {
        if self.order.template.volumes.is_empty() {
            return Ok(());
        }
        let Err(errors) = self.shared.volumes.set_up(&self.order.uid).await else { return Ok(()) };
        let lasting = errors.iter().find(|error| !error.is_transient);
        let failure = match lasting {
            Some(error) => self.failure("CreateContainerConfigError", error.message.clone(), false),
            None => self.failure(MOUNTING, String::new(), true),
        };
        self.notes.extend(errors.into_iter().map(|error| mount_note(&self.order.uid, error)));
        Err(failure)
    }

    async fn image(&mut self) -> Result<Image, Failure> {
        let template = self.template();
        let (name, policy) = (template.image.clone(), template.pull_policy);
        let pulling = self.note(false, "Pulling", format!("Pulling image {name:?}"));
        let messages = self.messages;
        let announce = move || {
            // The agent is gone only when the host shuts down.
            let _ = messages.send(Message::Note(pulling));
        };
        match self.shared.images.ensure(&name, policy, announce).await {
            Ok((image, arrival, hold)) => {
                self.kept.push(hold);
                let message = match arrival {
                    Arrival::Present => format!("Container image {name:?} already present on machine"),
                    Arrival::Pulled(took) => {
                        format!(
                            "Successfully pulled image {name:?} in {}ms. Image size: {} bytes.",
                            took.as_millis(),
                            image.size
                        )
                    }
                };
                self.notes.push(self.note(false, "Pulled", message));
                Ok(image)
            }
            Err(error) => {
                let message = match error.reason.as_str() {
                    "ErrImagePull" => format!("Failed to pull image {name:?}: {error}"),
                    reason => format!("Error: {reason}: {error}"),
                };
                self.notes.push(self.note(true, "Failed", message));
                Err(self.failure(error.reason.clone(), error.message.clone(), error.is_transient))
            }
        }
    }

    async fn spec(&mut self, image: &Image) -> Result<ContainerSpec, Failure> {
        let order = self.order;
        let (template, identity) = (&order.template.containers[order.index], &order.identity);
        let objects = self.objects(template).await?;
        let around = Surroundings {
            pod: identity,
            node_name: &self.shared.node_name,
            host_ip: &self.shared.host_ip,
            allocatable: self.shared.allocatable,
        };
        let resolved = match environment::resolve(template, around, &objects) {
            Ok(resolved) => resolved,
            Err(error) => {
                let message = error.to_string();
                let failure = self.failure("CreateContainerConfigError", message.clone(), true);
                self.notes.push(self.note(true, "Failed", format!("Error: {message}")));
                return Err(failure);
            }
        };
        let mounts = match template.mounts.is_empty() {
            true => Vec::new(),
            false => self.mounts(&resolved.env).await?,
        };
        let artifact: PathBuf = image.path.clone();
        let mut spec = ContainerSpec::new(identity.clone(), &template.name, artifact, &image.layer_digest);
        if image.kind == ArtifactKind::Container {
            spec.linux = Some(linux_spec(template, identity, &resolved.args));
        }
        spec.env = resolved.env;
        spec.config = resolved.config;
        spec.args = resolved.args;
        if !template.ports.is_empty() {
            spec.ports.clone_from(&template.ports);
        }
        let is_main = order.template.is_main(order.index);
        let share = if is_main { order.template.library_share() } else { LibraryShare::default() };
        spec.libraries = self.libraries().await?;
        spec.memory_bytes_max =
            template.memory_bytes_max.unwrap_or(spec.memory_bytes_max).saturating_add(share.memory_bytes_max);
        spec.cpu_millis =
            template.cpu_millis.unwrap_or(spec.cpu_millis).max(spec.cpu_millis).saturating_add(share.cpu_millis);
        spec.cpu_millis_max = template.cpu_millis_max.map(|millis| millis.saturating_add(share.cpu_millis_max));
        spec.concurrency = template.concurrency.unwrap_or(spec.concurrency);
        spec.instance_reuse = template.instance_reuse;
        spec.request_timeout = template.request_timeout.unwrap_or(spec.request_timeout);
        spec.stdin = template.stdin;
        spec.mounts = mounts;
        spec.egress = template.egress.clone();
        Ok(spec)
    }

    async fn mounts(&mut self, env: &[(String, String)]) -> Result<Vec<Mount>, Failure> {
        let mounts = self.shared.volumes.mounts(&self.order.uid, self.order.index, env).await;
        mounts.map_err(|error| {
            let message = format!("container {:?}: {error}", self.template().name);
            self.notes.push(self.note(true, "Failed", format!("Error: {message}")));
            self.failure("CreateContainerConfigError", message, !matches!(error, MountError::Refused { .. }))
        })
    }

    /// The objects that the container's variables come from, each asked for once.
    async fn objects(&self, template: &ContainerTemplate) -> Result<BTreeMap<(SourceKind, String), Values>, Failure> {
        let mut objects = BTreeMap::new();
        for (kind, name) in environment::sources(template) {
            let api_kind = match kind {
                SourceKind::ConfigMap => &kinds::CONFIG_MAP,
                SourceKind::Secret => &kinds::SECRET,
            };
            let values = match self.shared.client.get(api_kind, Some(&self.order.identity.namespace), &name).await {
                Ok(object) => Some(values(kind, &object)),
                Err(error) if error.is_not_found() => None,
                Err(error) => {
                    let message = format!("cannot read {} {name:?}: {error}", api_kind.singular);
                    return Err(self.failure("CreateContainerConfigError", message, true));
                }
            };
            objects.insert((kind, name), values);
        }
        Ok(objects)
    }
}

/// What a Linux container is started with; `args` are its command's words and its arguments' in one.
fn linux_spec(template: &ContainerTemplate, identity: &PodIdentity, args: &[String]) -> LinuxSpec {
    let linux = &template.linux;
    let (command, args) = args.split_at(linux.command_words.min(args.len()));
    LinuxSpec {
        command: command.to_vec(),
        args: args.to_vec(),
        working_dir: linux.working_dir.clone(),
        hostname: linux
            .hostname
            .clone()
            .unwrap_or_else(|| identity.name.chars().take(HOSTNAME_CHARACTERS_MAX).collect()),
        memory_bytes_max: template.memory_bytes_max,
        security: linux.security.clone(),
    }
}

/// The least time between two Events that tell of failed requests of a container: there may be thousands a second.
const FAILURES_PAUSE: Duration = Duration::from_secs(1);

/// A container's log; what it was denied becomes an Event, too, and what of its requests failed.
struct NotedSink {
    sink: Sink,
    uid: Arc<str>,
    container: usize,
    messages: mpsc::UnboundedSender<Message>,
    failure_told_at: Mutex<Option<Instant>>,
}

impl LogSink for NotedSink {
    fn write(&self, stream: Stream, line: &[u8]) {
        self.sink.write(stream, line);
    }

    fn write_lines(&self, stream: Stream, lines: &[u8]) {
        self.sink.write_lines(stream, lines);
    }

    fn denied(&self, why: &str) {
        self.sink.denied(why);
        self.note("Denied", why);
    }

    fn failed(&self, why: RequestFailure, message: &str) {
        let now = Instant::now();
        let mut told_at = self.failure_told_at.lock();
        if told_at.is_none_or(|told_at| now.duration_since(told_at) >= FAILURES_PAUSE) {
            *told_at = Some(now);
            self.note(why.as_str(), message);
        }
    }
}

impl NotedSink {
    fn note(&self, reason: &'static str, message: &str) {
        let (uid, container) = (self.uid.clone(), Some(self.container));
        let note = Note { uid, container, is_warning: true, reason, message: message.to_owned() };
        // The agent is gone only when the host shuts down.
        let _ = self.messages.send(Message::Note(note));
    }
}

/// Why a container waits while its pod's volumes cannot be set up: what Kubernetes calls it.
pub(crate) const MOUNTING: &str = "ContainerCreating";

/// What to tell of a volume that cannot be set up.
pub(crate) fn mount_note(uid: &Arc<str>, error: SetUpError) -> Note {
    Note { uid: uid.clone(), container: None, is_warning: true, reason: "FailedMount", message: error.message }
}

/// The entries of a ConfigMap's or Secret's `data` that are text.
fn values(kind: SourceKind, object: &Value) -> BTreeMap<String, String> {
    let entries = object["data"].as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| {
            let text = value.as_str()?;
            let text = match kind {
                SourceKind::ConfigMap => text.to_owned(),
                SourceKind::Secret => {
                    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
                    String::from_utf8(bytes).ok()?
                }
            };
            Some((key.clone(), text))
        })
        .collect()
}

/// A pause as the runtime takes it.
pub(crate) fn grace(grace: jiff::SignedDuration) -> Duration {
    grace.try_into().unwrap_or(Duration::ZERO)
}
