//! The end of a program: whether it was asked to end, as other programs are by SIGTERM.
//!
//! A pod that is deleted, replaced or drained asks its programs to end, and gives them its `terminationGracePeriodSeconds` for it. A program that
//! uses this module ends by itself within that time; one that does not is ended at once.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use coracle_sdk::{info, job, termination, time};
//!
//! #[job]
//! async fn main(_: Vec<String>) {
//!     while !termination::requested() {
//!         // One piece of work, which is never left half done.
//!         time::sleep(Duration::from_millis(200)).await;
//!     }
//!     info!("ended");
//! }
//! ```
//!
//! Only components that use it import `coracle:lifecycle`, which other hosts than Coracle's don't have. In a test, [`test::request_termination`] asks.
//!
//! [`test::request_termination`]: crate::test::request_termination
//!
//! Deliberately absent: what is left of the time.

/// Whether the program was asked to end.
pub fn requested() -> bool {
    platform::requested()
}

/// Waits until the program is asked to end. In a test, where nothing else goes on, it is an error if nobody asked before.
///
/// # Panics
/// In a test that did not ask for the end.
pub async fn wait() {
    platform::wait().await;
}

#[cfg(target_family = "wasm")]
mod platform {
    use wstd::io::AsyncPollable;

    use self::bindings::coracle::lifecycle::termination;

    mod bindings {
        wit_bindgen::generate!({
            path: "../wit/lifecycle-0.2",
            world: "imports",
            with: { "wasi:io/poll@0.2.0": wstd::__internal::wasip2::io::poll },
        });
    }

    pub(super) fn requested() -> bool {
        termination::requested()
    }

    pub(super) async fn wait() {
        AsyncPollable::new(termination::subscribe()).wait_for().await;
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) mod platform {
    use std::cell::Cell;

    thread_local! {
        static REQUESTED: Cell<bool> = const { Cell::new(false) };
    }

    /// Sets it for this thread: a test.
    pub(crate) fn set_requested(requested: bool) {
        REQUESTED.set(requested);
    }

    pub(super) fn requested() -> bool {
        REQUESTED.get()
    }

    #[expect(clippy::unused_async, reason = "it is one where it waits")]
    pub(super) async fn wait() {
        assert!(requested(), "nobody asks for the end here: call `test::request_termination` before");
    }
}
