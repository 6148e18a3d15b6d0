//! Makes faults happen, and ends each before the next.

use std::time::{Duration, Instant};

use coracle_tests::ControlPlane;

use crate::proxy::{Line, Lines};
use crate::schedule::{Fault, Step, Victim};

/// What is disturbed.
pub(crate) struct Faults<'a> {
    pub(crate) plane: &'a mut ControlPlane,
    pub(crate) lines: &'a Lines,
}

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
}
