//! The processor: how much of it each container used, who runs next on the low-priority threads, and who has had all that its limit allows.
//!
//! Containers run in the order of their virtual time, the processor time that they used divided by their weight: start-time fair queueing
//! (Goyal, Guo and Vin, 1996). One that was idle begins with the least virtual time of those that run, so that nobody saves time up. A
//! turn is one poll of a guest, at most an epoch tick of 10 ms. Deliberately absent: turns on the serving threads, where guests have a
//! first slice and no more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use super::engine::TICK;

/// What a limit that was not used up is kept for: the period of the kernel's own bandwidth control.
const PERIOD: Duration = Duration::from_millis(100);

/// The turns of a host.
pub(crate) struct Turns {
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// Virtual time of who had the last turn.
    now: u64,
    count: u64,
    waiting: BinaryHeap<Reverse<(u64, u64, Slot)>>,
}

/// One who waits. Equal to every other: virtual time and arrival decide.
struct Slot(Arc<Ticket>);

impl PartialEq for Slot {
    fn eq(&self, _: &Slot) -> bool {
        true
    }
}

impl Eq for Slot {}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Slot) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, _: &Slot) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

struct Ticket(Mutex<TicketState>);

enum TicketState {
    Waiting(Waker),
    Granted,
    /// Whoever waited has gone.
    Void,
}

impl Turns {
    /// So many at a time.
    pub(crate) fn new(max: usize) -> Arc<Turns> {
        Arc::new(Turns { max, state: Mutex::default() })
    }

    /// Takes a turn now, or a place in the queue. The whole of a turn is charged before it begins, so that several of one container
    /// don't all come before another's.
    fn ask(&self, account: &Account, waker: &Waker) -> Option<Arc<Ticket>> {
        let mut state = self.state.lock();
        let start = account.reserve(state.now);
        if state.taken < self.max && state.waiting.is_empty() {
            state.taken += 1;
            state.now = start;
            return None;
        }
        Some(state.wait(start, waker))
    }

    /// Gives a turn back, to whoever is next; the container used so much of it.
    fn give_back(&self, account: &Account, took: Duration) {
        let mut state = self.state.lock();
        account.settle(took);
        if !state.grant_next(u64::MAX) {
            state.taken -= 1;
        }
    }

    /// Gives a turn back and asks for the next one: who has it keeps it, unless somebody comes before. Were it given back first, whoever
    /// waits would have it, whatever their weights.
    fn exchange(&self, account: &Account, took: Duration, waker: &Waker) -> Option<Arc<Ticket>> {
        let mut state = self.state.lock();
        account.settle(took);
        let start = account.reserve(state.now);
        if state.grant_next(start) {
            return Some(state.wait(start, waker));
        }
        state.now = start;
        None
    }
}

impl State {
    /// Puts somebody into the queue.
    fn wait(&mut self, start: u64, waker: &Waker) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket(Mutex::new(TicketState::Waiting(waker.clone()))));
        self.waiting.push(Reverse((start, self.count, Slot(ticket.clone()))));
        self.count += 1;
        ticket
    }

    /// Gives a turn to the first in the queue, if one is to begin no later than `latest`.
    fn grant_next(&mut self, latest: u64) -> bool {
        while let Some(first) = self.waiting.peek_mut().filter(|first| first.0.0 <= latest) {
            let Reverse((start, _, Slot(ticket))) = PeekMut::pop(first);
            let mut ticket = ticket.0.lock();
            if let TicketState::Waiting(waker) = std::mem::replace(&mut *ticket, TicketState::Granted) {
                self.now = self.now.max(start);
                waker.wake();
                return true;
            }
            *ticket = TicketState::Void;
        }
        false
    }
}

/// The processor time of one container.
pub(crate) struct Account {
    turns: Arc<Turns>,
    used_ns: AtomicU64,
    virtual_time: AtomicU64,
    weight: u64,
    cap: Option<Cap>,
}

/// `limits.cpu`.
struct Cap {
    millis: u64,
    budget: Mutex<Budget>,
}

struct Budget {
    /// Below zero, the container has had more than its due.
    ns: i64,
    as_of: Instant,
}

impl Account {
    /// With `weight` thousandths of a core to its share, and at most `cap_millis`.
    pub(crate) fn new(turns: Arc<Turns>, weight: u64, cap_millis: Option<u64>) -> Arc<Account> {
        let cap = cap_millis.map(|millis| {
            let millis = millis.max(1);
            Cap { millis, budget: Mutex::new(Budget { ns: Cap::most(millis), as_of: Instant::now() }) }
        });
        Arc::new(Account {
            turns,
            used_ns: AtomicU64::new(0),
            virtual_time: AtomicU64::new(0),
            weight: weight.max(1),
            cap,
        })
    }

