//! A guest's standard streams: output is cut into lines for the container's log and passed on to whoever is attached.
//!
//! Deliberately absent: waiting for the log. The sink is bounded, so a flood is the sink's to rotate away.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

use crate::console::{Closed, Console};
use crate::lines::Lines;
use crate::runtime::{LogSink, Stream};

/// Bytes taken at a time.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// One of a guest's two output streams.
#[derive(Clone)]
pub(crate) struct LogStream {
    lines: Arc<Mutex<Lines>>,
    console: Option<Arc<Console>>,
    stream: Stream,
}

impl LogStream {
    pub(crate) fn new(sink: Arc<dyn LogSink>, console: Option<Arc<Console>>, stream: Stream) -> LogStream {
        LogStream { lines: Arc::new(Mutex::new(Lines::new(sink, stream))), console, stream }
    }

    fn append(&self, bytes: &[u8]) {
        self.lines.lock().append(bytes);
        if let Some(console) = &self.console {
            console.write(self.stream, bytes);
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {
        if let Some(console) = &self.console {
            console.writable().await;
        }
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        let has_room = self.console.as_ref().is_none_or(|console| console.has_room());
        Ok(if has_room { WRITE_BYTES_MAX } else { 0 })
    }
}

/// A guest's standard input: what those who are attached type.
#[derive(Clone)]
pub(crate) struct ConsoleInput(pub(crate) Arc<Console>);

impl IsTerminal for ConsoleInput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for ConsoleInput {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for ConsoleInput {
    async fn ready(&mut self) {
        self.0.readable().await;
    }
}

impl InputStream for ConsoleInput {
    fn read(&mut self, bytes_max: usize) -> Result<Bytes, StreamError> {
        self.0.take_input(bytes_max).map_err(|Closed| StreamError::Closed)
    }
}
