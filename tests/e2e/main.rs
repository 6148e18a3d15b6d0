//! End-to-end tests: few, with the real binary and real peers. `cargo xtask test` sets up what they need.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod artifacts;
mod authors;
mod bad_input;
mod certificates;
mod checklist;
mod command_line;
mod examples;
mod failover;
mod helm;
mod hosts;
mod informers;
mod kubectl;
mod kubernetes_api;
mod losses;
mod python;
mod restart;
mod servers;
mod snapshots;
mod streams;
mod volumes;
