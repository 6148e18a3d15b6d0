//! Watchers, which go on at another member wherever one ends, and what must hold of all that they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coracle_api::kinds::CONFIG_MAP;
use coracle_client::{Client, Error, ListOptions, WatchEvent, WatchOptions};
use coracle_tests::linearizability::Value;
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::clients::{LABEL, NAMESPACE, Servers, revision, value};

const PAUSE: Duration = Duration::from_millis(50);

/// A change: what the key holds from this revision on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) revision: u64,
    pub(crate) key: String,
    pub(crate) value: Option<Value>,
}

/// What one watcher was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// Changes, as they came.
    pub(crate) told: Vec<Told>,
    /// After one of the revisions and up to the other one it had to list instead: what there was then.
    pub(crate) listed: Vec<(u64, u64, BTreeMap<String, Value>)>,
}

impl Watched {
    /// Whether the watcher listed over what happened at a revision.
    fn has_listed(&self, revision: u64) -> bool {
        self.listed.iter().any(|(after, until, _)| (after + 1..=*until).contains(&revision))
    }
}

/// Watchers at work: one that begins at each member.
pub(crate) struct Watchers {
    runtime: Runtime,
    logs: Vec<Arc<Mutex<Watched>>>,
}

impl Watchers {
    pub(crate) fn start(servers: &Servers) -> Watchers {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let logs: Vec<Arc<Mutex<Watched>>> = servers.0.iter().map(|_| Arc::default()).collect();
        let start = runtime.block_on(servers.0[0].list(&CONFIG_MAP, NAMESPACE, &ListOptions::labels(LABEL))).unwrap();
        assert!(start.items.is_empty(), "nothing is there before the clients begin");
        for (number, log) in logs.iter().enumerate() {
            runtime.spawn(watch(servers.clone(), number, start.revision, log.clone()));
        }
        Watchers { runtime, logs }
    }

    /// Waits until all have been told of the last change; gives what they were told.
    pub(crate) fn end(self, last: u64) -> Vec<Watched> {
        let knows = |log: &Watched| {
            let listed = log.listed.iter().map(|(_, until, _)| *until);
            log.told.iter().map(|told| told.revision).chain(listed).any(|revision| revision >= last)
        };
        coracle_tests::eventually("all watchers know the last change", || {
            self.logs.iter().all(|log| knows(&log.lock())).then_some(())
        });
        self.runtime.shutdown_background();
        self.logs.iter().map(|log| log.lock().clone()).collect()
    }
}

