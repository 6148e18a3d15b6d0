//! A disk in memory that a test can crash: unsynced bytes are dropped, reordered and torn as its seed says, unsynced names are dropped and
//! reordered; it can lie, fail, fill up and stall.
//!
//! Deliberately absent: losing folders.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::mpsc;

use super::Random;
use super::content::{Content, Unsynced};
use super::names::{Files, Names};
use super::stalled::{self, Stalled};
use crate::disk::{Disk, DiskFile};
use crate::fault::switch;

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SeededDisk {
    state: Arc<Mutex<State>>,
    /// The process that this handle belongs to: what ran before a restart can't touch the disk after it.
    generation: u64,
}

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The power goes, before the operation.
    PowerCut,
    /// The operation fails and does nothing.
    Error,
    /// The next sync fails: some of the bytes are on the disk, and no later sync writes the others.
    Sync,
    /// From the operation on the disk is full.
    Full,
}

#[derive(Debug)]
struct State {
    names: Names,
    random: Random,
    /// Operations until one goes wrong, and how.
    failure: Option<(u64, Failure)>,
    is_crashed: bool,
    /// Counts restarts.
    generation: u64,
    lies_about_sync: bool,
    capacity_bytes: Option<u64>,
    stalls: Option<mpsc::UnboundedSender<Stalled>>,
}

impl SeededDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SeededDisk {
        SeededDisk::with(Files::new(), Random::new(seed))
    }

    fn with(files: Files, random: Random) -> SeededDisk {
        let state = State {
            names: Names::durable(files),
            random,
            failure: None,
            is_crashed: false,
            generation: 0,
            lies_about_sync: false,
            capacity_bytes: None,
            stalls: None,
        };
        SeededDisk { state: Arc::new(Mutex::new(state)), generation: 0 }
    }

    /// The operation after so many others goes wrong.
    pub fn fail_after(&self, operations: u64, failure: Failure) {
        self.state.lock().failure = Some((operations, failure));
    }

    /// No operation goes wrong any more.
    pub fn fail_never(&self) {
        self.state.lock().failure = None;
    }

    /// The power goes now.
    pub fn cut_power(&self) {
        self.state.lock().is_crashed = true;
    }

    /// Has the power gone?
    pub fn is_crashed(&self) -> bool {
        self.state.lock().is_crashed
    }

    /// From now on a sync says it is done and does nothing.
    pub fn lie_about_sync(&self) {
        self.state.lock().lies_about_sync = true;
    }

    /// The disk is full at so many bytes.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        used_bytes(&self.state.lock())
    }

    /// From now on an operation on another thread than an observer's waits until its report is dropped; all go on once the reports'
    /// receiver is dropped.
    pub fn stall(&self) -> mpsc::UnboundedReceiver<Stalled> {
        let (sender, reports) = mpsc::unbounded_channel();
        self.state.lock().stalls = Some(sender);
        reports
    }

    /// Another disk, as this one would be after a power cut now.
    pub fn fork(&self) -> SeededDisk {
        let mut state = self.state.lock();
        let mut random = Random::new(state.random.below(u64::MAX));
        let files = after_power_cut(&state.names, &mut random);
        SeededDisk::with(files, random)
    }

    /// The power goes if it has not yet, and comes back. The handles from before are of no use after it; this is the new one.
    #[must_use]
    pub fn restart(&self) -> SeededDisk {
        let mut state = self.state.lock();
        let State { names, random, .. } = &mut *state;
        *names = Names::durable(after_power_cut(names, random));
        self.reopen_at(&mut state)
    }

    /// The process ends and the machine runs on: what was written is there, synced or not. The handles from before are of no use after
    /// it; this is the new one.
    #[must_use]
    pub fn reopen(&self) -> SeededDisk {
        self.reopen_at(&mut self.state.lock())
    }

    /// Under the same guard as what comes before it, as else a thread from before might go on in between, with what it sees now.
    fn reopen_at(&self, state: &mut State) -> SeededDisk {
        state.is_crashed = false;
        state.failure = None;
        state.capacity_bytes = None;
        state.stalls = None;
        state.generation += 1;
        SeededDisk { state: self.state.clone(), generation: state.generation }
    }

    /// Begins an operation. What it changes is changed under the guard, so that a restart comes before or after.
    fn begin(&self) -> io::Result<(MutexGuard<'_, State>, Option<Failure>)> {
        let point = switch::current();
        if !switch::is_observed(point) {
            let stalls = self.state.lock().stalls.clone();
            if let Some(stalls) = stalls {
                stalled::hold_up(point, &stalls);
            }
        }
        let mut state = self.state.lock();
        if state.generation != self.generation {
            return Err(no_power());
        }
        let failure = match &mut state.failure {
            Some((0, failure)) => Some(*failure),
            Some((operations, _)) => {
                *operations -= 1;
                None
            }
            None => None,
        };
        match failure {
            Some(Failure::PowerCut) => state.is_crashed = true,
            Some(Failure::Full) => state.capacity_bytes = Some(used_bytes(&state)),
            Some(Failure::Error | Failure::Sync) | None => {}
        }
        // A failing sync waits for a sync.
        if failure.is_some_and(|failure| failure != Failure::Sync) {
            state.failure = None;
        }
        if state.is_crashed {
            return Err(no_power());
        }
        if failure == Some(Failure::Error) { Err(broken()) } else { Ok((state, failure)) }
    }

    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        self.begin().map(|(state, _)| state)
    }
}

