//! Connections to a pod that listens itself, one for each thing asked.

use coracle_net::{Body, Handlers as _, RequestBody};
use http::{Request, Response, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Target, Unasked};

/// Connects to a port of the pod, if a program runs there that may listen.
pub(super) async fn connect(port: u16, target: &Target) -> Result<TcpStream, Unasked> {
    let address = target.handlers.listener(&target.uid).ok_or(Unasked::Refused(port))?;
    TcpStream::connect((address, port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Unasked::Refused(port),
        _ => Unasked::Broken(format!("dial tcp {address}:{port}: {error}")),
    })
}

/// Sends one request, over the version of HTTP that it has. Dropping the answer ends the connection.
pub(super) async fn ask(port: u16, request: Request<RequestBody>, target: &Target) -> Result<Response<Body>, Unasked> {
    let stream = TokioIo::new(connect(port, target).await?);
    let broken = |error: hyper::Error| Unasked::Broken(error.to_string());
    let response = if request.version() == Version::HTTP_2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.map_err(broken)?;
        tokio::spawn(connection);
        sender.send_request(absolute(request, port, target)).await
    } else {
        let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    Ok(response.map_err(broken)?.map(|body| body.map_err(Into::into).boxed_unsync()))
}

/// HTTP/2 has scheme and authority where HTTP/1 has a header.
fn absolute(mut request: Request<RequestBody>, port: u16, target: &Target) -> Request<RequestBody> {
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = format!("{}:{port}", target.ip).parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.headers_mut().remove(http::header::HOST);
    }
    request
}
