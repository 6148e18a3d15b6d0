//! A disk in memory that a test can crash: unsynced bytes are dropped, reordered and torn, as its seed says; syncs can be made to lie.
//!
//! Deliberately absent: losing the names of files. Making, renaming and removing them is durable at once.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile};

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SeededDisk {
    state: Arc<Mutex<State>>,
    /// The power-on that this handle belongs to: what ran before a power cut can't touch the disk after it.
    generation: u64,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Bytes>>>,
    random: Random,
    /// Changes until the power goes.
    operations_left: Option<u64>,
    is_crashed: bool,
    /// Counts restarts.
    generation: u64,
    lies_about_sync: bool,
    capacity_bytes: Option<u64>,
}

#[derive(Debug, Default)]
struct Bytes {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

#[derive(Clone, Debug)]
enum Unsynced {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
}

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence that the seed determines.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

impl SeededDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SeededDisk {
        let state = State {
            files: BTreeMap::new(),
            random: Random::new(seed),
            operations_left: None,
            is_crashed: false,
            generation: 0,
            lies_about_sync: false,
            capacity_bytes: None,
        };
        SeededDisk { state: Arc::new(Mutex::new(state)), generation: 0 }
    }

    /// The power goes after so many more changes and syncs.
    pub fn crash_after(&self, operations: u64) {
        self.state.lock().operations_left = Some(operations);
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

    /// The power goes if it has not yet, and comes back: of what was not synced, some is there, some is not, one write is torn.
    /// The handles from before are of no use after it; this is the new one.
    #[must_use]
    pub fn restart(&self) -> SeededDisk {
        let mut state = self.state.lock();
        let State { files, random, .. } = &mut *state;
        for file in files.values() {
            let mut file = file.lock();
            let mut unsynced: Vec<Unsynced> = std::mem::take(&mut file.unsynced);
            let mut bytes = std::mem::take(&mut file.durable);
            // A journal orders changes of the length; bytes beyond the length that is left are lost with it.
            let lengths_kept = usize::try_from(random.below(unsynced.len() as u64 + 1)).expect("a count");
            let length =
                unsynced[..lengths_kept].iter().fold(bytes.len(), |length, change| change.length_after(length));
            let mut index = 0;
            unsynced.retain(|change| {
                index += 1;
                if matches!(change, Unsynced::SetLen(_)) { index <= lengths_kept } else { random.below(2) == 0 }
            });
            if let Some(Unsynced::Write { data, .. }) = unsynced.last_mut() {
                data.truncate(usize::try_from(random.below(data.len() as u64 + 1)).expect("a length"));
            }
            for change in &unsynced {
                change.apply(&mut bytes);
            }
            bytes.resize(length, 0);
            file.durable.clone_from(&bytes);
            file.current = bytes;
        }
        state.is_crashed = false;
        state.operations_left = None;
        state.generation += 1;
        SeededDisk { state: self.state.clone(), generation: state.generation }
    }

    /// Counts a change. What it changes is changed under the guard, so that a restart comes before or after.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if state.generation != self.generation {
            return Err(no_power());
        }
        if let Some(left) = &mut state.operations_left {
            if *left == 0 {
                state.is_crashed = true;
            } else {
                *left -= 1;
            }
        }
        if state.is_crashed { Err(no_power()) } else { Ok(state) }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the disk has no power")
}

impl Unsynced {
    fn length_after(&self, length: usize) -> usize {
        match self {
            Unsynced::SetLen(length) => usize::try_from(*length).expect("a length"),
            Unsynced::Write { offset, data } => length.max(usize::try_from(*offset).expect("an offset") + data.len()),
        }
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Unsynced::SetLen(length) => bytes.resize(usize::try_from(*length).expect("a length"), 0),
            Unsynced::Write { offset, data } => {
                let start = usize::try_from(*offset).expect("an offset");
                if bytes.len() < start + data.len() {
                    bytes.resize(start + data.len(), 0);
                }
                bytes[start..start + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl Disk for SeededDisk {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        let names = state.files.keys().filter(|file| file.parent() == Some(path)).filter_map(|file| file.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        if state.is_crashed || state.generation != self.generation {
            return Err(no_power());
        }
        if !create && !state.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let bytes = state.files.entry(path.to_owned()).or_default().clone();
        Ok(Box::new(SeededFile { bytes, disk: self.clone() }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change()?.files.remove(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        self.change().map(drop)
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }
}

#[derive(Debug)]
struct SeededFile {
    bytes: Arc<Mutex<Bytes>>,
    disk: SeededDisk,
}

impl SeededFile {
    fn change(&self, change: Unsynced) -> io::Result<()> {
        let _state = self.disk.change()?;
        let mut bytes = self.bytes.lock();
        change.apply(&mut bytes.current);
        bytes.unsynced.push(change);
        Ok(())
    }

    fn fits(&self, length: u64) -> io::Result<()> {
        let own = self.bytes.lock().current.len() as u64;
        let state = self.disk.state.lock();
        let Some(capacity) = state.capacity_bytes else { return Ok(()) };
        let used: u64 = state.files.values().map(|file| file.lock().current.len() as u64).sum();
        if length > own && used + (length - own) > capacity { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl DiskFile for SeededFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().current.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self.bytes.lock();
        let start = usize::try_from(offset).expect("an offset");
        out.copy_from_slice(bytes.current.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.fits(offset + data.len() as u64)?;
        self.change(Unsynced::Write { offset, data: data.to_vec() })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fits(len)?;
        self.change(Unsynced::SetLen(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let length = self.len()?.max(len);
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        let state = self.disk.change()?;
        let mut bytes = self.bytes.lock();
        if !state.lies_about_sync {
            for change in std::mem::take(&mut bytes.unsynced) {
                change.apply(&mut bytes.durable);
            }
        }
        Ok(())
    }
}
