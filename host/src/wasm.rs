//! Runs components of WASI 0.2 and 0.3: `wasi:http` handlers and `wasi:cli` commands.
//!
//! Deliberately absent: interfaces beyond WASI.

mod access_log;
mod background;
mod body;
mod cache;
mod capabilities;
mod code;
mod command;
mod compilations;
mod compile;
pub(crate) mod component;
mod compose;
mod cpu;
mod engine;
mod failure;
mod guest;
mod handler;
mod instances;
mod limits;
mod loaded;
mod merge;
mod parts;
mod reused;
mod slots;
mod standalone;
mod stdio;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use coracle_net::Outgoing;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::component::Component;

use self::access_log::AccessLog;
use self::background::Background;
use self::cache::Cache;
use self::capabilities::config::Configuration;
use self::capabilities::reach::Reach;
use self::code::code_key;
use self::command::{CommandContainer, CommandParts};
use self::compilations::Compilations;
pub use self::compile::{CompileLimits, Compiler, compile_child_main};
use self::compile::{compile_here, error_chain, host_error};
use self::component::{Linked, PreparedComponent, instantiate_once};
use self::cpu::{Account, Turns};
use self::engine::Wasm;
use self::guest::Surroundings;
use self::handler::{HandlerContainer, HandlerParts, HandlerRef};
use self::limits::Bytes;
use self::parts::Parts;
pub use self::standalone::{
    InstanceTimes, RunOptions, ServeOptions, StandaloneError, measure_instances, run_standalone, serve_standalone,
};
use crate::console::Console;
use crate::disk_quota::{DiskQuota, Kind};
use crate::inspect::Wasi;
use crate::runtime::{
    Clock, Container, ContainerSpec, LogSink, PodIdentity, Prepared, PreparedArtifact, Runtime, StartError, SystemClock,
};

/// Components kept loaded after their last container, so that a restart finds them warm.
const RECENT_MAX: usize = 64;

/// How components are compiled.
#[derive(Clone, Debug)]
pub enum Compile {
    /// In a child process under limits; the result is kept on disk.
    Child {
        /// The program that compiles.
        compiler: Compiler,
        /// Where compiled components are kept.
        cache_dir: PathBuf,
        /// The node's key that seals them; made (0600) if missing.
        key_file: PathBuf,
    },
    /// In this process, without limits and without a cache: for the user's own file.
    InProcess,
}

/// Options of the component runtime.
#[derive(Clone)]
pub struct Options {
    /// How to compile.
    pub compile: Compile,
    /// What one compilation may use.
    pub compile_limits: CompileLimits,
    /// A component that nobody asks for so long, or at most for twice as long, leaves memory. Only if it is kept on disk.
    pub idle_max: Duration,
    /// How long a component may take to start for trial.
    pub start_max: Duration,
    /// The clock that stamps starts and exits.
    pub clock: Arc<dyn Clock>,
    /// The way to the cluster's Services and pods, where there is a cluster.
    pub cluster: Option<Arc<Outgoing>>,
    /// What compiled components may take on disk, together with others.
    pub quota: Arc<DiskQuota>,
}

impl Options {
    /// Compiles in a child of this very program (`internal-compile`) and keeps results in `data_dir/compiled`.
    pub fn new(data_dir: &Path) -> Options {
        // This way the child is this very program, even when an upgrade has replaced the file.
        let exe = PathBuf::from("/proc/self/exe");
        let compiler = Compiler { exe, leading_args: vec!["internal-compile".to_owned()] };
        let cache_dir = data_dir.join("compiled");
        let key_file = cache_dir.join("key");
        Options { compile: Compile::Child { compiler, cache_dir, key_file }, ..Options::in_process() }
    }

    /// Compiles in this process and keeps nothing.
    pub fn in_process() -> Options {
        Options {
            compile: Compile::InProcess,
            compile_limits: CompileLimits::default(),
            idle_max: Duration::from_secs(60),
            start_max: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
            cluster: None,
            quota: DiskQuota::unlimited(Arc::new(SystemClock)),
        }
    }
}

