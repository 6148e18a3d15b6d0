//! The checkpoint's thread: waits for changes, lets them gather for an interval, commits them.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::database::Database;
use super::{Pending, Shared};
use crate::fault::{self, Point};

pub(super) fn start(shared: Arc<Shared>, database: Database, interval: Duration) {
    thread::Builder::new()
        .name("checkpoint".to_owned())
        .spawn(move || run(&shared, database, interval))
        .expect("the system starts a thread");
}

/// A commit is followed by so many times its own duration without one: it leaves the processor to others, and what changes many times
/// meanwhile is written once.
const PAUSE_FACTOR: u32 = 19;
/// The longest pause, in intervals: the log grows as long as it lasts.
const PAUSE_INTERVALS_MAX: u32 = 5;

fn run(shared: &Shared, mut database: Database, interval: Duration) {
    let mut pause = interval;
    loop {
        let mut work = gather(shared, pause);
        let began = Instant::now();
        fault::enter(Point::Snapshot);
        if work.is_replacement {
            database.forget();
        }
        let result = match &work.state {
            Some(state) => database.commit(&work.changes, state, |key| !shared.ephemeral.contains(key)),
            None => Ok(()),
        };
        pause = (began.elapsed() * PAUSE_FACTOR).clamp(interval, interval * PAUSE_INTERVALS_MAX);
        if let Err(error) = &result {
            tracing::warn!(%error, "the checkpoint failed; the log keeps what it would have held");
            give_back(shared, &mut work);
        } else if let Some(state) = work.state.take() {
            shared.durable.send_replace(Some(state));
        }
        if work.is_stopping {
            // Closing writes too: whoever is told of the end may open the file again.
            drop(database);
            return answer(work, &result);
        }
        answer(work, &result);
    }
}

fn answer(work: Pending, result: &io::Result<()>) {
    for waiting in work.waiting {
        let answer = result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()));
        let _ = waiting.send(answer);
    }
}

/// Waits until there is something to do, and then, unless someone waits for it, for an interval.
fn gather(shared: &Shared, interval: Duration) -> Pending {
    let mut pending = shared.pending.lock();
    while pending.state.is_none() && pending.waiting.is_empty() && !pending.is_stopping {
        shared.wake.wait(&mut pending);
    }
    let mut rest = interval;
    while pending.waiting.is_empty() && !pending.is_stopping && !rest.is_zero() {
        let before = Instant::now();
        if shared.wake.wait_for(&mut pending, rest).timed_out() {
            break;
        }
        rest = rest.saturating_sub(before.elapsed());
    }
    let work = std::mem::take(&mut *pending);
    pending.is_stopping = work.is_stopping;
    work
}

/// What could not be written is written next time, under what has been noted since. That will be a new file, so of the changes none is
/// needed.
fn give_back(shared: &Shared, work: &mut Pending) {
    let mut pending = shared.pending.lock();
    if pending.state.is_none() {
        pending.state = work.state.take();
    }
}
