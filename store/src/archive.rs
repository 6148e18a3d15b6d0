//! A store and the files around it as one stream of bytes: what a backup is.
//!
//! Layout, little endian: 8 bytes of magic, format u32, then items: kind u8, length u32, so many bytes. The first item is the header
//! (JSON), the last one the SHA-256 of all bytes before it; between them are records (postcard), and files: a path, then the content in
//! pieces. A stream that ends early, or has changed in any byte, is found by whoever reads it to its end. Deliberately absent:
//! encryption and proof of origin; whoever can write the stream can write its checksum.

mod reader;
mod writer;

use serde::{Deserialize, Serialize};

use crate::record::{Record, Revision};

pub use reader::{ArchiveError, ArchiveReader};
pub use writer::ArchiveWriter;

const MAGIC: &[u8; 8] = b"CORACLES";
/// The newest format, which is written; older ones are read.
const FORMAT: u32 = 1;
const DIGEST_BYTES: usize = 32;

/// What kind of item follows.
mod item {
    pub(super) const END: u8 = 0;
    pub(super) const HEADER: u8 = 1;
    pub(super) const RECORD: u8 = 2;
    pub(super) const FILE: u8 = 3;
    pub(super) const CONTENT: u8 = 4;
}

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The cluster's name.
    pub cluster: String,
    /// The revision that all records are the state of.
    pub revision: Revision,
    /// When that was, as RFC 3339.
    pub taken: String,
    /// How many records there are.
    pub records: u64,
}

/// A part of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A key's value.
    Record(Record),
    /// The path of a file, relative and without `.` and `..`. What it holds follows.
    File(String),
    /// The next bytes of the file named last.
    Content(Vec<u8>),
}

#[cfg(test)]
mod tests;
