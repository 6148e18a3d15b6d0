//! Progress of a verb: on a terminal each step is a line that rewrites itself, elsewhere each finished step is one plain line.
//! Says nothing about failures; those are `failure.rs`.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Prints the steps of one verb.
pub(crate) struct Progress {
    is_terminal: bool,
    is_quiet: bool,
}

impl Progress {
    /// Progress on standard error, so that standard output stays the verb's result.
    pub(crate) fn new(is_quiet: bool) -> Progress {
        Progress { is_terminal: std::io::stderr().is_terminal(), is_quiet }
    }

    /// Begins a step, `name` in the past tense ("pushed").
    pub(crate) fn step(&self, name: &'static str, doing: &str) -> Step {
        let bar = (self.is_terminal && !self.is_quiet).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::with_template("  {spinner} {msg}").expect("the template is well formed"));
            bar.set_message(doing.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Step { name, bar, is_quiet: self.is_quiet, started: Instant::now() }
    }
}

/// One step under way.
pub(crate) struct Step {
    name: &'static str,
    bar: Option<ProgressBar>,
    is_quiet: bool,
    started: Instant,
}

impl Step {
    /// Says how far the step is.
    pub(crate) fn update(&self, doing: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(doing.to_owned());
        }
    }

    /// Ends the step with its one line; `timed` adds the seconds it took.
    pub(crate) fn done(self, result: &str, timed: bool) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.is_quiet {
            return;
        }
        let seconds = if timed { format!("  {}", seconds(self.started.elapsed())) } else { String::new() };
        eprintln!("  {:<9} {result}{seconds}", self.name);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A duration in seconds with the digits that matter: `0.02 s`, `4.1 s`, `73 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        0.0..1.0 => format!("{seconds:.2} s"),
        1.0..10.0 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}
