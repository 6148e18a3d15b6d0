//! Everything the controllers know, at one revision: the objects' views and the indexes over them.
//!
//! A clone is cheap (persistent maps) and never changes. Deliberately absent: any knowledge of the store; the driver feeds
//! changes in, in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::kind::Kind;
use coracle_api::kinds::CUSTOM_RESOURCE_DEFINITION;
use coracle_scheduler::Amounts;
use coracle_store::Revision;
use imbl::{HashMap, OrdMap, OrdSet};
use jiff::{SignedDuration, Timestamp};

use super::view::{Object, View};
use crate::controllers::{Key, Settings};

/// Objects by storage key.
pub type Members = OrdMap<Arc<str>, Arc<Object>>;
/// A namespace and a label's key and value.
type Label = (Arc<str>, Arc<str>, Arc<str>);

/// Why a key's last writes were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How many times in a row.
    pub attempts: u32,
    /// When the key will be tried again.
    pub retry_at: Timestamp,
    /// What the API said.
    pub message: String,
    /// Whether it only said that somebody else was faster.
    pub is_race: bool,
}

/// The pods of a node and the sum of what they request.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    /// The pods, those that are over included.
    pub pods: Members,
    /// What those that aren't over request.
    pub requested: Amounts,
}

/// What an owner owns.
#[derive(Clone, Debug, Default)]
pub struct Dependents {
    /// The objects that refer to it as an owner.
    pub members: Members,
    /// The revision at which an object last joined or left.
    pub changed: Revision,
}

/// The controllers' picture of the cluster.
#[derive(Clone, Debug, Default)]
pub struct World {
    objects: Members,
    by_uid: HashMap<Arc<str>, Arc<Object>>,
    dependents: HashMap<Arc<str>, Dependents>,
    pods_by_label: HashMap<Label, Members>,
    pods_by_node: HashMap<Arc<str>, Seats>,
    services_by_label: HashMap<Label, OrdSet<Arc<str>>>,
    orphans: Members,
    pending: OrdMap<(Timestamp, Arc<str>), Arc<Object>>,
    events_by_age: OrdSet<(Timestamp, Arc<str>)>,
    heartbeats: HashMap<Arc<str>, Timestamp>,
    failures: HashMap<Key, Failure>,
    /// The versions of the kinds that users define, by the storage key of the definition.
    custom_kinds: OrdMap<Arc<str>, Vec<&'static Kind>>,
    /// The newest revision seen.
    pub revision: Revision,
    /// Whether all that there was at the start is in: what comes from now on is news.
    is_read: bool,
    /// What the controllers were told at their start.
    pub settings: Arc<Settings>,
}

impl World {
    /// An empty world, as of a revision.
    pub fn new(settings: Arc<Settings>, revision: Revision) -> World {
        World { settings, revision, ..World::default() }
    }

    /// Says that all that there was at the start is in. A lease from before is no sign of life.
    pub fn finish_reading(&mut self) {
        self.is_read = true;
    }

    /// The object under a storage key.
    pub fn get(&self, key: &str) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// The object of a kind by name.
    pub fn find(&self, kind: &Kind, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.get(&kind.key(Some(namespace).filter(|namespace| !namespace.is_empty()), name))
    }

    /// The object with this uid.
    pub fn by_uid(&self, uid: &str) -> Option<&Arc<Object>> {
        self.by_uid.get(uid)
    }

