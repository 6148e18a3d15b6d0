//! The body of a guest's response on its way out.
//!
//! Deliberately absent: buffering. A body that is complete with its head is sent whole, any other is streamed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use coracle_net::{Body, BoxError};
use futures::FutureExt;
use http::Response;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::WasiBody;

use super::background::Steering;
use super::failure::Failure;
use super::instances::Place;

/// A guest that answers a request: it is told if nobody waits for that any more.
pub(crate) struct Answering(Option<Guest>);

/// Who answers.
pub(crate) enum Guest {
    /// An instance of this request's own.
    Own(Arc<Steering>),
    /// One that answers others, too.
    Shared(Arc<Place>),
}

impl Answering {
    pub(crate) fn new(guest: Guest) -> Answering {
        Answering(Some(guest))
    }

    pub(crate) fn let_it_finish(&mut self) {
        self.0 = None;
    }

    /// The guest has answered with an error. An instance of its own has nothing left to do.
    pub(crate) fn has_answered(&mut self) {
        if matches!(self.0, Some(Guest::Shared(_))) {
            self.let_it_finish();
        }
    }

    /// How the guest failed, if it did.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self.0.as_ref()? {
            Guest::Own(steering) => steering.failure(),
            Guest::Shared(place) => place.steering().failure(),
        }
    }

    fn failure_text(&self) -> Option<String> {
        self.failure().map(Failure::text)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Guest::Own(steering)) => steering.cancel(),
            Some(Guest::Shared(place)) => place.give_up(),
            None => {}
        }
    }
}

/// Turns a guest's response into the ingress's. If all of a short body is there already, it is sent with its length.
pub(crate) fn respond(response: Response<WasiBody>, mut guard: Answering, deadline: Instant) -> Response<Body> {
    let (head, mut body) = response.into_parts();
    let mut first = None;
    match body.frame().now_or_never() {
        Some(None) if guard.failure_text().is_none() => {
            guard.let_it_finish();
            return Response::from_parts(head, whole(Bytes::new()));
        }
        Some(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => {
                first = match body.frame().now_or_never() {
                    Some(None) if guard.failure_text().is_none() => {
                        guard.let_it_finish();
                        return Response::from_parts(head, whole(data));
                    }
                    None => Some([Some(Ok(Frame::data(data))), None]),
                    Some(None) => Some([Some(Ok(Frame::data(data))), Some(Err(broken_off(&guard)))]),
                    Some(Some(next)) => Some([Some(Ok(Frame::data(data))), Some(next.map_err(box_error))]),
                };
            }
            Err(frame) => first = Some([Some(Ok(frame)), None]),
        },
        Some(Some(Err(error))) => first = Some([Some(Err(box_error(error))), None]),
        Some(None) => first = Some([Some(Err(broken_off(&guard))), None]),
        None => {}
    }
    let ready = first.into_iter().flatten().flatten().collect::<Vec<_>>().into_iter();
    let late = Box::pin(tokio::time::sleep_until(deadline.into()));
    Response::from_parts(head, GuestBody { ready, rest: body, guard, late, ended: false }.boxed_unsync())
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn box_error(error: wasmtime_wasi_http::Error) -> BoxError {
    format!("the component's response broke off: {error:?}").into()
}

fn broken_off(guard: &Answering) -> BoxError {
    let reason = guard.failure_text().unwrap_or_else(|| "for no stated reason".to_owned());
    format!("the component failed during its response: {reason}").into()
}

/// A body that the guest is still writing.
struct GuestBody {
    ready: std::vec::IntoIter<Result<Frame<Bytes>, BoxError>>,
    rest: WasiBody,
    guard: Answering,
    late: Pin<Box<tokio::time::Sleep>>,
    ended: bool,
}

impl http_body::Body for GuestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let frame = match this.ready.next() {
            Some(frame) => Some(frame),
            None => match Pin::new(&mut this.rest).poll_frame(context) {
                Poll::Ready(frame) => frame.map(|frame| frame.map_err(box_error)),
                Poll::Pending if this.late.as_mut().poll(context).is_ready() => {
                    Some(Err("the component took too long over its response".into()))
                }
                Poll::Pending => return Poll::Pending,
            },
        };
        match frame {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                this.ended = true;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                this.ended = true;
                if this.guard.failure_text().is_some() {
                    return Poll::Ready(Some(Err(broken_off(&this.guard))));
                }
                this.guard.let_it_finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        if self.ready.len() == 0 { self.rest.size_hint() } else { SizeHint::default() }
    }
}
