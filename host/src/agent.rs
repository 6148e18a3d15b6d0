//! The node agent: watches the pods bound to this host, runs them, and reports what became of them.
//!
//! One task owns all state; a pod that merely answers requests is an entry in a map. What to do is decided by
//! [`pod::step`](crate::pod::step); here it is carried out. Deliberately absent: placing pods, and deciding what should run.

mod handlers;
mod metrics;
mod pods;
mod recorder;
mod report;
mod start;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::kinds;
use coracle_client::{Client, InformerEvent, ListOptions};
use coracle_net::addresses::{Addresses, Cidr};
use coracle_registry::Reference;
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::ahead;
use crate::disk_quota::DiskQuota;
use crate::images::{Images, Source};
use crate::logs::LogStore;
use crate::node::{self, Machine, NodeFacts};
use crate::pod::environment::Allocatable;
use crate::runtime::{Clock, Runtime};
use crate::server::{self, ServerIdentity, Sources};
use crate::usage::{self, Usage};
use crate::volumes::{self, SetUpError, Volumes};
pub use handlers::PodHandlers;
pub use metrics::Totals;
use pods::Pods;
pub(crate) use pods::{FoundContainer, FoundPod};
use start::Shared;

/// Events taken at a time before what they led to is reported.
const TURN_EVENTS_MAX: usize = 1024;

/// What a host is made of.
pub struct HostOptions {
    /// The node's name.
    pub node_name: String,
    /// The node's address, as others reach it.
    pub internal_ip: String,
    /// Where images, logs and volumes are kept.
    pub data_dir: PathBuf,
    /// Below these, pods may mount paths of this machine.
    pub host_paths: Vec<PathBuf>,
    /// The cluster.
    pub client: Client,
    /// What runs containers.
    pub runtime: Arc<dyn Runtime>,
    /// Where images come from.
    pub images: Arc<dyn Source>,
    /// Components as they are pushed to a registry of this process, by digest, to be compiled ahead.
    pub pushed: Option<mpsc::Receiver<Reference>>,
    /// What images may take on disk; the runtime's own.
    pub quota: Arc<DiskQuota>,
    /// Where the log server listens.
    pub listener: TcpListener,
    /// Who the log server is, and whom it answers.
    pub identity: ServerIdentity,
    /// Most pods, should the node's range have addresses for so many.
    pub pods_max: u32,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the handlers of running pods are found; shared with the ingress.
    pub handlers: Arc<PodHandlers>,
    /// What the ingress of this host counts, served with the host's own figures.
    pub ingress: Arc<coracle_net::Metrics>,
    /// Whether the control plane hears the host.
    pub heard: watch::Sender<bool>,
    /// Ends the host.
    pub shutdown: CancellationToken,
}

/// Why a host cannot run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The data directory cannot be used.
    #[error("the host cannot use {}: {cause}", .path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The host is none any more.
    #[error("{node} is no host of the cluster any more")]
    Deleted {
        /// The node's name.
        node: String,
        /// Why.
        source: node::Deleted,
    },
    /// The log server cannot be set up.
    #[error("the host's server cannot start: {0}")]
    Server(String),
}

/// What reaches the agent from the tasks it started and from its server.
pub(crate) enum Message {
    Started(start::Outcome),
    Note(report::Note),
    VolumesChanged { uid: Arc<str>, failures: Vec<SetUpError> },
    VolumeOverfull { uid: Arc<str>, message: String },
    Probed(crate::probes::News),
    Hooked(pods::HookEnded),
    Find { namespace: String, name: String, reply: tokio::sync::oneshot::Sender<Option<FoundPod>> },
    Totals { reply: tokio::sync::oneshot::Sender<Totals> },
    Usage { reply: tokio::sync::oneshot::Sender<Usage> },
}

/// Runs the host until `shutdown`, which it ends itself when its Node was deleted.
pub async fn run(mut options: HostOptions) -> Result<(), HostError> {
    let shutdown = options.shutdown.clone();
    std::fs::create_dir_all(&options.data_dir)
        .map_err(|cause| HostError::DataDir { path: options.data_dir.clone(), cause })?;
    let port = options.listener.local_addr().map_err(|error| HostError::Server(error.to_string()))?.port();
    let facts = Arc::new(NodeFacts {
        name: options.node_name.clone(),
        internal_ip: options.internal_ip.clone(),
        port,
        pods: options.pods_max,
        machine: Machine::look(&options.data_dir),
    });
    let (messages, mut inbox) = mpsc::unbounded_channel();
    let shared = shared(&options, facts.machine.allocatable(), &messages)?;
    let sources = Sources {
        messages: messages.clone(),
        logs: shared.logs.clone(),
        images_dir: options.data_dir.join("images"),
        quota: options.quota.clone(),
        clock: options.clock.clone(),
        handlers: options.handlers.clone(),
        ingress: options.ingress.clone(),
        certificate: options.identity.certificate.clone(),
        shutdown: shutdown.clone(),
    };
    let server =
        server::serve(options.listener, &options.identity, sources, shutdown.clone()).map_err(HostError::Server)?;
    if let Some(pushed) = options.pushed.take() {
        let (images, runtime) = (shared.images.clone(), shared.runtime.clone());
        // Ends with `shutdown`.
        tokio::spawn(ahead::run(images, runtime, pushed, shutdown.clone()));
    }
    let (client, clock) = (options.client.clone(), options.clock.clone());
    let (given, mut range) = watch::channel(None);
    let registration =
        tokio::spawn(node::keep_registered(client.clone(), facts.clone(), clock.clone(), given, shutdown.clone()));
    let keeping = node::keep_alive(client.clone(), facts.clone(), clock.clone(), options.heard, shutdown.clone());
    let lease = tokio::spawn(async move {
        let kept = keeping.await;
        // Whoever deleted the Node wants nothing to run here any more.
        kept.inspect_err(|_| shutdown.cancel())
    });
    // The requests of other hosts end before the pods that answer them.
    let pods_shutdown = CancellationToken::new();
    let server = tokio::spawn({
        let ended = pods_shutdown.clone();
        async move {
            let result = server.await;
            ended.cancel();
            result
        }
    });
    if let Some(range) = wait_for_range(&mut range, &mut inbox, &pods_shutdown).await {
        let pods = Pods::new(shared, Addresses::new(range), options.handlers, messages);
        let selector = ListOptions::fields(format!("spec.nodeName={}", options.node_name));
        Agent { pods, inbox, shutdown: pods_shutdown }.run(client.informer(&kinds::POD, None, selector)).await;
    }
    // All three end with `shutdown`; a panic in one of them was reported by its hook.
    let (_, _, kept) = tokio::join!(server, registration, lease);
    kept.unwrap_or(Ok(())).map_err(|source| HostError::Deleted { node: options.node_name, source })
}

