//! How a router becomes what `wasi:http/incoming-handler` calls.

pub use wstd::__internal::wasip2::exports::http::incoming_handler::Guest as Handler;
pub use wstd::__internal::wasip2::http::types::{IncomingRequest, ResponseOutparam};

use axum::Router;
use axum::body::Body;
use tower_service::Service as _;
use wstd::http::server::Responder;

use crate::log;

/// Answers one request. The router is made after logging is ready.
pub fn answer(request: IncomingRequest, answer: ResponseOutparam, router: impl FnOnce() -> Router) {
    log::start();
    let responder = Responder::new(answer);
    let request = match wstd::http::request::try_from_incoming(request) {
        Ok(request) => request.map(|body| Body::new(body.into_boxed_body())),
        Err(error) => return responder.fail(error),
    };
    log::begin_request(request.headers());
    let mut router = router();
    wstd::runtime::block_on(async move {
        let Ok(response) = router.call(request).await;
        let response = response.map(wstd::http::Body::from_http_body);
        // A client that went away reads no more: nothing to trap for, but worth a line for who looks for one.
        if let Err(error) = responder.respond(response).await {
            crate::debug!("the response was not sent to its end", error = error.to_string());
        }
    });
}
