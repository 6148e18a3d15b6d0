//! Tests without a cluster and without Wasm: a router is asked in process, on the ordinary target.
//!
//! ```
//! use coracle_sdk::http::{Json, Router, StatusCode, post};
//! use coracle_sdk::test;
//!
//! let app = Router::new().route("/items", post(async |Json(name): Json<String>| (StatusCode::CREATED, name)));
//! let client = test::Client::new(app);
//! let answer = client.send(test::json("POST", "/items", &"pear"));
//! assert_eq!((answer.status(), answer.text().as_str()), (201, "pear"));
//! assert_eq!(client.post("/items", "pear").status(), 415);
//! ```
//!
//! Deliberately absent: limits, time-outs and denials; those are the host's.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_service::Service;

use crate::client::with_services;
use crate::termination::platform;

/// Asks what this thread runs to end: [`termination`](crate::termination) says so from now on, until the guard is dropped.
pub fn request_termination() -> TerminationRequest {
    platform::set_requested(true);
    TerminationRequest(())
}

/// Takes the request to end back when it is dropped.
#[derive(Debug)]
#[must_use = "the request is taken back at once"]
pub struct TerminationRequest(());

impl Drop for TerminationRequest {
    fn drop(&mut self) {
        platform::set_requested(false);
    }
}

/// Asks a router, or a single handler (`any(handler)`).
#[derive(Clone, Debug)]
pub struct Client<S = Router> {
    service: S,
    services: BTreeMap<String, Router>,
}

impl<S> Client<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone,
{
    /// A client of it.
    pub fn new(service: S) -> Client<S> {
        Client { service, services: BTreeMap::new() }
    }

    /// Lets what it asks for at `http://AUTHORITY/…` be answered by a router: `stock`, or with a port as it is written in the URI.
    pub fn with_service(mut self, authority: &str, router: Router) -> Client<S> {
        self.services.insert(authority.to_owned(), router);
        self
    }

    /// Sends a GET request.
    ///
    /// # Panics
    /// The path is none.
    pub fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a path begins with / and has no spaces"))
    }

    /// Sends a POST request with a body.
    ///
    /// # Panics
    /// The path is none.
    pub fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).body(body.into()).expect("a path begins with / and has no spaces"))
    }

    /// Sends any request, and gathers the answer.
    ///
    /// # Panics
    /// The answer's body ends with an error.
    pub fn send(&self, request: Request<Body>) -> Answer {
        let mut service = self.service.clone();
        with_services(self.services.clone(), || {
            pollster::block_on(async {
                let Ok(response) = service.call(request).await;
                let (head, body) = response.into_parts();
                let body = body.collect().await.expect("the answer's body goes to its end").to_bytes();
                Answer { status: head.status.as_u16(), headers: head.headers, body }
            })
        })
    }
}

/// A request with a body of JSON.
///
/// # Panics
/// The method or path is none, or the value is none of JSON.
pub fn json(method: &str, path: &str, value: &impl Serialize) -> Request<Body> {
    let body = serde_json::to_vec(value).expect("the value is one of JSON");
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).expect("a method, and a path that begins with / and has no spaces")
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Its body as text.
    ///
    /// # Panics
    /// It is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("the answer is text")
    }

    /// Its body, read as JSON.
    ///
    /// # Panics
    /// It is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
