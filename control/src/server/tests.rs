//! Requests through the whole server, against a real store.

mod access;
mod admission;
mod applying;
mod bad_input;
mod batches;
mod certificates;
mod custom;
mod definitions;
mod deletion;
mod discovery;
mod disk;
mod errors;
mod evictions;
mod goldens;
mod identity;
mod limits;
mod listing;
mod logs;
mod patching;
mod protobuf;
mod quotas;
mod roles;
mod secrets;
mod tls;
mod watching;
mod writing;
