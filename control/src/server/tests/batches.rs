//! Batches: each item by itself, all in one proposal.

use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{Server, config_map, pod};

const BATCH: &str = "POST /apis/coracle.dev/v1/batches";

fn placed(mut object: Value) -> Value {
    object["metadata"]["namespace"] = "default".into();
    object
}

#[tokio::test]
async fn items_succeed_and_fail_by_themselves() {
    let server = Server::start().await;
    server.json("POST /api/v1/namespaces/default/configmaps", config_map("old", "x")).await;
    server.json("POST /api/v1/namespaces/default/pods", pod("p1")).await;
    let mut wrong_uid = placed(pod("p1"));
    wrong_uid["metadata"]["uid"] = "other".into();
    let mut running = placed(pod("p1"));
    running["status"] = json!({ "phase": "Running" });
    let mut stale = placed(config_map("old", "z"));
    stale["metadata"]["resourceVersion"] = "1".into();
    let items = json!([
        { "verb": "create", "object": placed(config_map("new", "x")) },
        { "verb": "create", "object": placed(config_map("old", "x")) },
        { "verb": "update", "object": placed(config_map("old", "y")) },
        { "verb": "update", "object": stale },
        { "verb": "updateStatus", "object": running },
        { "verb": "updateStatus", "object": wrong_uid },
        { "verb": "delete", "object": placed(config_map("gone", "x")) },
        { "verb": "fetch", "object": placed(config_map("old", "x")) },
        { "verb": "create", "object": { "apiVersion": "v9", "kind": "Odd", "metadata": { "name": "x" } } },
        { "verb": "create", "object": config_map("nowhere", "x") },
        { "verb": "create" },
    ]);
    let (code, answer) =
        server.json(BATCH, json!({ "apiVersion": "coracle.dev/v1", "kind": "Batch", "items": items })).await;
    assert_eq!(code, 200);
    let shown: Vec<String> = answer["items"].as_array().unwrap().iter().map(Value::to_string).collect();
    expect![[r#"
        {"code":200,"object":{"metadata":{"name":"new","namespace":"default","resourceVersion":"1048581","uid":"uid-5"}}}
        {"code":409,"status":{"apiVersion":"v1","code":409,"details":{"kind":"configmaps","name":"old"},"kind":"Status","message":"configmaps \"old\" already exists","metadata":{},"reason":"AlreadyExists","status":"Failure"}}
        {"code":200,"object":{"metadata":{"name":"old","namespace":"default","resourceVersion":"1048582","uid":"uid-3"}}}
        {"code":409,"status":{"apiVersion":"v1","code":409,"details":{"kind":"configmaps","name":"old"},"kind":"Status","message":"Operation cannot be fulfilled on configmaps \"old\": the object has been modified; please apply your changes to the latest version and try again","metadata":{},"reason":"Conflict","status":"Failure"}}
        {"code":200,"object":{"metadata":{"name":"p1","namespace":"default","resourceVersion":"1048583","uid":"uid-4"}}}
        {"code":409,"status":{"apiVersion":"v1","code":409,"details":{"kind":"pods","name":"p1"},"kind":"Status","message":"Operation cannot be fulfilled on pods \"p1\": Precondition failed: UID in precondition: other, UID in object meta: uid-4","metadata":{},"reason":"Conflict","status":"Failure"}}
        {"code":404,"status":{"apiVersion":"v1","code":404,"details":{"kind":"configmaps","name":"gone"},"kind":"Status","message":"configmaps \"gone\" not found","metadata":{},"reason":"NotFound","status":"Failure"}}
        {"code":400,"status":{"apiVersion":"v1","code":400,"kind":"Status","message":"verb: Unsupported value: \"fetch\": supported values: \"create\", \"update\", \"updateStatus\", \"delete\"","metadata":{},"reason":"BadRequest","status":"Failure"}}
        {"code":400,"status":{"apiVersion":"v1","code":400,"kind":"Status","message":"no matches for kind \"Odd\" in version \"v9\"","metadata":{},"reason":"BadRequest","status":"Failure"}}
        {"code":400,"status":{"apiVersion":"v1","code":400,"kind":"Status","message":"object.metadata.namespace: Required value","metadata":{},"reason":"BadRequest","status":"Failure"}}
        {"code":400,"status":{"apiVersion":"v1","code":400,"kind":"Status","message":"object: Required value: an object to write","metadata":{},"reason":"BadRequest","status":"Failure"}}"#]].assert_eq(&shown.join("\n"));
    let (_, pod) = server.json("GET /api/v1/namespaces/default/pods/p1", Value::Null).await;
    assert_eq!(pod["status"]["phase"], "Running");
}

#[tokio::test]
async fn writes_of_one_object_follow_each_other() {
    let server = Server::start().await;
    let items: Vec<Value> = ["a", "b", "c"]
        .iter()
        .enumerate()
        .map(|(index, data)| {
            json!({ "verb": if index == 0 { "create" } else { "update" }, "object": placed(config_map("c", data)) })
        })
        .collect();
    server.json(BATCH, json!({ "items": [items[0]] })).await;
    let (_, answer) = server.json(BATCH, json!({ "items": items[1..] })).await;
    assert!(answer["items"].as_array().unwrap().iter().all(|item| item["code"] == 200), "{answer}");
    let (_, object) = server.json("GET /api/v1/namespaces/default/configmaps/c", Value::Null).await;
    assert_eq!(object["data"]["a"], "c");
}

#[tokio::test]
async fn a_host_confirms_the_end_of_a_pod() {
    let server = Server::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let (_, created) = server.json(&format!("POST {pods}"), pod("p")).await;
    server.json(&format!("POST {pods}/p/binding"), json!({ "target": { "name": "n1" } })).await;
    server.json(&format!("DELETE {pods}/p"), Value::Null).await;
    let confirm = |uid: &Value| {
        let mut object = placed(pod("p"));
        object["metadata"]["uid"] = uid.clone();
        json!({ "items": [{ "verb": "delete", "object": object, "options": { "gracePeriodSeconds": 0 } }] })
    };
    let (_, other) = server.json(BATCH, confirm(&"other".into())).await;
    assert_eq!(other["items"][0]["code"], 409);
    let (_, done) = server.json(BATCH, confirm(&created["metadata"]["uid"])).await;
    assert_eq!(done["items"][0]["code"], 200);
    assert_eq!(server.outcome(&format!("GET {pods}/p"), Value::Null).await, "404 pods \"p\" not found");
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    let server = Server::start().await;
    expect![[r#"400 Batch in version "v1" cannot be handled as a Batch: items: expected a list"#]]
        .assert_eq(&server.outcome(BATCH, json!({ "items": 7 })).await);
    expect![[r#"200 {"apiVersion":"coracle.dev/v1","items":[],"kind":"Batch"}"#]]
        .assert_eq(&server.shown(BATCH, json!({})).await);
    expect!["405 the server does not allow this method on the requested resource"]
        .assert_eq(&server.outcome("GET /apis/coracle.dev/v1/batches", Value::Null).await);
}
