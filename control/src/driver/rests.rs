//! Keys that take long to look at rest afterwards, so that the one service of many thousand pods doesn't keep a processor busy while they
//! come.
//!
//! Deliberately absent: the clock.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::controllers::Key;

/// What takes less needs no rest.
const TOOK_MIN: Duration = Duration::from_millis(5);
/// A rest lasts so many times as long as the look.
const FACTOR: u32 = 2;

/// The keys that rest.
#[derive(Default)]
pub(super) struct Rests(HashMap<Key, Timestamp>);

impl Rests {
    /// Until when a key rests; `None` if it may be looked at.
    pub(super) fn until(&mut self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        let until = *self.0.get(key)?;
        if until > now {
            return Some(until);
        }
        self.0.remove(key);
        None
    }

    /// Notes how long it took to look at a key, in a turn that began at `now`.
    pub(super) fn note(&mut self, key: &Key, now: Timestamp, took: Duration) {
        if took > TOOK_MIN {
            let rest = SignedDuration::try_from(took * (1 + FACTOR)).unwrap_or(SignedDuration::MAX);
            self.0.insert(key.clone(), now.saturating_add(rest).unwrap_or(Timestamp::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_rests_for_twice_as_long() {
        let (mut rests, key) = (Rests::default(), Key::Scheduling);
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        rests.note(&key, at(0), Duration::from_millis(5));
        assert_eq!(rests.until(&key, at(0)), None);
        rests.note(&key, at(0), Duration::from_millis(20));
        assert_eq!([59, 60, 61].map(|ms| rests.until(&key, at(ms))), [Some(at(60)), None, None]);
    }
}
