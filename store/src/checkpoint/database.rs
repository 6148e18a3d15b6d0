//! The redb file: one table of keys, one of how far the log has been applied.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imbl::OrdMap;
use redb::{Durability, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition};

use super::Applied;
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::fault::{self, Point};
use crate::record::Record;
use crate::snapshot::Snapshot;

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
const FORMAT: u32 = 1;
const CACHE_BYTES: usize = 4 << 20;

/// The file.
pub(super) struct Database {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// `None` after a failure: it is opened again for the next commit.
    open: Option<Open>,
    /// A file smaller than this is left as it is.
    bytes_min: u64,
    /// Bytes of all keys and values.
    live_bytes: u64,
    /// The file's length after the last compaction.
    compacted_bytes: u64,
}

struct Open {
    redb: redb::Database,
    file: Arc<dyn DiskFile>,
}

#[derive(Debug)]
struct Backend(Arc<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}

impl Database {
    pub(super) fn open(path: &Path, disk: Arc<dyn Disk>, bytes_min: u64) -> Result<Database, OpenError> {
        let open = open(path, disk.as_ref())?;
        Ok(Database { path: path.to_owned(), disk, open: Some(open), bytes_min, live_bytes: 0, compacted_bytes: 0 })
    }

    /// Everything in it.
    pub(super) fn load(&mut self) -> Result<(Snapshot, Applied), OpenError> {
        let database = &self.open.as_ref().expect("just opened").redb;
        let damaged = |reason: String| OpenError::Damaged { path: self.path.clone(), reason };
        // redb asserts what a sound file guarantees; a damaged one must not end the process without a word of the file.
        let mut live_bytes = 0;
        let read = catch_unwind(AssertUnwindSafe(|| Database::read_all(database, &mut live_bytes)));
        self.live_bytes = live_bytes;
        let read = read.map_err(|_| damaged("its structure is broken".to_owned()))?;
        let format = |found| OpenError::Format { path: self.path.clone(), found, expected: FORMAT };
        read.map_err(|error| damaged(error.to_string()))?.map_err(format)
    }

    fn read_all(database: &redb::Database, live_bytes: &mut u64) -> Result<Result<(Snapshot, Applied), u32>, Error> {
        let transaction = database.begin_read()?;
        let about = match transaction.open_table(ABOUT) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Ok(Default::default())),
            Err(error) => return Err(error.into()),
        };
        let format: u32 =
            about.get("format")?.map(|value| postcard::from_bytes(value.value())).transpose()?.unwrap_or(0);
        if format != FORMAT {
            return Ok(Err(format));
        }
        let applied: Applied = match about.get("applied")? {
            Some(value) => serde_json::from_slice(value.value()).map_err(|error| Error(error.to_string()))?,
            None => Applied::default(),
        };
        let mut records = OrdMap::new();
        for entry in transaction.open_table(RECORDS)?.iter()? {
            let (key, value) = entry?;
            *live_bytes += (key.value().len() + value.value().len()) as u64;
            let record: Record = postcard::from_bytes(value.value())?;
            records.insert(record.key.clone(), Arc::new(record));
        }
        Ok(Ok((Snapshot { records, revision: applied.revision }, applied)))
    }

    /// Writes changes in one commit that is durable when this returns.
    pub(super) fn commit(
        &mut self,
        changes: &HashMap<Arc<str>, Option<Arc<Record>>>,
        applied: &Applied,
        is_replacement: bool,
    ) -> io::Result<()> {
        let open = match self.open.take() {
            Some(open) => open,
            None => open(&self.path, self.disk.as_ref()).map_err(io::Error::other)?,
        };
        let (added, removed) =
            write(&open.redb, changes, applied, is_replacement).map_err(|error| io::Error::other(error.to_string()))?;
        self.live_bytes = if is_replacement { added } else { self.live_bytes + added - removed };
        self.open = Some(open);
        Ok(())
    }

    /// Gives back to the disk what the file holds beside keys and values, if that is more than they are.
    pub(super) fn compact_if_sparse(&mut self) -> io::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let length = open.file.len()?;
        // What compaction could not give back last time it will not give back now.
        let is_sparse =
            length > self.bytes_min && length > 2 * self.live_bytes && length > self.compacted_bytes * 5 / 4;
        if is_sparse {
            fault::enter(Point::Compaction);
            open.redb.compact().map_err(|error| io::Error::other(error.to_string()))?;
            self.compacted_bytes = open.file.len()?;
        }
        self.open = Some(open);
        Ok(())
    }
}

