//! An immutable view of every key at one revision: cloning and taking one costs O(1).

use std::ops::Bound;
use std::sync::Arc;

use imbl::{HashMap, OrdMap};

use crate::record::{Record, Revision};

/// Every key at one revision. Holding one keeps replaced records alive, so don't hold it for long.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) records: OrdMap<Arc<str>, Arc<Record>>,
    pub(crate) revision: Revision,
    /// The revision that everything was read from disk at, or taken over from another member.
    loaded: Revision,
    /// The last change since then under each first segment of a key.
    changed: HashMap<Arc<str>, Revision>,
}

impl Snapshot {
    /// What was read from disk, or taken over from another member.
    pub(crate) fn loaded(records: OrdMap<Arc<str>, Arc<Record>>, revision: Revision) -> Snapshot {
        Snapshot { records, revision, loaded: revision, changed: HashMap::new() }
    }

    /// A revision that grows with every change of the keys that start with `segment` and a slash: two snapshots that give the
    /// same answer hold the same records there, so what was made of them may be kept. Costs O(1).
    pub fn changed(&self, segment: &str) -> Revision {
        self.changed.get(segment).copied().unwrap_or(self.loaded)
    }

    /// Notes that a key changed at the current revision.
    pub(crate) fn note_change(&mut self, key: &str) {
        let segment = key.split('/').next().unwrap_or_default();
        match self.changed.get_mut(segment) {
            Some(revision) => *revision = self.revision,
            None => drop(self.changed.insert(segment.into(), self.revision)),
        }
    }

    /// Removes the keys that start with `prefix`, without a trace.
    pub(crate) fn remove_all(&mut self, prefix: &str) {
        let keys: Vec<Arc<str>> = self.range(prefix, None).map(|record| record.key.clone()).collect();
        for key in keys {
            self.records.remove(&key);
        }
    }

    /// The revision of the last change in this view.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The record under exactly this key.
    pub fn get(&self, key: &str) -> Option<Arc<Record>> {
        self.records.get(key).cloned()
    }

    /// The records whose key starts with `prefix`, in key order, from the first key greater than `start_after`.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        start_after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Record>> + Clone + use<'a> {
        let from = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        self.records
            .range::<(Bound<&str>, Bound<&str>), str>((from, Bound::Unbounded))
            .map(|(_, record)| record)
            .take_while(move |record| record.key.starts_with(prefix))
    }

    /// How many keys start with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        if prefix.is_empty() { self.records.len() } else { self.range(prefix, None).count() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use expect_test::{Expect, expect};

    use super::*;

    fn check(prefix: &str, start_after: Option<&str>, expected: Expect) {
        let mut snapshot = Snapshot::default();
        for key in ["nodes/a", "pods/a/1", "pods/a/2", "pods/b/1", "podsets/a/1"] {
            let record = Record { key: key.into(), json: Bytes::new(), splice_offset: 0, tags: [].into(), revision: 1 };
            snapshot.records.insert(key.into(), Arc::new(record));
        }
        let keys: Vec<&str> = snapshot.range(prefix, start_after).map(|record| &*record.key).collect();
        if start_after.is_none() {
            assert_eq!(snapshot.count(prefix), keys.len());
        }
        expected.assert_eq(&keys.join(" "));
    }

    #[test]
    fn changes_are_told_apart_by_the_first_segment() {
        let mut snapshot = Snapshot::loaded(OrdMap::new(), 7);
        let mut told = Vec::new();
        for (revision, key) in [(8, "pods/a/1"), (9, "nodes/a"), (10, "pods/b/2")] {
            snapshot.revision = revision;
            snapshot.note_change(key);
            told.push(["pods", "nodes", "secrets"].map(|segment| snapshot.changed(segment)));
        }
        expect!["[[8, 7, 7], [8, 9, 7], [10, 9, 7]]"].assert_eq(&format!("{told:?}"));
    }

    #[test]
    fn ranges() {
        check("", None, expect!["nodes/a pods/a/1 pods/a/2 pods/b/1 podsets/a/1"]);
        check("pods/", None, expect!["pods/a/1 pods/a/2 pods/b/1"]);
        check("pods/a/", Some("pods/a/1"), expect!["pods/a/2"]);
        check("pods/", Some("pods/a/15"), expect!["pods/a/2 pods/b/1"]);
        check("pods/", Some("nodes/z"), expect!["pods/a/1 pods/a/2 pods/b/1"]);
        check("pods/", Some("podz"), expect![""]);
        check("secrets/", None, expect![""]);
    }
}
