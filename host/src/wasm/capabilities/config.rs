//! `wasi:config/store`: the entries of the ConfigMaps that the pod declares, as they were when the container started.
//!
//! Deliberately absent: changes after that, and Secrets. Both are to be had as files.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::kinds::pod::CONFIG_ANNOTATION;
use wasmtime::component::Linker;
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};

use super::super::guest::Guest;

/// What a container's instances are told; nothing, by default.
#[derive(Clone, Default)]
pub(crate) struct Configuration {
    entries: Arc<WasiConfigVariables>,
    is_declared: bool,
}

impl Configuration {
    /// These entries; `None` where the pod declares none.
    pub(crate) fn new(declared: Option<&BTreeMap<String, String>>) -> Configuration {
        let entries = declared.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
        Configuration { entries: Arc::new(entries.collect()), is_declared: declared.is_some() }
    }
}

/// Links it for all generations of WASI: its only version is a draft of 0.2.
pub(in crate::wasm) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi_config::add_to_linker(linker, |guest| {
        let surroundings = guest.surroundings();
        if !surroundings.config.is_declared {
            surroundings.reach.deny(format_args!(
                "configuration was denied, so there is none: the pod declares none; name ConfigMaps in the pod's annotation {CONFIG_ANNOTATION}"
            ));
        }
        WasiConfig::from(&*surroundings.config.entries)
    })
}