    /// Used so far.
    pub(crate) fn used_ns(&self) -> u64 {
        self.used_ns.load(Relaxed)
    }

    /// Adds what a guest has just used on a serving thread.
    pub(crate) fn charge(&self, took: Duration) {
        self.virtual_time.fetch_add(self.virtual_of(took), Relaxed);
        self.count(took);
    }

    /// Charges a whole turn, before it begins: no sooner than `now`. Gives its beginning.
    fn reserve(&self, now: u64) -> u64 {
        let start = self.virtual_time.load(Relaxed).max(now);
        self.virtual_time.store(start + self.virtual_of(TICK), Relaxed);
        start
    }

    /// Replaces what was reserved for a turn by what was used of it.
    fn settle(&self, took: Duration) {
        self.virtual_time.fetch_add(self.virtual_of(took), Relaxed);
        self.virtual_time.fetch_sub(self.virtual_of(TICK), Relaxed);
        self.count(took);
    }

    fn virtual_of(&self, took: Duration) -> u64 {
        nanos(took).saturating_mul(1000) / self.weight
    }

    fn count(&self, took: Duration) {
        let ns = nanos(took);
        self.used_ns.fetch_add(ns, Relaxed);
        if let Some(cap) = &self.cap {
            cap.budget.lock().ns -= i64::try_from(ns).unwrap_or(i64::MAX);
        }
    }

    /// When it may run again, if its limit does not allow that now.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.cap.as_ref()?.paused_until(Instant::now())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Cap {
    /// The most that is kept, in nanoseconds.
    fn most(millis: u64) -> i64 {
        i64::try_from(millis.saturating_mul(PERIOD.as_micros() as u64)).unwrap_or(i64::MAX)
    }

    fn paused_until(&self, now: Instant) -> Option<Instant> {
        let mut budget = self.budget.lock();
        let passed = nanos(now.duration_since(budget.as_of));
        let earned = i64::try_from(passed.saturating_mul(self.millis) / 1000).unwrap_or(i64::MAX);
        budget.ns = budget.ns.saturating_add(earned).min(Cap::most(self.millis));
        budget.as_of = now;
        let owed = u64::try_from(-budget.ns).unwrap_or(0);
        (owed > 0).then(|| now + Duration::from_nanos(owed.saturating_mul(1000) / self.millis))
    }
}

/// A guest's way to its next turn. Dropped, it gives up its place.
pub(crate) struct Turn<'a> {
    account: &'a Account,
    ticket: Option<Arc<Ticket>>,
    is_taken: bool,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<'a> Turn<'a> {
    pub(crate) fn of(account: &'a Account) -> Turn<'a> {
        Turn { account, ticket: None, is_taken: false, pause: None }
    }

    /// Ready once the guest may run.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_taken {
            return Poll::Ready(());
        }
        if let Some(ticket) = &self.ticket {
            let mut state = ticket.0.lock();
            match &mut *state {
                TicketState::Waiting(waker) => {
                    waker.clone_from(context.waker());
                    return Poll::Pending;
                }
                _ => drop(state),
            }
            (self.ticket, self.is_taken) = (None, true);
            if self.account.paused_until().is_none() {
                return Poll::Ready(());
            }
            self.end(Duration::ZERO);
        }
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match self.account.paused_until() {
                Some(until) => self.pause = Some(Box::pin(sleep_until(until))),
                None => break,
            }
        }
        self.ticket = self.account.turns.ask(self.account, context.waker());
        self.is_taken = self.ticket.is_none();
        if self.is_taken { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The guest has run for so long, and wants to go on.
    pub(crate) fn go_on(&mut self, took: Duration, context: &Context<'_>) {
        if !self.is_taken {
            return;
        }
        self.ticket = self.account.turns.exchange(self.account, took, context.waker());
        self.is_taken = self.ticket.is_none();
        if self.is_taken && self.account.paused_until().is_some() {
            self.end(Duration::ZERO);
        }
    }

    /// The guest has run for so long.
    pub(crate) fn end(&mut self, took: Duration) {
        if std::mem::take(&mut self.is_taken) {
            self.account.turns.give_back(self.account, took);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let granted = {
                let mut state = ticket.0.lock();
                matches!(std::mem::replace(&mut *state, TicketState::Void), TicketState::Granted)
            };
            self.is_taken = granted;
            if !granted {
                self.account.settle(Duration::ZERO);
            }
        }
        self.end(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests;
