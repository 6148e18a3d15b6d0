//! What an HTTP handler is written with: axum's router, extractors and responses, of which all that [axum] documents holds.
//!
//! [`http_handler`](crate::http_handler) makes a function the component's handler, in one of two ways.
//!
//! A plain `fn` gives the router:
//!
//! ```
//! use coracle_sdk::http::{HeaderMap, Json, Path, Query, Router, StatusCode, get};
//! use coracle_sdk::{http_handler, test};
//!
//! #[derive(serde::Deserialize)]
//! struct Page {
//!     size: u32,
//! }
//!
//! #[http_handler]
//! fn app() -> Router {
//!     Router::new()
//!         .route("/items", get(async |Query(page): Query<Page>| Json((1..=page.size).collect::<Vec<_>>())))
//!         .route("/items/{id}", get(item).delete(StatusCode::NO_CONTENT))
//! }
//!
//! async fn item(Path(id): Path<u32>, headers: HeaderMap) -> Result<String, StatusCode> {
//!     if !headers.contains_key("authorization") {
//!         return Err(StatusCode::UNAUTHORIZED);
//!     }
//!     Ok(format!("item {id}"))
//! }
//!
//! let client = test::Client::new(app());
//! assert_eq!(client.get("/items?size=3").json::<Vec<u32>>(), [1, 2, 3]);
//! assert_eq!(client.get("/items?size=many").status(), 400);
//! assert_eq!(client.get("/items/7").status(), 401);
//! ```
//!
//! An `async fn` answers every request itself, whatever its path and method; its arguments are extractors:
//!
//! ```
//! use coracle_sdk::http::{Body, Request, any};
//! use coracle_sdk::{http_handler, test};
//!
//! #[http_handler]
//! async fn echo(request: Request) -> Body {
//!     request.into_body() // a stream: it is not gathered
//! }
//!
//! assert_eq!(test::Client::new(any(echo)).post("/", "hello").text(), "hello");
//! ```
//!
//! What a `Router` was given with `with_state` lives as long as the instance: for one request, unless the pod says otherwise
//! (`coracle.dev/instance-reuse`). What is to last longer belongs into a service.
//!
//! Deliberately absent: what needs sockets of its own (axum's `serve`, web sockets); the host has the connection.

pub use ::http::header;
pub use axum;
pub use axum::body::{Body, Bytes};
pub use axum::extract::{DefaultBodyLimit, Extension, Path, Query, RawQuery, Request, State};
pub use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
pub use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
pub use axum::routing::{any, delete, get, head, options, patch, post, put};
pub use axum::{Json, Router, middleware};
