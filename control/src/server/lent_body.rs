//! A request's body that is read to its end even if whoever answered looked at less of it.
//!
//! A client that is still sending would otherwise lose the answer: HTTP/2 resets the stream of a body that nobody reads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;

use crate::handlers::BODY_BYTES_MAX;

/// How long a client may take to send the rest.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Gets back what was not read of a body.
pub(super) struct Lender(Arc<Mutex<Option<Body>>>);

struct Lent {
    /// There until it is given back.
    body: Option<Body>,
    lender: Arc<Mutex<Option<Body>>>,
}

/// The body to read, and who reads the rest of it; nobody where there is nothing to read.
pub(super) fn lend(body: Body) -> (Body, Option<Lender>) {
    if body.is_end_stream() {
        return (body, None);
    }
    let lender = Arc::new(Mutex::new(None));
    let lent = Lent { body: Some(body), lender: Arc::clone(&lender) };
    (Body::new(lent), Some(Lender(lender)))
}

impl Lender {
    /// Reads what is left, up to what a body may be long.
    pub(super) async fn drain(self) {
        let Some(mut body) = self.0.lock().take() else { return };
        let read = async {
            let mut left = BODY_BYTES_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(less) = left.checked_sub(length) else { return };
                left = less;
            }
        };
        let _ = tokio::time::timeout(TIMEOUT, read).await;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.lender.lock() = self.body.take().filter(|body| !body.is_end_stream());
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_read_is_drained() {
        let (chunks, sent) = tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(1);
        let chunk = || Ok(Bytes::from_static(b"chunk"));
        let stream = futures::stream::unfold(sent, |mut sent| async { Some((sent.recv().await?, sent)) });
        let (mut body, lender) = lend(Body::from_stream(stream));
        chunks.send(chunk()).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "chunk");
        drop(body);
        let draining = tokio::spawn(lender.unwrap().drain());
        for _ in 0..10 {
            chunks.send(chunk()).await.unwrap();
        }
        drop(chunks);
        draining.await.unwrap();
        assert!(lend(Body::empty()).1.is_none());
    }
}
