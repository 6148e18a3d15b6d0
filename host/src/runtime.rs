//! The seam between the node agent and what runs containers: components and Linux images, behind the same traits.
//!
//! Deliberately absent: pods, probes, restarts and back-off. A runtime runs one container once and says how it ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coracle_net::{Body, RequestBody, RequestContext};
use futures::future::BoxFuture;
use http::{Request, Response};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::console::{Console, Stdin};
use crate::egress::Egress;
pub use crate::inspect::{InspectError, Inspection, Kind, inspect};
pub use crate::linux::spec::{LinuxSpec, Security};
pub use crate::volumes::folder::Folder;

/// Runs containers of one kind.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Checks, compiles and links the component, and starts it once for trial; unpacks the Linux image. Cached by digest; concurrent calls
    /// for one digest share the work.
    async fn prepare(&self, spec: &ContainerSpec) -> Result<Prepared, StartError>;

    /// Starts the container. A command begins to run; a handler becomes callable.
    async fn start(
        &self,
        spec: ContainerSpec,
        prepared: Prepared,
        logs: Arc<dyn LogSink>,
    ) -> Result<Box<dyn Container>, StartError>;

    /// Compiles a component for which no container waits so far, behind what containers wait for, so that it need not be when one does.
    /// Does nothing for what can't run by itself.
    async fn compile_ahead(&self, _artifact: &Path, _digest: &str) -> Result<(), StartError> {
        Ok(())
    }

    /// Compilations begun so far.
    fn compilations(&self) -> u64 {
        0
    }

    /// Components whose code is in memory.
    fn components_in_memory(&self) -> u64 {
        0
    }
}

/// A started container.
pub trait Container: Send + Sync {
    /// How the container ended; `None` while it runs.
    fn exited(&self) -> watch::Receiver<Option<Exit>>;

    /// Asks the container to end and kills it after `grace`. Returns at once; `exited` tells when it is done.
    fn stop(&self, grace: Duration);

    /// What answers HTTP requests to the container's ports, if it is a handler.
    fn handler(&self) -> Option<Arc<dyn coracle_net::Handler>>;

    /// Lets the container answer a request of its host's own, a probe's or a hook's: under the limits of any other, but neither
    /// counted nor logged as one. Dropped, the request is given up. `None` if it is no handler.
    fn ask(&self, _request: Request<RequestBody>, _context: RequestContext) -> Option<Answer> {
        None
    }

    /// What the container used so far.
    fn stats(&self) -> Stats;

    /// Its standard streams, if it is a command.
    fn console(&self) -> Option<Arc<Console>>;

    /// Readies a program to run beside the container, with its environment and standard streams of its own: the same component once more
    /// with these words as program name and arguments and with limits of its own, or a program within the Linux container.
    fn exec(&self, words: Vec<String>, console: Arc<Console>) -> Result<Start, ExecError>;
}

/// What came of a request of the host's own.
pub type Answer = BoxFuture<'static, Result<Response<Body>, Unanswered>>;

/// Why the component gave no answer of its own: it failed, took too long, or was not even called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// Starts what was readied; dropped, it never runs.
pub type Start = Box<dyn FnOnce() -> Arc<dyn Container> + Send>;

/// Why nothing can be run beside a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// It has no program that could be run again.
    #[error("it answers HTTP requests and has no program to run")]
    NotACommand,
    /// Too much runs beside it, or on this host, already.
    #[error("{max} programs run beside {what} already; wait for one to end")]
    TooMany {
        /// `this container` or `the containers of this host`.
        what: &'static str,
        /// So many are allowed.
        max: usize,
    },
}

/// Where a container's output goes. Bounded; never blocks the guest for long.
pub trait LogSink: Send + Sync {
    /// Appends one line, given without its line feed.
    fn write(&self, stream: Stream, line: &[u8]);

    /// Appends several lines, each ended by a line feed. Sinks with a file should override it to write once.
    fn write_lines(&self, stream: Stream, lines: &[u8]) {
        lines.split_inclusive(|&byte| byte == b'\n').for_each(|line| {
            self.write(stream, line.strip_suffix(b"\n").unwrap_or(line));
        });
    }

    /// The container was not given what it asked for: one line that says what and why. Told once for each thing, not each time.
    fn denied(&self, why: &str) {
        self.write(Stream::Stderr, why.as_bytes());
    }

    /// A request cost the instance that had it its life. Sinks that tell of it elsewhere need not tell of each.
    fn failed(&self, _why: RequestFailure, _message: &str) {}
}

/// Why a request ended an instance. `as_str` is the reason of the Event that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestFailure {
    /// It asked for more memory than its container has.
    OomKilled,
    /// It gave no answer within the time for requests.
    DeadlineExceeded,
    /// It trapped, or broke another limit.
    Trapped,
}

