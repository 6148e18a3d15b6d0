//! Watches against an oracle: through writes, deletions, a short history, reconnections, slow readers, restarts and power cuts each
//! watcher sees every change that it asked for in order and once, or is told that it has to list again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use coracle_store::testing::{Random, SeededDisk};
use coracle_store::{Change, Event, Options, Precondition, Snapshot, Store, Tag, Watch, WatchError, WatchRequest};

use super::{delete, put, write};

const SEEDS: u64 = 15;
const STEPS: u64 = 400;
const HISTORY_EVENTS_MAX: usize = 40;
const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// One acknowledged change.
#[derive(Clone, Debug)]
struct Entry {
    revision: u64,
    key: String,
    new: Option<&'static str>,
    old: Option<&'static str>,
}

#[derive(Default)]
struct Oracle {
    entries: Vec<Entry>,
    values: BTreeMap<String, &'static str>,
    /// What came before can't be watched: a process that begins has no history.
    started_at: u64,
}

struct Watcher {
    prefix: &'static str,
    tag: Option<&'static str>,
    watch: Option<Watch>,
    after: u64,
    /// The keys that match, as the watch has told them.
    view: BTreeMap<String, &'static str>,
}

#[tokio::test]
async fn every_watcher_sees_what_it_asked_for() {
    let (mut too_slow, mut too_old) = (0, 0);
    for seed in 0..SEEDS {
        let mut run = Run::new(seed).await;
        for _ in 0..STEPS {
            run.step().await;
        }
        run.finish();
        too_slow += run.too_slow;
        too_old += run.too_old;
    }
    assert!(too_slow > SEEDS && too_old > SEEDS, "{too_slow} too slow, {too_old} too old");
}

struct Run {
    seed: u64,
    random: Random,
    disk: SeededDisk,
    store: Store,
    oracle: Oracle,
    watchers: Vec<Watcher>,
    too_slow: u64,
    too_old: u64,
}

fn options() -> Options {
    Options {
        history_events_max: HISTORY_EVENTS_MAX,
        watch_queue_events_max: 10,
        segment_bytes: 16 << 10,
        checkpoint_interval_ms: 1,
        ..Options::new(Path::new("/store"))
    }
}

impl Run {
    async fn new(seed: u64) -> Run {
        let disk = SeededDisk::new(seed);
        let store = Store::open(options(), Arc::new(disk.clone())).await.expect("the store opens");
        let asked =
            [("", None), ("pods/", None), ("pods/a/", Some("red")), ("pods/", Some("blue")), ("pods/b/3", None)];
        let watchers = asked
            .map(|(prefix, tag)| Watcher { prefix, tag, watch: None, after: 0, view: BTreeMap::new() })
            .into_iter()
            .collect();
        let oracle = Oracle { started_at: store.snapshot().revision(), ..Oracle::default() };
        Run { seed, random: Random::new(seed), disk, store, oracle, watchers, too_slow: 0, too_old: 0 }
    }

    async fn step(&mut self) {
        let watcher = self.random.below(self.watchers.len() as u64) as usize;
        match self.random.below(100) {
            0 => self.restart().await,
            1..=4 => self.watchers[watcher].watch = None,
            5..=24 => {
                let events = self.random.below(8);
                self.read(watcher, events);
            }
            _ => self.write().await,
        }
    }

    async fn restart(&mut self) {
        if self.random.once_in(2) {
            self.store.shutdown().await.expect("a sound disk lets it shut down");
        }
        self.disk = self.disk.restart();
        self.store = Store::open(options(), Arc::new(self.disk.clone())).await.expect("the store opens");
        let started_at = self.store.snapshot().revision();
        assert!(started_at > self.oracle.started_at, "revisions never fall");
        self.oracle.started_at = started_at;
        // What those that were connected have not read yet still comes.
        for number in 0..self.watchers.len() {
            self.read(number, u64::MAX);
            self.watchers[number].watch = None;
        }
    }

    async fn write(&mut self) {
        let key = format!("pods/{}/{}", ["a", "b"][self.random.below(2) as usize], self.random.below(6));
        let new = (!self.random.once_in(3)).then(|| COLOURS[self.random.below(3) as usize]);
        let asked = match new {
            Some(colour) => put(&key, colour, Precondition::None),
            None => delete(&key, Precondition::None),
        };
        // Watchers that don't read hold nobody up: this returns.
        let Some(revision) = write(&self.store, asked).await.revision() else { return };
        let old = match new {
            Some(colour) => self.oracle.values.insert(key.clone(), colour),
            None => self.oracle.values.remove(&key),
        };
        self.oracle.entries.push(Entry { revision, key, new, old });
    }

