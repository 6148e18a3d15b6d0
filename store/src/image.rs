//! All keys after the log up to an entry: what a member that is far behind is sent, in pieces, so that a transfer that broke off goes on
//! where it was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ephemeral::EphemeralKeys;
use crate::raft::{SnapshotMeta, Vote};
use crate::record::{Record, Revision};
use crate::snapshot::Snapshot;

/// Bytes of records in one piece, about.
const PIECE_BYTES: usize = 256 << 10;

/// The keys, the durable ones among them.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) snapshot: Snapshot,
    pub(crate) ephemeral: EphemeralKeys,
}

impl Image {
    /// The durable keys. Left to who needs them: the log is purged after every checkpoint, and needs none.
    pub(crate) fn durable(mut self) -> Snapshot {
        if let Some(prefix) = self.ephemeral.prefix() {
            self.snapshot.remove_all(prefix);
        }
        self.snapshot
    }
}

/// What a transfer begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// The sender's, as a leader.
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    pub(crate) revision: Revision,
}

/// The answer to an offer: the last key that is there already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resume {
    pub(crate) after: Option<Arc<str>>,
}

/// Some records, in the order of their keys; none at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Piece(pub(crate) Vec<Arc<Record>>);

impl Piece {
    /// The records that come after a key.
    pub(crate) fn cut(snapshot: &Snapshot, after: Option<&str>) -> Piece {
        let mut bytes = 0;
        let is_in = |record: &&Arc<Record>| {
            let fits = bytes < PIECE_BYTES;
            bytes += record.weight();
            fits
        };
        Piece(snapshot.range("", after).take_while(is_in).cloned().collect())
    }
}

/// What has come of a transfer so far.
#[derive(Debug)]
pub(crate) struct Partial {
    meta: SnapshotMeta,
    snapshot: Snapshot,
}

impl Partial {
    /// Goes on with what is there, if that is of the same state.
    pub(crate) fn resume(kept: Option<Partial>, offer: &Offer) -> Partial {
        kept.filter(|kept| kept.meta == offer.meta && kept.snapshot.revision == offer.revision).unwrap_or_else(|| {
            Partial { meta: offer.meta.clone(), snapshot: Snapshot::loaded(imbl::OrdMap::new(), offer.revision) }
        })
    }

    /// The last key that is there.
    pub(crate) fn last(&self) -> Option<Arc<str>> {
        self.snapshot.records.get_max().map(|(key, _)| key.clone())
    }

    pub(crate) fn add(&mut self, piece: Piece) {
        self.snapshot.records.extend(piece.0.into_iter().map(|record| (record.key.clone(), record)));
    }

    /// The whole state, once all has come.
    pub(crate) fn finish(self) -> (SnapshotMeta, Snapshot) {
        (self.meta, self.snapshot)
    }
}
