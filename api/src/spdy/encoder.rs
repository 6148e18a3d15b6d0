//! From frames to bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::header_block::Deflater;
use super::{
    FLAG_FIN, FRAME_HEAD_BYTES, Frame, GOAWAY, HEADERS, Headers, ID_MASK, PING, RST_STREAM, SYN_REPLY, SYN_STREAM,
    VERSION,
};

/// Writes the frames of one direction of a connection.
#[derive(Default)]
pub struct Encoder {
    deflater: Deflater,
}

impl Encoder {
    /// The frame's bytes. Frames are to be sent in the order in which they were encoded.
    pub fn encode(&mut self, frame: &Frame) -> Bytes {
        match frame {
            Frame::SynStream { stream, headers, is_last } => {
                let mut head = Vec::from((stream & ID_MASK).to_be_bytes());
                // No associated stream, no priority, no slot.
                head.extend([0; 6]);
                self.with_headers(SYN_STREAM, &head, headers, *is_last)
            }
            Frame::SynReply { stream, headers, is_last } => {
                self.with_headers(SYN_REPLY, &(stream & ID_MASK).to_be_bytes(), headers, *is_last)
            }
            Frame::Headers { stream, headers, is_last } => {
                self.with_headers(HEADERS, &(stream & ID_MASK).to_be_bytes(), headers, *is_last)
            }
            Frame::Data { stream, bytes, is_last } => frame_of((stream & ID_MASK).to_be_bytes(), *is_last, &[bytes]),
            Frame::Reset { stream, status } => {
                control(RST_STREAM, false, &[&(stream & ID_MASK).to_be_bytes(), &status.to_be_bytes()])
            }
            Frame::Ping { id } => control(PING, false, &[&id.to_be_bytes()]),
            Frame::GoAway { last_stream, status } => {
                control(GOAWAY, false, &[&(last_stream & ID_MASK).to_be_bytes(), &status.to_be_bytes()])
            }
        }
    }

    fn with_headers(&mut self, kind: u16, head: &[u8], headers: &Headers, is_last: bool) -> Bytes {
        let block = self.deflater.block(headers);
        control(kind, is_last, &[head, &block])
    }
}

fn control(kind: u16, is_last: bool, parts: &[&[u8]]) -> Bytes {
    let [version, kind] = [(VERSION | 0x8000).to_be_bytes(), kind.to_be_bytes()];
    frame_of([version[0], version[1], kind[0], kind[1]], is_last, parts)
}

fn frame_of(head: [u8; 4], is_last: bool, parts: &[&[u8]]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = BytesMut::with_capacity(FRAME_HEAD_BYTES + length);
    bytes.put_slice(&head);
    bytes.put_u8(if is_last { FLAG_FIN } else { 0 });
    bytes.put_uint(length as u64, 3);
    parts.iter().for_each(|part| bytes.put_slice(part));
    bytes.freeze()
}
