//! A WebSocket that exists in memory only, for tests of those who serve one.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::ws::Message;
use futures::channel::mpsc::{SendError, UnboundedReceiver, UnboundedSender, unbounded};
use futures::{Sink, SinkExt, Stream, StreamExt};

/// The server's end.
pub(crate) struct Socket {
    incoming: UnboundedReceiver<Result<Message, String>>,
    outgoing: UnboundedSender<Message>,
}

impl Socket {
    /// With the client's end: what it sends, and what it hears.
    pub(crate) fn new() -> (Socket, UnboundedSender<Result<Message, String>>, UnboundedReceiver<Message>) {
        let ((messages, incoming), (outgoing, answers)) = (unbounded(), unbounded());
        (Socket { incoming, outgoing }, messages, answers)
    }
}

impl Stream for Socket {
    type Item = Result<Message, String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(context)
    }
}

impl Sink<Message> for Socket {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_ready_unpin(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
        self.outgoing.start_send_unpin(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_flush_unpin(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_close_unpin(context)
    }
}
