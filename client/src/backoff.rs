//! Exponential back-off with jitter, as a plain value: it neither sleeps nor knows the time.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Delays that double from a first to a last one, each shortened by up to half at random so that many clients don't return together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
    jitter: std::collections::hash_map::RandomState,
    drawn: u64,
}

impl Backoff {
    /// Delays from `first`, doubling up to `last`.
    pub fn new(first: Duration, last: Duration) -> Backoff {
        Backoff { first, last, next: first, jitter: Default::default(), drawn: 0 }
    }

    /// The next delay.
    pub fn next_delay(&mut self) -> Duration {
        let full = self.next;
        self.next = (self.next * 2).min(self.last);
        let mut hasher = self.jitter.build_hasher();
        hasher.write_u64(self.drawn);
        self.drawn += 1;
        let fraction = (hasher.finish() % 1024) as f64 / 1024.0;
        full.mul_f64(0.5 + fraction / 2.0)
    }

    /// Starts over: the last attempt worked.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_within_jitter_up_to_the_last_and_resets() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(400));
        for full in [100, 200, 400, 400] {
            let delay = backoff.next_delay().as_millis();
            assert!(delay >= full / 2 && delay <= full, "{delay} of {full}");
        }
        backoff.reset();
        assert!(backoff.next_delay().as_millis() <= 100);
    }
}
