//! The kinds that users define, as of one moment: an index over the definitions in a snapshot.
//!
//! Made anew when a definition changed, out of what is parsed already; other writes leave it as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::custom::{CustomKind, precedence};
use coracle_api::encode;
use coracle_api::kind::Kind;
use coracle_api::kinds::CUSTOM_RESOURCE_DEFINITION;
use coracle_store::{Record, Revision, Snapshot};
use parking_lot::RwLock;

use crate::objects::decode_record;

/// The index of the moment, kept until a definition changes.
#[derive(Debug, Default)]
pub(crate) struct CustomKinds {
    index: RwLock<Arc<Index>>,
}

/// All kinds that users define.
#[derive(Debug, Default)]
pub(crate) struct Index {
    stamp: Revision,
    /// By the definition's storage key, each parsed once a revision; in the order of their versions there.
    definitions: BTreeMap<Arc<str>, (Revision, Vec<Arc<CustomKind>>)>,
    served: Vec<Arc<CustomKind>>,
}

impl CustomKinds {
    /// The kinds as a snapshot has them.
    pub(crate) fn at(&self, snapshot: &Snapshot) -> Arc<Index> {
        let stamp = snapshot.changed(&CUSTOM_RESOURCE_DEFINITION.resource());
        let known = Arc::clone(&self.index.read());
        if known.stamp == stamp {
            return known;
        }
        let index = Arc::new(Index::build(snapshot, stamp, &known));
        *self.index.write() = Arc::clone(&index);
        index
    }
}

impl Index {
    fn build(snapshot: &Snapshot, stamp: Revision, previous: &Index) -> Index {
        let prefix = CUSTOM_RESOURCE_DEFINITION.prefix(None);
        let parse =
            |record: &Record| CustomKind::versions_of(&decode_record(record)).into_iter().map(Arc::new).collect();
        let definitions: BTreeMap<_, _> = snapshot
            .range(&prefix, None)
            .map(|record| {
                let known = previous.definitions.get(&record.key).filter(|(revision, _)| *revision == record.revision);
                (Arc::clone(&record.key), known.cloned().unwrap_or_else(|| (record.revision, parse(record))))
            })
            .collect();
        let kinds = definitions.values().flat_map(|(_, versions)| versions);
        let mut served: Vec<Arc<CustomKind>> = kinds.filter(|custom| custom.is_served).cloned().collect();
        served.sort_by_key(|custom| (custom.kind.group, precedence(custom.kind.version), custom.kind.plural));
        Index { stamp, definitions, served }
    }

    /// The versions that requests may name: by group, the preferred version first.
    pub(crate) fn served(&self) -> &[Arc<CustomKind>] {
        &self.served
    }

    /// The kind of a definition in this version, served or not; `None` for built-in kinds and those that are gone.
    pub(crate) fn of(&self, kind: &Kind) -> Option<&Arc<CustomKind>> {
        if self.definitions.is_empty() {
            return None;
        }
        let key = CUSTOM_RESOURCE_DEFINITION.key(None, &kind.resource());
        let (_, versions) = self.definitions.get(key.as_str())?;
        versions.iter().find(|custom| custom.kind.version == kind.version)
    }

    /// The other versions that a kind is served in; none for built-in kinds.
    pub(crate) fn others(&self, kind: &Kind) -> impl Iterator<Item = &'static Kind> {
        let served = self.served.iter().map(|custom| custom.kind);
        served.filter(move |other| {
            (other.group, other.plural) == (kind.group, kind.plural) && other.version != kind.version
        })
    }

    /// The kind served under `/apis/GROUP/VERSION/PLURAL`.
    pub(crate) fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<CustomKind>> {
        self.find(|kind| (kind.group, kind.version, kind.plural) == (group, version, plural))
    }

    /// The kind that a manifest's `apiVersion` and `kind` name.
    pub(crate) fn by_api_version(&self, api_version: &str, name: &str) -> Option<&Arc<CustomKind>> {
        let (group, version) = api_version.split_once('/')?;
        self.find(|kind| (kind.group, kind.version, kind.kind) == (group, version, name))
    }

    fn find(&self, is_meant: impl Fn(&Kind) -> bool) -> Option<&Arc<CustomKind>> {
        self.served.iter().find(|custom| is_meant(custom.kind))
    }
}

/// A stored record as a version shows it; for built-in kinds, as it is.
pub(crate) fn present(custom: Option<&CustomKind>, record: Arc<Record>) -> Arc<Record> {
    let Some(custom) = custom.filter(|custom| !custom.shows_as_stored(&record.json)) else { return record };
    let mut object = decode_record(&record);
    custom.present(&mut object);
    let encoded = encode::encode(&object);
    Arc::new(Record { json: encoded.json, splice_offset: encoded.splice_offset, ..Record::clone(&record) })
}
