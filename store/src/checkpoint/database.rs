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
use crate::record::Record;
use crate::snapshot::Snapshot;

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
const FORMAT: u32 = 1;
const CACHE_BYTES: usize = 4 << 20;

/// The open file. After a failed commit it is opened again before the next one.
pub(super) struct Database {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    open: Option<redb::Database>,
}

#[derive(Debug)]
struct Backend(Box<dyn DiskFile>);

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
    pub(super) fn open(path: &Path, disk: Arc<dyn Disk>) -> Result<Database, OpenError> {
        let open = open(path, disk.as_ref())?;
        Ok(Database { path: path.to_owned(), disk, open: Some(open) })
    }

    /// Everything in it.
    pub(super) fn load(&self) -> Result<(Snapshot, Applied), OpenError> {
        let database = self.open.as_ref().expect("just opened");
        let damaged = |reason: String| OpenError::Damaged { path: self.path.clone(), reason };
        // redb asserts what a sound file guarantees; a damaged one must not end the process without a word of the file.
        let read = catch_unwind(AssertUnwindSafe(|| Database::read_all(database)));
        let read = read.map_err(|_| damaged("its structure is broken".to_owned()))?;
        let format = |found| OpenError::Format { path: self.path.clone(), found, expected: FORMAT };
        read.map_err(|error| damaged(error.to_string()))?.map_err(format)
    }

    fn read_all(database: &redb::Database) -> Result<Result<(Snapshot, Applied), u32>, Error> {
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
            let (_, value) = entry?;
            let record: Record = postcard::from_bytes(value.value())?;
            records.insert(record.key.clone(), Arc::new(record));
        }
        Ok(Ok((Snapshot::loaded(records, applied.revision), applied)))
    }

    /// Writes changes in one commit that is durable when this returns.
    pub(super) fn commit(
        &mut self,
        changes: &HashMap<Arc<str>, Option<Arc<Record>>>,
        applied: &Applied,
        is_replacement: bool,
    ) -> io::Result<()> {
        let database = match self.open.take() {
            Some(database) => database,
            None => open(&self.path, self.disk.as_ref()).map_err(io::Error::other)?,
        };
        write(&database, changes, applied, is_replacement).map_err(|error| io::Error::other(error.to_string()))?;
        self.open = Some(database);
        Ok(())
    }
}

fn open(path: &Path, disk: &dyn Disk) -> Result<redb::Database, OpenError> {
    let file = disk.open(path, true).map_err(|cause| OpenError::File { path: path.to_owned(), cause })?;
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

fn write(
    database: &redb::Database,
    changes: &HashMap<Arc<str>, Option<Arc<Record>>>,
    applied: &Applied,
    is_replacement: bool,
) -> Result<(), Error> {
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
            match value {
                Some(record) => drop(records.insert(&**key, postcard::to_stdvec(&**record)?.as_slice())?),
                None => drop(records.remove(&**key)?),
            }
        }
        let mut about = transaction.open_table(ABOUT)?;
        about.insert("format", postcard::to_stdvec(&FORMAT)?.as_slice())?;
        // JSON, because the membership's maps are self-describing there across versions of the library.
        let applied = serde_json::to_vec(applied).map_err(|error| Error(error.to_string()))?;
        about.insert("applied", applied.as_slice())?;
    }
    transaction.commit()?;
    Ok(())
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
