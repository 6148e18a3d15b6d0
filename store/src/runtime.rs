//! What the store's tasks, timers and threads run on: tokio; and in tests also a simulation, with a clock and an order of its own.
//!
//! Whatever waits, sleeps or begins something does it through here, and never asks tokio. Of tokio's own parts only those are used that
//! wake who waits in a fixed order: `select!` with `biased`; `watch` where one waits, or several do in no simulation.

use openraft::AsyncRuntime;
use openraft::type_config::alias::{InstantOf, WatchReceiverOf, WatchSenderOf};

use crate::raft::Group;

#[cfg(any(test, feature = "test-disk"))]
pub(crate) use crate::testing::{Runtime, start_thread};
#[cfg(not(any(test, feature = "test-disk")))]
pub(crate) use openraft_rt_tokio::TokioRuntime as Runtime;

/// A point in time.
pub(crate) type Instant = InstantOf<Group>;
/// Tells several who wait of a value's changes.
pub(crate) type WatchSender<T> = WatchSenderOf<Group, T>;
/// Waits for changes of a value.
pub(crate) type WatchReceiver<T> = WatchReceiverOf<Group, T>;

/// A value that several may watch.
pub(crate) fn watch<T: Send + Sync>(value: T) -> (WatchSender<T>, WatchReceiver<T>) {
    <<Runtime as AsyncRuntime>::Watch as openraft::async_runtime::Watch>::channel(value)
}

/// Does work that blocks, on a thread of its own.
#[cfg(not(any(test, feature = "test-disk")))]
pub(crate) fn start_thread(name: &str, work: impl Future<Output = ()> + Send + 'static) {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(|| futures::executor::block_on(work))
        .expect("the system starts a thread");
}
