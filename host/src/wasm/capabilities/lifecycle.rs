//! `coracle:lifecycle`: a guest asks whether it is to end, and waits for it.
//!
//! Deliberately absent: a policy. It tells a component of nothing but itself.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::super::guest::{Guest, Surroundings};

/// The interface, without its version.
const TERMINATION: &str = "coracle:lifecycle/termination";
const TERMINATION_02: &str = "coracle:lifecycle/termination@0.2.0";
const TERMINATION_03: &str = "coracle:lifecycle/termination@0.3.0";

/// Whether this import makes a component one that ends by itself when it is asked to.
pub(in crate::wasm) fn hears_termination(import: &str) -> bool {
    import.split('@').next() == Some(TERMINATION)
}

struct Requested(Arc<Surroundings>);

#[async_trait]
impl Pollable for Requested {
    async fn ready(&mut self) {
        self.0.termination.requested().await;
    }
}

pub(in crate::wasm) fn link_02(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(TERMINATION_02)?;
    interface.func_wrap("requested", |store, (): ()| Ok((store.data().surroundings().termination.is_requested(),)))?;
    interface.func_wrap("subscribe", |mut store, (): ()| {
        let requested = Requested(store.data().surroundings().clone());
        let table = &mut store.data_mut().table;
        let requested = table.push(requested)?;
        let pollable: Resource<DynPollable> = subscribe(table, requested)?;
        Ok((pollable,))
    })
}

pub(in crate::wasm) fn link_03(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(TERMINATION_03)?;
    interface.func_wrap("requested", |store, (): ()| Ok((store.data().surroundings().termination.is_requested(),)))?;
    interface.func_wrap_concurrent("wait", |accessor, (): ()| {
        Box::pin(async move {
            let surroundings = accessor.with(|mut store| store.data_mut().surroundings().clone());
            surroundings.termination.requested().await;
            Ok(())
        })
    })
}
