//! The checkpoint's task: waits for changes, lets them gather for an interval, has them committed where blocking does no harm.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::{AsyncRuntime as _, Instant as _};

use super::database::Database;
use super::{Pending, Shared};
use crate::fault::{self, Point};
use crate::runtime::{Instant, Runtime};

/// A commit is followed by so many times its own duration without one: it leaves the processor to others, and what changes many times
/// meanwhile is written once.
const PAUSE_FACTOR: u32 = 19;
/// The longest pause, in intervals: the log grows as long as it lasts.
const PAUSE_INTERVALS_MAX: u32 = 5;

pub(super) async fn run(shared: Arc<Shared>, mut database: Database, interval: Duration) {
    let (mut pause, mut is_failing) = (interval, false);
    loop {
        let work = gather(&shared, pause).await;
        let began = Instant::now();
        let committing = Runtime::spawn_blocking({
            let shared = shared.clone();
            move || {
                let result = commit(&shared, &mut database, &work);
                (database, work, result)
            }
        });
        // Without an answer it has panicked, and those who wait for it know by that.
        let Ok((unchanged, mut work, result)) = committing.await else { return };
        database = unchanged;
        pause = (began.elapsed() * PAUSE_FACTOR).clamp(interval, interval * PAUSE_INTERVALS_MAX);
        if let Err(error) = &result {
            if !is_failing {
                tracing::warn!(%error, "the checkpoint failed, and is tried again and again; the log keeps what it would have held");
            }
            give_back(&shared, &mut work);
        } else if let Some(state) = work.state.take() {
            if is_failing {
                tracing::info!("the checkpoint is written again");
            }
            shared.measure();
            shared.durable.send_replace(Some(state));
        }
        is_failing = result.is_err();
        if work.is_stopping {
            // Closing writes too: whoever is told of the end may open the file again.
            let _ = Runtime::spawn_blocking(|| drop(database)).await;
            return answer(work, &result);
        }
        answer(work, &result);
    }
}

fn commit(shared: &Shared, database: &mut Database, work: &Pending) -> io::Result<()> {
    fault::enter(Point::Snapshot);
    if work.is_replacement {
        database.forget();
    }
    match &work.state {
        Some(state) => database.commit(&work.changes, state, |key| !shared.ephemeral.contains(key)),
        None => Ok(()),
    }
}

fn answer(work: Pending, result: &io::Result<()>) {
    for waiting in work.waiting {
        let answer = result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()));
        let _ = waiting.send(answer);
    }
}

/// Waits until there is something to do, and then, unless someone waits for it, for an interval.
async fn gather(shared: &Shared, interval: Duration) -> Pending {
    while shared.pending.lock().is_empty() {
        shared.wake.notified().await;
    }
    let end = Instant::now() + interval;
    while !shared.pending.lock().is_urgent() {
        if Runtime::timeout_at(end, shared.wake.notified()).await.is_err() {
            break;
        }
    }
    let mut pending = shared.pending.lock();
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
