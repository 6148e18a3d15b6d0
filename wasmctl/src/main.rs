//! The Coracle command: a WebAssembly-native workload orchestrator in one binary.
fn main() {}
