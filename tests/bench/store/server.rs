//! The store behind `etcdserverpb.KV/Put`, as a process of its own: what a benchmark needs of a server and nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use coracle_store::{Operation, Options, Outcome, Precondition, RealDisk, Store, Write};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tokio::net::{TcpListener, TcpStream};

/// The word that starts the server instead of a benchmark.
pub(crate) const VERB: &str = "serve-store";

/// Serves the store in `dir` for ever.
pub(crate) fn serve(addr: &str, dir: &Path) -> Result<()> {
    let addr: SocketAddr = addr.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(Options::new(dir), Arc::new(RealDisk)).await?;
        let listener = TcpListener::bind(addr).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(converse(store.clone(), stream));
        }
    })
}

/// Serves one connection. Its requests are served in the task that writes to it, so that an answer's frames leave together.
async fn converse(store: Store, stream: TcpStream) -> Result<()> {
    let mut connection = server::handshake(stream).await?;
    let mut puts = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(answered) = puts.next() => answered?,
            request = connection.accept() => match request.transpose()? {
                Some((request, answer)) => puts.push(put(&store, request, answer)),
                None => return Ok(()),
            },
        }
    }
}

async fn put(store: &Store, request: Request<RecvStream>, mut answer: SendResponse<Bytes>) -> Result<()> {
    let mut body = request.into_body();
    let mut framed = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        framed.extend_from_slice(&data);
    }
    let framed = framed.freeze();
    let (key, json) = super::rpc::parse_put(&framed).context("not a PutRequest")?;
    let operation = Operation::Put { json, splice_offset: 0, tags: Vec::new() };
    let write = Write { key: key.to_owned(), operation, precondition: Precondition::None, frees_space: false };
    let outcome = store.write(vec![write]).await?.pop();
    // RESOURCE_EXHAUSTED (8) is what etcd answers when it has no space.
    let status = if matches!(outcome, Some(Outcome::Written(_))) { "0" } else { "8" };
    let head = Response::builder().header(header::CONTENT_TYPE, "application/grpc").body(())?;
    let mut stream = answer.send_response(head, false)?;
    stream.send_data(super::rpc::message(&[]), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    stream.send_trailers(trailers)?;
    Ok(())
}
