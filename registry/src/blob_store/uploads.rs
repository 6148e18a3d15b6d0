//! Uploads that are not finished: a file that grows, and the digest of what it has so far.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use super::StoreError;
use super::files::failed;
use crate::digest::{Digest, Hasher};

/// Names an upload in addresses.
pub(crate) type UploadId = String;

pub(super) struct Uploads {
    open: Mutex<HashMap<UploadId, Slot>>,
    count_max: usize,
    idle_max: Duration,
}

struct Slot {
    repository: String,
    used: Instant,
    upload: Arc<tokio::sync::Mutex<Upload>>,
}

impl Uploads {
    pub(super) fn new(count_max: usize, idle_max: Duration) -> Uploads {
        Uploads { open: Mutex::default(), count_max, idle_max }
    }

    pub(super) fn begin(
        &self,
        repository: &str,
        create: impl FnOnce(&str) -> Result<(File, PathBuf), StoreError>,
    ) -> Result<UploadId, StoreError> {
        let mut open = self.lock();
        if open.len() >= self.count_max {
            open.retain(|_, slot| slot.used.elapsed() < self.idle_max);
        }
        if open.len() >= self.count_max {
            return Err(StoreError::TooManyUploads(open.len()));
        }
        let id = uuid::Uuid::new_v4().to_string();
        let (file, path) = create(&id)?;
        let file = tokio::fs::File::from_std(file);
        let upload = Upload { file, path, hasher: Hasher::default(), size: 0, is_whole: true };
        let upload = Arc::new(tokio::sync::Mutex::new(upload));
        open.insert(id.clone(), Slot { repository: repository.to_owned(), used: Instant::now(), upload });
        Ok(id)
    }

    pub(super) fn find(&self, repository: &str, id: &str) -> Result<Arc<tokio::sync::Mutex<Upload>>, StoreError> {
        let mut open = self.lock();
        let slot = open.get_mut(id).filter(|slot| slot.repository == repository).ok_or(StoreError::UploadUnknown)?;
        slot.used = Instant::now();
        Ok(slot.upload.clone())
    }

    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, Slot>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One upload. Its file goes with it unless it was moved away.
pub(crate) struct Upload {
    file: tokio::fs::File,
    path: PathBuf,
    hasher: Hasher,
    size: u64,
    /// False while bytes are being written: a request that ends there leaves a file nobody knows the digest of.
    is_whole: bool,
}

impl Upload {
    /// How many bytes there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends bytes, up to `limit` in all.
    pub(crate) async fn append(&mut self, bytes: &[u8], limit: u64) -> Result<(), StoreError> {
        if !self.is_whole {
            return Err(StoreError::UploadUnknown);
        }
        if self.size + bytes.len() as u64 > limit {
            return Err(StoreError::TooLarge { what: "blob", limit });
        }
        self.is_whole = false;
        self.file.write_all(bytes).await.map_err(|error| failed(&self.path, error))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.is_whole = true;
        Ok(())
    }

    /// Makes the bytes durable and checks their digest; the file is then to be moved from this path.
    pub(crate) async fn finish(&mut self, expected: Digest) -> Result<PathBuf, StoreError> {
        if !self.is_whole {
            return Err(StoreError::UploadUnknown);
        }
        let found = self.hasher.clone().finish();
        if found != expected {
            return Err(StoreError::DigestMismatch { expected, found });
        }
        let synced = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        synced.await.map_err(|error| failed(&self.path, error))?;
        Ok(self.path.clone())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Gone already if it was moved; what cannot be removed is removed at the next start.
        drop(std::fs::remove_file(&self.path));
    }
}
