//! The probes of one run of a container: when each is due, and what its results mean. Pure.
//!
//! The rules are the kubelet's: the startup probe holds up the others and is done once it succeeded; so many results of a kind in a row
//! count; a result that is not known counts as none. Deliberately absent: the clock, and trying.

use jiff::{SignedDuration, Timestamp};

use crate::pod::probe::{Checks, Probe, ProbeKind};
use crate::pod::run::Health;

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Success,
    /// All is well, but this is worth saying.
    Warning(String),
    /// Something is wrong: this.
    Failure(String),
    /// It took too long.
    TimedOut(String),
    /// It could not be tried, for this reason.
    Unknown(String),
}

/// The probes of one run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    started_at: Timestamp,
    health: Health,
    tracks: [Track; 3],
}

/// One probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Track {
    /// When it is tried next; `None` while it is under way, waits for another probe, or is done.
    due_at: Option<Timestamp>,
    /// When the try under way was due.
    tried_at: Option<Timestamp>,
    was_tried: bool,
    last: Option<bool>,
    in_a_row: u32,
}

/// Where in its period a probe stands, so that those of many pods don't come together: so many 2^32ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phase(pub(crate) u32);

impl Phase {
    fn part_of(self, whole: SignedDuration) -> SignedDuration {
        let nanos = whole.as_nanos() * i128::from(self.0) / (1 << 32);
        SignedDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

impl Watch {
    /// From a container's start on.
    pub(crate) fn new(checks: &Checks, started_at: Timestamp, phase: Phase) -> Watch {
        let health = Health::at_start(Some(checks));
        let mut watch = Watch { started_at, health, tracks: [Track::default(); 3] };
        match checks.probe(ProbeKind::Startup) {
            Some(probe) => watch.track(ProbeKind::Startup).due_at = Some(started_at + probe.initial_delay),
            None => watch.begin(checks, started_at, phase),
        }
        watch
    }

    /// What the probes say so far.
    #[cfg(test)]
    pub(crate) fn health(&self) -> Health {
        self.health
    }

    /// When the next probe is due; `None` while there is nothing to wait for.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        self.tracks.iter().filter_map(|track| track.due_at).min()
    }

    /// A probe that is due, which counts as under way from now on.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<ProbeKind> {
        let is_due = |kind: &ProbeKind| self.tracks[kind.index()].due_at.is_some_and(|at| at <= now);
        let kind = ProbeKind::ALL.into_iter().find(is_due)?;
        let track = self.track(kind);
        track.tried_at = track.due_at.take();
        Some(kind)
    }

    /// Takes what became of a probe under way; what all say now, if that has changed.
    pub(crate) fn learn(
        &mut self,
        checks: &Checks,
        kind: ProbeKind,
        outcome: &Outcome,
        now: Timestamp,
        phase: Phase,
    ) -> Option<Health> {
        let probe = checks.probe(kind)?;
        let before = self.health;
        let track = self.track(kind);
        let tried_at = track.tried_at.take()?;
        track.due_at = Some(track.next(probe, kind, tried_at, now, phase));
        track.was_tried = true;
        if let Some(is_ok) = track.counts(probe, outcome) {
            match (kind, is_ok) {
                (ProbeKind::Readiness, _) => self.health.is_ready = is_ok,
                (ProbeKind::Startup, true) => {
                    self.health.is_started = true;
                    self.health.is_ready = checks.probe(ProbeKind::Readiness).is_none();
                    self.track(kind).due_at = None;
                    self.begin(checks, now, phase);
                }
                (ProbeKind::Liveness, true) => {}
                (_, false) => self.health.failed = Some(kind),
            }
        }
        if self.health.failed.is_some() {
            // The container ends for it: no probe is tried again.
            self.tracks.iter_mut().for_each(|track| track.due_at = None);
        }
        (self.health != before).then_some(self.health)
    }

    fn track(&mut self, kind: ProbeKind) -> &mut Track {
        &mut self.tracks[kind.index()]
    }

    /// The container has started, as far as probes know: the others are tried from now on. Readiness is waited for, so that it is
    /// tried at once; liveness is not.
    fn begin(&mut self, checks: &Checks, now: Timestamp, phase: Phase) {
        for kind in [ProbeKind::Readiness, ProbeKind::Liveness] {
            if let Some(probe) = checks.probe(kind) {
                let at = now.max(self.started_at + probe.initial_delay);
                let spread =
                    if kind == ProbeKind::Liveness { phase.part_of(probe.period) } else { SignedDuration::ZERO };
                self.track(kind).due_at = Some(at + spread);
            }
        }
    }
}

impl Track {
    /// When to try next: every period, less what was missed. The first period of what was tried at once is shorter, to half of it,
    /// so that those of pods that began together are spread.
    fn next(&self, probe: &Probe, kind: ProbeKind, tried_at: Timestamp, now: Timestamp, phase: Phase) -> Timestamp {
        let period = probe.period.max(SignedDuration::from_secs(1));
        let first = match kind {
            ProbeKind::Startup | ProbeKind::Readiness if !self.was_tried => period / 2 + phase.part_of(period / 2),
            _ => period,
        };
        let next = tried_at + first;
        let late = now.duration_since(next);
        if late.is_negative() {
            return next;
        }
        let missed = late.as_nanos() / period.as_nanos() + 1;
        next + period.saturating_mul(i32::try_from(missed).unwrap_or(i32::MAX))
    }

    /// Whether this result makes as many of its kind in a row as count, and which kind that is.
    fn counts(&mut self, probe: &Probe, outcome: &Outcome) -> Option<bool> {
        let is_ok = match outcome {
            Outcome::Success | Outcome::Warning(_) => true,
            Outcome::Failure(_) | Outcome::TimedOut(_) => false,
            Outcome::Unknown(_) => return None,
        };
        self.in_a_row = if self.last == Some(is_ok) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(is_ok);
        let threshold = if is_ok { probe.success_threshold } else { probe.failure_threshold };
        (self.in_a_row >= threshold).then_some(is_ok)
    }
}

#[cfg(test)]
mod tests;
