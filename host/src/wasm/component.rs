//! A component that is compiled, linked and tried: shared by all containers of its digest.
//!
//! Deliberately absent: anything of a pod.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use wasmtime::component::Component;
use wasmtime::component::InstancePre;
use wasmtime_wasi::{p2::bindings as wasi_02, p3::bindings as wasi_03};
use wasmtime_wasi_http::{p2::bindings as http_02, p3::bindings as http_03};

use super::RuntimeShared;
use super::background::{Movable, Steering};
use super::capabilities::lifecycle::hears_termination;
use super::compile::{error_chain, host_error};
use super::engine::Wasm;
use super::failure::Failure;
use super::guest::{Guest, Surroundings, new_store};
use super::loaded::Loaded;
use super::parts::Parts;
use crate::inspect::{Kind, is_provided};
use crate::runtime::{LogSink, StartError, Stream};

/// What the trial may use: a container's own limit is checked against what it used.
const TRIAL_MEMORY_BYTES_MAX: u64 = 4 << 30;

/// A component ready to be instantiated at once, or as soon as its code is in memory again.
pub(crate) struct PreparedComponent {
    pub(crate) traits: Traits,
    /// Memory of an instance that has done nothing yet.
    pub(crate) initial_memory_bytes: u64,
    pre: Loaded<Pre>,
    /// Where it comes from, if that is asked again.
    parts: Parts,
    runtime: Weak<RuntimeShared>,
}

/// What is known of a component whether it is in memory or not.
pub(crate) struct Traits {
    /// What it was compiled for.
    pub(crate) wasm: Arc<Wasm>,
    pub(crate) kind: Kind,
    /// Pool slots that one instance takes.
    pub(crate) slots: u32,
    /// It ends by itself when it is asked to.
    pub(crate) hears_termination: bool,
    pub(crate) compile_time: Duration,
}

/// The linked component by kind.
pub(crate) enum Pre {
    Handler(HandlerPre),
    Command(CommandPre),
}

/// A linked component that answers requests.
pub(crate) enum HandlerPre {
    V02(http_02::ProxyPre<Guest>),
    V03(http_03::ServicePre<Guest>),
}

/// A linked component that runs to an end.
pub(crate) enum CommandPre {
    V02(wasi_02::CommandPre<Guest>),
    V03(wasi_03::CommandPre<Guest>),
}

impl PreparedComponent {
    /// One that has been tried.
    pub(crate) fn new(linked: Linked, trial: &Trial, parts: Parts, runtime: &Arc<RuntimeShared>) -> PreparedComponent {
        let Linked { traits, pre } = linked;
        let runtime = Arc::downgrade(runtime);
        PreparedComponent { traits, initial_memory_bytes: trial.memory_bytes, pre: Loaded::new(pre), parts, runtime }
    }

    /// What instances are made of, if it is in memory.
    pub(crate) fn pre_in_memory(&self) -> Option<Arc<Pre>> {
        self.pre.get()
    }

    /// What instances are made of; loaded if it must be, and compiled again if even its code is gone.
    pub(crate) async fn pre(&self) -> Result<Arc<Pre>, StartError> {
        let load = async {
            let runtime = self.runtime.upgrade().ok_or_else(|| host_error("this host is ending".to_owned()))?;
            Ok(runtime.load_linked(&self.parts).await?.pre)
        };
        self.pre.get_or_load(load).await
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        self.pre.is_in_memory()
    }

    /// Leaves memory if nobody has asked it since the last look.
    pub(crate) fn look(&self) {
        self.pre.look();
    }
}

impl Pre {
    fn kind(&self) -> Kind {
        match self {
            Pre::Handler(HandlerPre::V02(_)) => Kind::HttpHandler02,
            Pre::Handler(HandlerPre::V03(_)) => Kind::HttpHandler03,
            Pre::Command(CommandPre::V02(_)) => Kind::Command02,
            Pre::Command(CommandPre::V03(_)) => Kind::Command03,
        }
    }

    fn instance_pre(&self) -> &InstancePre<Guest> {
        match self {
            Pre::Handler(HandlerPre::V02(pre)) => pre.instance_pre(),
            Pre::Handler(HandlerPre::V03(pre)) => pre.instance_pre(),
            Pre::Command(CommandPre::V02(pre)) => pre.instance_pre(),
            Pre::Command(CommandPre::V03(pre)) => pre.instance_pre(),
        }
    }
}

