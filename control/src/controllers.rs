//! The controllers: pure reconcilers, one a file. What is written depends on the world, the key and the time, on nothing else.
//!
//! Deliberately absent: I/O, clocks, memory. The driver calls a reconciler whenever something it looks at changed.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::driver::view::{Meta, Object};
use crate::driver::world::World;
use crate::objects::{DeleteOptions, ObjectWrite};

pub mod bootstrap;
pub mod custom_resource_cleanup;
pub mod custom_resource_names;
pub mod deployment;
pub mod disruption;
pub mod endpoint_slice;
pub mod endpoints;
pub mod event_expiry;
pub mod events;
pub mod garbage_collector;
pub mod join_token_expiry;
pub mod namespace;
pub mod node_ipam;
pub mod node_lifecycle;
pub mod replica_set;
pub mod resource_quota;
pub mod role_aggregation;
pub mod scheduling;
mod settings;

#[cfg(test)]
pub(crate) mod harness;

pub use settings::Settings;

/// What a controller is asked to look at. The order is the order within a turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The namespaces, priority classes, roles and bindings every cluster has.
    Bootstrap,
    /// The cluster roles that are made of others.
    RoleAggregation,
    /// The names of all kinds that users define.
    CustomResourceNames,
    /// The definition of a kind by users, by storage key.
    CustomResourceCleanup(Arc<str>),
    /// A namespace, by name.
    Namespace(Arc<str>),
    /// A deployment, by storage key.
    Deployment(Arc<str>),
    /// A replica set or a replication controller, by storage key.
    ReplicaSet(Arc<str>),
    /// All pods that wait for a node.
    Scheduling,
    /// A service's endpoint slices, by the service's storage key.
    EndpointSlices(Arc<str>),
    /// A service's Endpoints object, by the service's storage key.
    Endpoints(Arc<str>),
    /// A pod disruption budget, by storage key.
    DisruptionBudget(Arc<str>),
    /// The pod address ranges of all nodes.
    NodeIpam,
    /// A node, by name.
    Node(Arc<str>),
    /// A resource quota, by storage key.
    ResourceQuota(Arc<str>),
    /// Any object that owns, is owned, or waits for a finalizer, by storage key.
    Garbage(Arc<str>),
    /// Events that are old enough to be forgotten.
    EventExpiry,
    /// A join token, by storage key.
    JoinTokenExpiry(Arc<str>),
}

/// A write that a controller asks for.
#[derive(Clone, Debug)]
pub struct Write {
    /// What to write.
    pub write: ObjectWrite,
    /// For a deletion: how, where a client's plain DELETE isn't meant.
    pub deletion: Option<DeleteOptions>,
    /// The event to record once it is done; none if it is refused.
    pub note: Option<ObjectWrite>,
}

impl From<ObjectWrite> for Write {
    fn from(write: ObjectWrite) -> Write {
        Write { write, deletion: None, note: None }
    }
}

/// What a controller decided.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The writes; at most one an object. A write that is refused brings the key back.
    pub writes: Vec<Write>,
    /// Events to record, whatever comes of the writes; nothing depends on them.
    pub events: Vec<ObjectWrite>,
    /// When to look again although nothing changed.
    pub wake_at: Option<Timestamp>,
}

impl Outcome {
    /// Adds a write.
    pub fn write(&mut self, write: impl Into<Write>) {
        self.writes.push(write.into());
    }

    /// Asks to be woken at a time, or earlier.
    pub fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }
}

/// Runs the controller that the key belongs to.
pub fn reconcile(world: &World, key: &Key, now: Timestamp) -> Outcome {
    match key {
        Key::Bootstrap => bootstrap::reconcile(world),
        Key::RoleAggregation => role_aggregation::reconcile(world),
        Key::CustomResourceNames => custom_resource_names::reconcile(world, now),
        Key::CustomResourceCleanup(key) => custom_resource_cleanup::reconcile(world, key, now),
        Key::Namespace(name) => namespace::reconcile(world, name, now),
        Key::Deployment(key) => deployment::reconcile(world, key, now),
        Key::ReplicaSet(key) => replica_set::reconcile(world, key, now),
        Key::Scheduling => scheduling::reconcile(world, now),
        Key::EndpointSlices(key) => endpoint_slice::reconcile(world, key),
        Key::Endpoints(key) => endpoints::reconcile(world, key, now),
        Key::DisruptionBudget(key) => disruption::reconcile(world, key, now),
        Key::NodeIpam => node_ipam::reconcile(world, now),
        Key::Node(name) => node_lifecycle::reconcile(world, name, now),
        Key::ResourceQuota(key) => resource_quota::reconcile(world, key),
        Key::Garbage(key) => garbage_collector::reconcile(world, key),
        Key::EventExpiry => event_expiry::reconcile(world, now),
        Key::JoinTokenExpiry(key) => join_token_expiry::reconcile(world, key, now),
    }
}

/// Replaces the object, if it still is the one that was looked at.
pub(crate) fn update(object: &Object, new: Value) -> Write {
    ObjectWrite::Update { kind: object.kind, object: new, revision: Some(object.revision) }.into()
}

/// Replaces the object's status, if it still is the one that was looked at.
pub(crate) fn update_status(object: &Object, status: Value) -> Write {
    let Meta { name, namespace, uid, .. } = &object.meta;
    let mut new = json!({"metadata": {"name": name, "uid": uid}, "status": status});
    if !namespace.is_empty() {
        new["metadata"]["namespace"] = Value::from(&**namespace);
    }
    ObjectWrite::UpdateStatus { kind: object.kind, object: new, revision: Some(object.revision) }.into()
}

/// Deletes exactly this object.
pub(crate) fn delete(object: &Object) -> Write {
    let Meta { name, namespace, uid, .. } = &object.meta;
    let namespace = Some(namespace.to_string()).filter(|namespace| !namespace.is_empty());
    let (name, uid) = (name.to_string(), Some(uid.to_string()));
    ObjectWrite::Delete { kind: object.kind, namespace, name, uid, revision: None }.into()
}

/// Deletes exactly this object, in a certain way.
pub(crate) fn delete_with(object: &Object, options: DeleteOptions) -> Write {
    Write { deletion: Some(options), ..delete(object) }
}

/// The moment without its fraction: what conditions are stamped with.
pub(crate) fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).expect("invariant: it was a timestamp before")
}
