//! Outgoing HTTP requests: to Services by their names, and to the outside where the pod declares it (`coracle.dev/egress`).
//!
//! ```
//! use coracle_sdk::http::{Json, Path, Router, get};
//! use coracle_sdk::{client, http_handler, test};
//!
//! #[http_handler]
//! fn shop() -> Router {
//!     Router::new().route("/items/{id}", get(item))
//! }
//!
//! async fn item(Path(id): Path<u32>) -> Result<String, client::Error> {
//!     let left: u32 = client::get(format!("http://stock/items/{id}")).send().await?.ok()?.json().await?;
//!     Ok(format!("{left} left"))
//! }
//!
//! // In a test, a Service is a router.
//! let stock = Router::new().route("/items/{id}", get(async |Path(id): Path<u32>| Json(id * 2)));
//! let client = test::Client::new(shop()).with_service("stock", stock);
//! assert_eq!(client.get("/items/7").text(), "14 left");
//! ```
//!
//! A request that is sent while another is answered carries that one's `X-Request-Id`, unless it has its own. An error that a handler gives
//! as its response is logged, and the client gets a bare 502, or 504 when time was up.
//!
//! Deliberately absent: connections, redirects, cookies and retries. The host has the connections.

#[cfg_attr(target_family = "wasm", path = "client/wasi.rs")]
#[cfg_attr(not(target_family = "wasm"), path = "client/in_process.rs")]
mod transport;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response as ServerResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(not(target_family = "wasm"))]
pub(crate) use transport::with_services;

/// Why a request has no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not even be written.
    #[error("{request}: {reason}")]
    Malformed {
        /// Method and URI, as they were given.
        request: String,
        /// What is wrong with them.
        reason: String,
    },
    /// The host does not let this component send it.
    #[error(
        "{request}: the host does not allow it; on Coracle, the pod's annotation coracle.dev/egress declares hosts"
    )]
    Denied {
        /// Method and URI.
        request: String,
    },
    /// No answer came in time.
    #[error("{request}: no answer within {} ms", timeout.as_millis())]
    TimedOut {
        /// Method and URI.
        request: String,
        /// The time it had.
        timeout: Duration,
    },
    /// It was sent, or should have been, and failed.
    #[error("{request}: {reason}")]
    Failed {
        /// Method and URI.
        request: String,
        /// What the host says.
        reason: String,
    },
    /// The answer is of another status than [`Response::ok`] hopes for.
    #[error("{request}: answered {status}")]
    Status {
        /// Method and URI.
        request: String,
        /// The status.
        status: StatusCode,
    },
    /// The answer's body is not what was asked for, or broke off.
    #[error("{request}: the answer's body: {reason}")]
    Body {
        /// Method and URI.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl IntoResponse for Error {
    fn into_response(self) -> ServerResponse {
        crate::error!("outgoing request", error = self.to_string());
        match self {
            Error::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT.into_response(),
            _ => StatusCode::BAD_GATEWAY.into_response(),
        }
    }
}

/// Begins a GET request. The URI has a scheme and a host: `http://stock/items/7`, `http://stock.shop.svc:8080/`.
pub fn get(uri: impl AsRef<str>) -> RequestBuilder {
    request(Method::GET, uri)
}

/// Begins a POST request.
pub fn post(uri: impl AsRef<str>) -> RequestBuilder {
    request(Method::POST, uri)
}

/// Begins a PUT request.
pub fn put(uri: impl AsRef<str>) -> RequestBuilder {
    request(Method::PUT, uri)
}

/// Begins a DELETE request.
pub fn delete(uri: impl AsRef<str>) -> RequestBuilder {
    request(Method::DELETE, uri)
}

