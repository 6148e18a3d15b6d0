//! An operation that the disk holds up.

use std::sync::mpsc;

use tokio::sync::mpsc as async_mpsc;

use crate::fault::Point;

/// An operation that has begun and done nothing yet. Dropping this lets it go on.
#[derive(Debug)]
pub struct Stalled {
    /// What the store is doing.
    pub point: Point,
    _end: mpsc::Sender<()>,
}

/// Holds the calling thread up until the stall that it reports is dropped.
pub(super) fn hold_up(point: Point, reports: &async_mpsc::UnboundedSender<Stalled>) {
    let (sender, end) = mpsc::channel();
    if reports.send(Stalled { point, _end: sender }).is_ok() {
        let _ = end.recv();
    }
}
