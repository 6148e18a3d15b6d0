//! Connections to a pod's ports, as `kubectl port-forward` opens them: SPDY streams within one WebSocket, two a connection.
//!
//! Each connection has a stream for its bytes and one for what went wrong. Deliberately absent: flow control between the
//! streams. As in Kubernetes, a connection that is not read holds up the others of the same `kubectl port-forward`.

mod connection;
mod ports;

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use bytes::Bytes;
use coracle_api::spdy::{self, Decoder, Encoder, Frame, Headers};
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use connection::Connection;
pub(crate) use ports::Ports;

/// The protocol within the WebSocket.
pub(crate) const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// Streams open at once, two for each connection; also connections whose client has closed its half.
const STREAMS_MAX: usize = 1024;
/// Frames that wait to be sent.
const FRAMES_WAITING_MAX: usize = 16;
/// Data frames of one connection that wait to be taken.
const CHUNKS_WAITING_MAX: usize = 8;
/// How often the client is asked for a sign of life, and how long it may give none.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long the last words may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

const CLOSE_NORMAL: u16 = 1000;
const CLOSE_GOING_AWAY: u16 = 1001;
const CLOSE_PROTOCOL: u16 = 1002;

/// Forwards until the client leaves, breaks the protocol, or the pod is `gone`.
pub(crate) async fn run<S, E>(socket: S, ports: Ports, gone: CancellationToken)
where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Send + Unpin,
{
    let (sink, mut messages) = socket.split();
    let (frames, queue) = mpsc::channel(FRAMES_WAITING_MAX);
    let mut forwarding =
        Forwarding { ports, frames, streams: HashMap::new(), halves: HashMap::new(), connections: JoinSet::new() };
    let mut writer = std::pin::pin!(write(sink, queue));
    let (code, reason) = tokio::select! {
        end = forwarding.read(&mut messages) => match end {
            Ok(()) => (CLOSE_NORMAL, String::new()),
            Err(reason) => (CLOSE_PROTOCOL, reason),
        },
        () = gone.cancelled() => (CLOSE_GOING_AWAY, "the pod is gone".to_owned()),
        _ = &mut writer => return,
    };
    tracing::debug!(pod = forwarding.ports.pod, code, reason, "forwarding ports ended");
    drop(forwarding);
    let say_goodbye = async {
        if let Some(mut sink) = writer.await {
            // The client may have left before.
            let _ = sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, say_goodbye).await;
}

/// Sends frames until nobody has any more; gives the sink back unless it failed.
async fn write<S: Sink<Message> + Unpin>(mut sink: S, mut queue: mpsc::Receiver<Frame>) -> Option<S> {
    let mut encoder = Encoder::default();
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let message = tokio::select! {
            frame = queue.recv() => match frame {
                Some(frame) => Message::Binary(encoder.encode(&frame)),
                None => return Some(sink),
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        sink.send(message).await.ok()?;
    }
}

/// One client's connections.
struct Forwarding {
    ports: Ports,
    frames: mpsc::Sender<Frame>,
    /// Those on which more may come.
    streams: HashMap<u32, Incoming>,
    /// Connections of which only one stream is there, by their request id.
    halves: HashMap<String, Half>,
    connections: JoinSet<()>,
}

/// Where what comes on a stream goes.
enum Incoming {
    /// Nowhere: nobody writes to the stream for errors.
    Nowhere,
    /// To a connection.
    Data { chunks: mpsc::Sender<Bytes>, connection: Option<AbortHandle> },
}

/// A connection's first stream.
enum Half {
    Error { stream: u32, port: u16 },
    Data { stream: u32, port: u16, chunks: mpsc::Receiver<Bytes> },
}

impl Forwarding {
    /// Reads until the client closes; fails if it breaks the protocol.
    async fn read<E>(&mut self, messages: &mut (impl Stream<Item = Result<Message, E>> + Unpin)) -> Result<(), String> {
        let mut decoder = Decoder::default();
        loop {
            let message = timeout(SILENCE_MAX, messages.next()).await;
            let message = message.map_err(|_| format!("nothing was heard for {} s", SILENCE_MAX.as_secs()))?;
            match message {
                Some(Ok(Message::Binary(bytes))) => decoder.push(&bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Text(_))) => return Err("SPDY frames come in binary messages".to_owned()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
            }
            while let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
                self.take(frame).await?;
            }
        }
    }

    async fn take(&mut self, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::SynStream { stream, headers, is_last } => self.open(stream, &headers, is_last).await?,
            Frame::Data { stream, bytes, is_last } => {
                if let Some(Incoming::Data { chunks, .. }) = self.streams.get(&stream)
                    && !bytes.is_empty()
                {
                    // A connection that ended takes nothing more; the client will hear so.
                    let _ = chunks.send(bytes).await;
                }
                if is_last {
                    self.streams.remove(&stream);
                }
            }
            Frame::Reset { stream, .. } => {
                if let Some(Incoming::Data { connection: Some(connection), .. }) = self.streams.remove(&stream) {
                    connection.abort();
                }
            }
            Frame::Ping { id } if id % 2 == 1 => self.send(Frame::Ping { id }).await,
            Frame::Ping { .. } | Frame::SynReply { .. } | Frame::Headers { .. } | Frame::GoAway { .. } => {}
        }
        Ok(())
    }

    async fn open(&mut self, stream: u32, headers: &Headers, is_last: bool) -> Result<(), String> {
        if self.streams.contains_key(&stream) {
            return Err(format!("stream {stream} was opened twice"));
        }
        let header = |name| spdy::header(headers, name);
        let port = header("port").and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0);
        let (Some(kind @ ("error" | "data")), Some(port), Some(request)) =
            (header("streamtype"), port, header("requestid"))
        else {
            return Err("a stream needs the headers streamType (error or data), port and requestID".to_owned());
        };
        while self.connections.try_join_next().is_some() {}
        if self.streams.len().max(self.halves.len()).max(self.connections.len()) >= STREAMS_MAX {
            self.send(Frame::Reset { stream, status: spdy::REFUSED_STREAM }).await;
            return Ok(());
        }
        self.send(Frame::SynReply { stream, headers: Headers::new(), is_last: false }).await;
        let half = if kind == "error" {
            if !is_last {
                self.streams.insert(stream, Incoming::Nowhere);
            }
            Half::Error { stream, port }
        } else {
            let (sender, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
            if !is_last {
                self.streams.insert(stream, Incoming::Data { chunks: sender, connection: None });
            }
            Half::Data { stream, port, chunks }
        };
        match (self.halves.remove(request), half) {
            (None, half) => {
                self.halves.insert(request.to_owned(), half);
                Ok(())
            }
            (
                Some(Half::Error { stream: error_stream, port: error_port }),
                Half::Data { stream: data_stream, port, chunks },
            )
            | (
                Some(Half::Data { stream: data_stream, port, chunks }),
                Half::Error { stream: error_stream, port: error_port },
            ) if port == error_port => {
                self.connect(Connection { data_stream, error_stream, port, chunks });
                Ok(())
            }
            _ => Err(format!("the streams of request {request} are no pair of error and data for one port")),
        }
    }

    fn connect(&mut self, connection: Connection) {
        let data_stream = connection.data_stream;
        let task = self.connections.spawn(connection.run(self.ports.clone(), self.frames.clone()));
        if let Some(Incoming::Data { connection, .. }) = self.streams.get_mut(&data_stream) {
            *connection = Some(task);
        }
    }

    /// Waits for room; the writer is gone only when the whole connection is about to be.
    async fn send(&self, frame: Frame) {
        let _ = self.frames.send(frame).await;
    }
}

#[cfg(test)]
mod tests;
