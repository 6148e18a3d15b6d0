//! What a host keeps on disk of images (as pulled, compiled, unpacked) stays within a quota: what was not used for longest goes first, and
//! nothing that a pod uses.
//!
//! When a thing was used last is its own file's time of change, so that it is known after a restart, however the host ended. Deliberately
//! absent: what isn't of images (logs, volumes, what containers write), and eviction ahead of need.

mod plan;

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use self::plan::Item;
pub(crate) use self::plan::Part;
use crate::runtime::Clock;

/// Unless said otherwise, so much of the disk: one of so many parts.
const DISK_SHARE: u64 = 4;
/// A file's time is at most so much behind, for something that begins to be used again and again.
const NOTE_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// What kinds of things there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An image as it was pulled, by its manifest's digest.
    Image,
    /// A compiled component.
    Code,
    /// An unpacked layer of Linux images.
    Layer,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Image, Kind::Code, Kind::Layer];

    fn as_str(self) -> &'static str {
        match self {
            Kind::Image => "image",
            Kind::Code => "code",
            Kind::Layer => "layer",
        }
    }
}

/// Names one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(kind: Kind, name: impl Into<Arc<str>>) -> Key {
        Key { kind, name: name.into() }
    }
}

/// Who keeps things of one kind. It is asked while nobody can begin to use them, and must not ask the quota for anything meanwhile.
pub(crate) trait Keeper: Send + Sync {
    /// Removes a thing, except those of its parts that others have as well.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The file whose time of change says when the thing was used last.
    fn file(&self, name: &str) -> Option<PathBuf>;
}

/// There is no room, and none can be made. The text is what the user sees, after "there is no room for it: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// It is too large in any case.
    #[error(
        "it takes {needed} bytes, and --image-disk-quota allows {bytes_max} bytes for all images and compiled code together: start this host with a larger one"
    )]
    TooLarge { needed: u64, bytes_max: u64 },
    /// Pods use too much, or what is on its way takes it.
    #[error(
        "it takes {needed} bytes, and of the {bytes_max} bytes that --image-disk-quota allows for images and compiled code this host's pods and pulls use {used}: delete pods, or start this host with a larger one"
    )]
    InUse { needed: u64, used: u64, bytes_max: u64 },
}

/// The quota of one host, and all that counts.
pub struct DiskQuota {
    bytes_max: u64,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keepers: HashMap<Kind, Weak<dyn Keeper>>,
    kept: HashMap<Key, Entry>,
    held: HashMap<Key, Weak<Held>>,
    /// What is on its way.
    bytes_reserved: u64,
    /// By kind, in the order of `Kind::ALL`.
    evictions: [u64; 3],
}

struct Entry {
    parts: Vec<Part>,
    used_at: Timestamp,
    /// As the file says.
    noted_at: Timestamp,
}

/// A thing is in use, and stays, while this is kept. All who use one thing share one.
pub(crate) type Hold = Arc<Held>;

/// See [`Hold`].
pub(crate) struct Held {
    quota: Arc<DiskQuota>,
    key: Key,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.quota.state.lock();
        // Somebody may have begun to use it anew.
        if state.held.get(&self.key).is_some_and(|held| held.strong_count() == 0) {
            state.held.remove(&self.key);
        }
        state.use_now(&self.key, self.quota.clock.now(), SignedDuration::ZERO);
    }
}

/// Room for something that is on its way; what came of it is [`put`](DiskQuota::put) before this is dropped.
pub(crate) struct Reservation {
    quota: Arc<DiskQuota>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.state.lock().bytes_reserved -= self.bytes;
    }
}

impl DiskQuota {
    /// At most so many bytes.
    pub fn new(bytes_max: u64, clock: Arc<dyn Clock>) -> Arc<DiskQuota> {
        Arc::new(DiskQuota { bytes_max, clock, state: Mutex::default() })
    }

    /// For those who keep little, or nothing.
    pub fn unlimited(clock: Arc<dyn Clock>) -> Arc<DiskQuota> {
        DiskQuota::new(u64::MAX, clock)
    }

