//! Makes faults happen, and ends each before the next.

use std::time::{Duration, Instant};

use coracle_tests::{ControlPlane, eventually};

use crate::clients::NO_SPACE;
use crate::operator::Operator;
use crate::proxy::{Line, Lines};
use crate::schedule::{Fault, Step, Victim};

/// What is disturbed.
pub(crate) struct Faults<'a> {
    pub(crate) plane: &'a mut ControlPlane,
    pub(crate) lines: &'a Lines,
    pub(crate) operator: &'a Operator,
}

const CLOCK_HOURS: i64 = 3;
/// Entries that nobody lacks who takes any.
const LAG_MIN: u64 = 100;
const CUT: Line = Line { delay: Duration::ZERO, is_cut: true, losses: 0 };
const SLOW: Line = Line { delay: Duration::from_millis(150), is_cut: false, losses: 0 };
const LOSSY: Line = Line { delay: Duration::from_millis(5), is_cut: false, losses: 20 };

impl Faults<'_> {
    /// Lets all of them happen. One whose end took long puts off those that follow.
    pub(crate) fn happen(&mut self, steps: &[Step]) {
        let began = Instant::now();
        for step in steps {
            std::thread::sleep(step.at.saturating_sub(began.elapsed()));
            let victim = match step.victim {
                Victim::Leader => self.plane.leader(),
                Victim::Member(number) => number,
            };
            println!("{:6.1} s  {step:?}: member {victim}", began.elapsed().as_secs_f64());
            self.happen_to(victim, step);
        }
    }

    fn happen_to(&mut self, victim: usize, step: &Step) {
        match step.fault {
            Fault::Kill => {
                self.plane.kill(victim);
                std::thread::sleep(step.lasts);
                self.plane.restart(victim);
            }
            Fault::Pause => {
                self.plane.server(victim).signal("STOP");
                std::thread::sleep(step.lasts);
                self.plane.server(victim).signal("CONT");
            }
            Fault::Stop => {
                assert_eq!(self.plane.terminate(victim), Some(0), "a member that is asked to stop ends well");
                std::thread::sleep(step.lasts);
                self.plane.restart(victim);
            }
            Fault::Advance => self.mistake_clock(victim, CLOCK_HOURS, step.lasts),
            Fault::SetBack => self.mistake_clock(victim, -CLOCK_HOURS, step.lasts),
            Fault::Fill => self.fill_disk(victim, step.lasts),
            Fault::Break => {
                let mut syncs = self.plane.server(victim).break_disk();
                let sync = syncs.next_line();
                assert!(sync.contains("INJECTED"), "no sync failed: {sync}{}", syncs.error_after_end());
                assert_eq!(self.plane.end(victim), Some(1), "a member whose disk fails ends");
                drop(syncs);
                std::thread::sleep(step.lasts);
                self.plane.restart(victim);
            }
            Fault::Replace => {
                self.plane.settle();
                self.plane.remove(victim);
                std::thread::sleep(step.lasts);
                self.plane.join(victim);
            }
            Fault::Mute => self.disturb(step.lasts, |from, _| from == victim, CUT),
            Fault::Deafen => self.disturb(step.lasts, |_, to| to == victim, CUT),
            Fault::Isolate => self.disturb(step.lasts, |from, to| from == victim || to == victim, CUT),
            Fault::Delay => self.disturb(step.lasts, |from, to| from == victim || to == victim, SLOW),
            Fault::Lose => self.disturb(step.lasts, |from, to| from == victim || to == victim, LOSSY),
        }
    }

    /// Makes lines bad for some time.
    fn disturb(&self, lasts: Duration, is_meant: impl Fn(usize, usize) -> bool, line: Line) {
        self.lines.set(&is_meant, line);
        std::thread::sleep(lasts);
        self.lines.set(&is_meant, Line::default());
    }

    /// Lets a member's clock be wrong for some time.
    fn mistake_clock(&self, victim: usize, hours: i64, lasts: Duration) {
        self.set_clock(victim, hours);
        std::thread::sleep(lasts);
        self.set_clock(victim, 0);
    }

    /// Sets a member's clock, and waits until the member goes by it.
    fn set_clock(&self, victim: usize, hours: i64) {
        self.plane.machine(victim).shift_clock(hours);
        let other = (victim + 1) % self.plane.count();
        eventually("the member notices that its clock was set", || {
            let ahead = self.operator.hours_ahead(victim, other)?;
            (ahead.signum() == hours.signum()).then_some(())
        });
    }

    /// Leaves a member no space for some time, from when it is felt: it refuses writes if it leads, and falls behind if not.
    fn fill_disk(&self, victim: usize, lasts: Duration) {
        self.plane.machine(victim).set_disk_full(true);
        eventually("the member has no space", || {
            let is_refused = self.operator.write_ballast(victim).is_err_and(|error| error.code() == Some(NO_SPACE));
            (is_refused || self.plane.lag(victim).is_none_or(|lag| lag > LAG_MIN)).then_some(())
        });
        std::thread::sleep(lasts);
        self.plane.machine(victim).set_disk_full(false);
        self.operator.clear_ballast();
    }
}
