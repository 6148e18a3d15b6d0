//! Watches against an oracle: every change, in order, once; resumed anywhere; too old said so.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_store::testing::Random;
use coracle_store::{Change, Event, Options, Precondition, RealDisk, Store, Tag, WatchError, WatchRequest};

use super::{delete, open, options, put, write};

fn request(prefix: &str, tag: Option<&str>, after: u64) -> WatchRequest {
    WatchRequest { prefix: prefix.to_owned(), tag: tag.map(Tag::new), after }
}

fn line(event: &Event) -> String {
    format!("{} {:?} {}", event.record.revision, event.change, event.record.key)
}

#[tokio::test]
async fn a_watch_sees_every_change_once_and_in_order_wherever_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let start = store.snapshot().revision();
    let mut random = Random::new(3);
    let mut live = store.watch(request("pods/", None, start)).unwrap();
    let mut oracle = Vec::new();
    let mut state: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..400 {
        let key = format!(
            "{}/{}/{}",
            ["pods", "leases"][random.below(2) as usize],
            ["a", "b"][random.below(2) as usize],
            random.below(8)
        );
        let value = ["red", "green"][random.below(2) as usize];
        let is_delete = random.below(3) == 0;
        let outcome = write(
            &store,
            if is_delete { delete(&key, Precondition::None) } else { put(&key, value, Precondition::None) },
        )
        .await;
        let previous = if is_delete { state.remove(&key) } else { state.insert(key.clone(), value.to_owned()) };
        if let Some(revision) = outcome.revision() {
            oracle.push((revision, key, (!is_delete).then(|| value.to_owned()), previous));
        }
    }
    for (prefix, tag) in [
        ("", None),
        ("pods/", None),
        ("pods/a/", None),
        ("pods/a/1", None),
        ("pods/", Some("red")),
        ("leases/", Some("green")),
    ] {
        for after in [start, start + 100, oracle.last().unwrap().0] {
            let mut watch = store.watch(request(prefix, tag, after)).unwrap();
            let mut seen = Vec::new();
            while let Some(event) = watch.try_next() {
                seen.push(line(&event.unwrap()));
            }
            let expected: Vec<String> = oracle
                .iter()
                .filter(|(revision, key, new, old)| {
                    let by_key = if prefix.is_empty() || prefix.ends_with('/') {
                        key.starts_with(prefix)
                    } else {
                        key == prefix
                    };
                    let by_tag = tag.is_none() || new.as_deref() == tag || old.as_deref() == tag;
                    *revision > after && by_key && by_tag
                })
                .map(|(revision, key, new, _)| {
                    format!("{revision} {:?} {key}", if new.is_some() { Change::Put } else { Change::Delete })
                })
                .collect();
            assert_eq!(seen, expected, "{prefix:?} {tag:?} after {after}");
        }
    }
    let pods = oracle.iter().filter(|(_, key, ..)| key.starts_with("pods/")).count();
    for _ in 0..pods {
        live.next().await.unwrap();
    }
    assert!(live.try_next().is_none());
}

/// Few events may be much.
#[tokio::test]
async fn a_watcher_keeps_no_more_than_some_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { watch_queue_bytes_max: 10_000, ..options(dir.path()) };
    let store = Store::open(options, Arc::new(RealDisk)).await.unwrap();
    let start = store.snapshot().revision();
    let (mut slow, mut reader) =
        (store.watch(request("pods/", None, start)).unwrap(), store.watch(request("pods/", None, start)).unwrap());
    for index in 0..5 {
        write(&store, put(&format!("pods/a/{index}"), &"x".repeat(3_000), Precondition::None)).await;
        reader.next().await.unwrap();
    }
    for _ in 0..3 {
        slow.next().await.unwrap();
    }
    assert_eq!(slow.next().await.unwrap_err(), WatchError::TooSlow);
    // One alone may be of any size.
    write(&store, put("pods/a/large", &"x".repeat(30_000), Precondition::None)).await;
    assert!(reader.next().await.unwrap().record.json.len() > 30_000);
}

#[tokio::test]
async fn what_is_not_kept_is_too_old_and_slow_watchers_lose_their_watch() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { history_events_max: 10, watch_queue_events_max: 5, ..options(dir.path()) };
    let store = Store::open(options, Arc::new(RealDisk)).await.unwrap();
    let start = store.snapshot().revision();
    let mut slow = store.watch(request("pods/", None, start)).unwrap();
    for index in 0..20 {
        write(&store, put(&format!("pods/a/{index}"), "x", Precondition::None)).await;
    }
    let old = store.watch(request("pods/", None, start)).err().unwrap();
    assert_eq!((old.requested, old.oldest), (start, start + 10));
    for _ in 0..5 {
        slow.next().await.unwrap();
    }
    assert_eq!(slow.next().await.unwrap_err(), WatchError::TooSlow);
    let mut last = store.watch(request("pods/", None, start + 19)).unwrap();
    assert_eq!(line(&last.next().await.unwrap()), format!("{} Put pods/a/19", start + 20));
    store.shutdown().await.unwrap();
    assert_eq!(last.next().await.unwrap_err(), WatchError::Closed);
}
