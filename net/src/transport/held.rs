//! Holds a small answer of another host back until it is there whole: as long as none of it was passed on, another pod may answer instead.
//!
//! Deliberately absent: waiting for what may be long. What says that it is goes on at once, what doesn't say soon does.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::Response;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::handler::Body;

/// The most of a body that is held.
const BYTES_MAX: u64 = 64 << 10;
/// How long what doesn't say its length is held: streams should not feel it.
const UNKNOWN_MAX: Duration = Duration::from_millis(10);
/// As good as no limit: a host that falls silent is noticed long before.
const KNOWN_MAX: Duration = Duration::from_secs(3600);

/// The answer to pass on.
///
/// # Errors
/// It broke off, and nobody has seen any of it.
pub(super) async fn hold(answer: Response<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (head, mut body) = answer.into_parts();
    let length = body.size_hint().exact();
    if body.is_end_stream() || length.is_some_and(|bytes| bytes > BYTES_MAX) {
        return Ok(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()));
    }
    let deadline = Instant::now() + if length.is_some() { KNOWN_MAX } else { UNKNOWN_MAX };
    let (mut held, mut held_bytes): (Vec<Frame<Bytes>>, u64) = (Vec::new(), 0);
    while held_bytes <= BYTES_MAX {
        match timeout_at(deadline, body.frame()).await {
            Ok(Some(frame)) => {
                let frame = frame?;
                held_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                held.push(frame);
            }
            Ok(None) => {
                let body = StreamBody::new(stream::iter(held).map(Ok));
                return Ok(Response::from_parts(head, body.boxed_unsync()));
            }
            Err(_) => break,
        }
    }
    let rest = BodyStream::new(body).map(|frame| frame.map_err(Into::into));
    let body = StreamBody::new(stream::iter(held).map(Ok).chain(rest));
    Ok(Response::from_parts(head, body.boxed_unsync()))
}
