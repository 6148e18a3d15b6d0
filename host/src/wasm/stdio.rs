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
use crate::runtime::{LogSink, Stream};

/// Longer lines are cut, as container runtimes do.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Bytes taken at a time.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// One of a guest's two output streams.
#[derive(Clone)]
pub(crate) struct LogStream {
    lines: Arc<Mutex<Lines>>,
    console: Option<Arc<Console>>,
    stream: Stream,
}

struct Lines {
    sink: Arc<dyn LogSink>,
    stream: Stream,
    rest: Vec<u8>,
}

impl LogStream {
    pub(crate) fn new(sink: Arc<dyn LogSink>, console: Option<Arc<Console>>, stream: Stream) -> LogStream {
        LogStream { lines: Arc::new(Mutex::new(Lines { sink, stream, rest: Vec::new() })), console, stream }
    }

    fn append(&self, bytes: &[u8]) {
        self.lines.lock().append(bytes);
        if let Some(console) = &self.console {
            console.write(self.stream, bytes);
        }
    }
}

impl Lines {
    fn append(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (line, after) = (&bytes[..end], &bytes[end + 1..]);
            if self.rest.is_empty() && line.len() <= LINE_BYTES_MAX {
                self.sink.write(self.stream, without_carriage_return(line));
            } else {
                self.extend(line);
                self.flush();
            }
            bytes = after;
        }
        self.extend(bytes);
    }

    fn extend(&mut self, mut bytes: &[u8]) {
        while self.rest.len() + bytes.len() > LINE_BYTES_MAX {
            let (now, later) = bytes.split_at(LINE_BYTES_MAX - self.rest.len());
            self.rest.extend_from_slice(now);
            self.flush();
            bytes = later;
        }
        self.rest.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        self.sink.write(self.stream, without_carriage_return(&self.rest));
        self.rest.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            self.flush();
        }
    }
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
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

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[derive(Default)]
    struct Collected(Mutex<Vec<String>>);

    impl LogSink for Collected {
        fn write(&self, _: Stream, line: &[u8]) {
            let text = String::from_utf8_lossy(line);
            let shown = if text.len() > 20 { format!("{} bytes", text.len()) } else { text.into_owned() };
            self.0.lock().push(shown);
        }
    }

    #[track_caller]
    fn check(writes: &[&[u8]], expected: Expect) {
        let sink = Arc::new(Collected::default());
        let stream = LogStream::new(sink.clone(), None, Stream::Stdout);
        writes.iter().for_each(|bytes| stream.append(bytes));
        drop(stream);
        expected.assert_eq(&format!("{:?}", sink.0.lock()));
    }

    #[test]
    fn output_is_cut_into_lines() {
        check(&[b"one\ntwo\n"], expect![[r#"["one", "two"]"#]]);
        check(&[b"o", b"ne\r\n", b"\ntw", b"o"], expect![[r#"["one", "", "two"]"#]]);
        check(&[&[b'x'; 40_000]], expect![[r#"["16384 bytes", "16384 bytes", "7232 bytes"]"#]]);
        check(&[&[b'x'; 16_384], b"\n"], expect![[r#"["16384 bytes"]"#]]);
    }
}
