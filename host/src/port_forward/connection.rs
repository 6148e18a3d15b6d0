//! One forwarded connection: its bytes to and from the pod's handler, and how it ended.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use coracle_api::spdy::Frame;
use coracle_net::{DirectStream, Handler, Limits, serve_stream};
use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::Ports;
use super::ports::Opened;

/// Bytes in each direction between the frames and the HTTP server.
const PIPE_BYTES: usize = 64 << 10;
/// Bytes in a frame.
const CHUNK_BYTES: usize = 32 << 10;

/// A connection that a client opened.
pub(super) struct Connection {
    /// For its bytes.
    pub(super) data_stream: u32,
    /// For what went wrong.
    pub(super) error_stream: u32,
    /// Where it leads.
    pub(super) port: u16,
    /// What comes in.
    pub(super) chunks: mpsc::Receiver<Bytes>,
}

impl Connection {
    /// Serves the connection to its end, and ends both streams.
    pub(super) async fn run(self, ports: Ports, frames: mpsc::Sender<Frame>) {
        let Connection { data_stream, error_stream, port, chunks } = self;
        let complaint = match ports.open(port).await {
            Ok(Opened::Handler(handler)) => {
                serve(handler, data_stream, chunks, &frames).await;
                String::new()
            }
            Ok(Opened::Socket(mut socket)) => {
                let (from_pod, to_pod) = socket.split();
                // Over when the pod has said all; a client that has may still listen.
                tokio::select! {
                    () = outward(from_pod, data_stream, &frames) => {}
                    () = inward(chunks, to_pod).then(|()| std::future::pending::<()>()) => {}
                }
                String::new()
            }
            Err(complaint) => complaint,
        };
        // They are lost if the client has left meanwhile.
        let _ = frames.send(Frame::Data { stream: data_stream, bytes: Bytes::new(), is_last: true }).await;
        let _ = frames.send(Frame::Data { stream: error_stream, bytes: complaint.into(), is_last: true }).await;
    }
}

async fn serve(handler: Arc<dyn Handler>, stream: u32, chunks: mpsc::Receiver<Bytes>, frames: &mpsc::Sender<Frame>) {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let (from_pod, to_pod) = tokio::io::split(near);
    let serve = async {
        let client_addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let seed = RandomState::new().hash_one(stream) as u32;
        let direct = DirectStream { stream: far, handler, client_addr, half_close: true, seed };
        if let Err(error) = serve_stream(direct, &Limits::default()).await {
            tracing::debug!(error, "a forwarded connection ended with an error");
        }
    };
    // Over once all of the answer is on its way, which ends when the server closes its side.
    tokio::select! {
        () = outward(from_pod, stream, frames) => {}
        () = async {
            tokio::join!(serve, inward(chunks, to_pod));
            std::future::pending::<()>().await;
        } => {}
    }
}

/// What the client sends, to the pod, until the client closes its half.
async fn inward(mut chunks: mpsc::Receiver<Bytes>, mut to_pod: impl AsyncWrite + Unpin) {
    while let Some(chunk) = chunks.recv().await {
        if to_pod.write_all(&chunk).await.is_err() {
            return;
        }
    }
    // A pod that has gone needs no word of it.
    let _ = to_pod.shutdown().await;
}

/// What the pod sends, to the client, until the pod closes its half.
async fn outward(mut from_pod: impl AsyncRead + Unpin, stream: u32, frames: &mpsc::Sender<Frame>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        match from_pod.read_buf(&mut buffer).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let frame = Frame::Data { stream, bytes: buffer.split().freeze(), is_last: false };
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}
