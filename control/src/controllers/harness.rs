//! A cluster in memory for tests of the controllers: it applies their writes to a world as the API would, with none of its
//! checks, and prints what they ask for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use coracle_api::kind::Kind;
use coracle_api::{encode, kinds, object};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Key, Outcome, Settings, Write, reconcile};
use crate::driver::dirty::{Dirty, mark};
use crate::driver::intern::Interner;
use crate::driver::timers::Timers;
use crate::driver::view::Object;
use crate::driver::world::World;
use crate::objects::{ObjectWrite, Propagation};

/// A cluster in memory.
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) dirty: Dirty,
    pub(crate) now: Timestamp,
    timers: Timers,
    interner: Interner,
    revision: u64,
    uids: u64,
}

impl Cluster {
    /// An empty cluster, at a fixed time.
    pub(crate) fn new() -> Cluster {
        Cluster {
            world: World::new(Arc::new(Settings::new("PEM")), 0),
            dirty: Dirty::new(),
            now: "2026-11-21T04:00:00Z".parse().unwrap(),
            timers: Timers::default(),
            interner: Interner::default(),
            revision: 0,
            uids: 0,
        }
    }

    /// A cluster that holds these objects already.
    pub(crate) fn with(objects: impl IntoIterator<Item = Value>) -> Cluster {
        let mut cluster = Cluster::new();
        objects.into_iter().for_each(|object| cluster.create(object));
        cluster.world.finish_reading();
        cluster.dirty.clear();
        cluster
    }

