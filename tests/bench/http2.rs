//! The leanest HTTP/2, for both ends of a benchmark: frames made by hand, so that little of the processor goes to anything but what is measured.
//! Deliberately absent: two requests half sent, answers longer than a frame, priorities, pushes, header blocks in several frames.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use httlib_hpack::Decoder;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;
/// The largest frame that every server takes.
const FRAME_BYTES_MAX: usize = 16_384;
/// What may be on its way to us: for a stream, and for all of them until we say that we took it.
const WINDOW_BYTES: u32 = (1 << 31) - 1;
const WINDOW_BYTES_AT_FIRST: u32 = 65_535;
const FLAG_ACK: u8 = 1;
const FLAG_END_STREAM: u8 = 1;
const FLAG_END_HEADERS: u8 = 4;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
}

/// A connection that has been greeted.
pub(crate) struct Connection<Stream> {
    stream: Stream,
    authority: String,
    decoder: Decoder<'static>,
    out: Vec<u8>,
    input: BytesMut,
    next_stream: u32,
    stream_window_at_first: u32,
    /// Bytes that we may still send: on all streams, on the latest.
    send_window: i64,
    stream_window: i64,
    /// Bytes taken since we last said so.
    taken: u32,
}

/// What was asked or answered.
#[derive(Default)]
pub(crate) struct Message {
    /// Which one, of those on the connection.
    pub(crate) stream: u32,
    /// Headers and trailers, in their order; `:status` first.
    pub(crate) headers: Headers,
    pub(crate) body: BytesMut,
}

impl Message {
    /// The value of a header or a trailer.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(found, ..)| found == name.as_bytes()).map(|(_, value, _)| value.as_slice())
    }
}

/// Name, value, how it was sent.
pub(crate) type Headers = Vec<(Vec<u8>, Vec<u8>, u8)>;

/// The next piece of an answer.
pub(crate) struct Part {
    stream: u32,
    pub(crate) content: Content,
    is_last: bool,
}

pub(crate) enum Content {
    Headers(Headers),
    Data(Bytes),
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Bytes,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Connection<Stream> {
    /// Greets the server at the other end of `stream`.
    pub(crate) async fn open(stream: Stream, authority: String) -> Result<Connection<Stream>> {
        let mut connection = Connection::new(stream, authority);
        connection.out.extend_from_slice(PREFACE);
        connection.greet().await?;
        Ok(connection)
    }

    /// Greets the client at the other end of `stream`.
    pub(crate) async fn accept(stream: Stream) -> Result<Connection<Stream>> {
        let mut connection = Connection::new(stream, String::new());
        connection.fill(PREFACE.len()).await?;
        ensure!(connection.input.split_to(PREFACE.len()) == PREFACE, "not a client of HTTP/2");
        connection.greet().await?;
        Ok(connection)
    }

    fn new(stream: Stream, authority: String) -> Connection<Stream> {
        Connection {
            stream,
            authority,
            decoder: Decoder::default(),
            out: Vec::new(),
            input: BytesMut::with_capacity(4 * FRAME_BYTES_MAX),
            next_stream: 1,
            stream_window_at_first: WINDOW_BYTES_AT_FIRST,
            send_window: WINDOW_BYTES_AT_FIRST.into(),
            stream_window: 0,
            taken: 0,
        }
    }

    async fn greet(&mut self) -> Result<()> {
        // No push; what a stream's window is.
        let mut settings = vec![0, 2, 0, 0, 0, 0, 0, 4];
        settings.extend(WINDOW_BYTES.to_be_bytes());
        self.put_frame(kind::SETTINGS, 0, 0, &settings);
        self.put_frame(kind::WINDOW_UPDATE, 0, 0, &(WINDOW_BYTES - WINDOW_BYTES_AT_FIRST).to_be_bytes());
        self.flush().await
    }

    /// Sends a request, and waits for the end of its answer.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Message> {
        let stream = self.send(method, path, headers, body).await?;
        let answer = self.message().await?;
        ensure!(answer.stream == stream, "an answer to no request");
        Ok(answer)
    }

    /// Waits for the end of a message that nothing of another one comes between.
    pub(crate) async fn message(&mut self) -> Result<Message> {
        let mut message = Message::default();
        loop {
            let part = self.next().await?;
            ensure!(message.stream == 0 || message.stream == part.stream, "two messages at once");
            message.stream = part.stream;
            match part.content {
                Content::Headers(headers) => message.headers.extend(headers),
                Content::Data(data) => message.body.extend_from_slice(&data),
            }
            if part.is_last {
                return Ok(message);
            }
        }
    }

    /// Answers a request with a body that fits in a frame.
    pub(crate) async fn answer(
        &mut self,
        stream: u32,
        headers: &[(&str, &str)],
        body: &[u8],
        trailers: &[(&str, &str)],
    ) -> Result<()> {
        self.send_window -= body.len() as i64;
        ensure!(self.send_window >= 0 && body.len() <= FRAME_BYTES_MAX, "an answer too long");
        for (headers, flags) in [(headers, 0), (trailers, FLAG_END_STREAM)] {
            let mut block = Vec::with_capacity(64);
            headers.iter().for_each(|(name, value)| put_header(&mut block, name, value));
            self.put_frame(kind::HEADERS, FLAG_END_HEADERS | flags, stream, &block);
            if flags == 0 {
                self.put_frame(kind::DATA, 0, stream, body);
            }
        }
        self.flush().await
    }