/// The files with their bytes, as a power cut leaves them.
fn after_power_cut(names: &Names, random: &mut Random) -> Files {
    let mut files = names.after_power_cut(random);
    for file in files.values_mut() {
        let bytes = file.lock().after_power_cut(random);
        *file = Arc::new(Mutex::new(Content::durable(bytes)));
    }
    files
}

fn used_bytes(state: &State) -> u64 {
    state.names.files().values().map(|file| file.lock().current.len() as u64).sum()
}

fn no_power() -> io::Error {
    io::Error::other("the disk has no power")
}

/// EIO.
fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Disk for SeededDisk {
    fn available_bytes(&self, _: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        Ok(state.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(used_bytes(&state))))
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        let names =
            state.names.files().keys().filter(|file| file.parent() == Some(path)).filter_map(|file| file.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        if state.is_crashed || state.generation != self.generation {
            return Err(no_power());
        }
        let content = match state.names.files().get(path) {
            Some(content) => content.clone(),
            None if create => state.names.create(path),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(SeededFile { content, disk: self.clone() }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change()?.names.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?.names.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        if !state.lies_about_sync {
            state.names.sync(path);
        }
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }
}

#[derive(Debug)]
struct SeededFile {
    content: Arc<Mutex<Content>>,
    disk: SeededDisk,
}

impl SeededFile {
    /// Changes the file, if a file of `length` bytes fits.
    fn change(&self, change: Unsynced, length: u64) -> io::Result<()> {
        let state = self.disk.change()?;
        let own = self.content.lock().current.len() as u64;
        if let Some(capacity) = state.capacity_bytes
            && length > own
            && used_bytes(&state) + (length - own) > capacity
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.content.lock().change(change);
        Ok(())
    }
}

impl DiskFile for SeededFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().current.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.content.lock();
        let start = usize::try_from(offset).expect("an offset");
        out.copy_from_slice(content.current.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.change(Unsynced::Write { offset, data: data.to_vec() }, offset + data.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Unsynced::SetLen(len), len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let length = self.len()?.max(len);
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, failure) = self.disk.begin()?;
        if failure == Some(Failure::Sync) {
            state.failure = None;
            self.content.lock().fail_sync(&mut state.random);
            return Err(broken());
        }
        if !state.lies_about_sync {
            self.content.lock().sync();
        }
        Ok(())
    }
}
