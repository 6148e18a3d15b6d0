//! Waiting.

use std::time::Duration;

/// Waits without keeping others from going on. In a test, where nothing else goes on, it blocks.
pub async fn sleep(duration: Duration) {
    #[cfg(target_family = "wasm")]
    wstd::task::sleep(duration.into()).await;
    #[cfg(not(target_family = "wasm"))]
    std::thread::sleep(duration);
}
