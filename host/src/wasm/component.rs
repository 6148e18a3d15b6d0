//! A component that is compiled, linked and tried: shared by all containers of its digest.
//!
//! Deliberately absent: anything of a pod.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::Component;
use wasmtime::component::InstancePre;
use wasmtime_wasi::{p2::bindings as wasi_02, p3::bindings as wasi_03};
use wasmtime_wasi_http::{p2::bindings as http_02, p3::bindings as http_03};

use super::background::{Movable, Steering};
use super::capabilities::lifecycle::hears_termination;
use super::compile::error_chain;
use super::engine::Wasm;
use super::failure::Failure;
use super::guest::{Guest, Surroundings, new_store};
use crate::inspect::{Kind, is_provided};
use crate::runtime::{LogSink, StartError, Stream};

/// What the trial may use: a container's own limit is checked against what it used.
const TRIAL_MEMORY_BYTES_MAX: u64 = 4 << 30;

/// A component ready to be instantiated at once.
pub(crate) struct PreparedComponent {
    /// What it was compiled for.
    pub(crate) wasm: Arc<Wasm>,
    pub(crate) pre: Pre,
    /// Pool slots that one instance takes.
    pub(crate) slots: u32,
    /// Memory of an instance that has done nothing yet.
    pub(crate) initial_memory_bytes: u64,
    /// It ends by itself when it is asked to.
    pub(crate) hears_termination: bool,
    compile_time: Duration,
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
#[derive(Clone)]
pub(crate) enum CommandPre {
    V02(wasi_02::CommandPre<Guest>),
    V03(wasi_03::CommandPre<Guest>),
}

impl PreparedComponent {
    pub(crate) fn kind(&self) -> Kind {
        match self.pre {
            Pre::Handler(HandlerPre::V02(_)) => Kind::HttpHandler02,
            Pre::Handler(HandlerPre::V03(_)) => Kind::HttpHandler03,
            Pre::Command(CommandPre::V02(_)) => Kind::Command02,
            Pre::Command(CommandPre::V03(_)) => Kind::Command03,
        }
    }

    pub(crate) fn compile_time(&self) -> Duration {
        self.compile_time
    }

    fn instance_pre(&self) -> &InstancePre<Guest> {
        match &self.pre {
            Pre::Handler(HandlerPre::V02(pre)) => pre.instance_pre(),
            Pre::Handler(HandlerPre::V03(pre)) => pre.instance_pre(),
            Pre::Command(CommandPre::V02(pre)) => pre.instance_pre(),
            Pre::Command(CommandPre::V03(pre)) => pre.instance_pre(),
        }
    }
}

/// Links a compiled component, naming what it wants and nobody provides.
pub(crate) fn link(
    wasm: Arc<Wasm>,
    component: &Component,
    compile_time: Duration,
) -> Result<PreparedComponent, StartError> {
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
    Ok(PreparedComponent { wasm, pre, slots, initial_memory_bytes: 0, hears_termination, compile_time })
}

pub(crate) struct Nowhere;

impl LogSink for Nowhere {
    fn write(&self, _: Stream, _: &[u8]) {}
}

/// Instantiates the component once, so that what can't start is known before it is Ready.
pub(crate) async fn try_once(
    background: tokio::runtime::Handle,
    start_max: Duration,
    prepared: PreparedComponent,
) -> Result<PreparedComponent, StartError> {
    let surroundings = Arc::new(Surroundings::new("trial", &[], Vec::new(), TRIAL_MEMORY_BYTES_MAX, Arc::new(Nowhere)));
    let steering = Arc::new(Steering::default());
    let pre = prepared.instance_pre().clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let execution = {
        let (wasm, surroundings, steering) = (prepared.wasm.clone(), surroundings.clone(), steering.clone());
        let slots = prepared.slots;
        Box::pin(async move {
            let Ok(()) = wasm.slots.acquire(slots, || u32::MAX, u32::MAX).await else { return };
            let deadline = Instant::now() + start_max;
            let mut store = new_store(&wasm.engine, surroundings, steering, Some(deadline));
            let result = pre.instantiate_async(&mut store).await;
            drop(store);
            wasm.slots.release(slots);
            let _ = sender.send(result.map(|_| ()));
        })
    };
    let task = tokio::spawn(Movable { execution: Some(execution), steering: steering.clone(), background });
    steering.starts_as(task.abort_handle());
    let failure = match receiver.await {
        Ok(Ok(())) => {
            let initial_memory_bytes = surroundings.memory.instance_peak();
            return Ok(PreparedComponent { initial_memory_bytes, ..prepared });
        }
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
