//! The node agent and its runtimes.
