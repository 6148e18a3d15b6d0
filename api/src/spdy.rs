//! SPDY/3.1 frames, as `pods/portforward` speaks them within a WebSocket: bytes to frames and back, without I/O.
//!
//! After the SPDY/3.1 draft. Deliberately absent: flow control, priorities and settings, which Kubernetes' clients ignore too.

mod decoder;
mod encoder;
mod header_block;

use bytes::Bytes;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// The longest data frame taken.
pub const DATA_BYTES_MAX: usize = 1 << 20;
/// The longest control frame taken; the longest block of headers, once it is decompressed.
pub const CONTROL_BYTES_MAX: usize = 16 << 10;
/// The most headers of one frame.
pub const HEADERS_MAX: usize = 64;

/// Why a stream is reset: the peer may not open it.
pub const REFUSED_STREAM: u32 = 3;
/// Why a stream is reset: nobody wants it any more.
pub const CANCEL: u32 = 5;

const VERSION: u16 = 3;
const FLAG_FIN: u8 = 1;
const FRAME_HEAD_BYTES: usize = 8;
const ID_MASK: u32 = 0x7fff_ffff;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// Names (in lower case) and values of a frame's headers, in order.
pub type Headers = Vec<(String, String)>;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The peer opens a stream.
    SynStream {
        /// The stream: odd if the client opened it.
        stream: u32,
        /// What it is for.
        headers: Headers,
        /// The sender will send no more on it.
        is_last: bool,
    },
    /// The peer takes a stream.
    SynReply {
        /// The stream.
        stream: u32,
        /// What is said of it.
        headers: Headers,
        /// The sender will send no more on it.
        is_last: bool,
    },
    /// More headers for a stream.
    Headers {
        /// The stream.
        stream: u32,
        /// The headers.
        headers: Headers,
        /// The sender will send no more on it.
        is_last: bool,
    },
    /// Bytes on a stream.
    Data {
        /// The stream.
        stream: u32,
        /// The bytes; at most [`DATA_BYTES_MAX`].
        bytes: Bytes,
        /// The sender will send no more on it.
        is_last: bool,
    },
    /// A stream ends at once, both ways.
    Reset {
        /// The stream.
        stream: u32,
        /// Why.
        status: u32,
    },
    /// To be answered with the same.
    Ping {
        /// Odd if the client asks.
        id: u32,
    },
    /// The peer opens and takes no more streams.
    GoAway {
        /// The last stream that it took.
        last_stream: u32,
        /// Why; 0 for no error.
        status: u32,
    },
}

/// Why bytes are no frames. There is no going on after one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another protocol, or rubbish.
    #[error("a SPDY frame of version {0} came, where only version 3 is spoken")]
    Version(u16),
    /// It is longer than any that is needed.
    #[error("a SPDY frame of {bytes} bytes came, where {bytes_max} are the most")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// It is shorter or longer than its type can be.
    #[error("a SPDY frame of type {kind} came with {bytes} bytes, which is not its length")]
    Length {
        /// Its type.
        kind: u16,
        /// Its length.
        bytes: usize,
    },
    /// Its headers can't be read.
    #[error("the headers of a SPDY frame can't be read: {0}")]
    Headers(&'static str),
    /// It speaks of the connection itself.
    #[error("a SPDY frame came for stream 0")]
    StreamZero,
}

/// The value of a header.
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
