//! Writes down what happened to an object, as an Event that `kubectl describe` shows.

use coracle_api::{kinds, object};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::driver::view::{Object, View};
use crate::driver::world::World;
use crate::objects::ObjectWrite;

/// What of an object's name goes into the event's, so that both together are a name.
const NAME_LENGTH_MAX: usize = 236;

/// How an event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody may want to look.
    Warning,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// Who says so, such as `deployment-controller`.
    pub component: &'a str,
    /// How it is meant.
    pub severity: Severity,
    /// The reason, in one word.
    pub reason: &'a str,
    /// The whole story.
    pub message: &'a str,
}

/// The event for a note about an object. The same note again is counted on the first one's event.
pub fn record(world: &World, about: &Object, note: Note<'_>, now: Timestamp) -> ObjectWrite {
    let meta = &about.meta;
    // Events about cluster-scoped objects live in the default namespace.
    let namespace = if meta.namespace.is_empty() { "default" } else { &*meta.namespace };
    let digest = Sha256::new().chain_update(&*meta.uid).chain_update(note.reason).chain_update(note.message).finalize();
    let seed = u64::from_be_bytes(digest[..8].try_into().expect("invariant: a digest has 32 bytes"));
    // As client-go names them: the object and a hexadecimal number.
    let name = format!("{}.{seed:016x}", meta.name.get(..NAME_LENGTH_MAX).unwrap_or(&meta.name));
    let time = object::timestamp(now);
    if let Some(event) = world.find(&kinds::EVENT, namespace, &name) {
        let count = if let View::Event(event) = &event.view { event.count } else { 1 };
        let mut object = event.decode();
        object["count"] = Value::from(count + 1);
        object["lastTimestamp"] = time.into();
        return ObjectWrite::Update { kind: &kinds::EVENT, object, revision: Some(event.revision) };
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": about.kind.api_version(),
            "kind": about.kind.kind,
            "namespace": &*meta.namespace,
            "name": &*meta.name,
            "uid": &*meta.uid,
            "resourceVersion": about.revision.to_string(),
        },
        "type": match note.severity { Severity::Normal => "Normal", Severity::Warning => "Warning" },
        "reason": note.reason,
        "message": note.message,
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": note.component},
        "reportingComponent": note.component,
        "reportingInstance": "",
    });
    ObjectWrite::Create { kind: &kinds::EVENT, object }
}
