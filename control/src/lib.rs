//! The API server and the controllers.
//!
//! Deliberately absent: running anything. What runs is the hosts' business, and they are reached through objects only.

#![allow(clippy::result_large_err, reason = "a Status is the API's answer, made once for each request that fails")]

mod admission;
mod amounts;
mod artifacts;
mod audit;
pub mod authentication;
pub mod authorizer;
pub mod clock;
mod cluster_files;
pub mod controllers;
mod custom_kinds;
pub mod disruption;
pub mod driver;
mod forward;
mod handlers;
#[cfg(test)]
mod harness;
mod identities;
pub mod joining;
pub mod kubernetes_service;
mod leading;
mod metrics;
pub mod objects;
pub mod peers;
pub mod pki;
mod private_file;
mod quota;
pub mod removal;
mod request;
mod respond;
pub mod sealing;
pub mod server;
pub mod signer;
mod snapshots;
pub mod tokens;

pub use artifacts::Artifacts;
pub use clock::{Clock, SystemClock};
pub use cluster_files::ClusterFiles;
pub use identities::Identities;
pub use objects::{EPHEMERAL, Objects};
