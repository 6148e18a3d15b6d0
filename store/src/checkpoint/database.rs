//! The redb file: one table of keys, one of how far the log has been applied.
//!
//! A process reads the file it finds and never writes to it: its first commit writes another one and puts that in its place. So does a
//! commit after a failed one. What a file shows after a failed sync may be in the system's memory only, and going on from it would
//! build on what a power cut takes away. Later commits change the file, until that would leave too much of it unused.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use imbl::OrdMap;
use redb::backends::InMemoryBackend;
use redb::{Durability, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition};

use super::{Applied, ROOM_BYTES_MIN, ROOM_FACTOR, State};
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::fault::{self, Point};
use crate::record::Record;
use crate::snapshot::Snapshot;

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
const FORMAT: u32 = 2;
/// Little is read back: all that is read is in memory.
const CACHE_BYTES: usize = 1 << 20;

/// What a commit changes; `None` removes a key.
pub(super) type Changes = BTreeMap<Arc<str>, Option<Arc<Record>>>;

/// Writes the file.
pub(super) struct Database {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// Replaced bytes that a file may hold, or a quarter of what it holds if that is more.
    slack_bytes: u64,
    /// The file that this process has written; `None` at first, and after a failure.
    written: Option<Written>,
}

struct Written {
    redb: redb::Database,
    /// Bytes of all keys and values.
    live_bytes: u64,
    /// Bytes of the keys and values that were replaced or removed.
    replaced_bytes: u64,
}

impl Database {
    pub(super) fn new(path: &Path, disk: Arc<dyn Disk>, slack_bytes: u64) -> Database {
        Database { path: path.to_owned(), disk, slack_bytes, written: None }
    }

    /// Everything in the file; nothing if there is none.
    pub(super) fn load(&self) -> Result<State, OpenError> {
        let failed = |cause| OpenError::File { path: self.path.clone(), cause };
        let damaged = |reason: String| OpenError::Damaged { path: self.path.clone(), reason };
        let file = match self.disk.open(&self.path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            found => found.map_err(failed)?,
        };
        let mut bytes = vec![0; usize::try_from(file.len().map_err(failed)?).expect("the state fits in memory")];
        file.read_at(&mut bytes, 0).map_err(failed)?;
        // redb asserts what a sound file guarantees; a damaged one must not end the process without a word of the file.
        let read = catch_unwind(AssertUnwindSafe(|| read_all(&bytes)));
        let read = read.map_err(|_| damaged("its structure is broken".to_owned()))?;
        let format = |found| OpenError::Format { path: self.path.clone(), found, expected: FORMAT };
        read.map_err(|error| damaged(error.to_string()))?.map_err(format)
    }

    /// Makes the file hold `state`, durable when this returns. `changes` are those since the last commit.
    pub(super) fn commit(
        &mut self,
        changes: &Changes,
        state: &State,
        is_durable: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let written = self.written.take();
        let added: usize = changes.values().flatten().map(|record| record.weight()).sum();
        let added = added as u64;
        let is_sparse = written
            .as_ref()
            .is_some_and(|written| written.replaced_bytes + added > self.slack_bytes.max(written.live_bytes / 4));
        if is_sparse {
            fault::enter(Point::Compaction);
        }
        // A commit that the file has no room to grow for would leave in it what it had written until then, for good: a new file that
        // fails is removed.
        let available = self.disk.available_bytes(self.folder())?;
        let (wanted, needed) = (ROOM_FACTOR * added + ROOM_BYTES_MIN, ROOM_FACTOR * added);
        self.written = Some(match written {
            Some(written) if !is_sparse && wanted <= available => written.write(changes, &state.1)?,
            None => self.write_anew(state, is_durable)?,
            Some(written) => match self.write_anew(state, is_durable) {
                Ok(anew) => anew,
                // There may be space in the file where there is none for another.
                Err(_) if needed <= available => written.write(changes, &state.1)?,
                Err(error) => return Err(error),
            },
        });
        Ok(())
    }

    /// The next commit writes a new file.
    pub(super) fn forget(&mut self) {
        self.written = None;
    }

    fn folder(&self) -> &Path {
        self.path.parent().expect("invariant: the file is in the store's folder")
    }

    /// Writes another file, and puts it in the place of the one there is.
    fn write_anew(&self, state: &State, is_durable: impl Fn(&str) -> bool) -> io::Result<Written> {
        let path = self.path.with_extension("new");
        let file = self.disk.open(&path, true)?;
        let written = fill(file, state, is_durable).inspect_err(|_| drop(self.disk.remove(&path)))?;
        let folder = self.folder();
        // First the name that it has: else a power cut might leave that to a file that was given up before, and rename that one.
        self.disk.sync_dir(folder)?;
        self.disk.rename(&path, &self.path)?;
        self.disk.sync_dir(folder)?;
        Ok(written)
    }
}

/// Makes a file hold `state`.
fn fill(
    file: Box<dyn DiskFile>,
    (snapshot, applied): &State,
    is_durable: impl Fn(&str) -> bool,
) -> io::Result<Written> {
    file.set_len(0)?;
    let backend = Backend { file, is_broken: AtomicBool::new(false) };
    let redb = redb::Builder::new()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(backend)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let durable = snapshot.records.iter().filter(|(key, _)| is_durable(key));
    let changes: Changes = durable.map(|(key, record)| (key.clone(), Some(record.clone()))).collect();
    let (live_bytes, _) = write(&redb, &changes, applied).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Written { redb, live_bytes, replaced_bytes: 0 })
}

impl Written {
    fn write(mut self, changes: &Changes, applied: &Applied) -> io::Result<Written> {
        let (added, removed) =
            write(&self.redb, changes, applied).map_err(|error| io::Error::other(error.to_string()))?;
        self.live_bytes = self.live_bytes + added - removed;
        self.replaced_bytes += removed;
        Ok(self)
    }
}

/// A file as redb asks for it. After a failure it does nothing any more.
#[derive(Debug)]
struct Backend {
    file: Box<dyn DiskFile>,
    is_broken: AtomicBool,
}

impl Backend {
    fn change(&self, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("the file failed before"));
        }
        change().inspect_err(|_| self.is_broken.store(true, Ordering::Relaxed))
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|| self.file.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| self.file.write_at(data, offset))
    }
}

/// Everything in a file, or the format it has if that is another one.
fn read_all(bytes: &[u8]) -> Result<Result<State, u32>, Error> {
    if bytes.is_empty() {
        return Err(Error("it is empty".to_owned()));
    }
    let memory = InMemoryBackend::new();
    memory
        .set_len(bytes.len() as u64)
        .and_then(|()| memory.write(0, bytes))
        .map_err(|error| Error(error.to_string()))?;
    let mut database = redb::Builder::new().create_with_backend(memory)?;
    if !database.check_integrity()? {
        return Err(Error("a checksum in it does not match".to_owned()));
    }
    let transaction = database.begin_read()?;
    let about = transaction.open_table(ABOUT)?;
    let format: u32 = about.get("format")?.map(|value| postcard::from_bytes(value.value())).transpose()?.unwrap_or(0);
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

/// Gives the bytes of keys and values that were added, and of those they replaced.
fn write(database: &redb::Database, changes: &Changes, applied: &Applied) -> Result<(u64, u64), Error> {
    let (mut added, mut removed) = (0, 0);
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
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
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError,
    postcard::Error
);
