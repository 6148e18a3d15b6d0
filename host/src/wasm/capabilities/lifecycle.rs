//! `coracle:lifecycle`: a guest asks whether it is to end, and waits for it.
//!
//! Deliberately absent: a policy. It tells a component of nothing but itself.

use tokio_util::sync::CancellationToken;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::super::guest::Guest;

/// The interface, without its version.
const TERMINATION: &str = "coracle:lifecycle/termination";
const TERMINATION_02: &str = "coracle:lifecycle/termination@0.2.0";
const TERMINATION_03: &str = "coracle:lifecycle/termination@0.3.0";

/// Whether this import makes a component one that ends by itself when it is asked to.
pub(in crate::wasm) fn hears_termination(import: &str) -> bool {
    import.split('@').next() == Some(TERMINATION)
}

struct Requested(CancellationToken);

#[async_trait]
impl Pollable for Requested {
    async fn ready(&mut self) {
        self.0.cancelled().await;
    }
}

pub(in crate::wasm) fn link_02(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(TERMINATION_02)?;
    interface.func_wrap("requested", |store, (): ()| Ok((store.data().surroundings().termination.is_cancelled(),)))?;
    interface.func_wrap("subscribe", |mut store, (): ()| {
        let requested = Requested(store.data().surroundings().termination.clone());
        let table = &mut store.data_mut().table;
        let requested = table.push(requested)?;
        let pollable: Resource<DynPollable> = subscribe(table, requested)?;
        Ok((pollable,))
    })
}

pub(in crate::wasm) fn link_03(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(TERMINATION_03)?;
    interface.func_wrap("requested", |store, (): ()| Ok((store.data().surroundings().termination.is_cancelled(),)))?;
    interface.func_wrap_concurrent("wait", |accessor, (): ()| {
        Box::pin(async move {
            let termination = accessor.with(|mut store| store.data_mut().surroundings().termination.clone());
            termination.cancelled().await;
            Ok(())
        })
    })
}
