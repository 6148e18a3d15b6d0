//! The compiled code of a host's components: made once, kept on disk within the host's quota, and evicted.
//!
//! Deliberately absent: whether code may be trusted, which [`Cache`] decides when it is loaded.

use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::Engine;

use super::cache::{self, Cache};
use super::compilations::Urgency;
use super::compile::{compile_in_child, engine_hash, host_error};
use super::engine::{self, Wasm};
use super::parts::Parts;
use super::{CachedEngine, Compile, RuntimeShared, blocking};
use crate::disk_quota::{Keeper, Key, Kind, Part};
use crate::inspect::Wasi;
use crate::runtime::StartError;

impl RuntimeShared {
    /// Compiles a component that no container waits for, if it runs by itself and isn't compiled.
    pub(super) async fn compile_ahead(self: &Arc<Self>, parts: Parts) -> Result<(), StartError> {
        let _kept = self.options.quota.hold(code_key(&parts.digest));
        let (this, wanted) = (self.clone(), parts.clone());
        let engine = blocking(move || {
            let wasi = wanted.wasi_by_itself(this.options.compile_limits.component_bytes_max)?;
            wasi.map(|wasi| this.engine(wasi)).transpose()
        });
        let Some(CachedEngine { wasm, cache: Some(cache) }) = engine.await? else { return Ok(()) };
        self.compiled(&wasm, &cache, &parts, false).await
    }

    /// Sees to it that the code is in the cache. The caller holds it.
    pub(super) async fn compiled(
        self: &Arc<Self>,
        wasm: &Arc<Wasm>,
        cache: &Arc<Cache>,
        parts: &Parts,
        is_urgent: bool,
    ) -> Result<(), StartError> {
        let (this, wasm, cache, wanted) = (self.clone(), wasm.clone(), cache.clone(), parts.clone());
        let compile = |urgency| async move {
            // It may have come since the caller looked.
            if cache.has(&wanted.digest) {
                return Ok(());
            }
            this.compile(&wasm, &cache, &wanted, &urgency).await?;
            blocking(move || this.keep(&cache, &wanted.digest)).await
        };
        self.compilations.run(&parts.digest, is_urgent, compile).await
    }

    /// In a child, into an unsealed file of the cache.
    async fn compile(&self, wasm: &Wasm, cache: &Cache, parts: &Parts, urgency: &Urgency) -> Result<(), StartError> {
        let Compile::Child { compiler, .. } = &self.options.compile else {
            return Err(host_error("it was not compiled".to_owned()));
        };
        self.compilations.count();
        let output = cache.unsealed(&parts.digest);
        let (limits, engine_hash) = (&self.options.compile_limits, &wasm.engine_hash);
        let compiled = compile_in_child(compiler, limits, engine_hash, &parts.files, &output, urgency).await;
        compiled.inspect_err(|_| drop(std::fs::remove_file(&output)))
    }

    /// Seals what was just compiled, if there is room for it.
    fn keep(&self, cache: &Cache, digest: &str) -> Result<(), StartError> {
        let quota = &self.options.quota;
        let keep = || {
            let bytes = cache.unsealed_bytes(digest).map_err(not_kept)?;
            let room = quota.reserve(bytes);
            let _room = room.map_err(|error| host_error(format!("there is no room for its compiled code: {error}")))?;
            cache.seal(digest).map_err(not_kept)?;
            quota.put(code_key(digest), code_parts(&cache::file_stem(digest), bytes), None);
            Ok(())
        };
        keep().inspect_err(|_| cache.discard(digest))
    }

    /// Counts the code that is kept from before, and removes what no engine of this program can load.
    pub(super) fn take_stock(&self) {
        let Compile::Child { cache_dir, .. } = &self.options.compile else { return };
        // The engine of 0.3 is made when it is needed.
        let Ok(engine_03) = Engine::new(&engine::compile_config(Wasi::V03)) else { return };
        let hashes = [&self.engine_02.wasm.engine_hash, &engine_hash(&engine_03)];
        match cache::take_stock(cache_dir, &hashes.map(String::as_str)) {
            Err(error) => {
                tracing::warn!(dir = %cache_dir.display(), %error, "compiled components could not be counted")
            }
            Ok(found) => found.into_iter().for_each(|code| {
                let parts = code_parts(&code.stem, code.bytes);
                self.options.quota.put(Key::new(Kind::Code, code.stem), parts, Some(code.used_at));
            }),
        }
    }

    /// The folders of all engines' code.
    fn code_folders(&self) -> Vec<PathBuf> {
        let Compile::Child { cache_dir, .. } = &self.options.compile else { return Vec::new() };
        let folders = std::fs::read_dir(cache_dir).into_iter().flatten().flatten();
        folders.map(|folder| folder.path()).filter(|folder| folder.is_dir()).collect()
    }
}

impl Keeper for RuntimeShared {
    /// Also from memory: what is mapped keeps its room on disk.
    fn remove(&self, name: &str) -> std::io::Result<()> {
        let mut components = self.components.lock();
        components.recent.retain(|(digest, _)| cache::file_stem(digest) != name);
        components.loaded.retain(|digest, _| cache::file_stem(digest) != name);
        self.code_folders().iter().try_for_each(|folder| cache::remove(folder, name))
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let files = self.code_folders().into_iter().map(|folder| cache::code_file(&folder, name));
        files.into_iter().find(|file| file.exists())
    }
}

/// Names the code of a component.
pub(super) fn code_key(digest: &str) -> Key {
    Key::new(Kind::Code, cache::file_stem(digest))
}

fn code_parts(stem: &str, bytes: u64) -> Vec<Part> {
    vec![Part { name: format!("{stem}.cwasm"), bytes }]
}

fn not_kept(error: std::io::Error) -> StartError {
    host_error(format!("the compiled component was not kept: {error}"))
}
