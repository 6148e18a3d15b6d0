//! Watches: from now, from before, through selectors, as Tables, too late.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use coracle_store::{Options, RealDisk};
use expect_test::expect;
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, config_map, pod};
use crate::objects::ObjectWrite;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The frames of a watch, one at a time.
pub(super) struct Frames {
    stream: BodyDataStream,
    buffer: Vec<u8>,
}

impl Frames {
    pub(super) async fn open(server: &Server, path: &str, accept: &str) -> Frames {
        let response = server.send(&format!("GET {path}"), &[("accept", accept)], Body::empty()).await;
        assert_eq!(response.status(), 200, "{path}");
        Frames { stream: response.into_body().into_data_stream(), buffer: Vec::new() }
    }

    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            self.buffer.extend_from_slice(&self.stream.next().await?.unwrap());
        }
    }

    /// Type, name and one value of the next frame.
    async fn shown(&mut self) -> String {
        let Some(frame) = self.next().await else { return "end".to_owned() };
        let object = &frame["object"];
        let what = if frame["type"] == "ERROR" { &object["message"] } else { &object["metadata"]["name"] };
        format!("{} {} {}", frame["type"].as_str().unwrap(), what, object["data"]["a"])
    }
}

#[tokio::test]
async fn changes_follow_what_is_there() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("a", "1")).await;
    let mut watch = Frames::open(&server, &format!("{MAPS}?watch=true"), "application/json").await;
    expect![[r#"ADDED "a" "1""#]].assert_eq(&watch.shown().await);
    server.json(&format!("PUT {MAPS}/a"), config_map("a", "2")).await;
    expect![[r#"MODIFIED "a" "2""#]].assert_eq(&watch.shown().await);
    server.json("POST /api/v1/namespaces/kube-node-lease/configmaps", config_map("elsewhere", "1")).await;
    server.json(&format!("POST {MAPS}"), config_map("b", "1")).await;
    expect![[r#"ADDED "b" "1""#]].assert_eq(&watch.shown().await);
    server.json(&format!("DELETE {MAPS}/a"), Value::Null).await;
    let frame = watch.next().await.unwrap();
    let revision = server.app.objects.store().snapshot().revision();
    assert_eq!(frame["type"], "DELETED");
    assert_eq!(frame["object"]["metadata"]["resourceVersion"], revision.to_string());
    server.app.shutdown.cancel();
    assert_eq!(watch.shown().await, "end");
}

#[tokio::test]
async fn a_watch_resumes_where_a_list_ended() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("a", "1")).await;
    let (_, list) = server.json(&format!("GET {MAPS}"), Value::Null).await;
    server.json(&format!("PUT {MAPS}/a"), config_map("a", "2")).await;
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?watch=1&resourceVersion={revision}&fieldSelector=metadata.name%3Da");
    let mut watch = Frames::open(&server, &path, "application/json").await;
    expect![[r#"MODIFIED "a" "2""#]].assert_eq(&watch.shown().await);
}

#[tokio::test]
async fn watch_list_ends_what_is_there_with_a_bookmark() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("a", "1")).await;
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Frames::open(&server, &format!("{MAPS}?{query}"), "application/json").await;
    expect![[r#"ADDED "a" "1""#]].assert_eq(&watch.shown().await);
    expect![[r#"{"object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"k8s.io/initial-events-end":"true"},"creationTimestamp":null,"resourceVersion":"1048579"}},"type":"BOOKMARK"}"#]].assert_eq(&watch.next().await.unwrap().to_string());
    let bad = format!("GET {MAPS}?watch=true&sendInitialEvents=true");
    expect![[r#"422 ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"#]].assert_eq(&server.outcome(&bad, Value::Null).await);
    let bad = format!("GET {MAPS}?watch=true&resourceVersionMatch=NotOlderThan");
    expect![[r#"422 ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"#]].assert_eq(&server.outcome(&bad, Value::Null).await);
}

#[tokio::test]
async fn bookmarks_come_every_minute() {
    let server = Server::start().await;
    tokio::time::pause();
    let path = format!("{MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=150");
    let mut watch = Frames::open(&server, &path, "application/json").await;
    let first = watch.next().await.unwrap();
    expect![[r#"{"object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"creationTimestamp":null,"resourceVersion":"1048578"}},"type":"BOOKMARK"}"#]].assert_eq(&first.to_string());
    assert_eq!(watch.next().await.unwrap()["type"], "BOOKMARK");
    assert_eq!(watch.shown().await, "end");
}

#[tokio::test]
async fn selectors_turn_changes_into_comings_and_goings() {
    let server = Server::start().await;
    let path = format!("{MAPS}?watch=true&labelSelector=tier%3Dfront");
    let mut watch = Frames::open(&server, &path, "application/json").await;
    let label = |tier: &str| json!({ "metadata": { "labels": { "tier": tier } } });
    server.json(&format!("POST {MAPS}"), config_map("a", "1")).await;
    for tier in ["front", "back", "front"] {
        server.json(&format!("PATCH {MAPS}/a"), label(tier)).await;
    }
    server.json(&format!("PATCH {MAPS}/a"), json!({ "data": { "a": "2" } })).await;
    server.json(&format!("DELETE {MAPS}/a"), Value::Null).await;
    let mut shown = String::new();
    for _ in 0..5 {
        let frame = watch.next().await.unwrap();
        let object = &frame["object"];
        let revision = object["metadata"]["resourceVersion"].as_str().unwrap();
        shown.push_str(&format!(
            "{} {} {} @{revision}\n",
            frame["type"], object["metadata"]["labels"], object["data"]["a"]
        ));
    }
    expect![[r#"
        "ADDED" {"tier":"front"} "1" @1048580
        "DELETED" {"tier":"front"} "1" @1048581
        "ADDED" {"tier":"front"} "1" @1048582
        "MODIFIED" {"tier":"front"} "2" @1048583
        "DELETED" {"tier":"front"} "2" @1048584
    "#]]
    .assert_eq(&shown);
}

#[tokio::test]
async fn a_host_sees_its_pods_come() {
    let server = Server::start().await;
    let path = "/api/v1/pods?watch=true&resourceVersion=0&fieldSelector=spec.nodeName%3Dn1";
    let mut watch = Frames::open(&server.as_node("n1"), path, "application/json").await;
    for (name, node) in [("p1", "n2"), ("p2", "n1")] {
        server.json("POST /api/v1/namespaces/default/pods", pod(name)).await;
        let binding = json!({ "target": { "name": node } });
        server.json(&format!("POST /api/v1/namespaces/default/pods/{name}/binding"), binding).await;
    }
    expect![[r#"ADDED "p2" null"#]].assert_eq(&watch.shown().await);
}

#[tokio::test]
async fn tables_have_columns_once() {
    let server = Server::start().await;
    for name in ["a", "b"] {
        server.json(&format!("POST {MAPS}"), config_map(name, "1")).await;
    }
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let mut watch = Frames::open(&server, &format!("{MAPS}?watch=true"), accept).await;
    let first = watch.next().await.unwrap();
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    expect![[r#"{"object":{"apiVersion":"meta.k8s.io/v1","columnDefinitions":null,"kind":"Table","metadata":{"resourceVersion":"1048580"},"rows":[{"cells":["b",1,"0s"],"object":{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"b","namespace":"default","resourceVersion":"1048580","uid":"uid-4"}}}]},"type":"ADDED"}"#]].assert_eq(&watch.next().await.unwrap().to_string());
}

#[tokio::test]
async fn history_that_is_gone_is_said_to_be() {
    let server = Server::with_history(2).await;
    for count in 0..5 {
        server.json(&format!("POST {MAPS}"), config_map(&format!("c{count}"), "1")).await;
    }
    let mut watch = Frames::open(&server, &format!("{MAPS}?watch=true&resourceVersion=1"), "application/json").await;
    let error = watch.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&"ERROR".into(), &410.into()));
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(watch.shown().await, "end");
}

#[tokio::test]
async fn one_object_is_watched_by_name() {
    let server = Server::start().await;
    let mut watch = Frames::open(&server, &format!("{MAPS}/b?watch=true"), "application/json").await;
    for name in ["a", "b"] {
        server.json(&format!("POST {MAPS}"), config_map(name, "1")).await;
    }
    expect![[r#"ADDED "b" "1""#]].assert_eq(&watch.shown().await);
}

/// A client that stops reading is cut off; writers and the other watches don't wait for it.
#[tokio::test]
async fn a_watch_that_nobody_reads_ends() {
    let dir = TempDir::new().unwrap();
    let options = Options { watch_queue_events_max: 64, ..Options::new(dir.path()) };
    let server = Server::on_disk(Arc::new(RealDisk), options, dir).await;
    let mut slow = Frames::open(&server, &format!("{MAPS}?watch=true"), "application/json").await;
    let mut quick = Frames::open(&server, &format!("{MAPS}?watch=true"), "application/json").await;
    let mut count = 0;
    for batch in 0..10 {
        let maps = (0..50).map(|index| {
            let mut object = config_map(&format!("m-{batch}-{index}"), "1");
            object["metadata"]["namespace"] = "default".into();
            ObjectWrite::Create { kind: &coracle_api::kinds::CONFIG_MAP, object }
        });
        let results = server.app.objects.write_all(maps.collect()).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
        for _ in 0..results.len() {
            assert_eq!(quick.next().await.unwrap()["type"], "ADDED");
            count += 1;
        }
    }
    let mut last = slow.next().await.unwrap();
    let mut seen = 0;
    while last["type"] == "ADDED" {
        seen += 1;
        last = slow.next().await.expect("a watch that fell behind says so");
    }
    expect![[r#"410 "too old resource version: the watch fell behind""#]]
        .assert_eq(&format!("{} {}", last["object"]["code"], last["object"]["message"]));
    assert!(seen < count);
    assert_eq!(slow.shown().await, "end");
}
