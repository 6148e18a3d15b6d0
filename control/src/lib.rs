//! The API server and the controllers.

pub mod admission;
pub mod authentication;
pub mod authorizer;
pub mod clock;
pub mod controllers;
pub mod driver;
mod handlers;
mod metrics;
pub mod objects;
pub mod pki;
mod request;
mod respond;
pub mod server;
mod snapshots;

pub use clock::{Clock, SystemClock};
pub use objects::{Objects, is_ephemeral};
