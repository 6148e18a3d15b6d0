//! Requests through the whole server, against a real store.

mod access;
mod applying;
mod batches;
mod deletion;
mod discovery;
mod disk;
mod errors;
mod limits;
mod listing;
mod logs;
mod patching;
mod quotas;
mod tls;
mod watching;
mod writing;
