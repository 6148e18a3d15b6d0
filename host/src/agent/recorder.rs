//! Makes events: what is said again is counted in the event that said it first, and told less often where it is said too often. Pure.
//!
//! The figures are those of Kubernetes' own event recorder. Deliberately absent: sending them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use coracle_api::object;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::report::Note;
use crate::runtime::PodIdentity;

const COMPONENT: &str = "coracle-host";
/// So often an event is told as it happens…
const BURST: u32 = 25;
/// … and then once in so long.
const PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// Events remembered of late, and as many of those before.
const REMEMBERED_MAX: usize = 2048;

/// An event to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// As a new object, or in place of what it was before.
    pub(crate) is_new: bool,
    /// It.
    pub(crate) object: Value,
}

/// Makes the events of a host.
pub(crate) struct Recorder {
    node_name: String,
    named: u64,
    /// Two halves: when the first is full it becomes the second, and what only that knew is forgotten.
    recent: [HashMap<u64, Told>; 2],
}

struct Told {
    name: String,
    first_at: Timestamp,
    told_at: Timestamp,
    count: u32,
}

impl Recorder {
    pub(crate) fn new(node_name: String) -> Recorder {
        Recorder { node_name, named: 0, recent: Default::default() }
    }

    /// The event to write, if this is worth one.
    pub(crate) fn record(
        &mut self,
        pod: &PodIdentity,
        container: Option<&str>,
        note: &Note,
        now: Timestamp,
    ) -> Option<Event> {
        let key = key(pod, container, note);
        let [recent, before] = &mut self.recent;
        let known = recent.remove(&key).or_else(|| before.remove(&key));
        let is_new = known.is_none();
        let mut told = known.unwrap_or_else(|| {
            self.named += 1;
            let unique = now.as_nanosecond().wrapping_add(i128::from(self.named));
            Told { name: format!("{}.{unique:x}", pod.name), first_at: now, told_at: now, count: 0 }
        });
        told.count = told.count.saturating_add(1);
        let is_told = told.count <= BURST || now.duration_since(told.told_at) >= PAUSE;
        if is_told {
            told.told_at = now;
        }
        let event = is_told.then(|| Event { is_new, object: self.object(pod, container, note, &told) });
        self.remember(key, told);
        event
    }

    fn remember(&mut self, key: u64, told: Told) {
        if self.recent[0].len() >= REMEMBERED_MAX {
            self.recent.swap(0, 1);
            self.recent[0].clear();
        }
        self.recent[0].insert(key, told);
    }

    fn object(&self, pod: &PodIdentity, container: Option<&str>, note: &Note, told: &Told) -> Value {
        let mut involved =
            json!({ "apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid });
        if let Some(container) = container {
            involved["fieldPath"] = container.into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "namespace": pod.namespace, "name": told.name },
            "involvedObject": involved,
            "type": if note.is_warning { "Warning" } else { "Normal" },
            "reason": note.reason,
            "message": note.message,
            "source": { "component": COMPONENT, "host": self.node_name },
            "reportingComponent": COMPONENT,
            "reportingInstance": self.node_name,
            "firstTimestamp": object::timestamp(told.first_at),
            "lastTimestamp": object::timestamp(told.told_at),
            "count": told.count,
        })
    }
}

/// What makes two notes the same.
fn key(pod: &PodIdentity, container: Option<&str>, note: &Note) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&pod.uid, container, note.is_warning, note.reason, &note.message).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn note(message: &str) -> Note {
        let message = message.to_owned();
        Note { uid: "u1".into(), container: Some(0), is_warning: true, reason: "Unhealthy", message }
    }

    fn pod(uid: &str) -> PodIdentity {
        PodIdentity { namespace: "default".into(), name: "web-1".into(), uid: uid.into(), ip: String::new() }
    }

    #[test]
    fn what_is_said_again_is_counted() {
        let mut recorder = Recorder::new("h1".to_owned());
        let mut say = |uid: &str, message: &str, second: i64| {
            let at = Timestamp::from_second(second).unwrap();
            recorder.record(&pod(uid), Some("spec.containers{web}"), &note(message), at).map_or(
                "untold".to_owned(),
                |event| {
                    let object = &event.object;
                    let verb = if event.is_new { "create" } else { "update" };
                    let times = [&object["firstTimestamp"], &object["lastTimestamp"]]
                        .map(|at| at.as_str().unwrap()[14..19].to_owned());
                    format!("{verb} {} x{} {}", object["metadata"]["name"], object["count"], times.join(" to "))
                },
            )
        };
        let mut lines = vec![say("u1", "no", 0), say("u1", "no", 10), say("u2", "no", 10), say("u1", "yes", 11)];
        (3..=25).for_each(|count| drop(say("u1", "no", 10 * count)));
        lines.extend([say("u1", "no", 260), say("u1", "no", 549), say("u1", "no", 550), say("u1", "no", 551)]);
        expect![[r#"
            create "web-1.1" x1 00:00 to 00:00
            update "web-1.1" x2 00:00 to 00:10
            create "web-1.2540be402" x1 00:10 to 00:10
            create "web-1.28fa6ae03" x1 00:11 to 00:11
            untold
            untold
            update "web-1.1" x28 00:00 to 09:10
            untold"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut recorder = Recorder::new("h1".to_owned());
        let at = Timestamp::UNIX_EPOCH;
        for number in 0..10_000 {
            let event = recorder.record(&pod("u1"), None, &note(&number.to_string()), at);
            assert!(event.is_some_and(|event| event.is_new));
        }
        assert!(recorder.recent.iter().all(|half| half.len() <= REMEMBERED_MAX));
        assert!(recorder.record(&pod("u1"), None, &note("9999"), at).is_some_and(|event| !event.is_new));
        assert!(recorder.record(&pod("u1"), None, &note("0"), at).is_some_and(|event| event.is_new));
    }
}
