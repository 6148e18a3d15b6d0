//! Random inputs to everything that reads what clients send. Each target mutates valid inputs and checks what must hold of
//! any input at all; a test runs a few seconds, `cargo xtask fuzz` for as long as wanted.
//!
//! Deliberately absent: coverage, which needs a nightly compiler. Inputs that are accepted are mutated further instead.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod engine;
mod generate;
mod mutate;
mod targets;