    fn kind(&self, object: &Value) -> &'static Kind {
        let mut known = kinds::ALL.iter().copied().chain(self.world.custom_kinds());
        known.find(|kind| kind.kind == object::kind(object)).unwrap()
    }

    /// Creates an object, keeping its status.
    pub(crate) fn create(&mut self, mut object: Value) {
        let kind = self.kind(&object);
        kind.default(&mut object);
        if object::uid(&object).is_empty() {
            self.uids += 1;
            object::set_uid(&mut object, format!("uid-{}", self.uids));
        }
        if object::creation_timestamp(&object).is_none() {
            object::set_creation_timestamp(&mut object, self.now);
        }
        if object::generation(&object) == 0 {
            object::set_generation(&mut object, 1);
        }
        self.put(kind, &object);
    }

    fn put(&mut self, kind: &'static Kind, object: &Value) {
        let key: Arc<str> = kind.key(object::namespace(object), object::name(object)).into();
        if object::is_deleting(object)
            && object::finalizers(object).next().is_none()
            && object::i64_at(object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
            && object::list_at(object, &["spec", "finalizers"]).is_empty()
        {
            return self.remove(&key);
        }
        self.revision += 1;
        let parsed = Object::parse(key, kind, encode::encode(object).json, self.revision, &mut self.interner).unwrap();
        let parsed = Arc::new(parsed);
        let old = self.world.put(parsed.clone(), self.now);
        mark(&self.world, old.as_deref(), Some(&parsed), &mut self.dirty);
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.revision += 1;
        let old = self.world.remove(key, self.revision);
        mark(&self.world, old.as_deref(), None, &mut self.dirty);
    }

    pub(crate) fn value(&self, key: &str) -> Value {
        self.world.get(key).unwrap_or_else(|| panic!("no {key}")).decode()
    }

    /// Changes an object as a user would; a change of its spec counts as a new generation.
    pub(crate) fn edit(&mut self, key: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.value(key);
        let before = object["spec"].clone();
        edit(&mut object);
        if object["spec"] != before {
            let generation = object::generation(&object);
            object::set_generation(&mut object, generation + 1);
        }
        self.put(self.kind(&object), &object);
    }

    /// Deletes an object as the API would.
    pub(crate) fn delete(&mut self, key: &str, propagation: Option<Propagation>, force: bool) {
        let Some(found) = self.world.get(key).cloned() else { return };
        let mut object = found.decode();
        match propagation {
            Some(Propagation::Foreground) => object::add_finalizer(&mut object, "foregroundDeletion"),
            Some(Propagation::Orphan) => object::add_finalizer(&mut object, "orphan"),
            _ => {}
        }
        let is_running = found.pod().is_some_and(|pod| pod.node.is_some() && !pod.is_over());
        let grace = if is_running && !force { 30 } else { 0 };
        object::set_deletion(&mut object, self.now, grace);
        self.put(found.kind, &object);
    }

    pub(crate) fn apply(&mut self, Write { write, deletion, .. }: Write) {
        match write {
            ObjectWrite::Create { kind, object } => {
                let key = kind.key(object::namespace(&object), object::name(&object));
                if self.world.get(&key).is_none() {
                    let mut object = object;
                    object.as_object_mut().unwrap().remove("status");
                    self.create(object);
                }
            }
            ObjectWrite::Update { kind, object, revision } => {
                let key = kind.key(object::namespace(&object), object::name(&object));
                if self.world.get(&key).is_some_and(|found| Some(found.revision) == revision) {
                    self.edit(&key, |found| {
                        let status = found["status"].take();
                        *found = object;
                        found["status"] = status;
                    });
                }
            }
            ObjectWrite::UpdateStatus { kind, mut object, revision } => {
                let key = kind.key(object::namespace(&object), object::name(&object));
                if self.world.get(&key).is_some_and(|found| Some(found.revision) == revision) {
                    self.edit(&key, |found| found["status"] = object["status"].take());
                }
            }
            ObjectWrite::Bind { namespace, name, node, .. } => {
                let key = kinds::POD.key(Some(&namespace), &name);
                self.edit(&key, |pod| pod["spec"]["nodeName"] = node.into());
            }
            ObjectWrite::Delete { kind, namespace, name, .. } => {
                let key = kind.key(namespace.as_deref(), &name);
                let options = deletion.unwrap_or_default();
                self.delete(&key, options.propagation, options.grace_period_seconds == Some(0));
            }
        }
    }

    /// Runs the controllers until they have nothing left to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            if !self.turn() {
                return;
            }
        }
        panic!("the controllers never come to rest: {:?}", self.dirty);
    }

    /// One turn of the controllers; whether there was anything to do.
    pub(crate) fn turn(&mut self) -> bool {
        self.timers.take_due(self.now, &mut self.dirty);
        let keys = std::mem::take(&mut self.dirty);
        for key in &keys {
            self.run(key);
        }
        !keys.is_empty()
    }

    /// Runs one controller on what is there now.
    pub(crate) fn run(&mut self, key: &Key) {
        let outcome = reconcile(&self.world, key, self.now);
        self.timers.set(key, outcome.wake_at);
        check_one_write_an_object(&outcome);
        outcome.writes.into_iter().for_each(|write| self.apply(write));
    }

    /// Lets time pass, and the controllers act on it.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.settle();
    }

    /// What a controller asks for, a line each; nothing is carried out.
    pub(crate) fn ask(&self, key: &Key) -> String {
        let outcome = reconcile(&self.world, key, self.now);
        check_one_write_an_object(&outcome);
        let mut text = String::new();
        for write in &outcome.writes {
            writeln!(text, "{}", self.describe(write)).unwrap();
        }
        for event in outcome.writes.iter().filter_map(|write| write.note.as_ref()).chain(&outcome.events) {
            if let ObjectWrite::Create { object, .. } | ObjectWrite::Update { object, .. } = event {
                let field = |name: &str| object[name].as_str().unwrap_or_default();
                writeln!(text, "event {} {}: {}", field("type"), field("reason"), field("message")).unwrap();
            }
        }
        if let Some(at) = outcome.wake_at {
            writeln!(text, "wake in {} s", at.duration_since(self.now).as_secs_f64()).unwrap();
        }
        text
    }

    fn describe(&self, Write { write, deletion, .. }: &Write) -> String {
        let short = |value: &Value| value.to_string();
        match write {
            ObjectWrite::Create { kind, object } => {
                let mut rest = object.clone();
                let fields = rest.as_object_mut().unwrap();
                fields.retain(|field, _| !matches!(field.as_str(), "apiVersion" | "kind"));
                let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut).unwrap();
                metadata.retain(|field, _| {
                    !matches!(field.as_str(), "name" | "namespace" | "generateName" | "ownerReferences")
                });
                if metadata.is_empty() {
                    fields.remove("metadata");
                }
                format!("create {} {}", kind.key(object::namespace(object), object::name(object)), short(&rest))
            }
            ObjectWrite::Update { kind, object, .. } => {
                let key = kind.key(object::namespace(object), object::name(object));
                format!("update {key} {}", short(&difference(&self.value(&key), object)))
            }
            ObjectWrite::UpdateStatus { kind, object, .. } => {
                let key = kind.key(object::namespace(object), object::name(object));
                let before = self.value(&key);
                format!("status {key} {}", short(&difference(&before["status"], &object["status"])))
            }
            ObjectWrite::Bind { namespace, name, node, .. } => format!("bind {namespace}/{name} {node}"),
            ObjectWrite::Delete { kind, namespace, name, .. } => {
                let key = kind.key(namespace.as_deref(), name);
                let how = deletion.as_ref().map(|options| match (options.grace_period_seconds, options.propagation) {
                    (Some(seconds), _) => format!(" within {seconds} s"),
                    (None, Some(propagation)) => format!(" {propagation:?}"),
                    (None, None) => String::new(),
                });
                format!("delete {key}{}", how.unwrap_or_default())
            }
        }
    }

    /// The keys of the objects of a kind.
    pub(crate) fn keys(&self, kind: &Kind) -> Vec<Arc<str>> {
        self.world.range(&kind.prefix(None)).map(|object| object.key.clone()).collect()
    }
}

