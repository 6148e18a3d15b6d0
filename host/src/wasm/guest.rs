//! What a guest sees of its host: WASI, with what its pod was granted.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::background::{Steering, Yield};
use super::capabilities::config::Configuration;
use super::capabilities::http::Hooks;
use super::capabilities::reach::Reach;
use super::capabilities::sockets;
use super::engine::TICK;
use super::limits::{Limits, MemoryAccount};
use super::stdio::{ConsoleInput, LogStream};
use crate::console::Console;
use crate::runtime::{LogSink, Mount, PodIdentity, Stream};

/// Epoch ticks before a guest yields for the first time: 10 to 20 ms.
const FIRST_SLICE_TICKS: u64 = 2;
const HANDLES_MAX: usize = 10_000;
const RESOURCES_MAX: usize = 10_000;
/// The same where some may be connections, of a program that serves many: about a thousand of them.
const RESOURCES_WITH_SOCKETS_MAX: usize = 4_000;
/// The same where each may be an open file of this process.
const RESOURCES_WITH_FILES_MAX: usize = 1_000;
/// Bytes that one call from guest to host may carry.
const HOSTCALL_BYTES_MAX: usize = 16 << 20;
const HEADER_BYTES_MAX: usize = 64 << 10;

/// What all instances of one container share.
pub(crate) struct Surroundings {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) logs: Arc<dyn LogSink>,
    pub(crate) memory: Arc<MemoryAccount>,
    pub(crate) inherit_stdio: bool,
    /// A command's standard streams, for those who attach.
    pub(crate) console: Option<Arc<Console>>,
    /// The folders that it sees.
    pub(crate) mounts: Vec<Mount>,
    /// What `wasi:config` tells it.
    pub(crate) config: Configuration,
    /// What it may reach.
    pub(crate) reach: Reach,
    /// It is asked to end.
    pub(crate) termination: CancellationToken,
}

impl Surroundings {
    pub(crate) fn new(
        program: &str,
        args: &[String],
        env: Vec<(String, String)>,
        memory_bytes_max: u64,
        logs: Arc<dyn LogSink>,
    ) -> Surroundings {
        Surroundings {
            args: std::iter::once(program.to_owned()).chain(args.iter().cloned()).collect(),
            env,
            reach: Reach::none(&PodIdentity::default(), logs.clone()),
            logs,
            memory: MemoryAccount::new(memory_bytes_max),
            inherit_stdio: false,
            console: None,
            mounts: Vec::new(),
            config: Configuration::default(),
            termination: CancellationToken::new(),
        }
    }
}

/// The data of one store.
pub(crate) struct Guest {
    pub(crate) table: ResourceTable,
    http: WasiHttpCtx,
    hooks: Hooks,
    wasi: Option<Box<WasiCtx>>,
    limits: Limits,
    steering: Arc<Steering>,
    deadline: Option<Instant>,
}

/// Makes a store with every limit set, so that no guest code ever runs without.
pub(crate) fn new_store(
    engine: &Engine,
    surroundings: Arc<Surroundings>,
    steering: Arc<Steering>,
    deadline: Option<Instant>,
) -> Store<Guest> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(match (surroundings.mounts.is_empty(), surroundings.reach.has_sockets()) {
        (_, true) => RESOURCES_WITH_SOCKETS_MAX,
        (false, false) => RESOURCES_WITH_FILES_MAX,
        (true, false) => RESOURCES_MAX,
    });
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(HEADER_BYTES_MAX);
    let limits = Limits::new(surroundings.memory.clone());
    let guest = Guest { table, http, hooks: Hooks(surroundings), wasi: None, limits, steering, deadline };
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.limits);
    store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
    store.set_max_component_handles(HANDLES_MAX);
    store.set_epoch_deadline(FIRST_SLICE_TICKS);
    store.epoch_deadline_callback(|store| {
        let guest = store.data();
        if guest.steering.is_cancelled() || guest.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(UpdateDeadline::Interrupt);
        }
        // Ticks may have passed while it waited for something.
        if !guest.steering.is_in_background() && guest.steering.polled_for() < TICK {
            return Ok(UpdateDeadline::Continue(1));
        }
        guest.steering.ask_for_background();
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(Yield::of(guest.steering.clone()))))
    });
    store
}

/// Gives a guest that is asked again its first slice anew.
pub(crate) fn begin_slice(mut store: StoreContextMut<'_, Guest>) {
    store.set_epoch_deadline(FIRST_SLICE_TICKS);
}

impl Guest {
    /// Nobody waits for an answer any more after this, nor after what was said before.
    pub(crate) fn answers_until(&mut self, deadline: Instant) {
        self.deadline = self.deadline.max(Some(deadline));
    }

    /// What it shares with the other instances of its container.
    pub(crate) fn surroundings(&self) -> &Arc<Surroundings> {
        &self.hooks.0
    }

    fn build_wasi(surroundings: &Arc<Surroundings>) -> Box<WasiCtx> {
        let mut builder = WasiCtx::builder();
        builder.args(&surroundings.args).envs(&surroundings.env);
        sockets::grant(&mut builder, surroundings);
        if surroundings.inherit_stdio {
            builder.inherit_stdio();
        } else {
            let output = |stream| LogStream::new(surroundings.logs.clone(), surroundings.console.clone(), stream);
            builder.stdout(output(Stream::Stdout)).stderr(output(Stream::Stderr));
            if let Some(console) = &surroundings.console {
                builder.stdin(ConsoleInput(console.clone()));
            }
        }
        Box::new(builder.build())
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let surroundings = &self.hooks.0;
        let ctx = self.wasi.get_or_insert_with(|| Guest::build_wasi(surroundings));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
