//! The body of an answer that a component reads: it may pause, but not for ever, and counts as a call until it has ended.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use coracle_net::BoxError;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

/// A body with the longest pause between two frames of it.
pub(super) struct AnswerBody {
    body: WasiBody,
    pause_max: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl AnswerBody {
    pub(super) fn new(body: WasiBody, pause_max: Duration, permit: OwnedSemaphorePermit) -> AnswerBody {
        AnswerBody { body, pause_max, pause: None, _permit: permit }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.pause = None;
            return Poll::Ready(frame);
        }
        let pause_max = self.pause_max;
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause_max)));
        pause.as_mut().poll(context).map(|()| Some(Err(HttpError::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A pod's answer ended early.
pub(super) fn broken_off(error: BoxError) -> HttpError {
    match error.downcast::<hyper::Error>() {
        Ok(error) => HttpError::Hyper(*error),
        Err(error) => {
            tracing::debug!(%error, "the answer to a pod's request broke off");
            HttpError::HttpResponseIncomplete
        }
    }
}