    /// Sends a request; gives the number of its stream.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        mut body: &[u8],
    ) -> Result<u32> {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.stream_window = self.stream_window_at_first.into();
        let mut block = Vec::with_capacity(256);
        put_header(&mut block, ":method", method);
        put_header(&mut block, ":scheme", "https");
        put_header(&mut block, ":authority", &self.authority);
        put_header(&mut block, ":path", path);
        headers.iter().for_each(|(name, value)| put_header(&mut block, name, value));
        let end = if body.is_empty() { FLAG_END_STREAM } else { 0 };
        self.put_frame(kind::HEADERS, FLAG_END_HEADERS | end, stream, &block);
        while !body.is_empty() {
            let window = usize::try_from(self.send_window.min(self.stream_window)).unwrap_or(0);
            let (part, rest) = body.split_at(body.len().min(FRAME_BYTES_MAX).min(window));
            if part.is_empty() {
                self.flush().await?;
                let frame = self.frame().await?;
                ensure!(self.is_housekeeping(&frame)?, "an answer to half a request");
                continue;
            }
            self.send_window -= part.len() as i64;
            self.stream_window -= part.len() as i64;
            self.put_frame(kind::DATA, if rest.is_empty() { FLAG_END_STREAM } else { 0 }, stream, part);
            body = rest;
        }
        self.flush().await?;
        Ok(stream)
    }

    /// Waits for the next piece of any answer.
    pub(crate) async fn next(&mut self) -> Result<Part> {
        loop {
            let frame = self.frame().await?;
            if self.is_housekeeping(&frame)? {
                self.flush().await?;
                continue;
            }
            let is_last = frame.flags & FLAG_END_STREAM != 0;
            let content = match frame.kind {
                kind::HEADERS => {
                    ensure!(frame.flags & FLAG_END_HEADERS != 0, "a header block in several frames");
                    let mut headers = Headers::new();
                    let decoded = self.decoder.decode(&mut frame.payload.into(), &mut headers);
                    decoded.map_err(|error| anyhow::anyhow!("headers: {error:?}"))?;
                    Content::Headers(headers)
                }
                kind::DATA => {
                    self.take(frame.payload.len() as u32).await?;
                    Content::Data(frame.payload)
                }
                kind => bail!("a frame of kind {kind} on stream {}", frame.stream),
            };
            return Ok(Part { stream: frame.stream, content, is_last });
        }
    }

    /// Opens the window again in time.
    async fn take(&mut self, bytes: u32) -> Result<()> {
        self.taken += bytes;
        if self.taken > WINDOW_BYTES / 4 {
            let taken = std::mem::take(&mut self.taken);
            self.put_frame(kind::WINDOW_UPDATE, 0, 0, &taken.to_be_bytes());
            self.flush().await?;
        }
        Ok(())
    }

    /// Does what a frame asks that is no part of an answer. What is to be said waits for a flush.
    fn is_housekeeping(&mut self, frame: &Frame) -> Result<bool> {
        match frame.kind {
            kind::SETTINGS if frame.flags & FLAG_ACK == 0 => {
                for setting in frame.payload.chunks_exact(6) {
                    if setting[..2] == [0, 4] {
                        let at_first = (&setting[2..]).get_u32();
                        // What is half sent gains as much, or loses it (RFC 9113, 6.9.2).
                        self.stream_window += i64::from(at_first) - i64::from(self.stream_window_at_first);
                        self.stream_window_at_first = at_first;
                    }
                }
                self.put_frame(kind::SETTINGS, FLAG_ACK, 0, &[]);
            }
            kind::PING if frame.flags & FLAG_ACK == 0 => self.put_frame(kind::PING, FLAG_ACK, 0, &frame.payload),
            kind::WINDOW_UPDATE => {
                let more = i64::from(frame.payload.clone().try_get_u32()?);
                if frame.stream == 0 {
                    self.send_window += more;
                } else if frame.stream + 2 == self.next_stream {
                    self.stream_window += more;
                }
            }
            kind::RST_STREAM => bail!("stream {} was reset", frame.stream),
            kind::GOAWAY => bail!("the other end said good-bye: {}", String::from_utf8_lossy(&frame.payload)),
            _ => return Ok(frame.stream == 0),
        }
        Ok(true)
    }

    async fn frame(&mut self) -> Result<Frame> {
        self.fill(HEADER_BYTES).await?;
        let mut header = self.input.split_to(HEADER_BYTES);
        let length = header.get_uint(3) as usize;
        let (kind, flags, stream) = (header.get_u8(), header.get_u8(), header.get_u32());
        self.fill(length).await?;
        Ok(Frame { kind, flags, stream, payload: self.input.split_to(length).freeze() })
    }

    async fn fill(&mut self, length: usize) -> Result<()> {
        while self.input.len() < length {
            self.input.reserve(length.max(FRAME_BYTES_MAX));
            let read = self.stream.read_buf(&mut self.input).await.context("cannot read")?;
            ensure!(read > 0, "the connection was closed");
        }
        Ok(())
    }

    fn put_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        self.out.extend([kind, flags]);
        self.out.extend(stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }

    async fn flush(&mut self) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&self.out).await.context("cannot send")?;
        self.stream.flush().await.context("cannot send")?;
        self.out.clear();
        Ok(())
    }
}

/// A literal header that nobody remembers (RFC 7541, 6.2.2).
fn put_header(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        let mut length = text.len();
        if length < 0x7f {
            block.push(length as u8);
        } else {
            block.push(0x7f);
            length -= 0x7f;
            while length >= 0x80 {
                block.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            block.push(length as u8);
        }
        block.extend_from_slice(text.as_bytes());
    }
}
