//! The seam between the registry of a member and the rest of its cluster: who the other members are, and what tags mean.
//!
//! Deliberately absent: content. Members fetch it from each other (see `copies`), and nobody has to agree on what a digest means.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use http::StatusCode;
use http::request::Parts;

use crate::digest::Digest;

/// Another member of the control plane, which has a registry too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What people call it.
    pub name: String,
    /// Where its registry answers other members, such as `https://10.0.0.2:6443`.
    pub base: String,
    /// It votes; a push is acknowledged once a member that does has it too.
    pub is_voter: bool,
}

/// The cluster could not be asked, or did not take what it was told; for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClusterError(pub String);

/// A change of what a registry holds that somebody asked for by its own credentials, and how that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What was asked.
    pub head: &'a Parts,
    /// The address it came from.
    pub peer: IpAddr,
    /// The answer's.
    pub code: StatusCode,
    /// From the head to the answer.
    pub took: Duration,
}

/// What a member's registry knows of its cluster.
pub trait Cluster: Send + Sync + 'static {
    /// The member whose registry this is.
    fn own_name(&self) -> String;
    /// The other members.
    fn others(&self) -> Vec<Peer>;
    /// A client that the registries of the other members answer as one of theirs.
    fn client(&self) -> &reqwest::Client;
    /// What the tags of a repository mean.
    fn tags(&self, repository: &str) -> BoxFuture<'_, Result<BTreeMap<String, Digest>, ClusterError>>;
    /// Makes tags of a repository mean something else, or nothing.
    fn change_tags(
        &self,
        repository: &str,
        changes: Vec<(String, Option<Digest>)>,
    ) -> BoxFuture<'_, Result<(), ClusterError>>;
    /// Notes who changed what. What is asked by way of the API server is noted there.
    fn note(&self, change: &Change<'_>);
}