/// Watches for ever, at one member after the other.
async fn watch(servers: Servers, first: usize, mut at: u64, log: Arc<Mutex<Watched>>) {
    for number in first.. {
        let server = &servers.0[number % servers.0.len()];
        if follow(server, &mut at, &log).await.is_err_and(|error| error.is_expired())
            && let Ok(list) = server.list(&CONFIG_MAP, NAMESPACE, &ListOptions::labels(LABEL)).await
        {
            let name = |item: &serde_json::Value| item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let items = list.items.iter().map(|item| (name(item), value(item))).collect();
            log.lock().listed.push((at, list.revision, items));
            at = list.revision;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Watches until the watch ends.
async fn follow(server: &Client, at: &mut u64, log: &Mutex<Watched>) -> Result<(), Error> {
    let options =
        WatchOptions { label_selector: Some(LABEL.to_owned()), revision: Some(*at), ..WatchOptions::default() };
    let mut changes = server.watch(&CONFIG_MAP, NAMESPACE, &options).await?;
    while let Some(change) = changes.next().await {
        let (object, value) = match change? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let value = value(&object);
                (object, Some(value))
            }
            WatchEvent::Deleted(object) => (object, None),
            WatchEvent::Bookmark { revision, .. } => {
                *at = (*at).max(revision);
                continue;
            }
        };
        *at = revision(&object);
        let key = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        log.lock().told.push(Told { revision: *at, key, value });
    }
    Ok(())
}

/// What is wrong with what watchers were told, of whom each began before the first change; beside what was acknowledged as written.
pub(crate) fn complaints(watched: &[Watched], written: &[(u64, String, Value)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut all: BTreeMap<u64, &Told> = BTreeMap::new();
    for (watcher, Watched { told, .. }) in watched.iter().enumerate() {
        for pair in told.windows(2).filter(|pair| pair[0].revision >= pair[1].revision) {
            complaints.push(format!("watcher {watcher} was told {:?} after {:?}", pair[1], pair[0]));
        }
        for told in told {
            let known = *all.entry(told.revision).or_insert(told);
            if known != told {
                complaints.push(format!("watcher {watcher} was told {told:?}, and another one {known:?}"));
            }
        }
    }
    // What all happened to list was told to nobody; what is listed from then on, nobody can say.
    let is_listed_by_all = |revision: u64| watched.iter().all(|watched| watched.has_listed(revision));
    let untold = written.iter().map(|(revision, ..)| *revision);
    let untold = untold.filter(|revision| !all.contains_key(revision) && is_listed_by_all(*revision));
    let untold: BTreeSet<u64> = untold.collect();
    let certain_until = untold.first().copied().unwrap_or(u64::MAX);
    for (watcher, watched) in watched.iter().enumerate() {
        let told: BTreeSet<u64> = watched.told.iter().map(|told| told.revision).collect();
        let is_missed = |revision: u64| !told.contains(&revision) && !watched.has_listed(revision);
        for (revision, missed) in all.iter().filter(|(revision, _)| is_missed(**revision)) {
            complaints.push(format!("watcher {watcher} was not told revision {revision}: {missed:?}"));
        }
        for (_, revision, items) in watched.listed.iter().filter(|(_, revision, _)| *revision < certain_until) {
            let mut there = BTreeMap::new();
            for told in all.range(..=revision).map(|(_, told)| told) {
                match told.value {
                    Some(value) => drop(there.insert(told.key.clone(), value)),
                    None => drop(there.remove(&told.key)),
                }
            }
            if there != *items {
                complaints.push(format!("watcher {watcher} listed {items:?} at revision {revision}, not {there:?}"));
            }
        }
    }
    for (revision, key, value) in written.iter().filter(|(revision, ..)| !untold.contains(revision)) {
        match all.get(revision) {
            Some(told) if told.key == *key && told.value == Some(*value) => {}
            other => {
                complaints.push(format!("{key} was written as {value} at revision {revision}; told was {other:?}"))
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn told(revision: u64, key: &str, value: impl Into<Option<Value>>) -> Told {
        Told { revision, key: key.to_owned(), value: value.into() }
    }

    fn check(watched: &[&[Told]], expected: Expect) {
        let watched = watched.iter().map(|told| Watched { told: told.to_vec(), listed: Vec::new() });
        let written = [(2, "a".to_owned(), 1), (4, "b".to_owned(), 7)];
        expected.assert_eq(&complaints(&watched.collect::<Vec<_>>(), &written).join("\n"));
    }

    #[test]
    fn what_is_lost_doubled_or_told_wrongly_is_found() {
        let [one, two, three] = [told(2, "a", 1), told(4, "b", 7), told(5, "a", None)];
        let good = [one.clone(), two.clone(), three.clone()];
        check(&[&good, &good], expect![""]);
        check(
            &[&good, &[one.clone(), three.clone()]],
            expect![[r#"watcher 1 was not told revision 4: Told { revision: 4, key: "b", value: Some(7) }"#]],
        );
        check(&[&[one.clone(), three.clone()]], expect!["b was written as 7 at revision 4; told was None"]);
        check(
            &[&good, &[one.clone(), two.clone(), two.clone(), three.clone()]],
            expect![[
                r#"watcher 1 was told Told { revision: 4, key: "b", value: Some(7) } after Told { revision: 4, key: "b", value: Some(7) }"#
            ]],
        );
        check(
            &[&good, &[two.clone(), one.clone(), three.clone()]],
            expect![[
                r#"watcher 1 was told Told { revision: 2, key: "a", value: Some(1) } after Told { revision: 4, key: "b", value: Some(7) }"#
            ]],
        );
        check(
            &[&good, &[one, told(4, "b", 8), three]],
            expect![[
                r#"watcher 1 was told Told { revision: 4, key: "b", value: Some(8) }, and another one Told { revision: 4, key: "b", value: Some(7) }"#
            ]],
        );
    }

    #[test]
    fn what_is_listed_need_not_be_told_and_must_be_right() {
        let all = Watched { told: vec![told(2, "a", 1), told(4, "b", 7)], listed: Vec::new() };
        let listed = |items: &[(&str, Value)]| {
            let items = items.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
            Watched { told: Vec::new(), listed: vec![(1, 4, items)] }
        };
        assert_eq!(complaints(&[all.clone(), listed(&[("a", 1), ("b", 7)])], &[]), [""; 0]);
        expect![[r#"watcher 1 listed {"a": 1} at revision 4, not {"a": 1, "b": 7}"#]]
            .assert_eq(&complaints(&[all, listed(&[("a", 1)])], &[]).join("\n"));
    }
    #[test]
    fn what_all_list_over_is_told_to_nobody() {
        let watched = Watched { told: vec![told(2, "a", 1)], listed: vec![(2, 4, [("a".to_owned(), 3)].into())] };
        let written = [(3, "a".to_owned(), 3)];
        assert_eq!(complaints(&[watched.clone(), watched.clone()], &written), [""; 0]);
        let other = Watched { listed: Vec::new(), ..watched.clone() };
        let complaints = complaints(&[watched, other], &written);
        expect![[r#"
            watcher 0 listed {"a": 3} at revision 4, not {"a": 1}
            a was written as 3 at revision 3; told was None"#]]
        .assert_eq(&complaints.join("\n"));
    }
}
