//! A request's body that can be read once more from its beginning, for as long as little of it was read.
//!
//! Deliberately absent: trailers. A body whose trailers were read can't be read again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};

use super::{BodyError, RequestBody, Source};

/// What is kept of a body at most; if more was read, it isn't kept at all.
const BYTES_MAX: usize = 64 * 1024;

/// A body for whoever may have to read it again. Dropped, nothing more is kept.
pub(crate) struct KeptBody(Arc<Mutex<Shared>>);

/// One reading of a body, from its beginning. It ends where the next one begins.
pub(super) struct Reading {
    shared: Arc<Mutex<Shared>>,
    number: u32,
    /// How many of the pieces that were read before it has given.
    position: usize,
}

struct Shared {
    rest: RequestBody,
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Whether `pieces` are all that was read.
    is_whole: bool,
    /// The last reading.
    number: u32,
}

impl KeptBody {
    /// Keeps what is read of a body.
    pub(crate) fn new(body: RequestBody) -> KeptBody {
        let shared = Shared { rest: body, pieces: Vec::new(), bytes: 0, is_whole: true, number: 0 };
        KeptBody(Arc::new(Mutex::new(shared)))
    }

    /// The body from its beginning; `None` if that isn't there any more.
    pub(crate) fn read(&self) -> Option<RequestBody> {
        let mut shared = lock(&self.0);
        if !shared.is_whole {
            return None;
        }
        shared.number += 1;
        let reading = Reading { shared: self.0.clone(), number: shared.number, position: 0 };
        Some(RequestBody(Source::Kept(reading)))
    }
}

impl Drop for KeptBody {
    fn drop(&mut self) {
        lock(&self.0).is_whole = false;
    }
}

impl Reading {
    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut shared = lock(&self.shared);
        if shared.number != self.number {
            return Poll::Ready(None);
        }
        if let Some(piece) = shared.pieces.get(self.position) {
            self.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let frame = ready!(Pin::new(&mut shared.rest).poll_frame(context));
        match frame.as_ref().map(|frame| frame.as_ref().ok().and_then(Frame::data_ref)) {
            None => {}
            Some(Some(piece)) if shared.is_whole && shared.bytes + piece.len() <= BYTES_MAX => {
                shared.bytes += piece.len();
                shared.pieces.push(piece.clone());
                self.position += 1;
            }
            Some(_) => {
                shared.is_whole = false;
                shared.pieces = Vec::new();
            }
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        shared.number != self.number || shared.pieces.len() <= self.position && shared.rest.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let shared = lock(&self.shared);
        let before: usize = shared.pieces.iter().skip(self.position).map(Bytes::len).sum();
        let (before, rest) = (before as u64, shared.rest.size_hint());
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(before + upper);
        }
        hint.set_lower(before + rest.lower());
        hint
    }
}

/// Nobody holds the lock for long, as only one reading goes on.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use http_body_util::BodyExt as _;

    use super::*;

    /// Reads so many pieces, then all of it anew.
    async fn check(body: RequestBody, pieces: usize, expected: Expect) {
        let kept = KeptBody::new(body);
        let mut first = kept.read().unwrap();
        for _ in 0..pieces {
            first.frame().await;
        }
        let again = match kept.read() {
            None => "gone".to_owned(),
            Some(again) => {
                let hint = again.size_hint().exact();
                let read = again.collect().await.unwrap().to_bytes();
                let left = first.collect().await.unwrap().to_bytes();
                format!("{} bytes of {hint:?} anew, {} for the one before", read.len(), left.len())
            }
        };
        expected.assert_eq(&again);
    }

    #[tokio::test]
    async fn little_can_be_read_again_and_much_cannot() {
        let body = |bytes: usize| RequestBody::full(vec![b'x'; bytes].into());
        check(body(0), 0, expect![[r#"0 bytes of Some(0) anew, 0 for the one before"#]]).await;
        check(body(5), 0, expect![[r#"5 bytes of Some(5) anew, 0 for the one before"#]]).await;
        check(body(5), 2, expect![[r#"5 bytes of Some(5) anew, 0 for the one before"#]]).await;
        check(body(BYTES_MAX), 1, expect![[r#"65536 bytes of Some(65536) anew, 0 for the one before"#]]).await;
        check(body(BYTES_MAX + 1), 0, expect![[r#"65537 bytes of Some(65537) anew, 0 for the one before"#]]).await;
        check(body(BYTES_MAX + 1), 1, expect!["gone"]).await;
    }
}
