//! End-to-end tests: few, with the real binary and real peers. `cargo xtask test` sets up what they need.

mod bad_input;
mod command_line;
mod examples;
mod kubectl;
mod kubernetes_api;
mod restart;
mod streams;