    /// Reads some events, and connects first if need be.
    fn read(&mut self, number: usize, events: u64) {
        let (seed, oracle) = (self.seed, &self.oracle);
        let watcher = &mut self.watchers[number];
        if watcher.watch.is_none() && !watcher.connect(&self.store, oracle) {
            self.too_old += 1;
        }
        for _ in 0..events {
            let expected = oracle.entries.iter().find(|entry| entry.revision > watcher.after && watcher.wants(entry));
            let Some(next) = watcher.watch.as_mut().and_then(Watch::try_next) else {
                assert!(watcher.watch.is_none() || expected.is_none(), "lost {expected:?} (seed {seed})");
                return;
            };
            match next {
                Ok(event) => {
                    let expected = expected.unwrap_or_else(|| panic!("{event:?} never happened (seed {seed})"));
                    assert_eq!(shown(&event), shown_entry(expected), "seed {seed}");
                    watcher.see(expected);
                }
                Err(error) => {
                    let is_ended = error == WatchError::TooSlow || watcher.after < oracle.started_at;
                    assert!(is_ended, "{error} without a restart (seed {seed})");
                    self.too_slow += u64::from(error == WatchError::TooSlow);
                    watcher.watch = None;
                }
            }
        }
    }

    /// Every watcher catches up, and knows what there is.
    fn finish(&mut self) {
        for number in 0..self.watchers.len() {
            // A watch that was too slow ends; the next one gives the rest.
            for _ in 0..3 {
                self.read(number, u64::MAX);
            }
            let watcher = &self.watchers[number];
            assert_eq!(watcher.view, watcher.matching(&self.oracle.values), "seed {}", self.seed);
        }
    }
}

impl Watcher {
    fn request(&self) -> WatchRequest {
        WatchRequest { prefix: self.prefix.to_owned(), tag: self.tag.map(Tag::new), after: self.after }
    }

    /// False if it had to list.
    fn connect(&mut self, store: &Store, oracle: &Oracle) -> bool {
        match store.watch(self.request()) {
            Ok(watch) => {
                self.watch = Some(watch);
                true
            }
            Err(old) => {
                assert_eq!(old.requested, self.after);
                let missed = oracle.entries.iter().filter(|entry| entry.revision > self.after).count();
                let is_too_old = self.after < oracle.started_at || missed > HISTORY_EVENTS_MAX;
                assert!(is_too_old && old.oldest > self.after, "{old} with {missed} events since");
                let snapshot = store.snapshot();
                self.view = self.matching(&values(&snapshot));
                assert_eq!(self.view, self.matching(&oracle.values), "a list is what was written");
                self.after = snapshot.revision();
                self.watch = Some(store.watch(self.request()).expect("what was just listed can be watched"));
                false
            }
        }
    }

    fn wants_key(&self, key: &str) -> bool {
        if self.prefix.is_empty() || self.prefix.ends_with('/') {
            key.starts_with(self.prefix)
        } else {
            key == self.prefix
        }
    }

    fn wants(&self, entry: &Entry) -> bool {
        self.wants_key(&entry.key) && (self.tag.is_none() || entry.new == self.tag || entry.old == self.tag)
    }

    fn see(&mut self, entry: &Entry) {
        self.after = entry.revision;
        match entry.new.filter(|colour| self.tag.is_none_or(|tag| tag == *colour)) {
            Some(colour) => drop(self.view.insert(entry.key.clone(), colour)),
            None => drop(self.view.remove(&entry.key)),
        }
    }

    fn matching(&self, values: &BTreeMap<String, &'static str>) -> BTreeMap<String, &'static str> {
        values
            .iter()
            .filter(|(key, colour)| self.wants_key(key) && self.tag.is_none_or(|tag| tag == **colour))
            .map(|(key, colour)| (key.clone(), *colour))
            .collect()
    }
}

fn values(snapshot: &Snapshot) -> BTreeMap<String, &'static str> {
    let colour = |tag: &Tag| *COLOURS.iter().find(|colour| **colour == tag.as_str()).expect("a colour");
    snapshot.range("", None).map(|record| (record.key.to_string(), colour(&record.tags[0]))).collect()
}

fn shown(event: &Event) -> String {
    let colour = |tags: &[Tag]| tags[0].as_str().to_owned();
    let new = (event.change == Change::Put).then(|| colour(&event.record.tags));
    let old = event.previous.as_ref().map(|record| colour(&record.tags));
    format!("{} {} {new:?} after {old:?}", event.record.revision, event.record.key)
}

fn shown_entry(entry: &Entry) -> String {
    format!("{} {} {:?} after {:?}", entry.revision, entry.key, entry.new, entry.old)
}
