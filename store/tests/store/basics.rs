use std::sync::Arc;

use coracle_store::{OpenError, Options, Outcome, Precondition, RealDisk, Store};

use super::{delete, open, options, put, write};

#[tokio::test]
async fn preconditions_decide_each_write_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let outcomes = store
        .write(vec![
            put("pods/a/1", "x", Precondition::Absent),
            put("pods/a/1", "y", Precondition::Absent),
            put("pods/a/2", "x", Precondition::Present),
            delete("pods/a/3", Precondition::None),
            put("pods/a/4", "z", Precondition::None),
        ])
        .await
        .unwrap();
    let Outcome::Written(first) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(matches!(&outcomes[1], Outcome::Conflict { current: Some(current) } if current == first));
    assert!(matches!(outcomes[2], Outcome::Conflict { current: None }));
    assert!(matches!(outcomes[3], Outcome::Conflict { current: None }));
    assert!(matches!(&outcomes[4], Outcome::Written(record) if record.revision == first.revision + 1));
    let stale = write(&store, put("pods/a/1", "y", Precondition::Revision(first.revision - 1))).await;
    assert!(matches!(stale, Outcome::Conflict { .. }));
    let gone = write(&store, delete("pods/a/1", Precondition::Revision(first.revision))).await;
    assert!(matches!(gone, Outcome::Deleted { revision, .. } if revision == first.revision + 2));
    assert_eq!(store.snapshot().count("pods/"), 1);
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_revisions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..4 {
        let store = open(dir.path()).await;
        assert_eq!(store.read().await.unwrap().count("pods/"), round * 300);
        assert_eq!(store.snapshot().count("leases/"), 0, "ephemeral keys go with the process");
        for index in 0..300 {
            let key = format!("pods/a/{round}-{index}");
            let Outcome::Written(record) = write(&store, put(&key, "x", Precondition::Absent)).await else {
                panic!("a conflict")
            };
            assert!(record.revision > last);
            last = record.revision;
            if let Outcome::Written(lease) = write(&store, put("leases/h1", "x", Precondition::None)).await {
                assert_eq!(lease.revision, last + 1);
                last = lease.revision;
            }
        }
        store.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn the_log_is_purged_and_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let small = || Options { checkpoint_interval_ms: 5, segment_bytes: 64 << 10, ..options(dir.path()) };
    let store = Store::open(small(), Arc::new(RealDisk)).await.unwrap();
    for index in 0..2_000 {
        write(&store, put(&format!("pods/a/{}", index % 100), &format!("v{index}"), Precondition::None)).await;
    }
    assert!(store.status().log_bytes < 512 << 10, "{:?}", store.status());
    store.shutdown().await.unwrap();
    drop(store);
    let store = Store::open(small(), Arc::new(RealDisk)).await.unwrap();
    assert_eq!(store.snapshot().count(""), 100);
    let record = store.snapshot().get("pods/a/99").unwrap();
    assert!(String::from_utf8_lossy(&record.to_json()).contains("v1999"));
}

#[tokio::test]
async fn a_second_open_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path()).await;
    let refused = Store::open(options(dir.path()), Arc::new(RealDisk)).await.err().unwrap();
    assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
}

#[tokio::test]
async fn damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for index in 0..50 {
        write(&store, put(&format!("pods/a/{index}"), "x", Precondition::None)).await;
    }
    store.shutdown().await.unwrap();
    drop(store);
    let segment = dir.path().join("log/00000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    std::fs::write(&segment, &bytes[..used - 20]).unwrap();
    let refused = Store::open(options(dir.path()), Arc::new(RealDisk)).await.err().unwrap();
    assert!(refused.to_string().contains("00000001.log is damaged: it ends within frame "), "{refused}");
    bytes[1_000] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    let refused = Store::open(options(dir.path()), Arc::new(RealDisk)).await.err().unwrap();
    assert!(refused.to_string().contains("00000001.log is damaged"), "{refused}");
    let checkpoint = dir.path().join("checkpoint.redb");
    let sound = std::fs::read(&checkpoint).unwrap();
    let at = sound.windows(9).position(|bytes| bytes == b"pods/a/25").expect("the key is in the file");
    let mut damaged = sound.clone();
    damaged[at + 8] = b'6';
    std::fs::write(&checkpoint, damaged).unwrap();
    let refused = Store::open(options(dir.path()), Arc::new(RealDisk)).await.err().unwrap();
    expect_test::expect![
        "the store's file DIR/checkpoint.redb is damaged: DB corrupted: Primary is corrupted despite 2-phase commit"
    ]
    .assert_eq(&refused.to_string().replace(&dir.path().display().to_string(), "DIR"));
    std::fs::write(&checkpoint, b"not a database").unwrap();
    let refused = Store::open(options(dir.path()), Arc::new(RealDisk)).await.err().unwrap();
    assert!(refused.to_string().contains("checkpoint.redb"), "{refused}");
}
