//! The log's thread: writes what waits as one frame, syncs, answers; rotates, reserves and removes segments.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::frame;
use super::segment::{self, Segment};
use super::{Contents, Done, Item, Job, Purpose, is_full};
use crate::checkpoint::{ROOM_BYTES_MIN, ROOM_FACTOR};
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::fault::{self, Point};
use crate::runtime::start_thread;

/// Bytes of jobs that go into one frame, unless one alone is larger.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// Jobs that go into one frame.
const FRAME_JOBS_MAX: usize = 1_024;
/// What a segment holds beside its caller's first frame: its header, and the vote and the purge that it repeats.
const SEGMENT_OVERHEAD_BYTES: u64 = segment::HEADER_BYTES + 4_096;

pub(super) struct Setup {
    pub(super) dir: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) segment_bytes: u64,
    pub(super) segments: Vec<Segment>,
    pub(super) next_sequence: u64,
    pub(super) contents: Arc<Mutex<Contents>>,
    pub(super) room: Arc<AtomicU64>,
    pub(super) size: Arc<AtomicU64>,
    /// How long the checkpoint is.
    pub(super) checkpoint_bytes: Arc<AtomicU64>,
    /// That no space could be reserved ahead, and none has been since.
    pub(super) lacks_space: Arc<AtomicBool>,
    /// Set by the first failed write or sync; nothing is acknowledged after it.
    pub(super) failure: watch::Sender<Option<String>>,
}

struct Writer {
    setup: Setup,
    spare: Option<(Box<dyn DiskFile>, u64)>,
    buffer: Vec<u8>,
}

pub(super) fn start(setup: Setup, jobs: mpsc::UnboundedReceiver<Job>) -> Result<(), OpenError> {
    let dir = setup.dir.clone();
    let mut writer = Writer { setup, spare: None, buffer: Vec::new() };
    writer.prepare().map_err(|cause| OpenError::File { path: dir, cause })?;
    start_thread("log", writer.run(jobs));
    Ok(())
}

impl Writer {
    /// Opens the first segment of an empty log, and reserves the next.
    fn prepare(&mut self) -> io::Result<()> {
        if self.setup.segments.is_empty() {
            self.rotate(0)?;
        }
        self.reserve_ahead();
        self.publish();
        Ok(())
    }

    async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(first) = jobs.recv().await {
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Write(items, done) => next = self.write_group(items, done, &mut jobs),
                    Job::Reserve(bytes, purpose, caller) => {
                        let result = self.healthy().and_then(|()| self.reserve(bytes, purpose));
                        if let Err(error) = &result
                            && !is_full(error)
                        {
                            self.fail(error);
                        }
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
    fn write_group(&mut self, items: Vec<Item>, done: Done, jobs: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
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
        fault::enter(point(&group));
        let result = self.healthy().and_then(|()| self.write(&group));
        if let Err(error) = &result {
            self.fail(error);
        }
        for done in waiting {
            done.tell(result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())));
        }
        if result.is_ok() {
            self.tidy(&group);
            self.reserve_ahead();
        }
        self.publish();
        other
    }

    fn fail(&mut self, error: &io::Error) {
        if self.setup.failure.borrow().is_none() {
            tracing::error!(%error, "the log can't be written; nothing is acknowledged any more until the process starts again");
            self.setup.failure.send_replace(Some(error.to_string()));
        }
    }

    fn healthy(&self) -> io::Result<()> {
        let failure = self.setup.failure.borrow();
        failure.as_ref().map_or(Ok(()), |reason| Err(io::Error::other(format!("the log failed before: {reason}"))))
    }

    fn write(&mut self, items: &[Item]) -> io::Result<()> {
        let bytes = self.encode(items);
        let segment = self.setup.segments.last().expect("there is a segment to write to");
        if segment.end + bytes > segment.length {
            self.rotate(bytes)?;
        }
        let segment = self.setup.segments.last().expect("there is a segment to write to");
        if segment.end > segment::HEADER_BYTES {
            return self.append(items);
        }
        // A segment begins with the vote and the purge, so that older ones can go.
        let repeated: Vec<Item> = {
            let contents = self.setup.contents.lock();
            contents.vote.map(Item::Vote).into_iter().chain(contents.purged.map(Item::Purge)).collect()
        };
        let items: Vec<Item> = repeated.iter().chain(items).cloned().collect();
        self.encode(&items);
        self.append(&items)
    }

