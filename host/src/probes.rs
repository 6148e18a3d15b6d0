//! Tries the probes of all containers of this host, from one task, and tells the agent what has changed.
//!
//! A probe is an entry in the [`wheel`]; while it is under way, a future of the same task. Deliberately absent: what follows from
//! a result, which [`step`](crate::pod::step) decides.

pub(crate) mod act;
pub(crate) mod watch;
mod wheel;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::act::{Target, act};
use self::watch::Outcome;
use self::wheel::{Key, Lane, Try, Wheel};
use crate::pod::probe::{Checks, ProbeKind};
use crate::pod::run::Health;
use crate::runtime::Clock;

/// A probe that takes as long as it may is given so long at the most.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// The probes of this host. Ends with its last copy.
#[derive(Clone)]
pub(crate) struct Probes {
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Watch { key: Key, incarnation: u32, checks: Arc<Checks>, target: Arc<Target>, started_at: Timestamp },
    Forget(Key),
}

/// What is new of a container's health.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// The pod.
    pub(crate) uid: Arc<str>,
    /// The container's place in it.
    pub(crate) index: usize,
    /// Which run of the container this is about.
    pub(crate) incarnation: u32,
    /// What all its probes say now, if that has changed.
    pub(crate) health: Option<Health>,
    /// An event: its reason and message. Always a warning.
    pub(crate) event: Option<(&'static str, String)>,
}

impl Probes {
    /// Starts the task. `tell` is called with what is new.
    pub(crate) fn start(clock: Arc<dyn Clock>, tell: impl Fn(News) + Send + 'static) -> Probes {
        let (orders, inbox) = mpsc::unbounded_channel();
        tokio::spawn(run(inbox, clock, tell));
        Probes { orders }
    }

    /// Tries the probes of a container that has started.
    pub(crate) fn watch(
        &self,
        key: Key,
        incarnation: u32,
        checks: Arc<Checks>,
        target: Arc<Target>,
        started_at: Timestamp,
    ) {
        // The task ends only with the last sender; so below.
        let _ = self.orders.send(Order::Watch { key, incarnation, checks, target, started_at });
    }

    /// Tries them no longer.
    pub(crate) fn forget(&self, key: Key) {
        let _ = self.orders.send(Order::Forget(key));
    }
}

/// A try that is over; without an outcome if it was given up.
struct Tried {
    key: Key,
    incarnation: u32,
    kind: ProbeKind,
    lane: Lane,
    outcome: Option<Outcome>,
}

async fn run(mut orders: mpsc::UnboundedReceiver<Order>, clock: Arc<dyn Clock>, tell: impl Fn(News)) {
    let mut wheel = Wheel::default();
    let mut under_way: FuturesUnordered<BoxFuture<'static, Tried>> = FuturesUnordered::new();
    loop {
        let now = clock.now();
        while let Some(next) = wheel.take_due(now) {
            under_way.push(start(&mut wheel, next));
        }
        let pause = wheel.due_at().map(|at| Duration::try_from(now.duration_until(at)).unwrap_or(Duration::ZERO));
        let mut wake = pin!(async {
            match pause {
                // Timers go by milliseconds; waking early would only mean looking twice.
                Some(pause) => tokio::time::sleep(pause + Duration::from_millis(1)).await,
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            order = orders.recv() => match order {
                None => return,
                Some(Order::Forget(key)) => wheel.forget(&key),
                Some(Order::Watch { key, incarnation, checks, target, started_at }) => {
                    wheel.watch(key, incarnation, checks, target, started_at);
                }
            },
            Some(tried) = under_way.next() => settle(&mut wheel, tried, clock.now(), &tell),
            () = &mut wake => {}
        }
    }
}

/// A probe's try, which can be given up.
fn start(wheel: &mut Wheel, next: Try) -> BoxFuture<'static, Tried> {
    let Try { key, incarnation, kind, checks, target, lane } = next;
    let (handle, registration) = futures::future::AbortHandle::new_pair();
    wheel.under_way(&key, kind, handle);
    let trying = async move {
        let probe = checks.probe(kind)?;
        let time_max = Duration::try_from(probe.timeout).unwrap_or(TIME_MAX).min(TIME_MAX);
        Some(act(&probe.action, &target, time_max).await)
    };
    Box::pin(async move {
        let outcome = Abortable::new(trying, registration).await.ok().flatten();
        Tried { key, incarnation, kind, lane, outcome }
    })
}

fn settle(wheel: &mut Wheel, tried: Tried, now: Timestamp, tell: impl Fn(News)) {
    let Tried { key, incarnation, kind, lane, outcome } = tried;
    let health = wheel.settle(&key, incarnation, kind, lane, outcome.as_ref(), now);
    let event = outcome.and_then(|outcome| event(kind, outcome));
    if (health.is_some() || event.is_some()) && wheel.is_watched(&key, incarnation) {
        let (uid, index) = key;
        tell(News { uid, index, incarnation, health, event });
    }
}

/// What Kubernetes says of such a result.
fn event(kind: ProbeKind, outcome: Outcome) -> Option<(&'static str, String)> {
    let kind = kind.as_str();
    match outcome {
        Outcome::Success => None,
        Outcome::Warning(text) => Some(("ProbeWarning", format!("{kind} probe warning: {text}"))),
        Outcome::Failure(text) | Outcome::TimedOut(text) => Some(("Unhealthy", format!("{kind} probe failed: {text}"))),
        Outcome::Unknown(text) => Some(("Unhealthy", format!("{kind} probe errored: {text}"))),
    }
}

#[cfg(test)]
mod tests;
