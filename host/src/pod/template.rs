//! What a pod is made of, without who it is: the part that all pods of one replica set share in memory.

use std::time::Duration;

use jiff::SignedDuration;

use super::probe::SharedChecks;
use crate::console::Stdin;
use crate::egress::Egress;
use crate::linux::spec::Security;
use crate::volumes::template::{Volume, VolumeMount};

/// A pod's containers and the rules for them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// At least one: first those that run before the others, each to its end, then the others.
    pub containers: Vec<ContainerTemplate>,
    /// How many run before the others.
    pub init_count: usize,
    /// Those of them that do not run by themselves but are linked into the others, in this order.
    pub libraries: Vec<usize>,
    /// What they may mount.
    pub volumes: Vec<Volume>,
    /// What happens when one ends.
    pub restart_policy: RestartPolicy,
    /// Time to end in.
    pub grace: SignedDuration,
    /// How the pod ranks by its requests and limits.
    pub qos: Qos,
}

/// What a pod's libraries bring to each container that they are linked into: an even part of their own requests and limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LibraryShare {
    /// Of `resources.limits.memory`.
    pub memory_bytes_max: u64,
    /// Of `resources.requests.cpu`.
    pub cpu_millis: u64,
    /// Of `resources.limits.cpu`.
    pub cpu_millis_max: u64,
}

impl Template {
    /// Whether a container does not run by itself.
    pub fn is_library(&self, index: usize) -> bool {
        self.libraries.contains(&index)
    }

    /// Whether a container runs before the others.
    pub fn is_init(&self, index: usize) -> bool {
        index < self.init_count
    }

    /// Whether a container runs by itself for as long as its pod.
    pub fn is_main(&self, index: usize) -> bool {
        !self.is_init(index) && !self.is_library(index)
    }

    /// How many containers run by themselves for as long as their pod.
    pub fn main_count(&self) -> usize {
        self.containers.len() - self.init_count - self.libraries.len()
    }

    /// What happens when a container ends. As with Kubernetes, one that runs before the others need not run twice.
    pub fn restart_policy_of(&self, index: usize) -> RestartPolicy {
        match self.restart_policy {
            RestartPolicy::Always if self.is_init(index) => RestartPolicy::OnFailure,
            policy => policy,
        }
    }

    /// What the libraries bring to each of them, so that the sum over the pod is what its spec says.
    pub fn library_share(&self) -> LibraryShare {
        let among = (self.main_count() as u64).max(1);
        let part = |amount: fn(&ContainerTemplate) -> Option<u64>| {
            let amounts = self.libraries.iter().filter_map(|index| amount(&self.containers[*index]));
            amounts.fold(0_u64, u64::saturating_add) / among
        };
        LibraryShare {
            memory_bytes_max: part(|library| library.memory_bytes_max),
            cpu_millis: part(|library| library.cpu_millis),
            cpu_millis_max: part(|library| library.cpu_millis_max),
        }
    }
}

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerTemplate {
    /// Its name.
    pub name: String,
    /// The image as written.
    pub image: String,
    /// When to pull it.
    pub pull_policy: PullPolicy,
    /// `command` and `args` in one list, `$(VAR)` not yet expanded.
    pub args: Vec<String>,
    /// Environment variables in the order in which they are resolved.
    pub env: Vec<EnvEntry>,
    /// The ConfigMaps that are its configuration, in the order in which their keys replace each other.
    pub config: Vec<Source>,
    /// Ports on which a handler answers.
    pub ports: Vec<u16>,
    /// `resources.limits.memory`.
    pub memory_bytes_max: Option<u64>,
    /// `resources.requests.cpu`, else the limit.
    pub cpu_millis: Option<u64>,
    /// `resources.limits.cpu`.
    pub cpu_millis_max: Option<u64>,
    /// Requests in flight at a time.
    pub concurrency: Option<u32>,
    /// Requests that one instance answers in its life.
    pub instance_reuse: Option<u32>,
    /// Longest time for one request.
    pub request_timeout: Option<Duration>,
    /// What it reaches outside of the cluster.
    pub egress: Egress,
    /// Where a command's input comes from.
    pub stdin: Stdin,
    /// What it sees of the pod's volumes.
    pub mounts: Vec<VolumeMount>,
    /// Its probes and hooks, where it has any.
    pub checks: SharedChecks,
    /// What concerns it if its image is a Linux image.
    pub linux: LinuxTemplate,
    /// Why it cannot be run as written.
    pub refusal: Option<Refusal>,
}

