//! What a crash leaves: reads all segments, drops a frame that was being written, and tells damage from a torn end.

use std::io;
use std::path::{Path, PathBuf};

use super::frame;
use super::segment::{self, Segment};
use super::{Contents, Item};
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;

pub(super) struct Recovered {
    pub(super) contents: Contents,
    pub(super) segments: Vec<Segment>,
    pub(super) next_sequence: u64,
}

pub(super) fn recover(dir: &Path, disk: &dyn Disk) -> Result<Recovered, OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| OpenError::File { path, cause }
    };
    disk.create_dir_all(dir).map_err(failed(dir))?;
    let mut numbers: Vec<u64> =
        disk.list(dir).map_err(failed(dir))?.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    let mut recovered = Recovered { contents: Contents::default(), segments: Vec::new(), next_sequence: 0 };
    let last = numbers.last().copied();
    for number in numbers {
        let path = segment::path(dir, number);
        let file = disk.open(&path, false).map_err(failed(&path))?;
        let length = file.len().map_err(failed(&path))?;
        let mut bytes = vec![0; usize::try_from(length).expect("a segment fits in memory")];
        file.read_at(&mut bytes, 0).map_err(failed(&path))?;
        let is_last = Some(number) == last;
        match segment::format(&bytes) {
            Some(segment::FORMAT) => {}
            Some(found) => return Err(OpenError::Format { path, found, expected: segment::FORMAT }),
            None => return Err(damaged(path, "it does not begin as a segment of the log does")),
        }
        let Frames { last_start, end, last_index } = read_frames(&bytes, &path, is_last, &mut recovered)?;
        if is_last {
            rewrite_tail(&mut bytes, last_start, end, file.as_ref()).map_err(failed(&path))?;
        }
        recovered.segments.push(Segment { number, file, end: end as u64, length, last_index });
    }
    if let Some(reason) = gap(&recovered.contents) {
        return Err(damaged(dir.to_owned(), &reason));
    }
    disk.sync_dir(dir).map_err(failed(dir))?;
    Ok(recovered)
}

/// What is missing of the entries: they follow on what is purged, and on each other. Frames are counted only from the oldest segment on.
fn gap(contents: &Contents) -> Option<String> {
    let first = contents.purged.map_or(0, |purged| purged.index + 1);
    let (found, expected) = contents.entries.keys().zip(first..).find(|(found, expected)| *found != expected)?;
    Some(format!("entry {found} follows where {expected} should: a file of it is gone"))
}

/// Writes the last frame again and clears what follows it.
///
/// If the process before had a sync fail, what is read here may be in the system's memory only, and no later sync would write it. And
/// the rest of a frame that was being written, which was acknowledged to nobody, must not be mistaken for a frame later.
fn rewrite_tail(bytes: &mut [u8], last_start: usize, end: usize, file: &dyn DiskFile) -> io::Result<()> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1).max(end);
    bytes[end..used].fill(0);
    file.write_at(&bytes[last_start..used], last_start as u64)?;
    file.sync()
}

/// Where a segment's frames are.
struct Frames {
    /// Where the last frame begins; the segment's header if there is none.
    last_start: usize,
    end: usize,
    /// The greatest index of their entries.
    last_index: Option<u64>,
}

/// Applies a segment's frames.
fn read_frames(bytes: &[u8], path: &Path, is_last: bool, recovered: &mut Recovered) -> Result<Frames, OpenError> {
    let mut last_start = 0;
    let mut end = segment::HEADER_BYTES as usize;
    let mut last_index = None;
    while let Some(found) = bytes.get(end..).and_then(frame::decode) {
        // The first frame of the oldest segment sets the sequence: those before it are purged.
        let is_first = recovered.segments.is_empty() && end == segment::HEADER_BYTES as usize;
        if !is_first && found.sequence != recovered.next_sequence {
            return Err(damaged(
                path.to_owned(),
                &format!("frame {} follows where {} should", found.sequence, recovered.next_sequence),
            ));
        }
        recovered.next_sequence = found.sequence + 1;
        last_start = end;
        end += found.bytes;
        for item in found.items {
            if let Item::Entry(entry) = &item {
                last_index = last_index.max(Some(entry.log_id.index));
            }
            recovered.contents.apply(item);
        }
    }
    let rest = bytes.get(end..).unwrap_or_default();
    let later = (8..rest.len())
        .step_by(8)
        .filter_map(|at| frame::decode(&rest[at..]))
        .find(|found| found.sequence >= recovered.next_sequence);
    if let Some(found) = later {
        // Each frame is synced before the next is written, so a whole one after a broken one means damage.
        return Err(damaged(
            path.to_owned(),
            &format!("byte {end} should begin frame {}, and frame {} follows", recovered.next_sequence, found.sequence),
        ));
    }
    if frame::is_cut_off(rest) {
        // The room for a frame is reserved before it is written, so a power cut leaves no such thing.
        return Err(damaged(path.to_owned(), &format!("it ends within frame {}", recovered.next_sequence)));
    }
    if !is_last && rest.iter().any(|byte| *byte != 0) {
        return Err(damaged(path.to_owned(), &format!("no frame begins at byte {end}, and later segments exist")));
    }
    Ok(Frames { last_start, end, last_index })
}

fn damaged(path: PathBuf, reason: &str) -> OpenError {
    OpenError::Damaged { path, reason: reason.to_owned() }
}
