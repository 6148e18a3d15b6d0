//! What members say to each other, over plain TCP as etcd's members do here: a connection a call, messages behind their lengths both ways.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use coracle_store::{Call, Member, Messages, Peers, Store};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

/// The longest message: a proposal and what surrounds it.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Reaches the other members.
#[derive(Debug)]
pub(super) struct Wire;

impl Peers for Wire {
    fn call(
        &self,
        member: &Member,
        call: Call,
        messages: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, io::Result<Messages>> {
        let address = member.address.clone();
        let index = Call::ALL.iter().position(|(known, _)| *known == call).expect("invariant: each call is listed");
        Box::pin(async move {
            let mut stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            stream.write_u8(index as u8).await?;
            let (input, output) = stream.into_split();
            tokio::spawn(send(messages.map(Ok).boxed(), output));
            Ok(receive(input))
        })
    }
}

/// Answers calls for ever.
pub(super) async fn answer(store: Store, address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let store = store.clone();
        tokio::spawn(async move {
            let index = stream.read_u8().await?;
            let (call, _) = *Call::ALL.get(usize::from(index)).ok_or(io::ErrorKind::InvalidData)?;
            let (input, output) = stream.into_split();
            send(store.answer(call, receive(input)), output).await
        });
    }
}

async fn send(messages: Messages, output: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut output = FramedWrite::new(output, codec());
    output.send_all(&mut messages.into_stream()).await?;
    output.into_inner().shutdown().await
}

fn receive(input: impl AsyncRead + Send + Unpin + 'static) -> Messages {
    FramedRead::new(input, codec()).map_ok(BytesMut::freeze).boxed()
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MESSAGE_BYTES_MAX).new_codec()
}
