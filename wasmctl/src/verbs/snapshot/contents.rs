//! What a snapshot's file holds, known only of one that is whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use coracle_store::archive::{ArchiveError, ArchiveReader, Entry, Header};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::images;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A verified snapshot in numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Contents {
    pub(super) cluster: String,
    pub(super) revision: u64,
    /// When, as RFC 3339.
    pub(super) taken: String,
    pub(super) size_bytes: u64,
    /// `sha256:…` of all before it; the file ends with it.
    pub(super) checksum: String,
    /// How many objects there are of each resource.
    pub(super) objects: BTreeMap<String, u64>,
    pub(super) files: u64,
    pub(super) file_bytes: u64,
}

impl Contents {
    /// Reads a snapshot to its end, once, and gives each part to `take`; whatever is wrong with it is found.
    pub(super) fn read(file: &File, path: &Path, mut take: impl FnMut(Entry) -> Result<()>) -> Result<Contents> {
        let failed = |error| failure(path, &error);
        let mut archive = ArchiveReader::new(BufReader::with_capacity(BUFFER_BYTES, file)).map_err(failed)?;
        let Header { cluster, revision, taken, .. } = archive.header().clone();
        let (mut objects, mut files, mut file_bytes) = (BTreeMap::new(), 0, 0);
        while let Some(entry) = archive.next_entry().map_err(failed)? {
            match &entry {
                Entry::Record(record) => {
                    let resource = record.key.split('/').next().unwrap_or_default();
                    *objects.entry(resource.to_owned()).or_default() += 1;
                }
                Entry::File(_) => files += 1,
                Entry::Content(piece) => file_bytes += piece.len() as u64,
            }
            take(entry)?;
        }
        let digest = archive.digest().expect("invariant: the end has come");
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let checksum = format!("sha256:{hex}");
        let size_bytes = archive.bytes();
        Ok(Contents { cluster, revision, taken, size_bytes, checksum, objects, files, file_bytes })
    }

    /// `12 objects and 7 files, 1.2 MiB`.
    pub(super) fn summary(&self) -> String {
        let count: u64 = self.objects.values().sum();
        let objects = if count == 1 { "object" } else { "objects" };
        format!("{count} {objects} and {} files, {}", self.files, images::size(self.size_bytes))
    }
}

/// Why a snapshot can't be read.
fn failure(path: &Path, error: &ArchiveError) -> Failure {
    let failure = Failure::new(format!("{}: {error}", path.display()));
    match error {
        ArchiveError::Foreign => failure.hint("name a file that `wasmctl snapshot save` wrote"),
        ArchiveError::CutOff { .. } | ArchiveError::Damaged(_) => {
            failure.hint("copy it again from where it is whole, or use another snapshot")
        }
        ArchiveError::Format { .. } => failure.hint("use the release of `wasmctl` that wrote it, or a later one"),
        ArchiveError::Io(_) => failure,
    }
}