/// Begins a request of any method.
pub fn request(method: Method, uri: impl AsRef<str>) -> RequestBuilder {
    let name = format!("{method} {}", uri.as_ref());
    let mut builder = http::Request::builder().method(method);
    let reason = match uri.as_ref().parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() && uri.authority().is_some() => {
            builder = builder.uri(uri);
            None
        }
        Ok(_) => Some("expected a scheme and a host, as in http://stock/items/7".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let request = builder.body(Body::empty()).map_err(|error| error.to_string());
    let request = match reason {
        Some(reason) => Err(reason),
        None => request,
    };
    RequestBuilder { name, request, timeout: None }
}

/// A request to be. What is wrong with it is told when it is sent.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    name: String,
    request: Result<http::Request<Body>, String>,
    timeout: Option<Duration>,
}

impl RequestBuilder {
    /// Adds a header.
    pub fn header<N, V>(mut self, name: N, value: V) -> RequestBuilder
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (&mut self.request, name.try_into(), value.try_into()) {
            (Ok(request), Ok(name), Ok(value)) => {
                request.headers_mut().append(name, value);
            }
            (Ok(_), Err(_), _) => self.request = Err("a header has a name that HTTP does not allow".to_owned()),
            (Ok(_), _, Err(_)) => self.request = Err("a header has a value that HTTP does not allow".to_owned()),
            (Err(_), ..) => {}
        }
        self
    }

    /// Sets the body: text, bytes, or a stream ([`Body::from_stream`]).
    pub fn body(mut self, body: impl Into<Body>) -> RequestBuilder {
        if let Ok(request) = &mut self.request {
            *request.body_mut() = body.into();
        }
        self
    }

    /// Sets a body of JSON.
    pub fn json(mut self, value: &impl Serialize) -> RequestBuilder {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.header(header::CONTENT_TYPE, "application/json").body(bytes),
            Err(error) => {
                self.request = Err(error.to_string());
                self
            }
        }
    }

    /// Gives up when the head of the answer is not there after this time. Without it the host's limits hold.
    pub fn timeout(mut self, timeout: Duration) -> RequestBuilder {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request, and waits for the head of the answer.
    ///
    /// # Errors
    /// There is no answer. One of status 404 or 500 is an answer: see [`Response::ok`].
    pub async fn send(self) -> Result<Response, Error> {
        let RequestBuilder { name, request, timeout } = self;
        let mut request = match request {
            Ok(request) => request,
            Err(reason) => return Err(Error::Malformed { request: name, reason }),
        };
        if let Some(id) = crate::log::request_id().and_then(|id| HeaderValue::try_from(id).ok()) {
            request.headers_mut().entry("x-request-id").or_insert(id);
        }
        let response = transport::send(request, timeout).await.map_err(|failure| match failure {
            Failure::Denied => Error::Denied { request: name.clone() },
            Failure::TimedOut(timeout) => Error::TimedOut { request: name.clone(), timeout },
            Failure::Other(reason) => Error::Failed { request: name.clone(), reason },
        })?;
        let (head, body) = response.into_parts();
        Ok(Response { request: name, status: head.status, headers: head.headers, body })
    }
}

/// What a transport says of a request without an answer.
#[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "in process, nothing is denied and nobody waits"))]
enum Failure {
    Denied,
    TimedOut(Duration),
    Other(String),
}

/// The answer to a request.
#[derive(Debug)]
pub struct Response {
    request: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Response {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The same answer, if its status is one of success.
    ///
    /// # Errors
    /// It is another one.
    pub fn ok(self) -> Result<Response, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(Error::Status { request: self.request, status: self.status })
    }

    /// The body as a stream.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// The whole body.
    ///
    /// # Errors
    /// It broke off.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let gathered = self.body.collect().await;
        gathered
            .map(|body| body.to_bytes())
            .map_err(|error| Error::Body { request: self.request, reason: error.to_string() })
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// It broke off, or is not UTF-8.
    pub async fn text(self) -> Result<String, Error> {
        let request = self.request.clone();
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| Error::Body { request, reason: error.to_string() })
    }

    /// The whole body, read as JSON.
    ///
    /// # Errors
    /// It broke off, or is not the JSON of a `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let request = self.request.clone();
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Body { request, reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests;
