//! Who watches what. A change costs one look-up for each part of its key and each of its tags, however many watchers there are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::record::{Record, Tag};
use crate::watch::Event;

#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) events: mpsc::Sender<Arc<Event>>,
    /// Bytes of the events that wait, which are no more than `queued_bytes_max`.
    pub(crate) queued_bytes: Arc<AtomicUsize>,
    pub(crate) queued_bytes_max: usize,
    pub(crate) lagged: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Bucket {
    all: Vec<Watcher>,
    tagged: BTreeMap<Tag, Vec<Watcher>>,
}

/// All watchers, by the prefix and tag they asked for.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    buckets: BTreeMap<String, Bucket>,
}

impl Hub {
    /// Adds a watcher; it is removed at the first event after its receiver is gone.
    pub(crate) fn add(&mut self, prefix: &str, tag: Option<Tag>, watcher: Watcher) {
        let bucket = self.buckets.entry(prefix.to_owned()).or_default();
        match tag {
            None => {
                bucket.all.retain(|watcher| !watcher.events.is_closed());
                bucket.all.push(watcher);
            }
            Some(tag) => {
                let watchers = bucket.tagged.entry(tag).or_default();
                watchers.retain(|watcher| !watcher.events.is_closed());
                watchers.push(watcher);
            }
        }
    }

    /// Tells everyone who asked for it.
    pub(crate) fn send(&mut self, event: &Arc<Event>) {
        for prefix in prefixes(&event.record.key) {
            let Some(bucket) = self.buckets.get_mut(prefix) else { continue };
            deliver(&mut bucket.all, event);
            for tag in tags(event) {
                if let Some(watchers) = bucket.tagged.get_mut(tag) {
                    deliver(watchers, event);
                    if watchers.is_empty() {
                        bucket.tagged.remove(tag);
                    }
                }
            }
        }
    }

    /// Ends the watches of some prefixes.
    pub(crate) fn end(&mut self, is_one: impl Fn(&str) -> bool) {
        self.buckets.retain(|prefix, _| !is_one(prefix));
    }

    /// Ends every watch.
    pub(crate) fn close(&mut self) {
        self.buckets.clear();
    }
}

/// `pods/default/x` is asked for as ``, `pods/`, `pods/default/` and `pods/default/x`.
fn prefixes(key: &str) -> impl Iterator<Item = &str> {
    let parts = key.match_indices('/').map(|(index, _)| &key[..=index]);
    std::iter::once("").chain(parts).chain(std::iter::once(key))
}

/// The tags of an event's new and previous records, each once.
fn tags(event: &Event) -> impl Iterator<Item = &Tag> {
    let new = &event.record.tags;
    let old: &[Tag] = event.previous.as_deref().map_or(&[], |record: &Record| &record.tags);
    new.iter().chain(old.iter().filter(|tag| !new.contains(tag)))
}

fn deliver(watchers: &mut Vec<Watcher>, event: &Arc<Event>) {
    let weight = event.weight();
    watchers.retain(|watcher| {
        let queued = watcher.queued_bytes.fetch_add(weight, Ordering::AcqRel);
        // One alone may be of any size.
        if queued > 0 && queued + weight > watcher.queued_bytes_max {
            watcher.lagged.store(true, Ordering::Release);
            return false;
        }
        match watcher.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                watcher.lagged.store(true, Ordering::Release);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    });
}