    /// The objects whose storage key starts with `prefix`, in order.
    pub fn range<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        range(&self.objects, prefix)
    }

    /// What refers to the owner of this uid.
    pub fn dependents(&self, uid: &str) -> Option<&Dependents> {
        self.dependents.get(uid)
    }

    /// The objects of a kind that the object of this uid manages.
    pub fn controlled<'a>(&'a self, uid: &'a str, kind: &'static Kind) -> impl Iterator<Item = &'a Arc<Object>> {
        let members = self.dependents.get(uid).into_iter().flat_map(|dependents| dependents.members.values());
        members.filter(move |object| object.kind == kind && object.is_controlled_by(uid))
    }

    /// Pods and replica sets under `prefix` that nothing manages.
    pub fn orphans<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        range(&self.orphans, prefix)
    }

    /// The pods of a namespace that have all of these labels. No labels select nothing.
    pub fn pods_with_labels<'a>(
        &'a self,
        namespace: &Arc<str>,
        labels: &'a BTreeMap<Arc<str>, Arc<str>>,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        let candidates = labels.iter().map(|(key, value)| {
            self.pods_by_label
                .get(&(namespace.clone(), key.clone(), value.clone()))
                .map_or((0, None), |set| (set.len(), Some(set)))
        });
        let fewest = candidates.min_by_key(|(count, _)| *count).and_then(|(_, set)| set);
        let pods = fewest.into_iter().flat_map(OrdMap::values);
        pods.filter(move |pod| labels.iter().all(|(key, value)| pod.meta.labels.get(key) == Some(value)))
    }

    /// The keys of the services of a namespace that select an object with these labels.
    pub fn services_selecting(&self, object: &Object) -> Vec<Arc<str>> {
        let namespace = &object.meta.namespace;
        let mut keys = Vec::new();
        for (key, value) in &*object.meta.labels {
            let label = (namespace.clone(), key.clone(), value.clone());
            for service in self.services_by_label.get(&label).into_iter().flatten() {
                let selector = self.get(service).and_then(|service| service.service()).map(|service| &service.selector);
                let selects = |selector: &BTreeMap<Arc<str>, Arc<str>>| {
                    selector.iter().all(|(key, value)| object.meta.labels.get(key) == Some(value))
                };
                if selector.is_some_and(|selector| selects(selector)) {
                    keys.push(service.clone());
                }
            }
        }
        keys
    }

    /// The pods of a node and what they request.
    pub fn seats(&self, node: &str) -> Option<&Seats> {
        self.pods_by_node.get(node)
    }

    /// The pods that wait for the scheduler, those that waited longest first.
    pub fn pending(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.pending.values()
    }

    /// Whether any pod waits for the scheduler.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The events, the oldest first.
    pub fn events_by_age(&self) -> impl Iterator<Item = &(Timestamp, Arc<str>)> {
        self.events_by_age.iter()
    }

    /// The kinds that users define, in all their versions.
    pub fn custom_kinds(&self) -> impl Iterator<Item = &'static Kind> {
        self.custom_kinds.values().flatten().copied()
    }

    /// The kind whose objects are stored under this resource and `apiVersion`, where users define it.
    pub fn custom_kind(&self, resource: &str, api_version: &str) -> Option<&'static Kind> {
        let versions = self.custom_kinds.get(CUSTOM_RESOURCE_DEFINITION.key(None, resource).as_str())?;
        versions.iter().copied().find(|kind| kind.api_version() == api_version)
    }

    /// When a node last gave a sign of life, as seen by this process's clock.
    pub fn heartbeat(&self, node: &str) -> Option<Timestamp> {
        self.heartbeats.get(node).copied()
    }

    /// Whether a node is silent or gone, so that what its pods last said isn't true any longer.
    pub fn is_lost(&self, node: &str) -> bool {
        let node = self.get(&format!("nodes/{node}")).and_then(|object| object.node());
        node.is_none_or(|node| node.ready == "Unknown")
    }

    /// Whether a node makes pods leave, or is gone.
    pub fn drives_out(&self, node: &str) -> bool {
        let node = self.get(&format!("nodes/{node}")).and_then(|object| object.node());
        node.is_none_or(|node| matches!(&*node.ready, "Unknown" | "False") || !node.no_execute.is_empty())
    }

    /// Whether a pod is ready, as far as its node can be believed.
    pub fn is_ready(&self, object: &Object) -> bool {
        object.pod().is_some_and(|pod| pod.ready && !pod.node.as_ref().is_some_and(|node| self.is_lost(node)))
    }

    /// Why the key's last writes were refused, if they were.
    pub fn failure(&self, key: &Key) -> Option<&Failure> {
        self.failures.get(key)
    }

    /// What the API said against the key's last writes, more than once and not for a mere race.
    pub fn refusal(&self, key: &Key) -> Option<&str> {
        let failure = self.failures.get(key).filter(|failure| failure.attempts > 1 && !failure.is_race);
        failure.map(|failure| failure.message.as_str())
    }

    /// Notes that a key's writes were refused; says when to try again. Races are retried at once for a while.
    pub fn fail(&mut self, key: &Key, message: String, is_race: bool, now: Timestamp) -> Timestamp {
        let attempts = self.failures.get(key).map_or(0, |failure| failure.attempts) + 1;
        let delay_ms = match attempts {
            0..=5 if is_race => 0,
            _ => (10_i64 << attempts.min(12)).min(30_000),
        };
        let retry_at = now + SignedDuration::from_millis(delay_ms);
        self.failures.insert(key.clone(), Failure { attempts, retry_at, message, is_race });
        retry_at
    }

    /// Forgets a key's failures; says whether there were any.
    pub fn succeed(&mut self, key: &Key) -> bool {
        self.failures.remove(key).is_some()
    }

    /// Takes in an object, new or changed; returns what was there before.
    pub fn put(&mut self, object: Arc<Object>, now: Timestamp) -> Option<Arc<Object>> {
        let old = self.objects.get(&object.key).cloned();
        if let Some(old) = &old {
            self.unindex(old, Some(&object));
        }
        self.index(&object, now);
        self.objects.insert(object.key.clone(), object.clone());
        self.revision = self.revision.max(object.revision);
        old
    }

    /// Forgets an object; returns it.
    pub fn remove(&mut self, key: &str, revision: Revision) -> Option<Arc<Object>> {
        self.revision = self.revision.max(revision);
        let old = self.objects.remove(key)?;
        self.unindex(&old, None);
        for owner in &old.meta.owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.changed = revision;
            }
        }
        Some(old)
    }

    fn index(&mut self, object: &Arc<Object>, now: Timestamp) {
        let meta = &object.meta;
        self.by_uid.insert(meta.uid.clone(), object.clone());
        for owner in &meta.owners {
            let dependents = self.dependents.entry(owner.uid.clone()).or_default();
            if dependents.members.insert(object.key.clone(), object.clone()).is_none() {
                dependents.changed = object.revision;
            }
        }
        if matches!(object.view, View::Pod(_) | View::ReplicaSet(_)) && meta.controller().is_none() {
            self.orphans.insert(object.key.clone(), object.clone());
        }
        match &object.view {
            View::Pod(_) => self.index_pod(object),
            View::Service(service) => {
                for (key, value) in &*service.selector {
                    let label = (meta.namespace.clone(), key.clone(), value.clone());
                    self.services_by_label.entry(label).or_default().insert(object.key.clone());
                }
            }
            View::CustomResourceDefinition(kinds) => {
                self.custom_kinds.insert(object.key.clone(), kinds.to_vec());
            }
            View::Event(event) => {
                self.events_by_age.insert((event.last_seen, object.key.clone()));
            }
            // One that was lost stays so until it is heard of.
            View::Node(node) if node.ready != "Unknown" => {
                self.heartbeats.entry(meta.name.clone()).or_insert(now);
            }
            View::Lease if &*meta.namespace == NODE_LEASES && self.is_read => {
                self.heartbeats.insert(meta.name.clone(), now);
            }
            _ => {}
        }
    }

    fn index_pod(&mut self, object: &Arc<Object>) {
        let (meta, Some(pod)) = (&object.meta, object.pod()) else { return };
        for (key, value) in &*meta.labels {
            let label = (meta.namespace.clone(), key.clone(), value.clone());
            self.pods_by_label.entry(label).or_default().insert(object.key.clone(), object.clone());
        }
        if let Some(node) = &pod.node {
            let seats = self.pods_by_node.entry(node.clone()).or_default();
            seats.pods.insert(object.key.clone(), object.clone());
            if !pod.is_over() {
                seats.requested.add(&pod.shape.requests);
            }
        }
        if is_pending(object) {
            self.pending.insert((meta.created, object.key.clone()), object.clone());
        }
    }

    /// Takes the object out of the indexes, except where `new`, which is about to be indexed, replaces it anyway.
    fn unindex(&mut self, old: &Arc<Object>, new: Option<&Arc<Object>>) {
        let meta = &old.meta;
        if new.is_none_or(|new| new.meta.uid != meta.uid) {
            self.by_uid.remove(&meta.uid);
            if self.dependents.get(&meta.uid).is_some_and(|dependents| dependents.members.is_empty()) {
                self.dependents.remove(&meta.uid);
            }
        }
        for owner in &meta.owners {
            if new.is_some_and(|new| new.meta.owners.contains(owner)) {
                continue;
            }
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.members.remove(&old.key);
                if let Some(new) = new {
                    dependents.changed = new.revision;
                }
                if dependents.members.is_empty() && !self.by_uid.contains_key(&owner.uid) {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        self.orphans.remove(&old.key);
        match &old.view {
            View::Pod(_) => self.unindex_pod(old, new),
            View::Service(service) => {
                for (key, value) in &*service.selector {
                    let label = (meta.namespace.clone(), key.clone(), value.clone());
                    if let Some(services) = self.services_by_label.get_mut(&label) {
                        services.remove(&old.key);
                        if services.is_empty() {
                            self.services_by_label.remove(&label);
                        }
                    }
                }
            }
            View::CustomResourceDefinition(_) => {
                self.custom_kinds.remove(&old.key);
            }
            View::Event(event) => {
                self.events_by_age.remove(&(event.last_seen, old.key.clone()));
            }
            View::Node(_) if new.is_none() => {
                self.heartbeats.remove(&meta.name);
            }
            _ => {}
        }
    }

    fn unindex_pod(&mut self, old: &Arc<Object>, new: Option<&Arc<Object>>) {
        let (meta, Some(pod)) = (&old.meta, old.pod()) else { return };
        if new.is_none_or(|new| !Arc::ptr_eq(&new.meta.labels, &meta.labels)) {
            for (key, value) in &*meta.labels {
                let label = (meta.namespace.clone(), key.clone(), value.clone());
                if let Some(pods) = self.pods_by_label.get_mut(&label) {
                    pods.remove(&old.key);
                    if pods.is_empty() {
                        self.pods_by_label.remove(&label);
                    }
                }
            }
        }
        if let Some(node) = &pod.node
            && let Some(seats) = self.pods_by_node.get_mut(node)
        {
            seats.pods.remove(&old.key);
            if !pod.is_over() {
                seats.requested.subtract(&pod.shape.requests);
            }
            if seats.pods.is_empty() {
                self.pods_by_node.remove(node);
            }
        }
        self.pending.remove(&(meta.created, old.key.clone()));
    }
}

/// The namespace of the leases that nodes renew.
pub const NODE_LEASES: &str = "kube-node-lease";

/// Whether the pod waits for the scheduler.
pub fn is_pending(object: &Object) -> bool {
    object.meta.deleting.is_none()
        && object.pod().is_some_and(|pod| pod.node.is_none() && pod.is_ours && !pod.is_over())
}

fn range<'a>(members: &'a Members, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
    members
        .range(Arc::<str>::from(prefix)..)
        .map(|(_, object)| object)
        .take_while(move |object| object.key.starts_with(prefix))
}
