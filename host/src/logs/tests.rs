use std::sync::atomic::AtomicI64;

use futures::StreamExt;
use jiff::Timestamp;

use super::read::ReadOptions;
use super::*;

/// One second later each time it is asked.
#[derive(Default)]
struct Steps(AtomicI64);

impl Clock for Steps {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

fn store() -> (tempfile::TempDir, Arc<LogStore>, LogKey) {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path().join("pods"), Arc::new(Steps::default())).unwrap();
    (dir, store, LogKey { uid: "u1".into(), container: "web".into() })
}

async fn read(store: &LogStore, key: &LogKey, incarnation: u32, options: ReadOptions) -> String {
    let mut stream = store.read(key, incarnation, options).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = stream.next().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn lines_come_back_as_asked_for() {
    let (_dir, store, key) = store();
    let sink = Sink(store.start(key.clone(), 0));
    for line in ["one", "two", "three"] {
        sink.write(Stream::Stdout, line.as_bytes());
    }
    let all = ReadOptions::default();
    assert_eq!(read(&store, &key, 0, all.clone()).await, "one\ntwo\nthree\n");
    assert_eq!(read(&store, &key, 0, ReadOptions { tail_lines: Some(2), ..all.clone() }).await, "two\nthree\n");
    assert_eq!(read(&store, &key, 0, ReadOptions { tail_lines: Some(9), ..all.clone() }).await, "one\ntwo\nthree\n");
    assert_eq!(read(&store, &key, 0, ReadOptions { tail_lines: Some(0), ..all.clone() }).await, "");
    assert_eq!(read(&store, &key, 0, ReadOptions { limit_bytes: Some(5), ..all.clone() }).await, "one\nt");
    let since = ReadOptions { since: Some(Timestamp::from_second(2).unwrap()), timestamps: true, ..all.clone() };
    assert_eq!(read(&store, &key, 0, since).await, "1970-01-01T00:00:02.000000000Z three\n");
    assert_eq!(read(&store, &key, 7, all).await, "");
}

#[tokio::test]
async fn a_long_line_is_stored_in_parts_and_read_as_one() {
    let (dir, store, key) = store();
    let sink = Sink(store.start(key.clone(), 0));
    let long = "x".repeat(40 << 10);
    sink.write(Stream::Stderr, long.as_bytes());
    let text = read(&store, &key, 0, ReadOptions { timestamps: true, ..ReadOptions::default() }).await;
    assert_eq!(text, format!("1970-01-01T00:00:00.000000000Z {long}\n"));
    let stored = std::fs::read_to_string(dir.path().join("pods/u1/web/0.log")).unwrap();
    let tags: Vec<&str> = stored.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(tags, ["P", "P", "F"]);
}

#[tokio::test]
async fn following_sees_what_comes_until_the_container_ends() {
    let (_dir, store, key) = store();
    let sink = Sink(store.start(key.clone(), 0));
    // Nothing was written yet, so there is no file: following waits for it.
    let mut stream = store.read(&key, 0, ReadOptions { follow: true, ..ReadOptions::default() }).await.unwrap();
    for line in ["one", "two"] {
        sink.write(Stream::Stdout, line.as_bytes());
        assert_eq!(stream.next().await.unwrap().unwrap(), format!("{line}\n"));
    }
    sink.write(Stream::Stdout, b"last");
    store.finish(&key);
    assert_eq!(stream.next().await.unwrap().unwrap(), "last\n");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn following_crosses_rotations_and_three_files_are_kept() {
    let (dir, store, key) = store();
    let sink = Sink(store.start(key.clone(), 0));
    let mut stream = store.read(&key, 0, ReadOptions { follow: true, ..ReadOptions::default() }).await.unwrap();
    let line = "y".repeat((1 << 20) - 1);
    let mut read = 0;
    for count in 1..=41 {
        sink.write(Stream::Stdout, line.as_bytes());
        while read < count << 20 {
            read += stream.next().await.unwrap().unwrap().len();
        }
    }
    assert_eq!(read, 41 << 20);
    let mut files: Vec<String> = std::fs::read_dir(dir.path().join("pods/u1/web"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["0.log", "0.log.1", "0.log.2"]);
}

#[tokio::test]
async fn old_incarnations_and_gone_pods_are_deleted() {
    let (dir, store, key) = store();
    for incarnation in 0..3 {
        let sink = Sink(store.start(key.clone(), incarnation));
        sink.write(Stream::Stdout, format!("run {incarnation}").as_bytes());
        sink.0.flushed().await;
    }
    assert_eq!(read(&store, &key, 0, ReadOptions::default()).await, "");
    assert_eq!(read(&store, &key, 1, ReadOptions::default()).await, "run 1\n");
    assert_eq!(store.known_uids().unwrap(), ["u1"]);
    let log = store.start(LogKey { uid: "u2".into(), ..key.clone() }, 0);
    store.forget("u1");
    log.flushed().await;
    assert!(!dir.path().join("pods/u1").exists());
}

#[tokio::test]
async fn a_flood_is_cut_and_says_so() {
    let (_dir, store, key) = store();
    let log = store.start(key, 0);
    // The writer is not told: nothing is written meanwhile.
    log.buffer.lock().is_queued = true;
    let sink = Sink(log.clone());
    for _ in 0..200 {
        sink.write(Stream::Stdout, &[b'z'; 10 << 10]);
    }
    let (bytes, dropped) = log.take();
    assert!(bytes.len() <= BUFFER_BYTES_MAX + (1 << 10));
    assert!(dropped > 90, "{dropped}");
}

#[test]
fn torn_lines_are_no_lines() {
    assert_eq!(line::parse(b"1970-01-01T00:00:00.0000"), None);
    assert_eq!(line::parse(b"1970-01-01T00:00:00Z stdout Q text"), None);
    let line = line::parse(b"1970-01-01T00:00:00Z stdout F a b  c").unwrap();
    assert_eq!((line.text, line.is_partial), (&b"a b  c"[..], false));
}
