//! The store behind `etcdserverpb.KV/Put`, as a process of its own: what a benchmark needs of a server and nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use coracle_store::{Operation, Options, Outcome, Precondition, RealDisk, Store, Write};
use tokio::net::{TcpListener, TcpStream};

use super::rpc;
use crate::http2::{Connection, Message};

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

/// Serves one connection, a request after the other, until it is closed.
async fn converse(store: Store, stream: TcpStream) -> Result<()> {
    let mut connection = Connection::accept(stream).await?;
    loop {
        let request = connection.message().await?;
        let status = put(&store, &request).await?;
        let headers = [(":status", "200"), ("content-type", "application/grpc")];
        connection.answer(request.stream, &headers, &rpc::message(&[]), &[("grpc-status", status)]).await?;
    }
}

/// Carries out a put; gives the status of gRPC.
async fn put(store: &Store, request: &Message) -> Result<&'static str> {
    if request.header(":path") != Some(rpc::PUT.as_bytes()) {
        return Ok("12"); // UNIMPLEMENTED
    }
    let (key, value) = rpc::parse_put(&request.body).context("not a PutRequest")?;
    let operation = Operation::Put { json: Bytes::copy_from_slice(value), splice_offset: 0, tags: Vec::new() };
    let write = Write { key: key.to_owned(), operation, precondition: Precondition::None, frees_space: false };
    let outcome = store.write(vec![write]).await?.pop();
    // RESOURCE_EXHAUSTED (8) is what etcd answers when it has no space.
    Ok(if matches!(outcome, Some(Outcome::Written(_))) { "0" } else { "8" })
}
