//! `etcdserverpb.KV/Put` as bytes: gRPC over HTTP/2, the two fields of its request, and a client.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::net::TcpStream;

use crate::http2;

pub(super) const PUT: &str = "/etcdserverpb.KV/Put";

/// One client's connection.
pub(super) struct Connection(http2::Connection<TcpStream>);

impl Connection {
    pub(super) async fn open(addr: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Connection(http2::Connection::open(stream, addr.to_string()).await?))
    }

    /// Returns once the put is acknowledged.
    pub(super) async fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let headers = [("content-type", "application/grpc"), ("te", "trailers")];
        let answer = self.0.request("POST", PUT, &headers, &message(&put_request(key, value))).await?;
        let status = answer.header("grpc-status").context("an answer without status")?;
        ensure!(status == b"0", "grpc-status {}", String::from_utf8_lossy(status));
        Ok(())
    }
}

/// A message with its prefix: not compressed, its length.
pub(super) fn message(bytes: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + bytes.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len()).expect("invariant: messages here are small"));
    framed.put_slice(bytes);
    framed.freeze()
}

/// `PutRequest { key = 1, value = 2 }`.
fn put_request(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + value.len() + 12);
    for (tag, field) in [(0x0a, key), (0x12, value)] {
        bytes.push(tag);
        let mut length = field.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(field);
    }
    bytes
}

/// The key and the value of a framed `PutRequest`.
pub(super) fn parse_put(framed: &[u8]) -> Option<(&str, &[u8])> {
    let mut at = 5;
    let mut fields = [0..0, 0..0];
    while at < framed.len() {
        let field = match framed[at] {
            0x0a => 0,
            0x12 => 1,
            _ => return None,
        };
        at += 1;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let byte = *framed.get(at)?;
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        fields[field] = at..at + length;
        at += length;
    }
    let [key, value] = fields;
    Some((std::str::from_utf8(framed.get(key)?).ok()?, framed.get(value)?))
}
