//! Sends through `wasi:http/outgoing-handler`.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use wstd::future::FutureExt as _;
use wstd::http::{Client, ErrorCode};

use super::Failure;

pub(super) async fn send(request: Request<Body>, timeout: Option<Duration>) -> Result<Response<Body>, Failure> {
    let request = request.map(wstd::http::Body::from_http_body);
    let client = Client::new();
    let sent = client.send(request);
    let answer = match timeout {
        None => sent.await,
        Some(timeout) => {
            let deadline = wstd::task::sleep(timeout.into());
            sent.timeout(deadline).await.map_err(|_| Failure::TimedOut(timeout))?
        }
    };
    match answer {
        Ok(response) => Ok(response.map(|body| Body::new(body.into_boxed_body()))),
        Err(error) => Err(match error.downcast_ref::<ErrorCode>() {
            Some(ErrorCode::HttpRequestDenied) => Failure::Denied,
            Some(code) => Failure::Other(format!("{code:?}")),
            None => Failure::Other(format!("{error:#}")),
        }),
    }
}
