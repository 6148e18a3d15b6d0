//! All probes of the host in the order in which they are due; the time is passed in.
//!
//! Deliberately absent: trying them, and anything for containers without probes.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use futures::future::AbortHandle;
use jiff::Timestamp;

use super::act::Target;
use super::watch::{Outcome, Phase, Watch};
use crate::pod::action::Action;
use crate::pod::probe::{Checks, ProbeKind};
use crate::pod::run::Health;

/// A container: its pod's uid and its place in the pod.
pub(crate) type Key = (Arc<str>, usize);

/// Probes that are tried at a time, by lane.
const UNDER_WAY_MAX: [usize; 2] = [512, 64];

/// Which places a probe takes: those that keep theirs for long have few, so that no pod's probes make those of others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Answered in no time, or not tried yet.
    Quick,
    /// Timed out the last time, or a program of its own.
    Slow,
}

/// The probes of the host.
#[derive(Default)]
pub(crate) struct Wheel {
    watched: HashMap<Key, Watched>,
    /// What is due next, by lane; a container stands in one of them, once.
    queues: [BTreeSet<(Timestamp, Key)>; 2],
    under_way: [usize; 2],
}

struct Watched {
    incarnation: u32,
    checks: Arc<Checks>,
    target: Arc<Target>,
    watch: Watch,
    phase: Phase,
    lane: Lane,
    queued_at: Option<Timestamp>,
    tries: [Option<AbortHandle>; 3],
}

/// A probe to try now.
pub(crate) struct Try {
    pub(crate) key: Key,
    pub(crate) incarnation: u32,
    pub(crate) kind: ProbeKind,
    pub(crate) checks: Arc<Checks>,
    pub(crate) target: Arc<Target>,
    pub(crate) lane: Lane,
}

impl Wheel {
    /// Tries the probes of a container from now on, in place of those of an earlier incarnation.
    pub(crate) fn watch(
        &mut self,
        key: Key,
        incarnation: u32,
        checks: Arc<Checks>,
        target: Arc<Target>,
        started_at: Timestamp,
    ) {
        self.forget(&key);
        let phase = phase(&key);
        let watch = Watch::new(&checks, started_at, phase);
        let is_program = |action: &Action| matches!(action, Action::Exec { .. });
        let is_slow = checks.probes.iter().flatten().any(|probe| is_program(&probe.action));
        let lane = if is_slow { Lane::Slow } else { Lane::Quick };
        let tries = [None, None, None];
        let watched = Watched { incarnation, checks, target, watch, phase, lane, queued_at: None, tries };
        self.watched.insert(key.clone(), watched);
        self.queue(&key);
    }

    /// Tries the probes of a container no longer; those under way are given up.
    pub(crate) fn forget(&mut self, key: &Key) {
        if let Some(watched) = self.watched.remove(key) {
            if let Some(at) = watched.queued_at {
                self.queues[watched.lane as usize].remove(&(at, key.clone()));
            }
            watched.tries.iter().flatten().for_each(AbortHandle::abort);
        }
    }

    /// When to look again, if nothing comes back before.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        let with_room = (0..2).filter(|lane| self.under_way[*lane] < UNDER_WAY_MAX[*lane]);
        with_room.filter_map(|lane| self.queues[lane].first()).map(|(at, _)| *at).min()
    }

    /// The next probe that is due, if there is a place for it.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<Try> {
        for (lane, under_way_max) in UNDER_WAY_MAX.into_iter().enumerate() {
            if self.under_way[lane] >= under_way_max {
                continue;
            }
            let Some((_, key)) = self.queues[lane].first().filter(|(at, _)| *at <= now).cloned() else { continue };
            let Some(watched) = self.watched.get_mut(&key) else { continue };
            let Some(kind) = watched.watch.take_due(now) else { continue };
            let next = Try {
                key: key.clone(),
                incarnation: watched.incarnation,
                kind,
                checks: watched.checks.clone(),
                target: watched.target.clone(),
                lane: watched.lane,
            };
            self.under_way[lane] += 1;
            self.queue(&key);
            return Some(next);
        }
        None
    }

    /// Remembers how to give a try up.
    pub(crate) fn under_way(&mut self, key: &Key, kind: ProbeKind, handle: AbortHandle) {
        if let Some(watched) = self.watched.get_mut(key) {
            watched.tries[kind.index()] = Some(handle);
        }
    }

    /// A try is over, and this became of it; nothing, if it was given up. What all probes of the container say now, if that has changed.
    pub(crate) fn settle(
        &mut self,
        key: &Key,
        incarnation: u32,
        kind: ProbeKind,
        lane: Lane,
        outcome: Option<&Outcome>,
        now: Timestamp,
    ) -> Option<Health> {
        self.under_way[lane as usize] -= 1;
        let watched = self.watched.get_mut(key).filter(|watched| watched.incarnation == incarnation)?;
        watched.tries[kind.index()] = None;
        let health = watched.watch.learn(&watched.checks, kind, outcome?, now, watched.phase);
        let is_program = watched.checks.probe(kind).is_some_and(|probe| matches!(probe.action, Action::Exec { .. }));
        let is_slow = is_program || matches!(outcome, Some(Outcome::TimedOut(_)));
        self.dequeue(key);
        if let Some(watched) = self.watched.get_mut(key) {
            watched.lane = if is_slow { Lane::Slow } else { Lane::Quick };
        }
        self.queue(key);
        health
    }

    /// Whether a container is watched in this incarnation.
    pub(crate) fn is_watched(&self, key: &Key, incarnation: u32) -> bool {
        self.watched.get(key).is_some_and(|watched| watched.incarnation == incarnation)
    }

    fn dequeue(&mut self, key: &Key) {
        if let Some(watched) = self.watched.get_mut(key)
            && let Some(at) = watched.queued_at.take()
        {
            self.queues[watched.lane as usize].remove(&(at, key.clone()));
        }
    }

    /// Puts a container where it belongs among those that wait.
    fn queue(&mut self, key: &Key) {
        self.dequeue(key);
        if let Some(watched) = self.watched.get_mut(key)
            && let Some(at) = watched.watch.due_at()
        {
            watched.queued_at = Some(at);
            self.queues[watched.lane as usize].insert((at, key.clone()));
        }
    }
}

/// From the container's identity, so that it needs no source of chance and is the same each time.
fn phase(key: &Key) -> Phase {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Phase((hasher.finish() >> 32) as u32)
}

#[cfg(test)]
mod tests;
