//! An answer's body that holds on to something until it was read, or given up: what counts its request as in flight.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::{Body, BoxError};

/// A body, and what ends with it.
pub(crate) struct Tracked<F> {
    body: Body,
    _flight: F,
}

impl<F> Tracked<F> {
    /// Holds on to `flight`.
    pub(crate) fn new(body: Body, flight: F) -> Tracked<F> {
        Tracked { body, _flight: flight }
    }
}

impl<F: Unpin> http_body::Body for Tracked<F> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