/// Why the runtime could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The engine did not start.
    #[error("the WebAssembly engine did not start: {reason}")]
    Engine {
        /// Why.
        reason: String,
    },
    /// The cache of compiled components could not be used.
    #[error("compiled components cannot be kept in {}", .dir.display())]
    Cache {
        /// Where.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// The runtime for components.
pub struct WasmRuntime {
    shared: Arc<RuntimeShared>,
}

pub(crate) struct RuntimeShared {
    engine_02: CachedEngine,
    /// Made when the first component needs it.
    engine_03: Mutex<Option<CachedEngine>>,
    background: Background,
    /// Who runs next there.
    turns: Arc<Turns>,
    flusher: Sender<Arc<AccessLog>>,
    options: Options,
    /// Bounds what runs beside containers.
    execs: Arc<Semaphore>,
    components: Mutex<Components>,
    compilations: Arc<Compilations>,
}

/// An engine, and the code compiled for it that is kept on disk.
#[derive(Clone)]
struct CachedEngine {
    wasm: Arc<Wasm>,
    cache: Option<Arc<Cache>>,
}

impl CachedEngine {
    fn open(wasi: Wasi, compile: &Compile) -> Result<CachedEngine, OpenError> {
        let wasm = Wasm::new(wasi).map_err(|error| OpenError::Engine { reason: error_chain(&error) })?;
        let cache = match compile {
            Compile::InProcess => None,
            Compile::Child { cache_dir, key_file, .. } => Some(Arc::new(
                Cache::open(cache_dir, key_file, &wasm.engine_hash)
                    .map_err(|source| OpenError::Cache { dir: cache_dir.clone(), source })?,
            )),
        };
        Ok(CachedEngine { wasm: Arc::new(wasm), cache })
    }

    /// The kept code of a component, if there is any.
    fn load(&self, digest: &str) -> Result<Option<Component>, StartError> {
        self.cache.as_ref().map_or(Ok(None), |cache| cache.load(&self.wasm.engine, digest))
    }
}

type Preparing = Shared<BoxFuture<'static, Result<Arc<PreparedComponent>, StartError>>>;

#[derive(Default)]
struct Components {
    loaded: HashMap<String, Weak<PreparedComponent>>,
    preparing: HashMap<String, Preparing>,
    /// With their digests.
    recent: VecDeque<(String, Arc<PreparedComponent>)>,
}

impl WasmRuntime {
    /// Makes the engine of 0.2, its pool and its threads. One for each process is enough.
    pub fn open(options: Options) -> Result<WasmRuntime, OpenError> {
        let shared = RuntimeShared {
            engine_02: CachedEngine::open(Wasi::V02, &options.compile)?,
            engine_03: Mutex::default(),
            background: Background::new().map_err(OpenError::Thread)?,
            turns: Turns::new(background::threads()),
            flusher: access_log::start_flusher().map_err(OpenError::Thread)?,
            options,
            execs: Arc::new(Semaphore::new(command::EXECS_ON_HOST_MAX)),
            components: Mutex::default(),
            compilations: Arc::default(),
        };
        let shared = Arc::new(shared);
        shared.take_stock();
        let keeper: Weak<RuntimeShared> = Arc::downgrade(&shared);
        shared.options.quota.join(Kind::Code, keeper);
        if let Compile::Child { .. } = shared.options.compile {
            let looking = RuntimeShared::keep_looking(Arc::downgrade(&shared), shared.options.idle_max);
            shared.background.handle().spawn(looking);
        }
        Ok(WasmRuntime { shared })
    }

    /// Pool slots in use: live instances, counted by their memories.
    pub fn instances(&self) -> u32 {
        let used_03 = self.shared.engine_03.lock().as_ref().map_or(0, |engine| engine.wasm.slots.used());
        self.shared.engine_02.wasm.slots.used() + used_03
    }

    async fn start_with(
        &self,
        spec: &ContainerSpec,
        prepared: &Prepared,
        logs: Arc<dyn LogSink>,
        inherit_stdio: bool,
    ) -> Result<Box<dyn Container>, StartError> {
        let PreparedArtifact::Component(component) = prepared.artifact.clone() else {
            return Err(host_error("it is no component".to_owned()));
        };
        if component.initial_memory_bytes > spec.memory_bytes_max {
            let (needs, has) = (Bytes(component.initial_memory_bytes), Bytes(spec.memory_bytes_max));
            return Err(StartError::LimitExceeded {
                reason: format!("it starts with {needs} of memory and may have {has}"),
            });
        }
        let memory = spec.memory_bytes_max;
        let mut surroundings = Surroundings::new(&spec.name, &spec.args, spec.env.clone(), memory, logs.clone());
        surroundings.inherit_stdio = inherit_stdio;
        surroundings.mounts.clone_from(&spec.mounts);
        surroundings.config = Configuration::new(spec.config.as_ref());
        let (cluster, is_command) = (self.shared.options.cluster.clone(), component.traits.kind.is_command());
        surroundings.reach = Reach::new(spec, is_command, cluster, logs.clone());
        let background = self.shared.background.handle().clone();
        let clock = self.shared.options.clock.clone();
        let account = Account::new(self.shared.turns.clone(), spec.cpu_millis, spec.cpu_millis_max);
        if !is_command {
            let access_log = AccessLog::new(logs, self.shared.flusher.clone());
            let (prepared, surroundings) = (component, Arc::new(surroundings));
            let parts = HandlerParts { background, prepared, surroundings, access_log, clock, account };
            return Ok(Box::new(HandlerRef(HandlerContainer::new(parts, spec))));
        }
        let pre = component.pre().await?;
        let console = Arc::new(Console::new(spec.stdin));
        surroundings.console = Some(console.clone());
        let (surroundings, execs) = (Arc::new(surroundings), self.shared.execs.clone());
        let parts = CommandParts { background, prepared: component, pre, surroundings, console, clock, account, execs };
        Ok(Box::new(CommandContainer::start(parts, None)))
    }
}

#[async_trait]
impl Runtime for WasmRuntime {
    async fn prepare(&self, spec: &ContainerSpec) -> Result<Prepared, StartError> {
        let parts = Parts::of(spec);
        let digest = parts.digest.clone();
        // Before anybody looks for its code.
        let kept = self.shared.options.quota.hold(code_key(&digest));
        let preparing = {
            let mut components = self.shared.components.lock();
            if let Some(component) = components.loaded.get(&digest).and_then(Weak::upgrade) {
                return Ok(Prepared { artifact: PreparedArtifact::Component(component), kept });
            }
            let start = || {
                let work = self.shared.clone().prepare(parts);
                // Spawned, so that it goes on when the caller who happened to be first gives up.
                let task = tokio::spawn(work);
                task.map(|joined| joined.unwrap_or_else(|_| Err(host_error("preparing it broke off".to_owned()))))
                    .boxed()
                    .shared()
            };
            components.preparing.entry(digest.clone()).or_insert_with(start).clone()
        };
        let prepared = preparing.clone().await;
        if prepared.is_err() {
            let mut components = self.shared.components.lock();
            if components.preparing.get(&digest).is_some_and(|other| other.ptr_eq(&preparing)) {
                components.preparing.remove(&digest);
            }
        }
        prepared.map(|component| Prepared { artifact: PreparedArtifact::Component(component), kept })
    }

    async fn start(
        &self,
        spec: ContainerSpec,
        prepared: Prepared,
        logs: Arc<dyn LogSink>,
    ) -> Result<Box<dyn Container>, StartError> {
        self.start_with(&spec, &prepared, logs, false).await
    }

    async fn compile_ahead(&self, artifact: &Path, digest: &str) -> Result<(), StartError> {
        let spec = ContainerSpec::new(PodIdentity::default(), "component", artifact.to_owned(), digest);
        self.shared.compile_ahead(Parts::of(&spec)).await
    }

    fn compilations(&self) -> u64 {
        self.shared.compilations.begun()
    }

    fn components_in_memory(&self) -> u64 {
        self.shared.known().iter().filter(|component| component.is_in_memory()).count() as u64
    }
}

impl RuntimeShared {
    async fn prepare(self: Arc<Self>, parts: Parts) -> Result<Arc<PreparedComponent>, StartError> {
        let result = self.load_link_try(&parts).await.map(Arc::new);
        let mut components = self.components.lock();
        components.preparing.remove(&parts.digest);
        components.loaded.retain(|_, component| component.strong_count() > 0);
        if let Ok(component) = &result {
            components.loaded.insert(parts.digest.clone(), Arc::downgrade(component));
            components.recent.push_back((parts.digest, component.clone()));
            if components.recent.len() > RECENT_MAX {
                components.recent.pop_front();
            }
        }
        result
    }

    async fn load_link_try(self: &Arc<Self>, parts: &Parts) -> Result<PreparedComponent, StartError> {
        let linked = self.load_linked(parts).await?;
        let (background, start_max) = (self.background.handle().clone(), self.options.start_max);
        let trial = instantiate_once(background, start_max, &linked.traits, &linked.pre).await?;
        Ok(PreparedComponent::new(linked, &trial, parts.clone(), self))
    }

    async fn load_linked(self: &Arc<Self>, parts: &Parts) -> Result<Linked, StartError> {
        let (wasm, component, compile_time) = self.load(parts).await?;
        component::link(wasm, &component, compile_time)
    }

    /// Lets components that nobody asks leave memory, as long as there is a runtime.
    async fn keep_looking(this: Weak<RuntimeShared>, idle_max: Duration) {
        loop {
            tokio::time::sleep(idle_max).await;
            let Some(this) = this.upgrade() else { return };
            this.known().iter().for_each(|component| component.look());
        }
    }

    /// The components that containers use, or used lately.
    fn known(&self) -> Vec<Arc<PreparedComponent>> {
        self.components.lock().loaded.values().filter_map(Weak::upgrade).collect()
    }

    fn engine(&self, wasi: Wasi) -> Result<CachedEngine, StartError> {
        if wasi == Wasi::V02 {
            return Ok(self.engine_02.clone());
        }
        let mut engine = self.engine_03.lock();
        if engine.is_none() {
            let opened = CachedEngine::open(wasi, &self.options.compile);
            *engine = Some(opened.map_err(|error| host_error(error.to_string()))?);
        }
        Ok(engine.as_ref().expect("it has just been made").clone())
    }

    /// From the cache, or compiled.
    async fn load(self: &Arc<Self>, parts: &Parts) -> Result<(Arc<Wasm>, Component, Duration), StartError> {
        let began = Instant::now();
        let (this, wanted) = (self.clone(), parts.clone());
        let (engine, found) = blocking(move || {
            // What is kept need not be read to know what it was compiled for.
            let made_03 = this.engine_03.lock().clone();
            for engine in [Some(this.engine_02.clone()), made_03].into_iter().flatten() {
                if let Some(component) = engine.load(&wanted.digest)? {
                    return Ok((engine, Some((component, Duration::ZERO))));
                }
            }
            let (contents, wasi) = wanted.read(this.options.compile_limits.component_bytes_max)?;
            let engine = this.engine(wasi)?;
            let found = match (engine.load(&wanted.digest)?, &engine.cache) {
                (Some(component), _) => Some((component, Duration::ZERO)),
                (None, Some(_)) => None,
                (None, None) => Some((compile_here(&engine.wasm.engine, &wanted.files, contents)?, began.elapsed())),
            };
            Ok((engine, found))
        })
        .await?;
        if let Some((component, compile_time)) = found {
            return Ok((engine.wasm, component, compile_time));
        }
        let CachedEngine { wasm, cache: Some(cache) } = engine else {
            return Err(host_error("it was not compiled".to_owned()));
        };
        self.compiled(&wasm, &cache, parts, true).await?;
        let compile_time = began.elapsed();
        let digest = parts.digest.clone();
        blocking(move || {
            let component = cache.load(&wasm.engine, &digest)?;
            let component = component.ok_or_else(|| host_error("the compiled component did not load".to_owned()))?;
            Ok((wasm, component, compile_time))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|_| Err(host_error("preparing it broke off".to_owned())))
}

#[cfg(test)]
mod tests;
