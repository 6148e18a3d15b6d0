//! Replicated, revisioned, watchable keys: what etcd is to Kubernetes.
//!
//! Writes go through Raft and are acknowledged once a quorum has them on disk; reads and watches are served from memory. The store knows
//! no kind of object: a value is JSON bytes with a place to splice its revision into, and opaque tags to watch by. No type of the
//! consensus library leaves this crate.

mod answer;
pub mod archive;
mod barrier;
mod batcher;
mod cache;
mod checkpoint;
mod disk;
mod election;
mod ephemeral;
mod error;
mod fault;
mod hub;
mod image;
mod link;
mod log;
mod machine;
mod membership;
mod options;
mod peers;
mod raft;
mod record;
mod restore;
mod role;
mod runtime;
mod snapshot;
mod store;
#[cfg(any(test, feature = "test-disk"))]
pub mod testing;
mod watch;
mod write;

pub use disk::{Disk, DiskFile, RealDisk};
pub use ephemeral::EphemeralKeys;
pub use error::{MembershipError, OpenError, ReadError, RestoreError, ShutdownError, WriteError};
pub use membership::MemberStatus;
pub use options::Options;
pub use peers::{Call, Member, Messages, NoPeers, Peers};
pub use record::{Record, Revision, Tag};
pub use restore::restore;
pub use snapshot::Snapshot;
pub use store::{Status, Store};
pub use watch::{Change, Event, TooOld, Watch, WatchError, WatchRequest};
pub use write::{Operation, Outcome, Precondition, Write};
