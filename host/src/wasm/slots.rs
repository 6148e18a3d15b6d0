//! Counts what is in use and makes the next one wait: no lock is taken unless somebody waits.
//!
//! Deliberately absent: strict fairness. A newcomer may overtake a waiter; bounded queues and time limits bound the wait.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread::Thread;

use tokio::sync::Notify;

/// A counted gate. Used once for the instance pool and once per container for its concurrency.
pub(crate) struct Slots {
    max: u32,
    used: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
    draining: AtomicBool,
    emptied: Notify,
    ticker: OnceLock<Thread>,
    ticker_parked: AtomicBool,
}

/// Why no slot was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl Slots {
    pub(crate) fn new(max: u32) -> Slots {
        Slots {
            max,
            used: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            freed: Notify::new(),
            draining: AtomicBool::new(false),
            emptied: Notify::new(),
            ticker: OnceLock::new(),
            ticker_parked: AtomicBool::new(false),
        }
    }

    /// How many are in use.
    pub(crate) fn used(&self) -> u32 {
        self.used.load(SeqCst)
    }

    /// Takes `count` slots of at most `limit` in use (never more than were made), if they are free.
    pub(crate) fn try_acquire(&self, count: u32, limit: u32) -> bool {
        let limit = limit.min(self.max);
        let count_capped = count.min(limit);
        let taken = self
            .used
            .fetch_update(SeqCst, SeqCst, |used| (used + count_capped <= limit).then_some(used + count))
            .is_ok();
        if taken && self.ticker_parked.load(SeqCst) && self.ticker_parked.swap(false, SeqCst) {
            self.ticker.get().inspect(|thread| thread.unpark());
        }
        taken
    }

    /// Takes `count` slots, waiting behind at most `queue_max` others. `limit` is asked anew at each try.
    pub(crate) async fn acquire(&self, count: u32, limit: impl Fn() -> u32, queue_max: u32) -> Result<(), QueueFull> {
        if self.try_acquire(count, limit()) {
            return Ok(());
        }
        let _place = Place::take(self, queue_max)?;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.try_acquire(count, limit()) {
                return Ok(());
            }
            freed.await;
        }
    }

    /// Gives `count` slots back.
    pub(crate) fn release(&self, count: u32) {
        self.used.fetch_sub(count, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.freed.notify_one();
        }
        if self.draining.load(SeqCst) {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until nothing is in use and nobody waits.
    pub(crate) async fn drained(&self) {
        self.draining.store(true, SeqCst);
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.used() == 0 && self.waiting.load(SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Names the thread to wake when the first slot is taken after it parked.
    pub(crate) fn set_ticker(&self, thread: Thread) {
        let _ = self.ticker.set(thread);
    }

    /// Says whether the ticker may park; from then on taking a slot wakes it.
    pub(crate) fn prepare_to_park(&self) -> bool {
        if self.used() > 0 {
            return false;
        }
        self.ticker_parked.store(true, SeqCst);
        let idle = self.used() == 0;
        if !idle {
            self.ticker_parked.store(false, SeqCst);
        }
        idle
    }
}

/// A place in the queue, given up when dropped.
struct Place<'a>(&'a Slots);

impl Place<'_> {
    fn take(slots: &Slots, queue_max: u32) -> Result<Place<'_>, QueueFull> {
        let before = slots.waiting.fetch_add(1, SeqCst);
        let place = Place(slots);
        if before >= queue_max { Err(QueueFull) } else { Ok(place) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
        if self.0.draining.load(SeqCst) {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Arc;

    #[test]
    fn takes_up_to_the_limit_then_queues_then_refuses() {
        let slots = Arc::new(Slots::new(10));
        assert!(slots.try_acquire(1, 2));
        assert!(slots.try_acquire(1, 2));
        assert!(!slots.try_acquire(1, 2));
        let mut waiter = Box::pin(slots.acquire(1, || 2, 1));
        assert!((&mut waiter).now_or_never().is_none());
        assert_eq!(slots.acquire(1, || 2, 1).now_or_never(), Some(Err(QueueFull)));
        slots.release(1);
        assert_eq!((&mut waiter).now_or_never(), Some(Ok(())));
        assert_eq!(slots.used(), 2);
    }

    #[test]
    fn a_waiter_that_gives_up_passes_its_wake_up_on() {
        let slots = Slots::new(1);
        assert!(slots.try_acquire(1, 1));
        let mut first = Box::pin(slots.acquire(1, || 1, 5));
        let mut second = Box::pin(slots.acquire(1, || 1, 5));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        slots.release(1);
        drop(first);
        assert_eq!((&mut second).now_or_never(), Some(Ok(())));
    }

    #[test]
    fn more_than_there_are_is_given_when_nothing_else_runs() {
        let slots = Slots::new(2);
        assert!(slots.try_acquire(5, 2));
        assert!(!slots.try_acquire(1, 2));
        slots.release(5);
        assert_eq!(slots.used(), 0);
    }

    #[test]
    fn drained_waits_for_those_who_wait_too() {
        let slots = Slots::new(1);
        assert!(slots.try_acquire(1, 1));
        let mut waiter = Box::pin(slots.acquire(1, || 1, 5));
        let mut drained = Box::pin(slots.drained());
        assert!((&mut waiter).now_or_never().is_none());
        assert!((&mut drained).now_or_never().is_none());
        slots.release(1);
        assert!((&mut drained).now_or_never().is_none());
        assert_eq!((&mut waiter).now_or_never(), Some(Ok(())));
        assert!((&mut drained).now_or_never().is_none());
        slots.release(1);
        assert_eq!((&mut drained).now_or_never(), Some(()));
    }

    #[test]
    fn the_ticker_parks_only_when_idle() {
        let slots = Slots::new(2);
        assert!(slots.try_acquire(1, 2));
        assert!(!slots.prepare_to_park());
        slots.release(1);
        assert!(slots.prepare_to_park());
    }
}
