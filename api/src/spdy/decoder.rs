//! From bytes, however they are cut, to frames.

use bytes::{Buf, BytesMut};

use super::header_block::Inflater;
use super::{
    CONTROL_BYTES_MAX, DATA_BYTES_MAX, FLAG_FIN, FRAME_HEAD_BYTES, Frame, FrameError, GOAWAY, HEADERS, ID_MASK, PING,
    RST_STREAM, SYN_REPLY, SYN_STREAM, VERSION,
};

/// Reads the frames of one direction of a connection.
#[derive(Default)]
pub struct Decoder {
    buffer: BytesMut,
    inflater: Inflater,
}

impl Decoder {
    /// Takes bytes that came in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, if all of it is there. Frames that mean nothing here (settings, windows) are passed over.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            let Some(&[first, second, third, fourth, flags, length @ ..]) =
                self.buffer.first_chunk::<FRAME_HEAD_BYTES>()
            else {
                return Ok(None);
            };
            let is_control = first & 0x80 != 0;
            let bytes = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
            let bytes_max = if is_control { CONTROL_BYTES_MAX } else { DATA_BYTES_MAX };
            if bytes > bytes_max {
                return Err(FrameError::TooLong { bytes, bytes_max });
            }
            if self.buffer.len() < FRAME_HEAD_BYTES + bytes {
                return Ok(None);
            }
            self.buffer.advance(FRAME_HEAD_BYTES);
            let payload = self.buffer.split_to(bytes);
            let is_last = flags & FLAG_FIN != 0;
            if !is_control {
                let stream = stream_id(u32::from_be_bytes([first, second, third, fourth]))?;
                return Ok(Some(Frame::Data { stream, bytes: payload.freeze(), is_last }));
            }
            let version = u16::from_be_bytes([first & 0x7f, second]);
            if version != VERSION {
                return Err(FrameError::Version(version));
            }
            let kind = u16::from_be_bytes([third, fourth]);
            if let Some(frame) = self.control(kind, payload, is_last)? {
                return Ok(Some(frame));
            }
        }
    }

    fn control(&mut self, kind: u16, mut payload: BytesMut, is_last: bool) -> Result<Option<Frame>, FrameError> {
        let bytes = payload.len();
        let mut number = || payload.try_get_u32().map_err(|_| FrameError::Length { kind, bytes });
        let frame = match kind {
            SYN_STREAM => {
                let (stream, _associated) = (stream_id(number()?)?, number()?);
                payload.try_get_u16().map_err(|_| FrameError::Length { kind, bytes })?;
                Frame::SynStream { stream, headers: self.inflater.headers(&payload)?, is_last }
            }
            SYN_REPLY => {
                let stream = stream_id(number()?)?;
                Frame::SynReply { stream, headers: self.inflater.headers(&payload)?, is_last }
            }
            HEADERS => {
                let stream = stream_id(number()?)?;
                Frame::Headers { stream, headers: self.inflater.headers(&payload)?, is_last }
            }
            RST_STREAM => Frame::Reset { stream: stream_id(number()?)?, status: number()? },
            PING => Frame::Ping { id: number()? },
            GOAWAY => Frame::GoAway { last_stream: number()? & ID_MASK, status: number()? },
            _ => return Ok(None),
        };
        match (kind, payload.is_empty()) {
            (RST_STREAM | PING | GOAWAY, false) => Err(FrameError::Length { kind, bytes }),
            _ => Ok(Some(frame)),
        }
    }
}

fn stream_id(number: u32) -> Result<u32, FrameError> {
    match number & ID_MASK {
        0 => Err(FrameError::StreamZero),
        id => Ok(id),
    }
}
