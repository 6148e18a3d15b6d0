//! A store made of another one's records.

use std::io::BufReader;
use std::sync::Arc;

use coracle_store::archive::{ArchiveReader, ArchiveWriter, Entry, Header};
use coracle_store::{Precondition, RealDisk, Record, WatchRequest, restore};

use super::{delete, open, options, put, write};

fn shown<'a>(records: impl Iterator<Item = &'a Arc<Record>>) -> Vec<(String, String, u64)> {
    let json = |record: &Record| String::from_utf8_lossy(&record.to_json()).into_owned();
    records.map(|record| (record.key.to_string(), json(record), record.revision)).collect()
}

#[tokio::test]
async fn a_restored_store_holds_the_same_and_goes_on_above() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("first")).await;
    for index in 0..500 {
        write(&store, put(&format!("pods/a/{index}"), "x", Precondition::None)).await;
        write(&store, put("leases/h1", "x", Precondition::None)).await;
    }
    write(&store, delete("pods/a/7", Precondition::None)).await;
    let saved = store.read().await.unwrap();
    let durable = || saved.range("", None).filter(|record| !options(dir.path()).ephemeral.contains(&record.key));
    let (cluster, taken) = ("calm-otter".to_owned(), "2026-11-21T10:00:00Z".to_owned());
    let header = Header { cluster, revision: saved.revision(), taken, records: durable().count() as u64 };
    let mut bytes = Vec::new();
    let mut writer = ArchiveWriter::new(&mut bytes, &header).unwrap();
    durable().for_each(|record| writer.record(record).unwrap());
    writer.finish().unwrap();
    // The store goes on after it was saved.
    for index in 0..500 {
        write(&store, put(&format!("pods/b/{index}"), "x", Precondition::None)).await;
    }
    let last_known = store.snapshot().revision();
    store.shutdown().await.unwrap();

    let mut archive = ArchiveReader::new(BufReader::new(bytes.as_slice())).unwrap();
    let mut records = Vec::new();
    while let Some(entry) = archive.next_entry().unwrap() {
        let Entry::Record(record) = entry else { panic!("{entry:?}") };
        records.push(record);
    }
    let second = dir.path().join("second");
    let revision = restore(&options(&second), Arc::new(RealDisk), records, archive.header().revision).unwrap();
    assert!(revision > last_known);

    let again = open(&second).await;
    assert_eq!(shown(again.read().await.unwrap().range("", None)), shown(durable()));
    assert!(again.snapshot().revision() > revision);
    // A watch that goes back to the time before begins anew; one from now on sees what happens.
    let watch = |after| again.watch(WatchRequest { prefix: "pods/".to_owned(), tag: None, after });
    assert!(watch(last_known).is_err());
    let mut changes = watch(again.snapshot().revision()).unwrap();
    let made = write(&again, put("pods/a/7", "y", Precondition::Absent)).await.revision().unwrap();
    assert_eq!(changes.next().await.unwrap().record.revision, made);
    again.shutdown().await.unwrap();
    drop(again);

    let restarted = open(&second).await;
    assert_eq!(restarted.snapshot().count("pods/"), 500);
    assert!(restarted.snapshot().revision() > made);
}

#[tokio::test]
async fn a_store_of_nothing_is_restored_too() {
    let dir = tempfile::tempdir().unwrap();
    restore(&options(dir.path()), Arc::new(RealDisk), [], 5).unwrap();
    let store = open(dir.path()).await;
    assert_eq!(store.snapshot().count(""), 0);
    write(&store, put("pods/a/1", "x", Precondition::Absent)).await;
}
