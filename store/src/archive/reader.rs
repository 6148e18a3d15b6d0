//! Reads an archive, piece by piece. What it gives is known to be as it was written only once the end has come.

use std::io::{self, Read};
use std::path::{Component, Path};

use sha2::{Digest as _, Sha256};

use super::{DIGEST_BYTES, Entry, FORMAT, Header, MAGIC, item};

/// The longest item: more than a proposal, and so a record, can be.
const ITEM_BYTES_MAX: u32 = 64 << 20;

/// Why an archive can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else.
    #[error("not a snapshot of a cluster")]
    Foreign,
    /// A later version wrote it.
    #[error("format {found} is from a later release; this one reads formats up to {FORMAT}")]
    Format {
        /// The format it has.
        found: u32,
    },
    /// Its end is missing.
    #[error("cut off after {bytes} bytes")]
    CutOff {
        /// How many there are.
        bytes: u64,
    },
    /// It is not what was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The system does not give it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads an archive from `input`, which should be buffered.
pub struct ArchiveReader<In> {
    input: In,
    hash: Sha256,
    bytes: u64,
    header: Header,
    records: u64,
    has_file: bool,
    digest: Option<[u8; DIGEST_BYTES]>,
}

impl<In: Read> ArchiveReader<In> {
    /// Reads the header.
    pub fn new(input: In) -> Result<ArchiveReader<In>, ArchiveError> {
        let header = Header { cluster: String::new(), revision: 0, taken: String::new(), records: 0 };
        let (hash, digest) = (Sha256::new(), None);
        let mut reader = ArchiveReader { input, hash, bytes: 0, header, records: 0, has_file: false, digest };
        let magic = reader.read(MAGIC.len() as u64).map_err(|error| match error {
            ArchiveError::CutOff { .. } => ArchiveError::Foreign,
            other => other,
        })?;
        if magic != MAGIC {
            return Err(ArchiveError::Foreign);
        }
        let format = reader.word()?;
        if format > FORMAT {
            return Err(ArchiveError::Format { found: format });
        }
        if format == 0 {
            return Err(ArchiveError::Damaged("no format has the number 0".to_owned()));
        }
        match reader.item()? {
            (item::HEADER, bytes) => reader.header = serde_json::from_slice(&bytes).map_err(damaged)?,
            (kind, _) => {
                return Err(ArchiveError::Damaged(format!("an item of kind {kind} is in place of the header")));
            }
        }
        Ok(reader)
    }

    /// What the archive says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many bytes have been read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 of everything, once the end has come and it was right.
    pub fn digest(&self) -> Option<[u8; DIGEST_BYTES]> {
        self.digest
    }

    /// The next part; `None` at the end, if all was as it was written.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        if self.digest.is_some() {
            return Ok(None);
        }
        let digest: [u8; DIGEST_BYTES] = self.hash.clone().finalize().into();
        let (kind, bytes) = self.item()?;
        match kind {
            item::RECORD => {
                self.records += 1;
                Ok(Some(Entry::Record(postcard::from_bytes(&bytes).map_err(damaged)?)))
            }
            item::FILE => {
                self.has_file = true;
                let path = String::from_utf8(bytes).map_err(damaged)?;
                if !is_inside(&path) {
                    return Err(ArchiveError::Damaged(format!("the path {path:?} does not stay in its folder")));
                }
                Ok(Some(Entry::File(path)))
            }
            item::CONTENT if self.has_file => Ok(Some(Entry::Content(bytes))),
            item::END => self.end(digest, &bytes).map(|()| None),
            kind => Err(ArchiveError::Damaged(format!("an item of kind {kind} is out of place"))),
        }
    }

    fn end(&mut self, digest: [u8; DIGEST_BYTES], stated: &[u8]) -> Result<(), ArchiveError> {
        if stated != digest {
            return Err(ArchiveError::Damaged("its checksum does not match".to_owned()));
        }
        if self.records != self.header.records {
            let (found, stated) = (self.records, self.header.records);
            return Err(ArchiveError::Damaged(format!("it has {found} records, and says it has {stated}")));
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(ArchiveError::Damaged("something follows its end".to_owned()));
        }
        self.digest = Some(digest);
        Ok(())
    }

    fn item(&mut self) -> Result<(u8, Vec<u8>), ArchiveError> {
        let kind = self.read(1)?[0];
        let length = self.word()?;
        if length > ITEM_BYTES_MAX {
            return Err(ArchiveError::Damaged(format!("an item of {length} bytes is longer than any")));
        }
        Ok((kind, self.read(length.into())?))
    }

    fn word(&mut self) -> Result<u32, ArchiveError> {
        let bytes = self.read(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("invariant: so many bytes were read")))
    }

    /// So many bytes. Memory grows with what is there, not with what a length claims.
    fn read(&mut self, length: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(length).read_to_end(&mut bytes)?;
        self.bytes += bytes.len() as u64;
        self.hash.update(&bytes);
        if (bytes.len() as u64) < length { Err(ArchiveError::CutOff { bytes: self.bytes }) } else { Ok(bytes) }
    }
}

fn damaged(error: impl std::fmt::Display) -> ArchiveError {
    ArchiveError::Damaged(error.to_string())
}

/// Whether a path leads to something below the folder it is relative to.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
