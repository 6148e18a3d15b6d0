//! Requests to endpoints that no handler stands for: plain HTTP/1.1 to their address, over pooled connections.
//!
//! Deliberately absent: retries. Whoever sends a request hears whether it may have had its effect.

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use crate::handler::{Body, BodyError, RequestBody, text_response};
use crate::ingress::request::unavailable;
use crate::transport::remove_hop_by_hop;

const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_MAX_PER_ENDPOINT: usize = 64;

/// Connections to pods that listen themselves.
pub struct Remote {
    client: Client<HttpConnector, RequestBody>,
    answer_timeout: Duration,
}

impl Remote {
    /// A client with no connection yet.
    pub fn new(connect_timeout: Duration, answer_timeout: Duration) -> Remote {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX_PER_ENDPOINT)
            .build(connector);
        Remote { client, answer_timeout }
    }

    /// The answer, or what to say if nobody else gives one: then nothing was sent.
    pub async fn send(
        &self,
        pod: &str,
        addr: SocketAddr,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Body>, Response<Body>> {
        if let Err(error) = address(&mut request, addr) {
            return Ok(text_response(
                StatusCode::BAD_REQUEST,
                format_args!("the request cannot be passed on: {error}"),
            ));
        }
        Ok(match timeout(self.answer_timeout, self.client.request(request)).await {
            Ok(Ok(mut response)) => {
                remove_hop_by_hop(response.headers_mut());
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            }
            Ok(Err(error)) if error.is_connect() => {
                tracing::debug!(%pod, %addr, error = &error as &dyn std::error::Error, "a pod cannot be reached");
                return Err(unavailable(format_args!("pod {pod} cannot be reached at {addr}")));
            }
            Ok(Err(error)) => {
                tracing::debug!(%pod, %addr, error = &error as &dyn std::error::Error, "a pod did not answer");
                match too_large(&error) {
                    Some(body) => text_response(StatusCode::PAYLOAD_TOO_LARGE, body),
                    None => text_response(
                        StatusCode::BAD_GATEWAY,
                        format_args!("pod {pod} closed the connection without an answer"),
                    ),
                }
            }
            Err(_) => {
                let text = format_args!("pod {pod} did not answer within {:?}", self.answer_timeout);
                text_response(StatusCode::GATEWAY_TIMEOUT, text)
            }
        })
    }
}

/// Makes of a request that came in one that goes out to `addr`, still for the host its client asked for.
fn address(request: &mut Request<RequestBody>, addr: SocketAddr) -> Result<(), http::Error> {
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if let Some(authority) = request.uri().authority() {
        let host = authority.as_str().parse()?;
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() =
        Uri::builder().scheme(Scheme::HTTP).authority(addr.to_string()).path_and_query(path).build()?;
    *request.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(request.headers_mut());
    Ok(())
}

/// Whether a request failed because its own body went over the cap.
fn too_large(error: &hyper_util::client::legacy::Error) -> Option<&BodyError> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(body @ BodyError::TooLarge { .. }) = error.downcast_ref() {
            return Some(body);
        }
        source = error.source();
    }
    None
}
