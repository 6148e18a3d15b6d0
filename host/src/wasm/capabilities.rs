//! What components may do beyond computing: a file for each interface, with its policy. What a pod isn't granted is denied.

pub(super) mod config;
pub(super) mod filesystem;
pub(super) mod http;
pub(super) mod lifecycle;
pub(super) mod reach;
pub(super) mod sockets;