impl RequestFailure {
    /// The word shown to users.
    pub fn as_str(self) -> &'static str {
        match self {
            RequestFailure::OomKilled => "OOMKilled",
            RequestFailure::DeadlineExceeded => "DeadlineExceeded",
            RequestFailure::Trapped => "Trapped",
        }
    }
}

/// The two streams of a container's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, and a handler's access lines.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The pod that a container belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodIdentity {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// The pod's address, as text.
    pub ip: String,
}

/// All that a runtime needs to know to run one container.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// The pod it belongs to.
    pub pod: PodIdentity,
    /// The container's name within its pod.
    pub name: String,
    /// The artifact on disk (for components the `.wasm` file, for Linux images the manifest), named by its digest and never changed.
    pub artifact: PathBuf,
    /// The artifact's digest, `sha256:` and 64 hex digits; the key of every cache, but for what is linked.
    pub digest: String,
    /// What is linked into it before it is compiled, in order.
    pub libraries: Vec<Library>,
    /// Arguments after the program name.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// What `wasi:config` tells a component, by key; `None` where its pod declares nothing.
    pub config: Option<BTreeMap<String, String>>,
    /// Ports on which a handler answers.
    pub ports: Vec<u16>,
    /// All memory an instance may have.
    pub memory_bytes_max: u64,
    /// Its weight where containers compete for the processor, in thousandths of a core: `requests.cpu`.
    pub cpu_millis: u64,
    /// The most that it may use, in thousandths of a core: `limits.cpu`.
    pub cpu_millis_max: Option<u64>,
    /// Requests in flight; more wait in a bounded queue.
    pub concurrency: u32,
    /// Requests that one instance of a handler answers in its life; `None` is one for WASI 0.2 and 128 for 0.3.
    pub instance_reuse: Option<u32>,
    /// Longest time for one request.
    pub request_timeout: Duration,
    /// Where a command's input comes from.
    pub stdin: Stdin,
    /// What it sees of this host's files; nothing else.
    pub mounts: Vec<Mount>,
    /// What it reaches outside of the cluster; nothing else.
    pub egress: Egress,
    /// What concerns a Linux container only; `None` for a component.
    pub linux: Option<LinuxSpec>,
}

/// A component whose exports satisfy another's imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its container's name.
    pub name: String,
    /// The artifact on disk.
    pub artifact: PathBuf,
    /// The artifact's digest.
    pub digest: String,
    /// It may be for other containers of the pod: nothing is wrong where it is not needed.
    pub is_shared: bool,
}

/// A folder that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where: absolute. The longest path that a file's path starts with is its mount.
    pub path: String,
    /// Which folder of this host.
    pub folder: Folder,
    /// The container may not change anything in it.
    pub is_read_only: bool,
}

/// The weight of a container that asks for nothing: the least there is, as kubelet has it (`MinShares`).
const CPU_MILLIS_DEFAULT: u64 = 2;

impl ContainerSpec {
    /// A spec with the stated defaults: port 8080, 128 MiB, the least weight, 100 requests at a time, 30 s a request.
    pub fn new(pod: PodIdentity, name: &str, artifact: PathBuf, digest: &str) -> ContainerSpec {
        ContainerSpec {
            pod,
            name: name.to_owned(),
            artifact,
            digest: digest.to_owned(),
            libraries: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            config: None,
            ports: vec![8080],
            memory_bytes_max: 128 << 20,
            cpu_millis: CPU_MILLIS_DEFAULT,
            cpu_millis_max: None,
            concurrency: 100,
            instance_reuse: None,
            request_timeout: Duration::from_secs(30),
            stdin: Stdin::Closed,
            mounts: Vec::new(),
            egress: Egress::default(),
            linux: None,
        }
    }
}

/// What `prepare` made: opaque, cheap to clone, shared by all containers of one digest.
#[derive(Clone)]
pub struct Prepared {
    pub(crate) artifact: PreparedArtifact,
    /// What it is made from stays on disk as long as this is kept.
    pub(crate) kept: Kept,
}

/// Keeps something on disk, while anybody has it.
pub(crate) type Kept = Arc<dyn Send + Sync>;

#[derive(Clone)]
pub(crate) enum PreparedArtifact {
    Component(Arc<crate::wasm::component::PreparedComponent>),
    Image(Arc<crate::linux::PreparedImage>),
}

impl Prepared {
    /// What the component is; `None` for a Linux image.
    pub fn kind(&self) -> Option<Kind> {
        match &self.artifact {
            PreparedArtifact::Component(component) => Some(component.traits.kind),
            PreparedArtifact::Image(_) => None,
        }
    }

