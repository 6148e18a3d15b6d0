//! When which key wants to be looked at although nothing changed: at most one time a key.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::dirty::Dirty;
use crate::controllers::Key;

/// The timers.
#[derive(Debug, Default)]
pub struct Timers {
    by_time: BTreeSet<(Timestamp, Key)>,
    by_key: HashMap<Key, Timestamp>,
}

impl Timers {
    /// Sets a key's timer, or clears it.
    pub fn set(&mut self, key: &Key, at: Option<Timestamp>) {
        if let Some(old) = self.by_key.remove(key) {
            self.by_time.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Moves the keys that are due.
    pub fn take_due(&mut self, now: Timestamp, dirty: &mut Dirty) {
        while self.next().is_some_and(|at| at <= now)
            && let Some((_, key)) = self.by_time.pop_first()
        {
            self.by_key.remove(&key);
            dirty.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_timer() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (mut timers, mut dirty) = (Timers::default(), Dirty::new());
        timers.set(&Key::Bootstrap, Some(at(5)));
        timers.set(&Key::Bootstrap, Some(at(9)));
        timers.set(&Key::Scheduling, Some(at(7)));
        timers.set(&Key::EventExpiry, Some(at(1)));
        timers.set(&Key::EventExpiry, None);
        timers.take_due(at(8), &mut dirty);
        assert_eq!((dirty, timers.next()), (Dirty::from([Key::Scheduling]), Some(at(9))));
    }
}
