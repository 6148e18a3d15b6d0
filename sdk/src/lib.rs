//! For authors of Wasm components in Rust: HTTP handlers, jobs, configuration, logs and outgoing requests.
//!
//! A component that is built with this crate is an ordinary one of WASI 0.2: it runs wherever those run, and Coracle runs those that know
//! nothing of this crate.
//!
//! ```
//! use coracle_sdk::http::{Path, Router, get};
//! use coracle_sdk::{config, http_handler};
//!
//! #[http_handler]
//! fn app() -> Router {
//!     Router::new().route("/hello/{name}", get(hello))
//! }
//!
//! async fn hello(Path(name): Path<String>) -> Result<String, config::Error> {
//!     let greeting = config::optional::<String>("GREETING")?.unwrap_or("Hello".to_owned());
//!     Ok(format!("{greeting}, {name}!\n"))
//! }
//!
//! // Without a cluster, and without Wasm:
//! let client = coracle_sdk::test::Client::new(app());
//! assert_eq!(client.get("/hello/Ada").text(), "Hello, Ada!\n");
//! assert_eq!(client.get("/goodbye").status(), 404);
//! ```
//!
//! Such a handler is a library crate with `crate-type = ["cdylib"]`; a [`job`] is a program. Both are built with
//! `cargo build --release --target wasm32-wasip2`, and tested with `cargo test`.
//!
//! Deliberately absent: bindings. Whoever wants an interface of WASI itself takes `wasip2`, `wasip3` or `wit-bindgen` beside this crate.

pub mod client;
pub mod config;
pub mod http;
pub mod job;
pub mod log;
pub mod termination;
#[cfg(not(target_family = "wasm"))]
pub mod test;
pub mod time;

#[cfg(target_family = "wasm")]
mod component;

pub use coracle_sdk_macros::{http_handler, job};

/// What the attributes write; nothing for people.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod __private {
    pub use crate::component::{Handler, IncomingRequest, ResponseOutparam, answer};
    pub use wstd::__internal::wasip2;
}

/// What the macros of [`log`](mod@log) write; nothing for people.
#[doc(hidden)]
pub mod __log {
    pub use serde_json::json;
}
