//! Requests through the whole server, against a real store.

mod access;
mod admission;
mod applying;
mod batches;
mod certificates;
mod deletion;
mod discovery;
mod disk;
mod errors;
mod evictions;
mod identity;
mod limits;
mod listing;
mod logs;
mod patching;
mod protobuf;
mod quotas;
mod roles;
mod secrets;
mod streams;
mod tls;
mod watching;
mod writing;
