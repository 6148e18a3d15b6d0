//! One confirmation of leadership for all callers that wait for one.
//!
//! Deliberately absent: how leadership is confirmed. A caller may only use a confirmation that began after it came; one that was on
//! its way already may be older than a write that the caller knows of.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Where those who wait gather; `Found` is what a confirmation finds out.
#[derive(Debug, Default)]
pub(crate) struct Barrier<Found> {
    /// The number of the last round that began.
    begun: AtomicU64,
    /// The last round that succeeded, and what it found; whoever holds the lock runs the next.
    succeeded: Mutex<(u64, Found)>,
}

impl<Found: Copy> Barrier<Found> {
    /// Waits for a `confirm` that began after this call: somebody else's, or its own.
    pub(crate) async fn pass<Error>(
        &self,
        confirm: impl AsyncFnOnce() -> Result<Found, Error>,
    ) -> Result<Found, Error> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut succeeded = self.succeeded.lock().await;
        let (last_round, found) = *succeeded;
        if last_round > begun {
            return Ok(found);
        }
        let round = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let found = confirm().await?;
        *succeeded = (round, found);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn callers_share_the_round_that_began_after_them() {
        let barrier = Barrier::default();
        let rounds = Cell::new(0);
        let (go, gone) = oneshot::channel::<()>();
        let mut first = std::pin::pin!(barrier.pass(async || {
            rounds.set(rounds.get() + 1);
            gone.await
        }));
        assert!((&mut first).now_or_never().is_none());
        let count = async || -> Result<(), oneshot::error::RecvError> {
            rounds.set(rounds.get() + 1);
            Ok(())
        };
        let mut second = std::pin::pin!(barrier.pass(count));
        let mut third = std::pin::pin!(barrier.pass(count));
        assert!((&mut second).now_or_never().is_none(), "a round that is on its way already is too old");
        assert!((&mut third).now_or_never().is_none());
        go.send(()).unwrap();
        futures::future::try_join3(first, second, third).await.unwrap();
        assert_eq!(rounds.get(), 2);
    }

    #[tokio::test]
    async fn a_round_that_failed_serves_only_its_own_caller() {
        let barrier = Barrier::default();
        assert_eq!(barrier.pass(async || Err("no quorum")).await, Err("no quorum"));
        assert_eq!(barrier.pass(async || Ok::<(), &str>(())).await, Ok(()));
    }
}
