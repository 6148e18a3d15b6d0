//! Writes an archive, piece by piece.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::{FORMAT, Header, MAGIC, item};
use crate::record::Record;

/// Bytes of a file that one item holds.
const CONTENT_BYTES: usize = 64 << 10;

/// Writes an archive to `out`, which should be buffered.
pub struct ArchiveWriter<Out> {
    out: Out,
    hash: Sha256,
}

impl<Out: Write> ArchiveWriter<Out> {
    /// Begins an archive.
    pub fn new(out: Out, header: &Header) -> io::Result<ArchiveWriter<Out>> {
        let mut writer = ArchiveWriter { out, hash: Sha256::new() };
        writer.write(MAGIC)?;
        writer.write(&FORMAT.to_le_bytes())?;
        writer.item(item::HEADER, &serde_json::to_vec(header)?)?;
        Ok(writer)
    }

    /// Adds a record; the header said how many there will be.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        self.item(item::RECORD, &postcard::to_stdvec(record).map_err(io::Error::other)?)
    }

    /// Adds a file. Its path is relative, without `.` and `..`.
    pub fn file(&mut self, path: &str, mut content: impl Read) -> io::Result<()> {
        self.item(item::FILE, path.as_bytes())?;
        let mut piece = Vec::with_capacity(CONTENT_BYTES);
        loop {
            piece.clear();
            content.by_ref().take(CONTENT_BYTES as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok(());
            }
            self.item(item::CONTENT, &piece)?;
        }
    }

    /// Ends the archive, without which nobody takes it for whole.
    pub fn finish(mut self) -> io::Result<()> {
        let digest = self.hash.clone().finalize();
        self.item(item::END, &digest)?;
        self.out.flush()
    }

    fn item(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.write(&[kind])?;
        self.write(&length.to_le_bytes())?;
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }
}