    /// Time that compilation took for this call's process; zero if it came from the cache, or needs none.
    pub fn compile_time(&self) -> Duration {
        match &self.artifact {
            PreparedArtifact::Component(component) => component.traits.compile_time,
            PreparedArtifact::Image(_) => Duration::ZERO,
        }
    }
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code: 0 is success, 137 killed, 1 for a trap.
    pub code: i32,
    /// Why it ended.
    pub reason: ExitReason,
    /// One line for the user; empty when there is nothing to add.
    pub message: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// Why a container ended. `as_str` is what Kubernetes shows as `state.terminated.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitReason {
    /// It returned success.
    Completed,
    /// It returned or exited with a failure, or trapped.
    Error,
    /// It asked for more memory than its limit.
    OomKilled,
    /// It was stopped and did not end within its grace.
    Killed,
    /// A handler failed its first requests and answered none, so it counts as broken.
    NeverAnswered,
}

impl ExitReason {
    /// The word shown to users.
    pub fn as_str(self) -> &'static str {
        match self {
            ExitReason::Completed => "Completed",
            ExitReason::Error | ExitReason::NeverAnswered | ExitReason::Killed => "Error",
            ExitReason::OomKilled => "OOMKilled",
        }
    }
}

/// What a container used since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests answered, by the guest or with an error in its place.
    pub requests: u64,
    /// Requests in flight now.
    pub requests_active: u64,
    /// Requests turned away because the queue was full.
    pub requests_refused: u64,
    /// Requests that ran into the time limit.
    pub timeouts: u64,
    /// Traps.
    pub traps: u64,
    /// Memory of the live instances now.
    pub memory_bytes: u64,
    /// CPU time spent in the guest, to the accuracy of one epoch tick for anything longer than a tick.
    pub cpu_ns: u64,
    /// Requests that it sent to others.
    pub calls: u64,
}

/// Why a container could not start. The text is what the user sees.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The artifact can't be used by any runtime.
    #[error("{0}")]
    Unusable(InspectError),
    /// It is a component, but neither a handler nor a command.
    #[error(
        "the component exports neither a handler (wasi:http/incoming-handler@0.2, wasi:http/handler@0.3) nor a command (wasi:cli/run); it exports {exports}"
    )]
    NothingToRun {
        /// What it exports instead.
        exports: String,
    },
    /// It imports what this host doesn't provide.
    #[error("the component imports {}, which nothing here provides", .imports.join(", "))]
    UnknownImport {
        /// The imports, by name.
        imports: Vec<String>,
    },
    /// It can't be linked although the names are known.
    #[error("the component cannot be linked: {reason}")]
    LinkFailed {
        /// What did not fit.
        reason: String,
    },
    /// It is bigger than the host compiles.
    #[error("the component is {bytes} bytes; this host compiles at most {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Compilation failed.
    #[error("the component did not compile: {reason}")]
    CompileFailed {
        /// What the compiler said.
        reason: String,
    },
    /// Compilation took too long or too much.
    #[error("compiling the component took more than the limit of {limit}; split it or build it with optimisation")]
    CompileLimit {
        /// The limit it ran into.
        limit: String,
    },
    /// The trial instantiation trapped.
    #[error("the component trapped while starting: {reason}")]
    TrapAtStart {
        /// The trap in one line.
        reason: String,
    },
    /// It needs more than its limits allow before it runs at all.
    #[error("the component does not fit its limits: {reason}")]
    LimitExceeded {
        /// Which limit.
        reason: String,
    },
    /// The Linux image can't be used.
    #[error("the image cannot be used: {reason}")]
    BadImage {
        /// What is wrong with it.
        reason: String,
    },
    /// The Linux container can't be made as its pod has it.
    #[error("{reason}")]
    Config {
        /// Field, reason, way out.
        reason: String,
    },
    /// This host doesn't run Linux containers, as it is now.
    #[error("this host cannot run Linux containers: {reason}")]
    NoLinux {
        /// What it lacks, and how it gets that.
        reason: String,
    },
    /// The OCI runtime did not start the Linux container.
    #[error("the container cannot be started: {reason}")]
    NotStarted {
        /// What the runtime said.
        reason: String,
    },
    /// This host could not do its part.
    #[error("this host could not prepare the container: {reason}")]
    Host {
        /// What went wrong here.
        reason: String,
    },
}

impl StartError {
    /// The word shown as `state.waiting.reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            StartError::Unusable(_)
            | StartError::NothingToRun { .. }
            | StartError::TooLarge { .. }
            | StartError::CompileFailed { .. }
            | StartError::CompileLimit { .. }
            | StartError::BadImage { .. } => "InvalidImage",
            StartError::UnknownImport { .. }
            | StartError::LinkFailed { .. }
            | StartError::NoLinux { .. }
            | StartError::Host { .. } => "CreateContainerError",
            StartError::Config { .. } => "CreateContainerConfigError",
            StartError::TrapAtStart { .. } | StartError::LimitExceeded { .. } | StartError::NotStarted { .. } => {
                "RunContainerError"
            }
        }
    }

    /// Whether the same artifact can succeed later without being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, StartError::Host { .. } | StartError::NoLinux { .. })
    }
}

/// The clock of the host, passed in so that tests own time.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the edge where the clock enters the host")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
