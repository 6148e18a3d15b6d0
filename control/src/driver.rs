//! The loop that shows the controllers what changed and writes what they decide.
//!
//! Each turn takes all changes there are, looks at every key they concern, writes everything as one proposal, and waits until
//! the controllers' own writes have come back as changes: no controller ever decides without having seen what it did.
//! Deliberately absent: polling, and a thread or queue for each controller.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::kind::Kind;
use coracle_api::kinds;
use coracle_api::status::Status;
use coracle_store::{Change, Event, Record, Revision, Watch, WatchError, WatchRequest};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::controllers::{Key, Outcome, Settings, Write, reconcile};
use crate::leading::while_leading;
use crate::objects::{ObjectWrite, WriteOptions, Written};
use crate::{Clock, Objects};

pub mod dirty;
pub mod intern;
mod rests;
pub mod timers;
pub mod view;
pub mod world;

use dirty::{Dirty, mark, mark_all};
use intern::Interner;
use rests::Rests;
use timers::Timers;
use view::Object;
use world::World;

/// How many changes are taken in before the controllers run.
const CHANGES_MAX: usize = 4096;
/// A clock that goes wrong by less was not set.
const CLOCK_STEP_MIN: SignedDuration = SignedDuration::from_secs(1);
/// How many writes a turn makes, give or take those of one key; what is left waits for the next turn.
const WRITES_MAX: usize = 1000;

/// Runs the controllers until `shutdown`, whenever this member leads.
pub async fn run(objects: Objects, settings: Settings, shutdown: CancellationToken) {
    let settings = Arc::new(settings);
    let work = || async {
        while let Some(mut driver) = Driver::start(objects.clone(), settings.clone()) {
            match driver.work().await {
                Some(ended) => return ended,
                None => tracing::warn!("the clock was set, and the controllers read everything again"),
            }
        }
        WatchError::TooSlow
    };
    while_leading("the controllers", objects.store(), &shutdown, work).await;
}

struct Driver {
    objects: Objects,
    /// When the clock was started, by itself.
    epoch: Timestamp,
    watch: Watch,
    world: World,
    interner: Interner,
    kinds: HashMap<Cow<'static, str>, &'static Kind>,
    dirty: Dirty,
    /// Keys that a full turn left over; they go first.
    leftover: Vec<Key>,
    /// Events that tell of writes that were done.
    notes: Vec<ObjectWrite>,
    timers: Timers,
    rests: Rests,
}

impl Driver {
    /// Reads everything, and starts to watch. `None` when the store forgets faster than it can be read.
    fn start(objects: Objects, settings: Arc<Settings>) -> Option<Driver> {
        let snapshot = objects.store().snapshot();
        let request = WatchRequest { prefix: String::new(), tag: None, after: snapshot.revision() };
        let watch = objects.store().watch(request).ok()?;
        let kinds = kinds::ALL.iter().map(|kind| (kind.resource(), *kind)).collect();
        let mut driver = Driver {
            epoch: epoch(objects.clock().as_ref()),
            objects,
            watch,
            world: World::new(settings, snapshot.revision()),
            interner: Interner::default(),
            kinds,
            dirty: Dirty::new(),
            leftover: Vec::new(),
            notes: Vec::new(),
            timers: Timers::default(),
            rests: Rests::default(),
        };
        let now = driver.now();
        // Objects of kinds that users define can't be read without the definitions.
        let definitions = kinds::CUSTOM_RESOURCE_DEFINITION.prefix(None);
        let is_definition = |record: &Arc<Record>| record.key.starts_with(&definitions);
        let rest = snapshot.range("", None).filter(|record| !is_definition(record));
        for record in snapshot.range(&definitions, None).chain(rest) {
            if let Some(object) = driver.parse(record) {
                driver.world.put(object, now);
            }
        }
        driver.world.finish_reading();
        mark_all(&driver.world, &mut driver.dirty);
        Some(driver)
    }

    fn now(&self) -> Timestamp {
        self.objects.clock().now()
    }

    /// Turns until the watch ends. `None` when the clock was set: what was noted by it, such as when a node was heard of, says nothing then.
    async fn work(&mut self) -> Option<WatchError> {
        loop {
            if let Err(ended) = self.take_changes().await {
                return Some(ended);
            }
            let now = self.now();
            if epoch(self.objects.clock().as_ref()).duration_since(self.epoch).abs() > CLOCK_STEP_MIN {
                return None;
            }
            self.timers.take_due(now, &mut self.dirty);
            let target = self.turn(now).await;
            while self.world.revision < target {
                match self.watch.next().await {
                    Ok(event) => self.apply(&event),
                    Err(ended) => return Some(ended),
                }
            }
        }
    }