/// What a container's fields mean to a Linux image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinuxTemplate {
    /// So many of the container's `args` are its `command`.
    pub command_words: usize,
    /// `workingDir`.
    pub working_dir: Option<String>,
    /// `spec.hostname`; otherwise the pod's name.
    pub hostname: Option<String>,
    /// As whom it runs, and what it may.
    pub security: Security,
    /// Why it can't be run as written, if it is one.
    pub refusal: Option<String>,
}

/// Why a container cannot be run as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// `state.waiting.reason`.
    pub reason: &'static str,
    /// For people: field, reason, way out.
    pub message: String,
}

/// Where environment variables come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EnvEntry {
    /// `name: value`, `$(VAR)` not yet expanded.
    Value {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
    /// `valueFrom.fieldRef`.
    Field {
        /// The variable.
        name: String,
        /// Which field of the pod.
        field: PodField,
    },
    /// `valueFrom.configMapKeyRef` or `secretKeyRef`.
    Key {
        /// The variable.
        name: String,
        /// Which object.
        source: Source,
        /// Which of its keys.
        key: String,
    },
    /// `envFrom`: every key of an object.
    All {
        /// Which object.
        source: Source,
        /// Put before each key.
        prefix: String,
    },
}

/// An object that holds values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// Which kind.
    pub kind: SourceKind,
    /// Its name, in the pod's namespace.
    pub name: String,
    /// Nothing is wrong if it, or the key, is missing.
    pub is_optional: bool,
}

/// The kinds that hold values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// The fields of a pod that a variable may show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PodField {
    /// `metadata.name`
    Name,
    /// `metadata.namespace`
    Namespace,
    /// `metadata.uid`
    Uid,
    /// `status.podIP`
    PodIp,
    /// `status.hostIP`
    HostIp,
    /// `spec.nodeName`
    NodeName,
    /// `spec.serviceAccountName`
    ServiceAccountName(String),
    /// Labels or annotations, one or all, as they are now.
    Text(String),
    /// `resourceFieldRef`
    Resource(ResourceField),
}

/// A request or limit of a container, in units of a divisor and rounded up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceField {
    /// Of what.
    pub resource: Resource,
    /// Thousandths of a core, or bytes; a limit that isn't set is what the node has.
    pub amount: Option<i64>,
    /// In the same unit as the amount, and more than 0.
    pub divisor: i64,
}

/// What containers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `cpu`
    Cpu,
    /// `memory`
    Memory,
    /// `ephemeral-storage`
    EphemeralStorage,
}

/// What happens when a container ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// It is started again.
    Always,
    /// It is started again after a failure.
    OnFailure,
    /// It is left.
    Never,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PullPolicy {
    /// Its tag is looked up at each start.
    Always,
    /// Unless it is here.
    IfNotPresent,
    /// It must be here.
    Never,
}

/// How a pod ranks by its requests and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qos {
    /// Every container has equal requests and limits of CPU and memory.
    Guaranteed,
    /// Some request or limit is given.
    Burstable,
    /// None is.
    BestEffort,
}

impl Qos {
    /// `status.qosClass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Qos::Guaranteed => "Guaranteed",
            Qos::Burstable => "Burstable",
            Qos::BestEffort => "BestEffort",
        }
    }
}
