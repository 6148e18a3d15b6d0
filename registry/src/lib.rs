//! The OCI distribution protocol from both sides: a registry over content-addressed files, and the client that pulls components
//! from any registry and pushes them.
//!
//! Deliberately absent: everything that would make a component run. A component is bytes of a digest here.

mod blob_store;
mod cluster;
mod copies;
mod digest;
mod endpoints;
mod manifest;
#[cfg(test)]
mod peers;
mod pull;
mod push;
mod reference;
mod server;
mod transport;

pub use blob_store::{BlobStore, StoreError, StoreLimits};
pub use cluster::{Change, Cluster, ClusterError, Peer};
pub use digest::{Digest, DigestError};
pub use endpoints::Endpoints;
pub use manifest::{ArtifactKind, Manifest, NotAComponent};
pub use pull::{PullCause, PullError, PullOptions, PulledArtifact, Puller, Room, open_pulled};
pub use push::{ComponentConfig, PushError, PushTarget, PushedComponent, push_component};
pub use reference::{CLUSTER_REGISTRY, Reference, ReferenceError};
pub use server::{Body, Caller, Registry, ServerOptions, is_change, serve};
pub use transport::{Credentials, TransportError};