/// Opens the file, and makes it if there is none.
fn open(path: &Path, disk: &dyn Disk) -> Result<Open, OpenError> {
    let file = match disk.open(path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path, disk)?;
            disk.open(path, false)
        }
        found => found,
    };
    let file: Arc<dyn DiskFile> = file.map_err(|cause| OpenError::File { path: path.to_owned(), cause })?.into();
    Ok(Open { redb: open_file(path, file.clone())?, file })
}

/// Makes the file under another name first: half a file would be taken for a damaged one.
fn create(path: &Path, disk: &dyn Disk) -> Result<(), OpenError> {
    let failed = |cause| OpenError::File { path: path.to_owned(), cause };
    let new = path.with_extension("new");
    let file = disk.open(&new, true).map_err(failed)?;
    file.set_len(0).map_err(failed)?;
    // Closing makes it durable.
    drop(open_file(&new, file.into())?);
    disk.rename(&new, path).map_err(failed)?;
    disk.sync_dir(path.parent().expect("the file is in the store's folder")).map_err(failed)
}

fn open_file(path: &Path, file: Arc<dyn DiskFile>) -> Result<redb::Database, OpenError> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(Backend(file))
    }));
    let damaged = |reason: String| OpenError::Damaged { path: path.to_owned(), reason };
    opened.map_err(|_| damaged("its structure is broken".to_owned()))?.map_err(|error| match error {
        redb::DatabaseError::Storage(redb::StorageError::Io(cause)) if cause.kind() != io::ErrorKind::InvalidData => {
            OpenError::File { path: path.to_owned(), cause }
        }
        error => damaged(error.to_string()),
    })
}

/// Gives the bytes of keys and values that were added, and of those they replaced.
fn write(
    database: &redb::Database,
    changes: &HashMap<Arc<str>, Option<Arc<Record>>>,
    applied: &Applied,
    is_replacement: bool,
) -> Result<(u64, u64), Error> {
    let (mut added, mut removed) = (0, 0);
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    if is_replacement {
        transaction.delete_table(RECORDS)?;
    }
    {
        let mut records = transaction.open_table(RECORDS)?;
        for (key, value) in changes {
            let weight = |value: &[u8]| (key.len() + value.len()) as u64;
            let old = match value {
                Some(record) => {
                    let value = postcard::to_stdvec(&**record)?;
                    added += weight(&value);
                    records.insert(&**key, value.as_slice())?
                }
                None => records.remove(&**key)?,
            };
            removed += old.map_or(0, |old| weight(old.value()));
        }
        let mut about = transaction.open_table(ABOUT)?;
        about.insert("format", postcard::to_stdvec(&FORMAT)?.as_slice())?;
        // JSON, because the membership's maps are self-describing there across versions of the library.
        let applied = serde_json::to_vec(applied).map_err(|error| Error(error.to_string()))?;
        about.insert("applied", applied.as_slice())?;
    }
    transaction.commit()?;
    Ok((added, removed))
}

/// Any failure of redb or of decoding, as text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Error(String);

macro_rules! from {
    ($($error:ty),*) => { $(impl From<$error> for Error {
        fn from(error: $error) -> Error {
            Error(error.to_string())
        }
    })* };
}
from!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError,
    postcard::Error
);
