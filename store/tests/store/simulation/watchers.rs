//! Whoever watches a member sees each change once and in order, on every member the same ones: the members' applied states are equal at
//! equal revisions, and a list is what the changes up to its revision make.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_store::testing::Random;
use coracle_store::{Change, Event, Record, Revision, Snapshot, WatchRequest};
use openraft::AsyncRuntime as _;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;

use super::network::{Network, Running};

/// The durable keys.
pub(super) const PREFIX: &str = "pods/";

/// What keys hold, and since when.
pub(super) type List = BTreeMap<Arc<str>, (String, Revision)>;

/// A change of one key: what it holds then, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    key: Arc<str>,
    content: Option<String>,
}

/// What one watcher was told, from a list on, or from where it had been before.
struct Stretch {
    member: String,
    after: Revision,
    list: Option<List>,
    told: Vec<Revision>,
}

/// What all watchers were told. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    changes: BTreeMap<Revision, Seen>,
    stretches: Vec<Stretch>,
}

pub(super) fn listed(snapshot: &Snapshot) -> List {
    let held = |record: &Arc<Record>| (record.key.clone(), (content(record), record.revision));
    snapshot.range(PREFIX, None).map(held).collect()
}

fn content(record: &Record) -> String {
    format!("value {} ({:08x})", value(record), crc32fast::hash(&record.json))
}

/// The number that a value begins with.
pub(super) fn value(record: &Record) -> u64 {
    let json = String::from_utf8_lossy(&record.json);
    let number = json.split('"').nth(5).and_then(|name| name.split('-').next()?.parse().ok());
    number.expect("a value begins with its number")
}

impl Told {
    /// Watches a process as long as it runs; loses its watch now and then, and goes on.
    pub(super) fn watch(&self, name: &str, running: Running, network: &Network, mut random: Random) {
        let (told, name, network) = (self.clone(), name.to_owned(), network.clone());
        drop(SimRuntime::spawn(async move {
            let mut after = None;
            while network.is_running(running.process) {
                let reads = random.below(60);
                after = told.follow(&name, &running, &network, after, reads).await;
            }
        }));
    }

    /// Reads some events; gives where to go on, if that is possible.
    async fn follow(
        &self,
        name: &str,
        running: &Running,
        network: &Network,
        resume: Option<Revision>,
        reads: u64,
    ) -> Option<Revision> {
        let request = |after| WatchRequest { prefix: PREFIX.to_owned(), tag: None, after };
        let resumed =
            resume.and_then(|after| running.store.watch(request(after)).ok().map(|watch| (after, None, watch)));
        let (mut after, list, mut watch) = resumed.unwrap_or_else(|| {
            let snapshot = running.store.snapshot();
            let watch = running.store.watch(request(snapshot.revision()));
            (snapshot.revision(), Some(listed(&snapshot)), watch.expect("what was just listed can be watched"))
        });
        let place = {
            let mut book = self.0.lock();
            book.stretches.push(Stretch { member: name.to_owned(), after, list, told: Vec::new() });
            book.stretches.len() - 1
        };
        for _ in 0..reads {
            let Ok(event) = watch.next().await else {
                SimRuntime::sleep(std::time::Duration::from_millis(20)).await;
                return None;
            };
            if !network.is_running(running.process) {
                return None;
            }
            after = event.record.revision;
            if let Err(reason) = self.0.lock().note(place, &event) {
                network.trace.break_rule(reason);
                return None;
            }
        }
        Some(after)
    }

    /// Was each watcher told everything?
    pub(super) fn check(&self) -> Result<(), String> {
        let book = self.0.lock();
        book.stretches.iter().try_for_each(|stretch| book.check(stretch))
    }

    /// Changes that were told.
    pub(super) fn changes(&self) -> usize {
        self.0.lock().changes.len()
    }
}

