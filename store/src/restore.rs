//! A new store made of the records of another one.
//!
//! Deliberately absent: adding to a store that is there already.

use std::sync::Arc;

use crate::checkpoint;
use crate::disk::Disk;
use crate::error::RestoreError;
use crate::options::Options;
use crate::record::{Record, Revision};
use crate::snapshot::Snapshot;

/// By how much the revision is raised: more than the store that the records are from can have gone on since. At 10,000 writes a second
/// this is three years; and it leaves room for eight million times.
const RESTORE_REVISION_STEP: Revision = 1 << 40;

/// Makes a store in `options.dir`, where there is none, of the records of another one at `revision`, and gives the revision it goes on
/// from. That is above any that clients of the other one can know, so that their watches begin anew and no revision is ever given twice.
pub fn restore(
    options: &Options,
    disk: Arc<dyn Disk>,
    records: impl IntoIterator<Item = Record>,
    revision: Revision,
) -> Result<Revision, RestoreError> {
    let records = records.into_iter().map(|record| (Arc::clone(&record.key), Arc::new(record))).collect();
    let snapshot = Snapshot::loaded(records, revision + RESTORE_REVISION_STEP);
    let revision = snapshot.revision;
    let dir = &options.dir;
    let failed = |cause| RestoreError { dir: dir.clone(), cause };
    disk.create_dir_all(dir).map_err(failed)?;
    checkpoint::create(&checkpoint::path(dir), disk, snapshot, &options.member).map_err(failed)?;
    Ok(revision)
}
