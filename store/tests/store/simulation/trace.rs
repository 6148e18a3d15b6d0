//! All that happens in a simulation, in order: its digest tells two runs apart, its end explains a failure.

use std::collections::VecDeque;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use openraft_rt_sim::SimInstant;
use parking_lot::Mutex;

/// Lines that a failure prints.
const TAIL_LINES: usize = 200;

/// Clones are the same trace.
#[derive(Clone, Default)]
pub(super) struct Trace(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    digest: DefaultHasher,
    tail: VecDeque<String>,
    /// The first rule that was broken.
    violation: Option<String>,
}

/// Time since the simulation began.
pub(super) fn now() -> Duration {
    SimInstant::try_now().expect("a simulation runs").elapsed_since_start()
}

impl Trace {
    pub(super) fn note(&self, line: impl Display) {
        let line = format!("{:>12.6} {line}", now().as_secs_f64());
        let mut lines = self.0.lock();
        // What comes after a rule was broken explains nothing.
        if lines.violation.is_some() {
            return;
        }
        line.hash(&mut lines.digest);
        if lines.tail.len() == TAIL_LINES {
            lines.tail.pop_front();
        }
        lines.tail.push_back(line);
    }

    /// A rule is broken: the first one counts.
    pub(super) fn break_rule(&self, rule: impl Display) {
        self.note(format!("BROKEN: {rule}"));
        self.0.lock().violation.get_or_insert_with(|| rule.to_string());
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.0.lock().violation.clone()
    }

    pub(super) fn digest(&self) -> u64 {
        self.0.lock().digest.finish()
    }

    pub(super) fn tail(&self) -> String {
        let lines = self.0.lock();
        lines.tail.iter().map(|line| format!("{line}\n")).collect()
    }
}
