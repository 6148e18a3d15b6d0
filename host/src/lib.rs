//! The node agent and its runtimes.
//!
//! Deliberately absent: the control plane and the store. A host meets them on the wire, also inside one process.

pub mod agent;
mod ahead;
pub mod console;
pub mod disk_quota;
pub mod egress;
#[cfg(test)]
mod harness;
pub mod images;
pub mod inspect;
mod lines;
pub mod link;
pub mod linux;
pub mod logs;
pub mod node;
pub mod pod;
mod port_forward;
mod probes;
pub mod runtime;
pub mod runtimes;
pub mod server;
mod session;
pub mod status;
mod usage;
pub mod volumes;
pub mod wasm;
