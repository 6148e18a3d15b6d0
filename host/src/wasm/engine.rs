//! The engine of one generation of WASI: its configuration, its pool of instance slots, its epoch clock and what it links.
//!
//! 0.3 has an engine of its own, as support for concurrent calls costs each instance of 0.2 a third of its speed.

use std::sync::Arc;
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::capabilities::{config, filesystem, lifecycle, sockets};
use super::compile::engine_hash;
use super::guest::Guest;
use super::slots::Slots;
use crate::inspect::Wasi;

/// How often a running guest can be interrupted.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// The largest linear memory, and the address space kept for each.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
const STACK_BYTES: usize = 1 << 20;
const SLOTS_MAX: u32 = 6_144;
const SLOTS_MIN: u32 = 64;
const TABLE_ELEMENTS_MAX: usize = 64 << 10;
/// How many tables a module may have of its own; as many are kept for each slot.
pub(crate) const MODULE_TABLES_MAX: u32 = 4;

/// The engine with what belongs to it.
pub(crate) struct Wasm {
    pub(crate) engine: Engine,
    /// Names all that its compiled code depends on besides the component.
    pub(crate) engine_hash: String,
    pub(crate) linker: Linker<Guest>,
    pub(crate) slots: Arc<Slots>,
}

impl Wasm {
    /// Makes the engine, with as big a pool as the address space allows.
    pub(crate) fn new(wasi: Wasi) -> wasmtime::Result<Wasm> {
        let mut config = compile_config(wasi);
        let slots = slots_that_fit();
        if slots >= SLOTS_MIN {
            config.allocation_strategy(pool(slots));
        } else {
            tracing::warn!("too little address space for a pool of instances: requests will be slower");
        }
        let engine = Engine::new(&config)?;
        let mut linker = linker_02(&engine)?;
        if wasi == Wasi::V03 {
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
            linker.allow_shadowing(true);
            filesystem::link_03(&mut linker)?;
            sockets::link_03(&mut linker)?;
            linker.allow_shadowing(false);
            lifecycle::link_03(&mut linker)?;
        }
        let slots = Arc::new(Slots::new(slots.max(SLOTS_MIN)));
        start_epochs(&engine, &slots)?;
        Ok(Wasm { engine_hash: engine_hash(&engine), engine, linker, slots })
    }
}

/// All that influences compiled code; the compiling child uses exactly this.
pub(crate) fn compile_config(wasi: Wasi) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(wasi == Wasi::V03)
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(STACK_BYTES)
        .native_unwind_info(false)
        .memory_init_cow(true)
        .memory_reservation(MEMORY_BYTES_MAX)
        .wasm_memory64(false);
    config
}

fn pool(slots: u32) -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots * 16)
        .total_memories(slots)
        .total_tables(slots * MODULE_TABLES_MAX)
        .total_stacks(slots)
        .max_memory_size(MEMORY_BYTES_MAX as usize)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_core_instances_per_component(256)
        .max_memories_per_component(16)
        .max_tables_per_component(64)
        .max_tables_per_module(MODULE_TABLES_MAX)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_unused_warm_slots(256)
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(512 << 10)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Finds out by asking the kernel for address space and giving it back.
fn slots_that_fit() -> u32 {
    let per_slot =
        MEMORY_BYTES_MAX as usize + (34 << 20) + STACK_BYTES + MODULE_TABLES_MAX as usize * TABLE_ELEMENTS_MAX * 8;
    let mut slots = SLOTS_MAX;
    while slots >= SLOTS_MIN {
        let bytes = per_slot * slots as usize;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice, unmapped whole before anyone can use it.
        let fits = unsafe {
            match mmap_anonymous(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            ) {
                Ok(address) => munmap(address, bytes).is_ok(),
                Err(_) => false,
            }
        };
        if fits {
            return slots;
        }
        slots /= 2;
    }
    0
}

/// Ticks while guests are live; parks, so that an idle host costs nothing, when there are none.
fn start_epochs(engine: &Engine, slots: &Arc<Slots>) -> wasmtime::Result<()> {
    let engine = engine.weak();
    let weak_slots = Arc::downgrade(slots);
    let thread = std::thread::Builder::new().name("epochs".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            let (Some(engine), Some(slots)) = (engine.upgrade(), weak_slots.upgrade()) else { return };
            engine.increment_epoch();
            let idle = slots.prepare_to_park();
            drop((engine, slots));
            if idle {
                std::thread::park_timeout(Duration::from_secs(10));
            }
        }
    })?;
    slots.set_ticker(thread.thread().clone());
    Ok(())
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links all of WASI 0.2. Policy, not linking, denies what a pod was not granted.
fn linker_02(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    use wasmtime_wasi::p2::bindings;
    let mut linker = Linker::new(engine);
    let mut options = bindings::LinkOptions::default();
    options.network_error_code(true);
    wasmtime_wasi::p2::add_to_linker_with_options_async(&mut linker, &options)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    // wasi:io needs the table only: linked this way it does not build a whole WASI context for each request.
    linker.allow_shadowing(true);
    let table: fn(&mut Guest) -> &mut ResourceTable = |guest| &mut guest.table;
    bindings::io::error::add_to_linker::<Guest, HasTable>(&mut linker, table)?;
    bindings::io::poll::add_to_linker::<Guest, HasTable>(&mut linker, table)?;
    bindings::io::streams::add_to_linker::<Guest, HasTable>(&mut linker, table)?;
    filesystem::link_02(&mut linker)?;
    sockets::link_02(&mut linker)?;
    config::link(&mut linker)?;
    linker.allow_shadowing(false);
    lifecycle::link_02(&mut linker)?;
    Ok(linker)
}