/// A linked component that nobody has tried.
pub(crate) struct Linked {
    pub(crate) traits: Traits,
    pub(crate) pre: Pre,
}

/// Links a compiled component, naming what it wants and nobody provides.
pub(crate) fn link(wasm: Arc<Wasm>, component: &Component, compile_time: Duration) -> Result<Linked, StartError> {
    let outline = component.component_type();
    let imports: Vec<&str> = outline.imports(&wasm.engine).map(|(name, _)| name).collect();
    let unknown: Vec<String> = imports.iter().copied().filter(|name| !is_provided(name)).map(str::to_owned).collect();
    if !unknown.is_empty() {
        return Err(StartError::UnknownImport { imports: unknown });
    }
    let exports: Vec<&str> = outline.exports(&wasm.engine).map(|(name, _)| name).collect();
    let failed = |error: wasmtime::Error| StartError::LinkFailed { reason: error_chain(&error) };
    let pre = wasm.linker.instantiate_pre(component).map_err(failed)?;
    let pre = match Kind::of_exports(exports.iter().copied()) {
        Kind::HttpHandler02 => Pre::Handler(HandlerPre::V02(http_02::ProxyPre::new(pre).map_err(failed)?)),
        Kind::HttpHandler03 => Pre::Handler(HandlerPre::V03(http_03::ServicePre::new(pre).map_err(failed)?)),
        Kind::Command02 => Pre::Command(CommandPre::V02(wasi_02::CommandPre::new(pre).map_err(failed)?)),
        Kind::Command03 => Pre::Command(CommandPre::V03(wasi_03::CommandPre::new(pre).map_err(failed)?)),
        Kind::Library | Kind::Other | Kind::Middleware02 | Kind::Middleware03 => {
            let exports = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
            return Err(StartError::NothingToRun { exports });
        }
    };
    let required = component.resources_required();
    let slots = required.map_or(1, |required| required.num_memories.max(required.num_tables.div_ceil(4)).max(1));
    let hears_termination = imports.iter().copied().any(hears_termination);
    let traits = Traits { wasm, kind: pre.kind(), slots, hears_termination, compile_time };
    Ok(Linked { traits, pre })
}

pub(crate) struct Nowhere;

impl LogSink for Nowhere {
    fn write(&self, _: Stream, _: &[u8]) {}
}

/// An instance that did nothing, and is gone.
pub(crate) struct Trial {
    /// To make its store and to instantiate it.
    pub(crate) took: Duration,
    pub(crate) memory_bytes: u64,
}

/// Makes an instance and drops it, so that what can't start is known before it is Ready.
pub(crate) async fn instantiate_once(
    background: tokio::runtime::Handle,
    start_max: Duration,
    traits: &Traits,
    pre: &Pre,
) -> Result<Trial, StartError> {
    let surroundings = Arc::new(Surroundings::new("trial", &[], Vec::new(), TRIAL_MEMORY_BYTES_MAX, Arc::new(Nowhere)));
    let steering = Arc::new(Steering::default());
    let pre = pre.instance_pre().clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let execution = {
        let (wasm, surroundings, steering) = (traits.wasm.clone(), surroundings.clone(), steering.clone());
        let slots = traits.slots;
        Box::pin(async move {
            let Ok(()) = wasm.slots.acquire(slots, || u32::MAX, u32::MAX).await else { return };
            let began = Instant::now();
            let mut store = new_store(&wasm.engine, surroundings, steering, Some(began + start_max));
            let result = pre.instantiate_async(&mut store).await;
            let took = began.elapsed();
            drop(store);
            wasm.slots.release(slots);
            let _ = sender.send(result.map(|_| took));
        })
    };
    let task = tokio::spawn(Movable { execution: Some(execution), steering: steering.clone(), background });
    steering.starts_as(task.abort_handle());
    let failure = match receiver.await {
        Ok(Ok(took)) => return Ok(Trial { took, memory_bytes: surroundings.memory.instance_peak() }),
        Ok(Err(error)) => Failure::of(&error),
        Err(_) => Failure::Trap("its instantiation broke off".to_owned()),
    };
    Err(match failure {
        Failure::Memory(reason) => StartError::LimitExceeded { reason },
        Failure::Interrupted => {
            let reason = format!("it was not done after {} s", start_max.as_secs_f64());
            StartError::TrapAtStart { reason }
        }
        failure => StartError::TrapAtStart { reason: failure.text() },
    })
}
