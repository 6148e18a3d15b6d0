//! One client's streams to and from a command, each on a channel of one WebSocket, as `kubectl attach` and `kubectl exec` speak.
//!
//! Deliberately absent: terminals. A client that has one gets lines, echoed and edited here; its size is ignored.

mod terminal;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use bytes::Bytes;
use coracle_api::channels::{self, CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT};
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::console::{Chunk, Console, STALL_MAX};
use crate::runtime::{Container, Exit, Stream as Output};
use terminal::{Ending, Terminal, Typed};

/// How often the client is asked for a sign of life; it has [`STALL_MAX`] to give one.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const CLOSE_NORMAL: u16 = 1000;
const CLOSE_PROTOCOL: u16 = 1002;

/// What a client wants of a command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// The client's terminal passes on each key: edit lines for it.
    pub(crate) tty: bool,
}

/// A client, and the command that it is joined to.
pub(crate) struct Session {
    pub(crate) wanted: Wanted,
    pub(crate) console: Arc<Console>,
    /// From when on the client sees output.
    pub(crate) output: mpsc::Receiver<Chunk>,
    pub(crate) container: Arc<dyn Container>,
    /// The command is the client's own: it hears how it ended, and it ends with the client.
    pub(crate) is_own: bool,
}

impl Session {
    /// Passes on what comes until the command ends or the client leaves.
    pub(crate) async fn run<S, E>(self, socket: S)
    where
        S: Stream<Item = Result<Message, E>> + Sink<Message> + Send + Unpin,
    {
        let (sink, messages) = socket.split();
        let Session { wanted, console, output, container, is_own } = self;
        let (complain, complaint) = oneshot::channel();
        let (echo, echoed) = mpsc::channel(16);
        let terminal = wanted.tty.then(Terminal::default);
        let mut reader = Reader { wanted, console: &console, container: &*container, terminal, echo };
        let writer = Writer { wanted, sink, container: &*container, is_own };
        tokio::select! {
            () = reader.run(messages, complain) => {}
            () = writer.run(output, echoed, complaint, &console) => {}
        }
        if wanted.stdin {
            console.leave_input();
        }
        if is_own {
            container.stop(Duration::ZERO);
        }
    }
}

/// From the client to the command.
struct Reader<'a> {
    wanted: Wanted,
    console: &'a Console,
    container: &'a dyn Container,
    terminal: Option<Terminal>,
    echo: mpsc::Sender<Bytes>,
}

impl Reader<'_> {
    /// Returns when the client is gone; one that breaks the protocol is complained of.
    async fn run<E>(
        &mut self,
        mut messages: impl Stream<Item = Result<Message, E>> + Unpin,
        complain: oneshot::Sender<String>,
    ) {
        loop {
            let complaint = match timeout(STALL_MAX, messages.next()).await {
                Ok(Some(Ok(Message::Binary(bytes)))) => match self.take(&bytes).await {
                    Ok(()) => continue,
                    Err(complaint) => complaint,
                },
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                Ok(Some(Ok(Message::Text(_)))) => "channels are spoken in binary messages".to_owned(),
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return,
            };
            // The writer says it and ends.
            let _ = complain.send(complaint);
            return std::future::pending().await;
        }
    }

    async fn take(&mut self, message: &[u8]) -> Result<(), String> {
        match message.split_first() {
            None => Ok(()),
            Some((&STDIN, bytes)) if self.wanted.stdin => {
                match self.terminal.as_mut().map(|terminal| terminal.keys(bytes)) {
                    None => self.type_in(bytes).await,
                    Some(typed) => self.take_typed(typed).await,
                }
                Ok(())
            }
            Some((&CLOSE, [STDIN])) => {
                self.console.leave_input();
                Ok(())
            }
            Some((&RESIZE, _)) => Ok(()),
            Some((&STDIN, _)) => Err("standard input was not asked for".to_owned()),
            Some((channel, _)) => Err(format!("nothing can be sent on channel {channel}")),
        }
    }

    /// What comes when the command reads no more is for nobody.
    async fn type_in(&self, bytes: &[u8]) {
        let _ = self.console.type_in(bytes).await;
    }

    async fn take_typed(&self, typed: Typed) {
        if !typed.echo.is_empty() {
            // The writer is gone only when the session is.
            let _ = self.echo.send(typed.echo.into()).await;
        }
        self.type_in(&typed.input).await;
        match typed.ending {
            None => {}
            Some(Ending::Input) => self.console.leave_input(),
            Some(Ending::Command) => self.container.stop(Duration::ZERO),
        }
    }
}

/// From the command to the client.
struct Writer<'a, S> {
    wanted: Wanted,
    sink: S,
    container: &'a dyn Container,
    is_own: bool,
}

impl<S: Sink<Message> + Unpin> Writer<'_, S> {
    /// Returns when all is said, or nobody listens.
    async fn run(
        mut self,
        mut output: mpsc::Receiver<Chunk>,
        mut echoed: mpsc::Receiver<Bytes>,
        mut complaint: oneshot::Receiver<String>,
        console: &Console,
    ) {
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        // Some clients wait for a first message to know that they are joined.
        let mut message = Some(channel(if self.wanted.stdout { STDOUT } else { ERROR }, &[]));
        loop {
            if let Some(message) = message
                && self.sink.send(message).await.is_err()
            {
                return;
            }
            message = tokio::select! {
                biased;
                Ok(complaint) = &mut complaint => return self.end(CLOSE_PROTOCOL, &channels::failure(&complaint)).await,
                Some(echo) = echoed.recv() => Some(channel(STDOUT, &echo)),
                chunk = output.recv() => match chunk {
                    Some((stream, bytes)) => self.show(stream, &bytes),
                    None if console.is_over() => return self.tell_exit().await,
                    None => {
                        let complaint = format!("output was not read for {} s", STALL_MAX.as_secs());
                        return self.end(CLOSE_NORMAL, &channels::failure(&complaint)).await;
                    }
                },
                _ = pings.tick() => Some(Message::Ping(Bytes::new())),
            };
        }
    }

    /// Output as the client wants it.
    fn show(&self, stream: Output, bytes: &[u8]) -> Option<Message> {
        match stream {
            _ if self.wanted.tty => Some(channel(STDOUT, &terminal::shown(bytes))),
            Output::Stdout => self.wanted.stdout.then(|| channel(STDOUT, bytes)),
            Output::Stderr => self.wanted.stderr.then(|| channel(STDERR, bytes)),
        }
    }

    async fn tell_exit(&mut self) {
        let mut exited = self.container.exited();
        let exit = exited.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        let status = match exit {
            // How a pod's own command ended is in the pod's status; to be joined to it was a success.
            _ if !self.is_own => channels::exit_status(0),
            Some(Exit { code, message, .. }) => {
                let why = (!message.is_empty()).then(|| format!("{message}\n"));
                if let Some(message) = why.and_then(|why| self.show(Output::Stderr, why.as_bytes())) {
                    let _ = self.sink.send(message).await;
                }
                channels::exit_status(code)
            }
            None => channels::failure("the host lost the command"),
        };
        self.end(CLOSE_NORMAL, &status).await;
    }

    async fn end(&mut self, code: u16, status: &[u8]) {
        // Whoever left before does not hear it.
        if self.sink.send(channel(ERROR, status)).await.is_ok() {
            let _ = self.sink.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await;
        }
    }
}

fn channel(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary([&[channel], bytes].concat().into())
}

#[cfg(test)]
mod tests;