    /// Takes in all changes there are; waits for one, or for a timer, when there is nothing else to do.
    async fn take_changes(&mut self) -> Result<(), WatchError> {
        if self.dirty.is_empty() && self.leftover.is_empty() && self.notes.is_empty() {
            let due =
                self.timers.next().map(|at| Duration::try_from(at.duration_since(self.now())).unwrap_or_default());
            let timer = async {
                match due {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.watch.next() => {
                    let event = event?;
                    self.apply(&event);
                }
                () = timer => {}
            }
        }
        for _ in 0..CHANGES_MAX {
            match self.watch.try_next() {
                Some(event) => {
                    let event = event?;
                    self.apply(&event);
                }
                None => break,
            }
        }
        Ok(())
    }

    fn parse(&mut self, record: &Arc<Record>) -> Option<Arc<Object>> {
        let resource = record.key.split('/').next()?;
        let kind = match self.kinds.get(resource) {
            Some(kind) => kind,
            None => self.world.custom_kind(resource, &api_version(&record.json)?)?,
        };
        let json = match self.objects.open(record) {
            Ok(opened) => opened.json.clone(),
            Err(status) => {
                tracing::error!(message = %status.message, "the controllers leave this object alone");
                return None;
            }
        };
        match Object::parse(record.key.clone(), kind, json, record.revision, &mut self.interner) {
            Ok(object) => Some(Arc::new(object)),
            Err(error) => {
                tracing::warn!(key = %record.key, %error, "the controllers can't read this object and leave it alone");
                None
            }
        }
    }

    fn apply(&mut self, event: &Event) {
        let record = &event.record;
        let now = self.now();
        let new = match event.change {
            Change::Put => self.parse(record),
            Change::Delete => None,
        };
        let old = match &new {
            Some(object) => self.world.put(object.clone(), now),
            None => self.world.remove(&record.key, record.revision),
        };
        self.world.revision = self.world.revision.max(record.revision);
        mark(&self.world, old.as_deref(), new.as_deref(), &mut self.dirty);
    }

    /// Looks at the keys that are due and writes what the controllers decide; returns the newest revision written.
    async fn turn(&mut self, now: Timestamp) -> Revision {
        let leftover = std::mem::take(&mut self.leftover);
        let keys = leftover
            .iter()
            .cloned()
            .chain(std::mem::take(&mut self.dirty).into_iter().filter(|key| !leftover.contains(key)));
        let mut keys = keys.collect::<Vec<Key>>().into_iter();
        let mut batch = Vec::new();
        let mut owners = Vec::new();
        let mut events = std::mem::take(&mut self.notes);
        for key in keys.by_ref() {
            if let Some(until) = self.rests.until(&key, now) {
                self.timers.set(&key, Some(until));
                continue;
            }
            let began = self.objects.clock().uptime();
            let Outcome { writes, events: notes, wake_at } = reconcile(&self.world, &key, now);
            self.rests.note(&key, now, self.objects.clock().uptime().saturating_sub(began));
            self.timers.set(&key, wake_at);
            events.extend(notes);
            owners.push((key, writes.len()));
            batch.extend(writes);
            if batch.len() >= WRITES_MAX {
                break;
            }
        }
        self.leftover = keys.collect();
        batch.extend(events.into_iter().map(Write::from));
        if batch.is_empty() {
            owners.iter().for_each(|(key, _)| self.succeed(key, now));
            return 0;
        }
        let size = batch.len();
        let (batch, notes): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|write| ((write.write, write.deletion), write.note)).unzip();
        let results = self.objects.write_batch(batch, &WriteOptions::trusted()).await;
        tracing::trace!(keys = owners.len(), writes = size, "turn");
        self.judge(owners, notes, results, now)
    }

    /// Notes for each key whether its writes were done, and keeps the events that tell of those that were.
    fn judge(
        &mut self,
        owners: Vec<(Key, usize)>,
        notes: Vec<Option<ObjectWrite>>,
        results: Result<Vec<Result<Written, Status>>, Status>,
        now: Timestamp,
    ) -> Revision {
        let results = match results {
            Ok(results) => results,
            Err(status) => {
                tracing::warn!(message = %status.message, "the controllers could not write");
                owners.iter().for_each(|(key, _)| self.fail(key, &status, now));
                return 0;
            }
        };
        let newest = results.iter().flatten().map(|written| written.record.revision).max().unwrap_or(0);
        let told = results.iter().zip(notes).filter(|(result, _)| result.is_ok());
        self.notes.extend(told.filter_map(|(_, note)| note));
        let mut results = results.into_iter();
        for (key, count) in owners {
            // The first refusal that isn't a mere race is the one to tell.
            let refusals = results.by_ref().take(count).filter_map(Result::err);
            match refusals.min_by_key(is_race) {
                None => self.succeed(&key, now),
                Some(status) => self.fail(&key, &status, now),
            }
        }
        newest
    }

    fn succeed(&mut self, key: &Key, now: Timestamp) {
        let is_due = self.world.failure(key).is_some_and(|failure| failure.retry_at <= now);
        if is_due && self.world.succeed(key) {
            self.dirty.insert(key.clone());
        }
    }

    fn fail(&mut self, key: &Key, status: &Status, now: Timestamp) {
        let retry_at = self.world.fail(key, status.message.clone(), is_race(status), now);
        tracing::debug!(?key, message = %status.message, "a controller's write was refused");
        if retry_at <= now {
            self.dirty.insert(key.clone());
        } else {
            self.timers.set(key, Some(retry_at));
        }
    }
}

/// When a clock was started, by itself: the same whenever it is asked, unless it was set.
fn epoch(clock: &dyn Clock) -> Timestamp {
    clock.now().saturating_sub(clock.uptime()).unwrap_or(Timestamp::MIN)
}

/// The version that an object is stored in.
fn api_version(json: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Versioned {
        api_version: String,
    }
    serde_json::from_slice::<Versioned>(json).ok().map(|versioned| versioned.api_version)
}

/// Whether the refusal only says that somebody else was faster.
fn is_race(status: &Status) -> bool {
    matches!(status.code, 404 | 409)
}

#[cfg(test)]
mod tests;
