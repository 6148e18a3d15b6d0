//! Keeps quotas strict: decides what a write costs its namespace with all that is stored and all that is on its way in view.
//!
//! A write is decided on a snapshot and lands a moment later; two decisions on the same snapshot could overspend together. So
//! decisions in a namespace with a quota are made one at a time, on a snapshot taken meanwhile, and each leaves a note of
//! what its write adds, until the store has answered. What is used is what the snapshot holds, and the notes. A note counts
//! as long as its object still is as its decision found it: once it is not, the write was done, and the snapshot has it, or
//! it never will be. Batches need no rule of their own, as their decisions see the notes of those before.
//!
//! Why not a precondition on the quota: the store decides each write by itself, so `status.used` would have to be written
//! ahead of the objects, as Kubernetes does, be mended when they fail, and make all creates of a namespace compete for one
//! key. The objects are the truth; the status only reports. Only the leader writes, so that its notes are all there are.
//!
//! Deliberately absent: holding up what was decided before a quota was there; it counts once it is stored.

use std::collections::HashMap;
use std::sync::Arc;

use coracle_api::kind::Kind;
use coracle_api::kinds::RESOURCE_QUOTA;
use coracle_api::status::Status;
use coracle_store::{Record, Revision, Snapshot};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::decode_record;
use crate::admission::Attributes;
use crate::admission::resource_quota::{Standing, admit, increase};
use crate::amounts;
use crate::quota::{Quota, Usage, reads_content};

/// After so many prefixes, what was read of objects is forgotten and read again.
const PREFIXES_MAX: usize = 1024;

/// The notes of the writes that are on their way.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    notes: Vec<Note>,
    next_ticket: u64,
    /// What objects use, so that each is read once a revision; by prefix, then by key.
    read: HashMap<String, Usages>,
}

/// What the objects of a prefix use, each at a revision.
type Usages = HashMap<Arc<str>, (Revision, Usage)>;

struct Note {
    ticket: u64,
    namespace: String,
    key: String,
    /// The revision that the write is tied to; `None` where the object must not exist.
    found: Option<Revision>,
    before: Option<Usage>,
    after: Usage,
}

/// The decisions of one round; nobody else decides meanwhile.
pub(super) struct Session<'a> {
    ledger: &'a Ledger,
    book: MutexGuard<'a, Book>,
    ticket: u64,
    standings: HashMap<String, Vec<Standing>>,
}

/// What a round has noted. To be dropped once the store has answered.
pub(super) struct Reservation {
    ledger: Ledger,
    ticket: u64,
}

/// Whether a namespace has quotas.
pub(super) fn has_quota(snapshot: &Snapshot, namespace: &str) -> bool {
    snapshot.range(&RESOURCE_QUOTA.prefix(Some(namespace)), None).next().is_some()
}

impl Ledger {
    /// Begins a round. Its snapshot must be taken afterwards.
    pub(super) fn open(&self) -> Session<'_> {
        let mut book = self.book.lock();
        let ticket = book.next_ticket;
        book.next_ticket += 1;
        Session { ledger: self, book, ticket, standings: HashMap::new() }
    }
}

impl Session<'_> {
    /// Refuses a write that the quotas of its namespace don't allow; else notes what it adds, unless it is a mere rehearsal.
    pub(super) fn charge(
        &mut self,
        attributes: &Attributes<'_>,
        current: Option<(&Record, &Value)>,
        new: &Value,
        dry_run: bool,
    ) -> Result<(), Status> {
        let Some(namespace) = attributes.namespace else { return Ok(()) };
        let before = current.map(|(_, old)| Usage::of(attributes.kind, old));
        let after = Usage::of(attributes.kind, new);
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        if !self.standings.contains_key(namespace) {
            let standings = self.book.standings(attributes, namespace);
            self.standings.insert(namespace.to_owned(), standings);
        }
        let standings = self.standings.get_mut(namespace).expect("invariant: just inserted");
        let increases = admit(attributes, standings, new, before.as_ref(), &after)?;
        if dry_run || increases.iter().all(amounts::Amounts::is_empty) {
            return Ok(());
        }
        for (standing, increase) in standings.iter_mut().zip(&increases) {
            amounts::add(&mut standing.used, increase);
        }
        self.book.notes.push(Note {
            ticket: self.ticket,
            namespace: namespace.to_owned(),
            key: attributes.kind.key(Some(namespace), attributes.name),
            found: current.map(|(record, _)| record.revision),
            before,
            after,
        });
        Ok(())
    }

    /// Ends the round.
    pub(super) fn close(self) -> Reservation {
        Reservation { ledger: self.ledger.clone(), ticket: self.ticket }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.book.lock().notes.retain(|note| note.ticket != self.ticket);
    }
}

impl Book {
    /// The quotas of a namespace, and what is used of them or soon will be.
    fn standings(&mut self, attributes: &Attributes<'_>, namespace: &str) -> Vec<Standing> {
        let (snapshot, custom) = (attributes.snapshot, attributes.custom_kinds.served());
        let prefix = RESOURCE_QUOTA.prefix(Some(namespace));
        let quotas = snapshot.range(&prefix, None).map(|record| Quota::read(&decode_record(record)));
        let mut standings: Vec<Standing> = quotas.map(|quota| Standing { used: quota.nothing(), quota }).collect();
        for Standing { quota, used } in &mut standings {
            for kind in quota.kinds(custom.iter().map(|custom| custom.kind)) {
                self.read(snapshot, kind, namespace).for_each(|usage| amounts::add(used, &quota.share(usage)));
            }
            let is_open = |note: &&Note| {
                note.namespace == namespace && snapshot.get(&note.key).map(|record| record.revision) == note.found
            };
            for note in self.notes.iter().filter(is_open) {
                amounts::add(used, &increase(quota, note.before.as_ref(), &note.after));
            }
        }
        standings
    }

    /// What each object of a kind in a namespace uses.
    fn read(&mut self, snapshot: &Snapshot, kind: &Kind, namespace: &str) -> impl Iterator<Item = &Usage> {
        let prefix = kind.prefix(Some(namespace));
        let mut known = self.read.remove(&prefix).unwrap_or_default();
        if self.read.len() >= PREFIXES_MAX {
            self.read.clear();
        }
        let usage = |record: &Record| {
            let object = if reads_content(kind) { decode_record(record) } else { Value::Null };
            Usage::of(kind, &object)
        };
        let now = snapshot.range(&prefix, None).map(|record| {
            let found = known.remove(&record.key).filter(|(revision, _)| *revision == record.revision);
            (record.key.clone(), found.unwrap_or_else(|| (record.revision, usage(record))))
        });
        let now: Usages = now.collect();
        self.read.entry(prefix).insert_entry(now).into_mut().values().map(|(_, usage)| usage)
    }
}
