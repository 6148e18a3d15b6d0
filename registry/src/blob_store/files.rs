//! The disk under a store: every write is durable and whole, every failure says which file and why.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::StoreError;

pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(super) fn open(dir: &Path) -> Result<Files, StoreError> {
        let files = Files { dir: dir.to_owned() };
        files.make_dir(dir)?;
        let uploads = dir.join("uploads");
        match fs::remove_dir_all(&uploads) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&uploads, error)),
            _ => {}
        }
        for part in ["uploads", "blobs/sha256", "repositories"] {
            files.make_dir(&dir.join(part))?;
        }
        Ok(files)
    }

    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.dir.join(path).exists()
    }

    pub(super) fn open_file(&self, path: &Path) -> Result<Option<(File, u64)>, StoreError> {
        let path = self.dir.join(path);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        Ok(found(&path, opened)?.map(|(size, file)| (file, size)))
    }

    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.dir.join(path);
        found(&path, fs::read(&path))
    }

    pub(super) fn read_text(&self, path: &Path) -> Result<Option<String>, StoreError> {
        let path = self.dir.join(path);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(StoreError::Corrupt { path }),
            result => found(&path, result),
        }
    }

    /// The names in a folder, in order; none if there is no such folder.
    pub(super) fn names(&self, path: &Path) -> Result<Vec<String>, StoreError> {
        let path = self.dir.join(path);
        let list =
            || fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>();
        let names = found(&path, list())?.unwrap_or_default();
        let mut names: Vec<_> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Puts a file in its place, whole and durable.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let (mut file, temporary) = self.create_upload(&format!("write-{}", uuid::Uuid::new_v4().simple()))?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| failed(&temporary, error));
        let adopted = written.and_then(|()| self.adopt(&temporary, path));
        if adopted.is_err() {
            drop(fs::remove_file(&temporary));
        }
        adopted
    }

    /// Moves a synced file to its place.
    pub(super) fn adopt(&self, from: &Path, path: &Path) -> Result<(), StoreError> {
        let path = self.dir.join(path);
        let parent = path.parent().expect("invariant: every path of the store is in a folder");
        self.make_dir(parent)?;
        fs::rename(from, &path).map_err(|error| failed(&path, error))?;
        sync_dir(parent)
    }

    /// Removes a file; false if there is none.
    pub(super) fn remove(&self, path: &Path) -> Result<bool, StoreError> {
        let path = self.dir.join(path);
        if found(&path, fs::remove_file(&path))?.is_none() {
            return Ok(false);
        }
        sync_dir(path.parent().expect("invariant: every path of the store is in a folder"))?;
        Ok(true)
    }

    pub(super) fn create_upload(&self, name: &str) -> Result<(File, PathBuf), StoreError> {
        let path = self.dir.join("uploads").join(name);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        file.map(|file| (file, path.clone())).map_err(|error| failed(&path, error))
    }

    /// Makes a folder and those above it, each entry durable.
    fn make_dir(&self, path: &Path) -> Result<(), StoreError> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.make_dir(parent)?;
        }
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => sync_dir(parent.unwrap_or(Path::new("."))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }
}

fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|error| failed(path, error))
}

fn found<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A file where a folder is expected is as good as nothing there.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

pub(super) fn failed(path: &Path, cause: io::Error) -> StoreError {
    let path = path.to_owned();
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { path },
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreError::ReadOnly { path },
        _ => StoreError::Io { path, cause },
    }
}
