//! The store behind `etcdserverpb.KV/Put`, as a process of its own: what a benchmark needs of a server and nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use coracle_store::{Operation, Options, Precondition, RealDisk, Store, Write};
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

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
            let store = store.clone();
            let service = service_fn(move |request| put(store.clone(), request));
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    })
}

type Body = StreamBody<stream::Iter<std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>>>;

async fn put(store: Store, request: Request<Incoming>) -> Result<Response<Body>> {
    let framed = request.into_body().collect().await?.to_bytes();
    let (key, json) = super::rpc::parse_put(&framed).context("not a PutRequest")?;
    let operation = Operation::Put { json, splice_offset: 0, tags: Vec::new() };
    store
        .write(vec![Write { key: key.to_owned(), operation, precondition: Precondition::None, frees_space: false }])
        .await?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(super::rpc::message(&[]))), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}