    /// The quota of those who set none: a quarter of the disk that a folder is on.
    pub fn default_bytes(folder: &Path) -> u64 {
        rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize) / DISK_SHARE)
    }

    /// Who keeps the things of this kind from now on.
    pub(crate) fn join(&self, kind: Kind, keeper: Weak<dyn Keeper>) {
        self.state.lock().keepers.insert(kind, keeper);
    }

    /// Uses a thing, whether or not it is there: it stays from now on. To be taken before one looks whether it is there.
    pub(crate) fn hold(self: &Arc<Self>, key: Key) -> Hold {
        let mut state = self.state.lock();
        if let Some(held) = state.held.get(&key).and_then(Weak::upgrade) {
            return held;
        }
        let held = Arc::new(Held { quota: self.clone(), key: key.clone() });
        state.use_now(&key, self.clock.now(), NOTE_INTERVAL);
        state.held.insert(key, Arc::downgrade(&held));
        held
    }

    /// Something is there: just now, or since a time that its file tells.
    pub(crate) fn put(&self, key: Key, parts: Vec<Part>, used_at: Option<Timestamp>) {
        let used_at = used_at.unwrap_or_else(|| self.clock.now());
        self.state.lock().kept.insert(key, Entry { parts, used_at, noted_at: used_at });
    }

    /// Makes room for so many bytes, by eviction if need be. Blocks on the disk.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, NoRoom> {
        let bytes_max = self.bytes_max;
        if bytes > bytes_max {
            return Err(NoRoom::TooLarge { needed: bytes, bytes_max });
        }
        let mut state = self.state.lock();
        let on_its_way = state.bytes_reserved;
        let full = |held: u64| NoRoom::InUse { needed: bytes, used: held.saturating_add(on_its_way), bytes_max };
        let evicted = state.plan(bytes_max, bytes).map_err(full)?;
        let mut is_free = true;
        for key in &evicted {
            is_free &= state.evict(key, "for others");
        }
        // What could not be removed still takes its room.
        if !is_free && !state.plan(bytes_max, bytes).map_err(full)?.is_empty() {
            return Err(full(state.bytes()));
        }
        state.bytes_reserved += bytes;
        Ok(Reservation { quota: self.clone(), bytes })
    }

    /// The disk is full: removes all that no pod uses, as Kubernetes does. Blocks on the disk.
    pub(crate) fn evict_unused(&self) {
        let mut state = self.state.lock();
        let unused: Vec<Key> = state.kept.keys().filter(|key| !state.is_held(key)).cloned().collect();
        for key in unused {
            state.evict(&key, "as the disk is full");
        }
    }

    /// What is kept and what went, as Prometheus reads it.
    pub fn render(&self, text: &mut String) {
        let state = self.state.lock();
        let mut written = String::new();
        let figures = [
            ("image_disk_bytes", "Images on disk, unpacked layers and compiled code included.", state.bytes()),
            ("image_disk_quota_bytes", "What they may have.", self.bytes_max),
        ];
        for (name, help, value) in figures {
            let name = format!("coracle_host_{name}");
            writeln!(written, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}").expect(WRITES);
        }
        let name = "coracle_host_image_evictions_total";
        writeln!(written, "# HELP {name} Evictions, by what went.\n# TYPE {name} counter").expect(WRITES);
        for (kind, count) in Kind::ALL.into_iter().zip(state.evictions) {
            writeln!(written, "{name}{{kind=\"{}\"}} {count}", kind.as_str()).expect(WRITES);
        }
        text.push_str(&written);
    }
}

const WRITES: &str = "writing to a string succeeds";

impl State {
    fn is_held(&self, key: &Key) -> bool {
        self.held.get(key).is_some_and(|held| held.strong_count() > 0)
    }

    fn bytes(&self) -> u64 {
        plan::bytes(self.kept.values().map(|entry| &entry.parts[..]))
    }

    fn plan(&self, bytes_max: u64, needed: u64) -> Result<Vec<Key>, u64> {
        let mut items: Vec<(&Key, Item<'_>)> = self
            .kept
            .iter()
            .map(|(key, entry)| {
                let Entry { parts, used_at, .. } = entry;
                (key, Item { used_at: *used_at, is_held: self.is_held(key), parts })
            })
            .collect();
        items.sort_unstable_by_key(|(key, item)| (item.used_at, *key));
        let (keys, items): (Vec<&Key>, Vec<Item<'_>>) = items.into_iter().unzip();
        let evicted = plan::plan(&items, bytes_max, self.bytes_reserved.saturating_add(needed))?;
        Ok(evicted.into_iter().map(|index| keys[index].clone()).collect())
    }

    /// Whether it is gone.
    fn evict(&mut self, key: &Key, why: &str) -> bool {
        let Key { kind, name } = key;
        let Some(keeper) = self.keepers.get(kind).and_then(Weak::upgrade) else { return false };
        if let Err(error) = keeper.remove(name) {
            tracing::warn!(kind = kind.as_str(), %name, %error, "cannot be evicted");
            return false;
        }
        let Some(entry) = self.kept.remove(key) else { return true };
        let bytes: u64 = entry.parts.iter().map(|part| part.bytes).sum();
        tracing::info!(kind = kind.as_str(), %name, bytes, used_at = %entry.used_at, "evicted {why}");
        self.evictions[*kind as usize] += 1;
        true
    }

    /// Notes that a thing is used, and in its file if what that says is older than `behind`.
    fn use_now(&mut self, key: &Key, now: Timestamp, behind: SignedDuration) {
        let Some(entry) = self.kept.get_mut(key) else { return };
        entry.used_at = now;
        if now.duration_since(entry.noted_at) <= behind {
            return;
        }
        entry.noted_at = now;
        let file = self.keepers.get(&key.kind).and_then(Weak::upgrade).and_then(|keeper| keeper.file(&key.name));
        // What can't be noted is evicted sooner after a restart, no more.
        let _ = file.map(|file| std::fs::File::open(file)?.set_modified(SystemTime::from(now)));
    }
}

/// When a thing was used last, as its file says; long ago if it doesn't.
pub(crate) fn used_at(file: &Path) -> Timestamp {
    let changed = std::fs::metadata(file).and_then(|found| found.modified());
    changed.ok().and_then(|changed| Timestamp::try_from(changed).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.key).finish()
    }
}

#[cfg(test)]
mod tests;