impl Book {
    fn note(&mut self, place: usize, event: &Event) -> Result<(), String> {
        let revision = event.record.revision;
        let content = (event.change == Change::Put).then(|| content(&event.record));
        let seen = Seen { key: event.record.key.clone(), content };
        let known = self.changes.entry(revision).or_insert_with(|| seen.clone());
        let stretch = &mut self.stretches[place];
        if *known != seen {
            return Err(format!("{} applied {seen:?} at {revision}, and another member {known:?}", stretch.member));
        }
        let last = stretch.told.last().copied().unwrap_or(stretch.after);
        if revision <= last {
            return Err(format!("a watcher of {} was told of {revision} after {last}", stretch.member));
        }
        stretch.told.push(revision);
        Ok(())
    }

    fn check(&self, stretch: &Stretch) -> Result<(), String> {
        let Stretch { member, after, list, told } = stretch;
        if let Some(last) = told.last() {
            let missed =
                self.changes.range(after + 1..=*last).find(|(revision, _)| told.binary_search(revision).is_err());
            if let Some((revision, seen)) = missed {
                return Err(format!(
                    "a watcher of {member}, from {after} to {last}, was not told of {revision}: {seen:?}"
                ));
            }
        }
        let Some(list) = list else { return Ok(()) };
        // A list is as new as it says. (What members applied before anybody watched was told to nobody.)
        for (revision, seen) in self.changes.range(..=*after) {
            let Some((content, at)) = list.get(&seen.key) else { continue };
            if at < revision || (at == revision && seen.content.as_ref() != Some(content)) {
                return Err(format!(
                    "{member} listed {content} of {at} at {after}, and {revision} had made it {seen:?}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(key: &str, value: u64, revision: Revision) -> Event {
        let record = |value: u64| Record {
            key: key.into(),
            json: format!(r#"{{"metadata":{{"name":"{value}-"}}}}"#).into(),
            splice_offset: 13,
            tags: [].into(),
            revision,
        };
        Event { change: Change::Put, record: Arc::new(record(value)), previous: None }
    }

    /// What watchers are told, each from revision 0 on, and what one lists at revision 3.
    fn check(told: &[&[(&str, u64, Revision)]], list: &[(&str, u64, Revision)]) -> Result<(), String> {
        let mut book = Book::default();
        let stretch = |after, list| Stretch { member: "a".to_owned(), after, list, told: Vec::new() };
        for events in told {
            book.stretches.push(stretch(0, None));
            for (key, value, revision) in *events {
                book.note(book.stretches.len() - 1, &event(key, *value, *revision))?;
            }
        }
        let held = |(key, value, revision): &(&str, u64, Revision)| {
            (Arc::from(*key), (content(&event(key, *value, *revision).record), *revision))
        };
        book.stretches.push(stretch(3, Some(list.iter().map(held).collect())));
        book.stretches.iter().try_for_each(|stretch| book.check(stretch))
    }

    #[test]
    fn watchers_that_are_told_other_things_are_found() {
        let all: &[(&str, u64, Revision)] = &[("x", 1, 1), ("y", 2, 2), ("x", 3, 3)];
        assert_eq!(check(&[all, &all[..2]], &[("x", 3, 3), ("y", 2, 2)]), Ok(()));
        assert!(check(&[all, &[("x", 1, 1), ("y", 9, 2)]], &[]).is_err(), "another change");
        assert!(check(&[all, &[("x", 1, 1), ("x", 3, 3)]], &[]).is_err(), "one is left out");
        assert!(check(&[all, &[("y", 2, 2), ("x", 1, 1)]], &[]).is_err(), "they go back");
        assert!(check(&[&[("x", 1, 1), ("x", 1, 1)]], &[]).is_err(), "one comes twice");
        assert!(check(&[all], &[("x", 1, 1)]).is_err(), "a list is older than it says");
        assert!(check(&[all], &[("x", 7, 3)]).is_err(), "a list holds what nobody wrote");
    }
}
