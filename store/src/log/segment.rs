//! Segment files: `NNNNNNNN.log` in the order of their numbers; the last one is written to. `spare` is the next one, reserved in advance.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::DiskFile;

pub(super) const SPARE: &str = "spare";
pub(super) const FORMAT: u32 = 2;
/// Magic and format, zeros up to a multiple of 8.
pub(super) const HEADER_BYTES: u64 = 16;
const MAGIC: &[u8; 8] = b"CORACLOG";

/// One segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: Box<dyn DiskFile>,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// The file's length; all of it is reserved.
    pub(super) length: u64,
    /// The greatest index of the entries in it.
    pub(super) last_index: Option<u64>,
}

pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

/// The number in a segment's name.
pub(super) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".log")?.parse().ok()
}

pub(super) fn write_header(file: &dyn DiskFile) -> io::Result<()> {
    let mut header = [0; HEADER_BYTES as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    file.write_at(&header, 0)
}

/// The format that a segment's first bytes name; `None` if they are not a segment's.
pub(super) fn format(bytes: &[u8]) -> Option<u32> {
    let format = bytes.get(8..12)?.try_into().ok()?;
    (&bytes[..8] == MAGIC).then(|| u32::from_le_bytes(format))
}
