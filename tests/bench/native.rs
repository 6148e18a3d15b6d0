//! The limit: a hello in native code on the server library that the ingress uses, one thread and one listening socket a core.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// Starts it on a free port; it runs until the process ends.
pub(crate) fn start() -> Result<SocketAddr> {
    let first = listen("127.0.0.1:0".parse()?)?;
    let addr = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..std::thread::available_parallelism()?.get() {
        listeners.push(listen(addr)?);
    }
    for listener in listeners {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            tokio::task::LocalSet::new().block_on(&runtime, serve(listener));
        });
    }
    Ok(addr)
}

fn listen(addr: SocketAddr) -> Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

async fn serve(listener: std::net::TcpListener) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes it");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        tokio::task::spawn_local(
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(|_| async { Ok::<_, Infallible>(hello()) })),
        );
    }
}

fn hello() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, world!\n")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
