//! Every kind of container behind one runtime: components to one, Linux images to the other.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::linux::LinuxRuntime;
use crate::runtime::{Container, ContainerSpec, LogSink, Prepared, Runtime, StartError};
use crate::wasm::WasmRuntime;

/// What a host runs containers with.
pub struct Runtimes {
    /// Components.
    pub wasm: WasmRuntime,
    /// Linux images.
    pub linux: LinuxRuntime,
}

impl Runtimes {
    fn of(&self, spec: &ContainerSpec) -> &dyn Runtime {
        match spec.linux {
            None => &self.wasm,
            Some(_) => &self.linux,
        }
    }
}

#[async_trait]
impl Runtime for Runtimes {
    async fn prepare(&self, spec: &ContainerSpec) -> Result<Prepared, StartError> {
        self.of(spec).prepare(spec).await
    }

    async fn start(
        &self,
        spec: ContainerSpec,
        prepared: Prepared,
        logs: Arc<dyn LogSink>,
    ) -> Result<Box<dyn Container>, StartError> {
        self.of(&spec).start(spec, prepared, logs).await
    }

    async fn compile_ahead(&self, artifact: &Path, digest: &str) -> Result<(), StartError> {
        self.wasm.compile_ahead(artifact, digest).await
    }

    fn compilations(&self) -> u64 {
        self.wasm.compilations()
    }

    fn components_in_memory(&self) -> u64 {
        self.wasm.components_in_memory()
    }
}
