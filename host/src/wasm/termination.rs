//! Whether a container was asked to end: said once, and heard by all who ask or wait.
//!
//! Deliberately absent: what follows if it does not end.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// One container's request to end.
#[derive(Default)]
pub(crate) struct Termination {
    is_requested: AtomicBool,
    told: Notify,
}

impl Termination {
    /// Asks it to end.
    pub(crate) fn request(&self) {
        self.is_requested.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Whether it was asked.
    pub(crate) fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::Acquire)
    }

    /// Returns when it is asked.
    pub(crate) async fn requested(&self) {
        let told = self.told.notified();
        if !self.is_requested() {
            told.await;
        }
    }
}