/// Opens what the host keeps on disk.
fn shared(
    options: &HostOptions,
    allocatable: Allocatable,
    messages: &mpsc::UnboundedSender<Message>,
) -> Result<Arc<Shared>, HostError> {
    let [pods_dir, images_dir, volumes_dir] = ["pods", "images", "volumes"].map(|name| options.data_dir.join(name));
    let at = |path: &PathBuf| {
        let path = path.clone();
        move |cause| HostError::DataDir { path, cause }
    };
    let volumes = volumes::Options {
        dir: volumes_dir.clone(),
        client: options.client.clone(),
        clock: options.clock.clone(),
        node_name: options.node_name.clone(),
        host_ip: options.internal_ip.clone(),
        allocatable,
        host_paths: options.host_paths.clone(),
        messages: messages.clone(),
    };
    Ok(Arc::new(Shared {
        client: options.client.clone(),
        runtime: options.runtime.clone(),
        images: Images::open(images_dir.clone(), options.images.clone(), options.quota.clone())
            .map_err(at(&images_dir))?,
        logs: LogStore::open(pods_dir.clone(), options.clock.clone()).map_err(at(&pods_dir))?,
        volumes: Volumes::open(volumes).map_err(at(&volumes_dir))?,
        node_name: options.node_name.clone(),
        host_ip: options.internal_ip.clone(),
        allocatable,
        clock: options.clock.clone(),
    }))
}

/// The node's range of pod addresses, once it has one; until then there are no pods. `None` when the host ends before.
async fn wait_for_range(
    range: &mut watch::Receiver<Option<Cidr>>,
    inbox: &mut mpsc::UnboundedReceiver<Message>,
    shutdown: &CancellationToken,
) -> Option<Cidr> {
    loop {
        tokio::select! {
            given = range.wait_for(Option::is_some) => return given.ok().and_then(|given| *given),
            () = shutdown.cancelled() => return None,
            Some(message) = inbox.recv() => match message {
                // Whoever asked may have gone away.
                Message::Find { reply, .. } => drop(reply.send(None)),
                Message::Totals { reply } => drop(reply.send(Totals::default())),
                Message::Usage { reply } => drop(reply.send(Usage::default())),
                Message::Started(_)
                | Message::Note(_)
                | Message::VolumesChanged { .. }
                | Message::VolumeOverfull { .. }
                | Message::Probed(_)
                | Message::Hooked(_) => {}
            },
        }
    }
}

struct Agent {
    pods: Pods,
    inbox: mpsc::UnboundedReceiver<Message>,
    shutdown: CancellationToken,
}

impl Agent {
    async fn run(mut self, mut events: impl Stream<Item = InformerEvent> + Unpin) {
        let mut looks = tokio::time::interval(usage::INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let pause = self.pods.until_next_wake();
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                event = events.next() => match event {
                    Some(event) => self.pods.take(event),
                    None => break,
                },
                Some(message) = self.inbox.recv() => self.pods.receive(message),
                news = self.pods.news() => self.pods.learn(news),
                _ = looks.tick() => self.pods.look_at_usage(),
                () = sleep(pause) => {}
            }
            self.drain(&mut events);
            self.pods.turn();
        }
        self.pods.stop_all();
    }

    /// Takes what else is there already, so that it is reported together.
    fn drain(&mut self, events: &mut (impl Stream<Item = InformerEvent> + Unpin)) {
        for _ in 0..TURN_EVENTS_MAX {
            let mut is_idle = true;
            if let Some(Some(event)) = events.next().now_or_never() {
                self.pods.take(event);
                is_idle = false;
            }
            if let Ok(message) = self.inbox.try_recv() {
                self.pods.receive(message);
                is_idle = false;
            }
            if let Some(news) = self.pods.news().now_or_never() {
                self.pods.learn(news);
                is_idle = false;
            }
            if is_idle {
                return;
            }
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
