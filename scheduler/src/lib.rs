//! Pure placement of pods on nodes: a snapshot and the pods that wait go in, a plan comes out.
//!
//! Deliberately absent: I/O, a clock, randomness, and any memory between two plans. The same input makes the same plan.

mod amounts;
pub mod filters;
mod node;
mod plan;
mod reason;
mod request;
pub mod scorers;

pub use amounts::{Amounts, Resource};
pub use node::{Effect, Node, NodeInfo, Snapshot, Taint};
pub use plan::{Plan, plan};
pub use reason::{Reason, Rejection, Shortage};
pub use request::{Operator, PodRequest, Requirement, Shape, Toleration};