/// The top-level fields (two levels deep) that differ.
fn difference(before: &Value, after: &Value) -> Value {
    let changed = |before: &Value, after: &Value| -> serde_json::Map<String, Value> {
        let fields = after.as_object().into_iter().flatten();
        let mut changed: serde_json::Map<String, Value> = fields
            .filter(|(key, value)| before.get(key.as_str()) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let gone = before.as_object().into_iter().flatten().filter(|(key, _)| after.get(key.as_str()).is_none());
        changed.extend(gone.map(|(key, _)| (key.clone(), Value::Null)));
        changed
    };
    let mut outer = changed(before, after);
    for (key, value) in &mut outer {
        if value.is_object() && before[key.as_str()].is_object() {
            *value = Value::Object(changed(&before[key.as_str()], value));
        }
    }
    Value::Object(outer)
}

fn check_one_write_an_object(outcome: &Outcome) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for write in &outcome.writes {
        let key = match &write.write {
            ObjectWrite::Create { kind, object }
            | ObjectWrite::Update { kind, object, .. }
            | ObjectWrite::UpdateStatus { kind, object, .. } => {
                kind.key(object::namespace(object), object::name(object))
            }
            ObjectWrite::Bind { namespace, name, .. } => kinds::POD.key(Some(namespace), name),
            ObjectWrite::Delete { kind, namespace, name, .. } => kind.key(namespace.as_deref(), name),
        };
        *counts.entry(key).or_default() += 1;
    }
    let twice: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(twice.is_empty(), "written more than once: {twice:?}");
}

/// A ready node with room.
pub(crate) fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T03:00:00Z"}],
        },
    })
}

/// A pod with labels `app: NAME-without-suffix`.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web", "ports": [{"name": "http", "containerPort": 8080}]}]},
    })
}

/// Marks a pod as bound, with an address, and ready or not.
pub(crate) fn running(mut pod: Value, node: &str, ip: &str, ready: bool) -> Value {
    pod["spec"]["nodeName"] = node.into();
    let status = if ready { "True" } else { "False" };
    let condition = json!({"type": "Ready", "status": status, "lastTransitionTime": "2026-11-21T03:30:00Z"});
    pod["status"] = json!({"phase": "Running", "podIP": ip, "conditions": [condition]});
    pod
}

/// A deployment of `app: web`.
pub(crate) fn deployment(replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    })
}
