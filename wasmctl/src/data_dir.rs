//! A data directory: made private, locked by one process at a time, and the few files in it that others read.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom as _;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};

/// A data directory that this process alone uses.
pub(crate) struct DataDir {
    path: PathBuf,
    /// Holds the lock for as long as this lives.
    _lock: File,
}

/// What a cluster is called and who may push to its registry: made once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    /// Of the file's format.
    version: u32,
    /// Two words, for people.
    pub(crate) name: String,
    /// The password of the registry's user `admin`.
    pub(crate) registry_password: String,
}

/// The folder of the store.
pub(crate) const STORE: &str = "store";
/// What a snapshot takes along of the files: with them a restored cluster has its name, accepts the certificates and tokens it gave, and
/// reads its Secrets.
pub(crate) const IDENTITY_FILES: &[&str] =
    &["cluster.json", "pki/ca.crt", "pki/ca.key", "pki/service-account.key", "pki/secret-keys.json"];
/// The artifacts it runs; links before what they link.
pub(crate) const ARTIFACT_FOLDERS: &[&str] = &["registry/repositories", "registry/blobs"];

/// What to do about a store that is lost or damaged.
pub(crate) const START_OVER: &str = "restore a snapshot with `wasmctl snapshot restore`; or, where other members are left, take this one \
                                     out with `wasmctl member remove`, and let this machine join anew in an empty folder";

const IDENTITY_VERSION: u32 = 1;
const FIRST: &[&str] =
    &["amber", "brave", "calm", "clever", "eager", "gentle", "keen", "lively", "mellow", "nimble", "quiet", "swift"];
const SECOND: &[&str] =
    &["badger", "beaver", "crane", "curlew", "heron", "marten", "otter", "plover", "salmon", "swan", "teal", "trout"];

/// How long a process that was killed may take to let go of the lock: the system first takes its memory apart.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(10);

impl DataDir {
    /// Opens or makes the directory, and locks it.
    pub(crate) fn open(path: &Path) -> Result<DataDir> {
        let failed = |error: std::io::Error| {
            Failure::new(format!("data directory {}: {error}", path.display()))
                .hint("name a folder that you can write with --data-dir")
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(lock_path)
            .map_err(failed)?;
        if !is_locked_in_time(&lock) {
            let mut owner = String::new();
            let _ = lock.read_to_string(&mut owner);
            return Err(Failure::new(format!(
                "data directory {} is in use by another wasmctl (process {})",
                path.display(),
                owner.trim()
            ))
            .hint("stop that process, or name another folder with --data-dir"));
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(DataDir { path: path.to_owned(), _lock: lock })
    }

    /// A file or folder in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's identity; `true` if it was made now.
    pub(crate) fn identity(&self) -> Result<(Identity, bool)> {
        let path = self.join("cluster.json");
        match fs::read(&path) {
            Ok(bytes) => {
                let identity: Identity = serde_json::from_slice(&bytes).map_err(|error| {
                    Failure::new(format!("{}: not what was written there: {error}", path.display()))
                        .hint("restore the file from a backup; removing it gives the cluster another name and registry password")
                })?;
                if identity.version != IDENTITY_VERSION {
                    return Err(Failure::new(format!(
                        "{}: version {} is from another release",
                        path.display(),
                        identity.version
                    )));
                }
                Ok((identity, false))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.has_store()? => {
                Err(Failure::new(format!("{} is gone, and a store is there that knows more than it", path.display())).hint(
                    "restore the file from a backup, or from another member of the cluster, where it is the same; to begin anew, \
                     name an empty folder with --data-dir",
                ))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut random = rand::rng();
                let word = |words: &[&str], random: &mut rand::rngs::ThreadRng| {
                    words.choose(random).copied().unwrap_or("coracle").to_owned()
                };
                let name = format!("{}-{}", word(FIRST, &mut random), word(SECOND, &mut random));
                let registry_password = format!("{:032x}", rand::random::<u128>());
                let identity = Identity { version: IDENTITY_VERSION, name, registry_password };
                self.write("cluster.json", &serde_json::to_vec_pretty(&identity).expect("an identity is plain data"))?;
                Ok((identity, true))
            }
            Err(error) => Err(Failure::file(&path, &error)),
        }
    }

    /// Is there anything of a store?
    pub(crate) fn has_store(&self) -> Result<bool> {
        let path = self.join(STORE);
        match fs::read_dir(&path) {
            Ok(mut entries) => Ok(entries.next().is_some()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Failure::file(&path, &error)),
        }
    }

    /// Without its store a member is not who it was: it has forgotten what it acknowledged and whom it voted for.
    pub(crate) fn lost_store(&self) -> Failure {
        Failure::new(format!("{} is gone: this member has lost what it kept", self.join(STORE).display()))
            .hint(START_OVER)
    }

    /// Writes a private file as a whole: a reader sees the old one or the new one.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_private(&self.join(name), bytes)
    }
}

/// Writes a private file as a whole: a reader sees the old one or the new one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_private(path, bytes).map_err(|error| Failure::file(path, &error))
}

/// Writes a private file anew whose old content will do, too. That is kept while the disk is full: else nobody could start what is to be
/// asked to delete something.
pub(crate) fn renew_private(path: &Path, bytes: &[u8]) -> Result<()> {
    match replace_private(path, bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull && path.exists() => {
            tracing::warn!(file = %path.display(), "the disk is full: this file stays as it was");
            Ok(())
        }
        written => written.map_err(|error| Failure::file(path, &error)),
    }
}

fn replace_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    let _ = fs::remove_file(&part);
    write().inspect_err(|_| drop(fs::remove_file(&part)))
}

fn is_locked_in_time(lock: &File) -> bool {
    let began = Instant::now();
    while flock(lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if began.elapsed() > LOCK_PATIENCE {
            return false;
        }
        std::thread::sleep(LOCK_RETRY);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused_and_an_identity_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let (identity, is_new) = first.identity().unwrap();
        assert!(is_new);
        // flock locks belong to the open file, so a second open in this process is refused as another process's is.
        let refused = DataDir::open(&path).err().unwrap().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        let (again, is_new) = DataDir::open(&path).unwrap().identity().unwrap();
        assert!(!is_new);
        assert_eq!(again.name, identity.name);
    }

    #[test]
    fn a_store_without_its_cluster_is_no_new_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(folder.path()).unwrap();
        fs::create_dir_all(folder.path().join("store/log")).unwrap();
        let refused = data_dir.identity().unwrap_err().to_string();
        assert!(refused.contains("cluster.json is gone"), "{refused}");
    }
}
