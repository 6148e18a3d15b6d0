//! Work that one member at a time does: the one that leads.

use std::time::Duration;

use coracle_store::{Store, WatchError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long to wait before the store is asked again for a watch.
const RECOVERY_DELAY: Duration = Duration::from_millis(100);

/// Does `work` whenever this member leads, anew after each time that its watch ended, until `shutdown` or the end of the store. `who`
/// does it, in a log.
pub(crate) async fn while_leading<Work: Future<Output = WatchError>>(
    who: &str,
    store: &Store,
    shutdown: &CancellationToken,
    work: impl Fn() -> Work,
) {
    let turns = async {
        while store.wait_to_lead().await {
            tokio::select! {
                ended = work() => match ended {
                    // Of everything, it ends with the lead, too: the next one may be this member's again.
                    WatchError::Closed if store.is_running() => {}
                    WatchError::Closed => return,
                    WatchError::TooSlow => tracing::warn!("{who} fell behind, and reads everything again"),
                },
                () = store.wait_to_follow() => tracing::info!("{who} stops: another member leads"),
            }
            sleep(RECOVERY_DELAY).await;
        }
    };
    tokio::select! {
        () = turns => {}
        () = shutdown.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use coracle_store::{Options, RealDisk};

    use super::*;

    #[tokio::test]
    async fn work_goes_on_after_its_watch_ended_and_ends_with_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(folder.path()), std::sync::Arc::new(RealDisk)).await.unwrap();
        let turns = AtomicU32::new(0);
        let work = || async {
            if turns.fetch_add(1, Ordering::Relaxed) == 3 {
                store.shutdown().await.unwrap();
            }
            WatchError::Closed
        };
        while_leading("the test", &store, &CancellationToken::new(), work).await;
        assert!(turns.into_inner() >= 4);
    }
}
