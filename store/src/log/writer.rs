//! The log's thread: writes what waits as one frame, syncs, answers; rotates, reserves and removes segments.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use parking_lot::Mutex;

use super::frame;
use super::segment::{self, Segment};
use super::{Contents, Done, Item, Job};
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;

/// Bytes of jobs that go into one frame, unless one alone is larger.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// Jobs that go into one frame.
const FRAME_JOBS_MAX: usize = 1_024;

pub(super) struct Setup {
    pub(super) dir: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) segment_bytes: u64,
    pub(super) segments: Vec<Segment>,
    pub(super) next_sequence: u64,
    pub(super) contents: Arc<Mutex<Contents>>,
    pub(super) room: Arc<AtomicU64>,
    pub(super) size: Arc<AtomicU64>,
}

struct Writer {
    setup: Setup,
    spare: Option<(Box<dyn DiskFile>, u64)>,
    /// Set by the first failed write or sync; nothing is acknowledged after it.
    failure: Option<String>,
    buffer: Vec<u8>,
}

pub(super) fn start(setup: Setup, jobs: mpsc::Receiver<Job>) -> Result<(), OpenError> {
    let dir = setup.dir.clone();
    let mut writer = Writer { setup, spare: None, failure: None, buffer: Vec::new() };
    writer.prepare().map_err(|cause| OpenError::File { path: dir, cause })?;
    thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&jobs)).expect("the system starts a thread");
    Ok(())
}

