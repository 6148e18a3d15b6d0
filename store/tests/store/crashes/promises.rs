//! What a store has promised its callers.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_store::{Operation, Outcome, Record, Snapshot, Store, Write};

/// What was acknowledged, and what is in doubt.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    /// The acknowledged value and revision of each key.
    records: BTreeMap<Arc<str>, (Vec<u8>, u64)>,
    /// Of each client, the writes that have not been answered. A client waits for an answer before it writes again.
    in_doubt: BTreeMap<u64, Vec<Write>>,
    /// The highest revision that anyone has seen.
    revision: u64,
    /// The lowest term that it may lead again in: terms for which it has voted for another are not its own any more.
    term: u64,
}

impl Promises {
    pub(super) fn ask(&mut self, client: u64, writes: &[Write]) {
        self.in_doubt.insert(client, writes.to_vec());
    }

    pub(super) fn answer(&mut self, client: u64, outcomes: &[Outcome]) {
        let writes = self.in_doubt.remove(&client).expect("an answer follows a question");
        for (write, outcome) in writes.iter().zip(outcomes) {
            self.revision = self.revision.max(outcome.revision().unwrap_or_default());
            match outcome {
                Outcome::Written(record) if !write.key.starts_with("leases/") => {
                    self.records.insert(write.key.clone(), content(record));
                }
                Outcome::Deleted { .. } => drop(self.records.remove(&write.key)),
                _ => {}
            }
        }
    }

    /// It has voted for another member in this term.
    pub(super) fn grant(&mut self, term: u64) {
        self.term = self.term.max(term + 1);
    }

    /// A store has opened: what was in doubt is known now.
    pub(super) fn settle(&mut self, store: &Store) {
        let snapshot = store.snapshot();
        for write in std::mem::take(&mut self.in_doubt).into_values().flatten() {
            match snapshot.get(&write.key) {
                Some(record) => drop(self.records.insert(write.key, content(&record))),
                None => drop(self.records.remove(&write.key)),
            }
        }
        self.revision = snapshot.revision();
        self.term = store.status().term;
    }

    /// Is all of it kept?
    pub(super) async fn check(&self, store: &Store) -> Result<(), String> {
        let snapshot = store.read().await.map_err(|error| error.to_string())?;
        if snapshot.revision() < self.revision {
            return Err(format!("revision {} after {}", snapshot.revision(), self.revision));
        }
        let term = store.status().term;
        if term < self.term {
            return Err(format!(
                "it leads in term {term}, and {} is the first it may: a vote was forgotten",
                self.term
            ));
        }
        let doubtful: Vec<&str> = self.in_doubt.values().flatten().map(|write| &*write.key).collect();
        for key in self.records.keys().map(|key| &**key).chain(snapshot.range("", None).map(|record| &*record.key)) {
            if !doubtful.contains(&key) && !self.is_as_before(&snapshot, key) {
                return Err(format!(
                    "{key} was acknowledged as {} and is {}",
                    shown(self.records.get(key)),
                    shown(snapshot.get(key).map(|record| content(&record)).as_ref())
                ));
            }
        }
        for writes in self.in_doubt.values() {
            let is_undone = writes.iter().all(|write| self.is_as_before(&snapshot, &write.key));
            if !is_undone && !writes.iter().all(|write| self.is_done(&snapshot, write)) {
                return Err(format!("half of {writes:?} is done"));
            }
        }
        Ok(())
    }

    fn is_as_before(&self, snapshot: &Snapshot, key: &str) -> bool {
        snapshot.get(key).map(|record| content(&record)).as_ref() == self.records.get(key)
    }

    fn is_done(&self, snapshot: &Snapshot, write: &Write) -> bool {
        match (snapshot.get(&write.key), &write.operation) {
            (Some(record), Operation::Put { json, .. }) => {
                let before = self.records.get(&write.key).map_or(0, |(_, revision)| *revision);
                record.json == *json && record.revision > before
            }
            (None, Operation::Delete) => true,
            _ => write.key.starts_with("leases/"),
        }
    }
}

fn content(record: &Record) -> (Vec<u8>, u64) {
    (record.json.to_vec(), record.revision)
}

fn shown(content: Option<&(Vec<u8>, u64)>) -> String {
    content.map_or_else(
        || "absent".to_owned(),
        |(json, revision)| format!("{} at {revision}", String::from_utf8_lossy(json)),
    )
}