    /// Makes the buffer a frame of `items`; gives its length.
    fn encode(&mut self, items: &[Item]) -> u64 {
        self.buffer.clear();
        frame::encode(items, self.setup.next_sequence, &mut self.buffer);
        self.buffer.len() as u64
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

    /// Begins the next segment, with room for a frame of `bytes`.
    fn rotate(&mut self, bytes: u64) -> io::Result<()> {
        self.reserve(bytes, Purpose::FreeingSpace)?;
        let (file, length) = self.spare.take().expect("it has just been made");
        let number = self.setup.segments.last().map_or(1, |segment| segment.number + 1);
        let dir = &self.setup.dir;
        self.setup.disk.rename(&dir.join(segment::SPARE), &segment::path(dir, number))?;
        self.setup.disk.sync_dir(dir)?;
        self.setup.segments.push(Segment { number, file, end: segment::HEADER_BYTES, length, last_index: None });
        Ok(())
    }

    /// Makes the spare segment, or lengthens it, so that it has room for a frame of `bytes`.
    fn reserve(&mut self, bytes: u64, purpose: Purpose) -> io::Result<()> {
        let wanted = (bytes + SEGMENT_OVERHEAD_BYTES).max(self.setup.segment_bytes);
        if let Some((file, length)) = &mut self.spare {
            if *length < wanted {
                file.allocate(wanted)?;
                file.sync()?;
                *length = wanted;
            }
            return Ok(());
        }
        if purpose == Purpose::Growth {
            self.leave_room_for_checkpoint(wanted)?;
        }
        let path = self.setup.dir.join(segment::SPARE);
        let file = self.setup.disk.open(&path, true)?;
        // An old spare may hold part of a segment that was never used.
        file.set_len(0)?;
        let made = file
            .allocate(wanted)
            .and_then(|()| segment::write_header(file.as_ref()))
            .and_then(|()| file.sync())
            // Its name, too, before it gets another one: else that might go to a spare that was given up before.
            .and_then(|()| self.setup.disk.sync_dir(&self.setup.dir));
        if let Err(error) = made {
            drop(file);
            let _ = self.setup.disk.remove(&path);
            return Err(error);
        }
        self.spare = Some((file, wanted));
        self.setup.lacks_space.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The next checkpoint, written beside the one there is, is about as long as that and the log together. Without room for it the log
    /// would never be cut, and a full disk never clear.
    fn leave_room_for_checkpoint(&self, wanted: u64) -> io::Result<()> {
        let log: u64 = self.setup.segments.iter().map(|segment| segment.end).sum();
        let checkpoint = self.setup.checkpoint_bytes.load(Ordering::Relaxed);
        let needed = wanted + ROOM_FACTOR * log + ROOM_BYTES_MIN + checkpoint;
        match self.setup.disk.available_bytes(&self.setup.dir)? >= needed {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// Reserves the next segment if the disk has space; if not, the next proposal that needs it tries again.
    fn reserve_ahead(&mut self) {
        if self.spare.is_some() {
            return;
        }
        if let Err(error) = self.reserve(0, Purpose::Growth)
            && !self.setup.lacks_space.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "no space could be reserved for the log; that is tried again with each write");
        }
    }

    /// Removes the segments whose entries are all purged.
    fn tidy(&mut self, items: &[Item]) {
        let Some(purged) =
            items.iter().rev().find_map(|item| if let Item::Purge(id) = item { Some(id.index) } else { None })
        else {
            return;
        };
        let is_purged = |segment: &Segment| segment.last_index.is_none_or(|last| last <= purged);
        while self.setup.segments.len() > 1 && is_purged(&self.setup.segments[0]) {
            let number = self.setup.segments[0].number;
            // One at a time, oldest first: a segment without the one before it would be taken for damage.
            if let Err(error) = self.remove(number) {
                tracing::warn!(%error, number, "a segment of the log that is not needed any more stays until the next purge");
                return;
            }
            self.setup.segments.remove(0);
        }
    }

    /// Removes a segment's file, for good.
    fn remove(&self, number: u64) -> io::Result<()> {
        let Setup { dir, disk, .. } = &self.setup;
        match disk.remove(&segment::path(dir, number)) {
            // It was removed before, and could not be made durable then.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        disk.sync_dir(dir)
    }

    fn publish(&self) {
        let segment = self.setup.segments.last().expect("there is a segment to write to");
        let spare = self.spare.as_ref().map_or(0, |(_, length)| length - SEGMENT_OVERHEAD_BYTES);
        // Once it has failed, whoever wants to write is to hear of that before anything is proposed.
        let room = if self.setup.failure.borrow().is_none() { (segment.length - segment.end).max(spare) } else { 0 };
        self.setup.room.store(room, Ordering::Release);
        self.setup.size.store(self.setup.segments.iter().map(|segment| segment.end).sum(), Ordering::Relaxed);
    }
}

/// What a crash while these are written interrupts.
fn point(items: &[Item]) -> Point {
    let rank = |item: &Item| match item {
        Item::Vote(_) => Point::Vote,
        Item::Purge(_) => Point::Purge,
        Item::Entry(_) | Item::TruncateAfter(_) => Point::Append,
    };
    items.iter().map(rank).max().unwrap_or(Point::Append)
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
