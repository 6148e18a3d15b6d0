//! Compiled components on disk, sealed with a key of this node: loading machine code is as safe as the file is genuine.
//!
//! Deliberately absent: repair. What is damaged or foreign is compiled anew. And choice of what goes when there is want of room.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compile::error_chain;
use crate::disk_quota::used_at;
use crate::runtime::StartError;

/// The cache of one engine.
pub(crate) struct Cache {
    dir: PathBuf,
    engine_hash: String,
    key: [u8; 32],
    /// Files that were found genuine, by digest: while they are as they were, they are so still.
    genuine: Mutex<HashMap<String, FileState>>,
}

/// What changes when somebody writes to a file: what the kernel maps again at its leisure needs no other proof either.
#[derive(PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    changed_at: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> Option<FileState> {
        let file = std::fs::metadata(path).ok()?;
        let changed_at = (file.ctime(), file.ctime_nsec());
        Some(FileState { device: file.dev(), inode: file.ino(), bytes: file.len(), changed_at })
    }
}

impl Cache {
    /// Opens the cache, making its folder and key where missing.
    pub(crate) fn open(dir: &Path, key_file: &Path, engine_hash: &str) -> std::io::Result<Cache> {
        let dir = dir.join(engine_hash);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let (engine_hash, key) = (engine_hash.to_owned(), read_or_make_key(key_file)?);
        Ok(Cache { dir, engine_hash, key, genuine: Mutex::default() })
    }

    /// Where a compiler may write the code of `digest` before it is sealed.
    pub(crate) fn unsealed(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{}.{}.new", file_stem(digest), std::process::id()))
    }

    /// The size of what the compiler wrote.
    pub(crate) fn unsealed_bytes(&self, digest: &str) -> std::io::Result<u64> {
        Ok(std::fs::metadata(self.unsealed(digest))?.len())
    }

    /// Removes what the compiler wrote, sealed or not.
    pub(crate) fn discard(&self, digest: &str) {
        // What is left is never trusted, and gone with the next start.
        self.genuine.lock().remove(digest);
        let _ = std::fs::remove_file(self.unsealed(digest));
        let _ = remove(&self.dir, &file_stem(digest));
    }

    /// Takes over what the compiler wrote.
    pub(crate) fn seal(&self, digest: &str) -> std::io::Result<()> {
        let unsealed = self.unsealed(digest);
        let seal = self.seal_of(digest, &std::fs::read(&unsealed)?).finalize().into_bytes();
        let sealed = self.sealed(digest);
        let seal_file = sealed.with_extension("seal");
        // Without a seal the code is not used, so a crash between the two leaves nothing to trust.
        let _ = std::fs::remove_file(&seal_file);
        std::fs::rename(&unsealed, &sealed)?;
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&seal_file)?;
        file.write_all(&seal)
    }

    /// Whether there is code of `digest`, genuine or not.
    pub(crate) fn has(&self, digest: &str) -> bool {
        let sealed = self.sealed(digest);
        sealed.exists() && sealed.with_extension("seal").exists()
    }

    /// Loads the code of `digest` if it is there and genuine; what isn't is removed.
    ///
    /// # Errors
    /// The engine has no room for an instance of it.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Result<Option<Component>, StartError> {
        let sealed = self.sealed(digest);
        let Some(state) = FileState::of(&sealed) else {
            self.genuine.lock().remove(digest);
            return Ok(None);
        };
        if self.genuine.lock().get(digest) != Some(&state) {
            let Ok(code) = std::fs::read(&sealed) else { return Ok(None) };
            let seal = std::fs::read(sealed.with_extension("seal")).unwrap_or_default();
            if self.seal_of(digest, &code).verify_slice(&seal).is_err() {
                tracing::warn!(file = %sealed.display(), "compiled component is damaged or foreign: compiling it again");
                self.discard(digest);
                return Ok(None);
            }
            self.genuine.lock().insert(digest.to_owned(), state);
        }
        // SAFETY: the file was written by this node's own compiler for this engine, which the seal proves or has proved of the same
        // file, and its folder is closed to other users, so it is not changed while mapped.
        let loaded = unsafe { Component::deserialize_file(engine, &sealed) };
        loaded.map(Some).map_err(|error| StartError::LimitExceeded { reason: error_chain(&error) })
    }

    fn sealed(&self, digest: &str) -> PathBuf {
        code_file(&self.dir, &file_stem(digest))
    }

    fn seal_of(&self, digest: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("invariant: any length of key is taken");
        for part in ["coracle compiled component 1", &self.engine_hash, digest] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.update(code);
        mac
    }
}

/// Code that is kept.
pub(crate) struct KeptCode {
    /// Its name without the extension.
    pub(crate) stem: String,
    pub(crate) bytes: u64,
    pub(crate) used_at: Timestamp,
}

/// What is kept for these engines. Other engines' code, what was being compiled, and what lacks its seal is removed.
pub(crate) fn take_stock(dir: &Path, engine_hashes: &[&str]) -> std::io::Result<Vec<KeptCode>> {
    let mut kept = Vec::new();
    for folder in std::fs::read_dir(dir)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        if !folder.file_name().to_str().is_some_and(|name| engine_hashes.contains(&name)) {
            tracing::info!(folder = %folder.path().display(), "code of other versions of the engine is removed");
            std::fs::remove_dir_all(folder.path())?;
            continue;
        }
        for file in std::fs::read_dir(folder.path())? {
            let file = file?.path();
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            match (stem, file.extension().and_then(|extension| extension.to_str())) {
                (Some(stem), Some("cwasm")) if file.with_extension("seal").exists() => {
                    let (bytes, used_at) = (std::fs::metadata(&file)?.len(), used_at(&file));
                    kept.push(KeptCode { stem: stem.to_owned(), bytes, used_at });
                }
                (_, Some("seal")) if file.with_extension("cwasm").exists() => {}
                _ => std::fs::remove_file(&file)?,
            }
        }
    }
    Ok(kept)
}

/// Where the code of this name is in an engine's folder.
pub(crate) fn code_file(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}.cwasm"))
}

/// Removes code of this name from an engine's folder, if it is there: its seal first, so that nothing half is trusted.
pub(crate) fn remove(folder: &Path, stem: &str) -> std::io::Result<()> {
    let code = code_file(folder, stem);
    for file in [code.with_extension("seal"), code] {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A digest as a file name; digests come from outside, so nothing but their letters and digits is kept.
pub(crate) fn file_stem(digest: &str) -> String {
    digest.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).take(200).collect()
}

fn read_or_make_key(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut key = [0; 32];
    match std::fs::File::open(path) {
        Ok(mut file) => {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
            if file.read_exact(&mut key).is_ok() {
                return Ok(key);
            }
            tracing::warn!(file = %path.display(), "the key of compiled components is damaged: making a new one");
            std::fs::remove_file(path)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}