impl Writer {
    /// Opens the first segment of an empty log, and reserves the next.
    fn prepare(&mut self) -> io::Result<()> {
        if self.setup.segments.is_empty() {
            self.reserve(self.setup.segment_bytes)?;
            self.rotate(0)?;
        }
        let _ = self.reserve(self.setup.segment_bytes);
        self.publish();
        Ok(())
    }

    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Write(items, done) => next = self.write_group(items, done, jobs),
                    Job::Reserve(caller) => {
                        let result = self.reserve(self.setup.segment_bytes);
                        self.publish();
                        let _ = caller.send(result);
                    }
                    Job::Stop(caller) => {
                        let _ = caller.send(self.healthy());
                        return;
                    }
                }
            }
        }
    }

    /// Takes the writes that wait, makes them durable together; gives back the first job that is no write.
    fn write_group(&mut self, items: Vec<Item>, done: Done, jobs: &mpsc::Receiver<Job>) -> Option<Job> {
        let mut weight = weight(&items);
        let mut group = items;
        let mut waiting = vec![done];
        let mut other = None;
        while weight < FRAME_BYTES_MAX && waiting.len() < FRAME_JOBS_MAX {
            match jobs.try_recv() {
                Ok(Job::Write(items, done)) => {
                    weight += self::weight(&items);
                    group.extend(items);
                    waiting.push(done);
                }
                Ok(job) => {
                    other = Some(job);
                    break;
                }
                Err(_) => break,
            }
        }
        let result = self.healthy().and_then(|()| self.write(&group));
        if let Err(error) = &result
            && self.failure.is_none()
        {
            tracing::error!(%error, "the log can't be written; nothing is acknowledged any more until the process starts again");
            self.failure = Some(error.to_string());
        }
        for done in waiting {
            done.tell(result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())));
        }
        if result.is_ok() {
            self.tidy(&group);
        }
        self.publish();
        other
    }

    fn healthy(&self) -> io::Result<()> {
        self.failure.as_ref().map_or(Ok(()), |reason| Err(io::Error::other(format!("the log failed before: {reason}"))))
    }

    fn write(&mut self, items: &[Item]) -> io::Result<()> {
        self.buffer.clear();
        frame::encode(items, self.setup.next_sequence, &mut self.buffer);
        let bytes = self.buffer.len() as u64;
        let segment = self.setup.segments.last().expect("there is a segment to write to");
        if segment.end + bytes > segment.length {
            self.rotate(bytes)?;
            // The rotation has written a frame of its own.
            self.buffer.clear();
            frame::encode(items, self.setup.next_sequence, &mut self.buffer);
        }
        self.append(items)
    }

    /// Writes the buffer, a frame of `items`, to the last segment.
    fn append(&mut self, items: &[Item]) -> io::Result<()> {
        let segment = self.setup.segments.last_mut().expect("there is a segment to write to");
        segment.file.write_at(&self.buffer, segment.end)?;
        segment.file.sync()?;
        segment.end += self.buffer.len() as u64;
        self.setup.next_sequence += 1;
        let last = items.iter().filter_map(|item| match item {
            Item::Entry(entry) => Some(entry.log_id.index),
            _ => None,
        });
        segment.last_index = segment.last_index.max(last.max());
        Ok(())
    }

    /// Begins the next segment, with room for `bytes`. It repeats the vote and the purge, so that older segments can go.
    fn rotate(&mut self, bytes: u64) -> io::Result<()> {
        let wanted = (bytes + segment::HEADER_BYTES + 4_096).max(self.setup.segment_bytes);
        if self.spare.as_ref().is_none_or(|(_, length)| *length < wanted) {
            self.spare = None;
            self.reserve(wanted)?;
        }
        let (file, length) = self.spare.take().ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        let number = self.setup.segments.last().map_or(1, |segment| segment.number + 1);
        let dir = &self.setup.dir;
        self.setup.disk.rename(&dir.join(segment::SPARE), &segment::path(dir, number))?;
        self.setup.disk.sync_dir(dir)?;
        self.setup.segments.push(Segment { number, file, end: segment::HEADER_BYTES, length, last_index: None });
        let mut items = Vec::new();
        {
            let contents = self.setup.contents.lock();
            items.extend(contents.vote.map(Item::Vote));
            items.extend(contents.purged.map(Item::Purge));
        }
        self.buffer.clear();
        frame::encode(&items, self.setup.next_sequence, &mut self.buffer);
        self.append(&items)
    }

    /// Makes the spare segment, if there is none.
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        if self.spare.is_some() {
            return Ok(());
        }
        let path = self.setup.dir.join(segment::SPARE);
        let file = self.setup.disk.open(&path, true)?;
        // An old spare may hold part of a segment that was never used.
        file.set_len(0)?;
        let made = file.allocate(bytes).and_then(|()| segment::write_header(file.as_ref())).and_then(|()| file.sync());
        if let Err(error) = made {
            drop(file);
            let _ = self.setup.disk.remove(&path);
            return Err(error);
        }
        self.spare = Some((file, bytes));
        Ok(())
    }

    /// Removes the segments whose entries are all purged, and reserves the next one.
    fn tidy(&mut self, items: &[Item]) {
        if self.spare.is_none() {
            let _ = self.reserve(self.setup.segment_bytes);
        }
        let Some(purged) =
            items.iter().rev().find_map(|item| if let Item::Purge(id) = item { Some(id.index) } else { None })
        else {
            return;
        };
        while self.setup.segments.len() > 1 && self.setup.segments[0].last_index.is_none_or(|last| last <= purged) {
            let segment = self.setup.segments.remove(0);
            if let Err(error) = self.setup.disk.remove(&segment::path(&self.setup.dir, segment.number)) {
                tracing::warn!(%error, number = segment.number, "a segment of the log that is not needed any more stays");
            }
        }
    }

    fn publish(&self) {
        let segment = self.setup.segments.last().expect("there is a segment to write to");
        let spare = self.spare.as_ref().map_or(0, |(_, length)| *length);
        self.setup.room.store(segment.length.saturating_sub(segment.end) + spare, Ordering::Release);
        self.setup.size.store(self.setup.segments.iter().map(|segment| segment.end).sum(), Ordering::Relaxed);
    }
}

fn weight(items: &[Item]) -> usize {
    items
        .iter()
        .map(|item| match item {
            Item::Entry(entry) => match &entry.payload {
                openraft::EntryPayload::Normal(command) => command.writes.iter().map(crate::write::Write::weight).sum(),
                _ => 256,
            },
            _ => 64,
        })
        .sum()
}
