//! What clients hear when the store's disk is full, or fails.

use std::sync::Arc;

use coracle_store::Options;
use coracle_store::testing::{Failure, SeededDisk};
use expect_test::expect;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, config_map};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn start() -> (Server, SeededDisk) {
    let disk = SeededDisk::new(1);
    let dir = TempDir::new().unwrap();
    let options = Options { segment_bytes: 128 << 10, checkpoint_interval_ms: 600_000, ..Options::new(dir.path()) };
    (Server::on_disk(Arc::new(disk.clone()), options, dir).await, disk)
}

#[tokio::test]
async fn a_full_disk_takes_deletions_only_and_clears_by_itself() {
    let (server, disk) = start().await;
    let mut kept = config_map("kept", "x");
    kept["metadata"]["finalizers"] = json!(["example.com/keep"]);
    server.json(&format!("POST {MAPS}"), kept).await;
    disk.set_capacity(Some(disk.used_bytes()));
    let mut created = 0;
    while server.json(&format!("POST {MAPS}"), config_map(&format!("c{created}"), &"x".repeat(4_000))).await.0 == 201 {
        created += 1;
    }
    assert!(created > 2, "{created}");
    let refused = server.shown(&format!("POST {MAPS}"), config_map("refused", &"x".repeat(4_000))).await;
    expect![[r#"507 {"apiVersion":"v1","code":507,"kind":"Status","message":"no space is left on the disk of the store: deletions are taken, everything else is refused until there is space again; delete objects, or free space on that disk","metadata":{},"reason":"InsufficientStorage","status":"Failure"}"#]].assert_eq(&refused);
    assert_eq!(server.json(&format!("GET {MAPS}/c0"), Value::Null).await.0, 200);
    assert_eq!(server.json(&format!("DELETE {MAPS}/c0"), Value::Null).await.0, 200);
    // A deletion that takes several writes goes through as well.
    assert_eq!(server.json(&format!("DELETE {MAPS}/kept"), Value::Null).await.0, 200);
    let patch = [("content-type", "application/merge-patch+json")];
    let (code, body) = server.text(&format!("PATCH {MAPS}/kept"), &patch, r#"{"metadata":{"finalizers":null}}"#).await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(server.json(&format!("GET {MAPS}/kept"), Value::Null).await.0, 404);
    disk.set_capacity(None);
    assert_eq!(server.json(&format!("POST {MAPS}"), config_map("again", "x")).await.0, 201);
}

#[tokio::test]
async fn a_broken_disk_is_not_ready_and_reads_go_on() {
    let (server, disk) = start().await;
    server.json(&format!("POST {MAPS}"), config_map("kept", "x")).await;
    disk.fail_after(0, Failure::Sync);
    let (code, body) = server.json(&format!("POST {MAPS}"), config_map("lost", "x")).await;
    assert_eq!((code, body["reason"].as_str()), (503, Some("ServiceUnavailable")), "{body}");
    assert!(
        body["message"].as_str().unwrap().contains("nothing is written any more until this member is started again"),
        "{body}"
    );
    assert_eq!(server.json(&format!("GET {MAPS}/kept"), Value::Null).await.0, 200);
    assert_eq!(server.json(&format!("GET {MAPS}/lost"), Value::Null).await.0, 404);
    assert_eq!(server.text("GET /readyz", &[], "").await.0, 503);
    assert_eq!(server.text("GET /livez", &[], "").await.0, 200);
}
