//! Lists: pages of one moment, selectors, shapes.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::harness::{Server, config_map, pod};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

async fn maps(names: &[&str]) -> Server {
    let server = Server::start().await;
    for name in names {
        let mut object = config_map(name, "x");
        object["metadata"]["labels"] = json!({ "name": name });
        server.json(&format!("POST {MAPS}"), object).await;
    }
    server
}

fn names(list: &Value) -> String {
    let items = list["items"].as_array().into_iter().flatten();
    items.map(|item| item["metadata"]["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_list_is_the_stored_objects() {
    let server = maps(&["a", "b"]).await;
    expect![[r#"200 {"apiVersion":"v1","items":[{"apiVersion":"v1","data":{"a":"x"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","labels":{"name":"a"},"managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}},"f:metadata":{"f:labels":{".":{},"f:name":{}}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"a","namespace":"default","resourceVersion":"1048579","uid":"uid-3"}},{"apiVersion":"v1","data":{"a":"x"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","labels":{"name":"b"},"managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}},"f:metadata":{"f:labels":{".":{},"f:name":{}}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"b","namespace":"default","resourceVersion":"1048580","uid":"uid-4"}}],"kind":"ConfigMapList","metadata":{"resourceVersion":"1048580"}}"#]].assert_eq(&server.shown(&format!("GET {MAPS}"), Value::Null).await);
    expect![[r#"200 {"apiVersion":"v1","items":[],"kind":"ConfigMapList","metadata":{"resourceVersion":"1048580"}}"#]]
        .assert_eq(&server.shown("GET /api/v1/namespaces/nope/configmaps", Value::Null).await);
}

#[tokio::test]
async fn pages_show_one_moment() {
    let server = maps(&["a", "b", "c", "d", "e"]).await;
    let (_, first) = server.json(&format!("GET {MAPS}?limit=2"), Value::Null).await;
    let revision = first["metadata"]["resourceVersion"].clone();
    assert_eq!((names(&first).as_str(), &first["metadata"]["remainingItemCount"]), ("a b", &3.into()));
    server.json(&format!("DELETE {MAPS}/c"), Value::Null).await;
    server.json(&format!("POST {MAPS}"), config_map("dd", "x")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = server.json(&format!("GET {MAPS}?limit=2&continue={token}"), Value::Null).await;
    assert_eq!((names(&second).as_str(), &second["metadata"]["resourceVersion"]), ("c d", &revision));
    let token = second["metadata"]["continue"].as_str().unwrap();
    let (_, third) = server.json(&format!("GET {MAPS}?limit=2&continue={token}"), Value::Null).await;
    assert_eq!((names(&third).as_str(), &third["metadata"]["continue"]), ("e", &Value::Null));
    let (_, whole) = server.json(&format!("GET {MAPS}?limit=5"), Value::Null).await;
    assert_eq!((names(&whole).as_str(), &whole["metadata"]["continue"]), ("a b d dd e", &Value::Null));
}

#[tokio::test]
async fn a_forgotten_moment_is_gone_with_a_way_on() {
    let server = maps(&["a", "b", "c"]).await;
    let (_, first) = server.json(&format!("GET {MAPS}?limit=1"), Value::Null).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    for count in 0..64 {
        server.json(&format!("PUT {MAPS}/b"), config_map("b", &count.to_string())).await;
        server.json(&format!("GET {MAPS}?limit=1"), Value::Null).await;
    }
    let (code, gone) = server.json(&format!("GET {MAPS}?limit=1&continue={token}"), Value::Null).await;
    assert_eq!((code, gone["reason"].as_str().unwrap()), (410, "Expired"));
    let token = gone["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = server.json(&format!("GET {MAPS}?continue={token}"), Value::Null).await;
    assert_eq!(names(&rest), "b c");
}

#[tokio::test]
async fn selectors_select() {
    let server = maps(&["a", "b", "c"]).await;
    let check = async |query: &str, expected: Expect| {
        let (code, list) = server.json(&format!("GET {MAPS}?{query}"), Value::Null).await;
        expected.assert_eq(&format!("{code} {}", names(&list)));
    };
    check("labelSelector=name%3Da", expect!["200 a"]).await;
    check("labelSelector=name%20notin%20(a,b)", expect!["200 c"]).await;
    check("labelSelector=!name", expect!["200 "]).await;
    check("fieldSelector=metadata.name%3Db", expect!["200 b"]).await;
    check("fieldSelector=metadata.name!%3Db", expect!["200 a c"]).await;
    check("fieldSelector=metadata.namespace%3Dother", expect!["200 "]).await;
    check("fieldSelector=metadata.name%3Db&labelSelector=name%3Da", expect!["200 "]).await;
    check("limit=1&labelSelector=name%20in%20(b,c)", expect!["200 b"]).await;
}

#[tokio::test]
async fn pods_are_found_by_node_and_phase() {
    let server = Server::start().await;
    for name in ["p1", "p2", "p3"] {
        server.json(&format!("POST {PODS}"), pod(name)).await;
    }
    server.json(&format!("POST {PODS}/p2/binding"), json!({ "target": { "name": "n1" } })).await;
    server.json(&format!("PATCH {PODS}/p3/status"), json!({ "status": { "phase": "Failed" } })).await;
    let check = async |selector: &str, expected: Expect| {
        let (code, list) = server.json(&format!("GET /api/v1/pods?fieldSelector={selector}"), Value::Null).await;
        expected.assert_eq(&format!("{code} {}", names(&list)));
    };
    check("spec.nodeName%3Dn1", expect!["200 p2"]).await;
    check("spec.nodeName%3D", expect!["200 p1 p3"]).await;
    check("spec.nodeName!%3Dn1", expect!["200 p1 p3"]).await;
    check("status.phase%3DFailed", expect!["200 p3"]).await;
    check("spec.nodeName!%3Dn1,status.phase%3DPending", expect!["200 p1"]).await;
}

#[tokio::test]
async fn revisions_are_as_asked() {
    let server = maps(&["a"]).await;
    let revision = server.app.objects.store().snapshot().revision();
    let check = async |query: String, expected: Expect| {
        let (code, list) = server.json(&format!("GET {MAPS}?{query}"), Value::Null).await;
        expected.assert_eq(&format!("{code} {} {}", names(&list), list["message"]));
    };
    check("resourceVersion=0".to_owned(), expect!["200 a null"]).await;
    check(format!("resourceVersion={revision}&resourceVersionMatch=Exact"), expect!["200 a null"]).await;
    check(format!("resourceVersion={revision}&resourceVersionMatch=NotOlderThan"), expect!["200 a null"]).await;
    check(
        "resourceVersion=1&resourceVersionMatch=Exact".to_owned(),
        expect![[r#"410  "too old resource version: 1 (1048579)""#]],
    )
    .await;
    check("resourceVersionMatch=Exact".to_owned(), expect![[r#"422  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided""#]]).await;
    check("resourceVersion=1&resourceVersionMatch=Odd".to_owned(), expect![[r#"422  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: \"Odd\": supported values: \"Exact\", \"NotOlderThan\", \"\"""#]]).await;
    check("resourceVersion=x".to_owned(), expect![[r#"422  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersion: Invalid value: \"x\": must be a whole number""#]]).await;
}

#[tokio::test]
async fn lists_have_shapes() {
    let server = maps(&["a"]).await;
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let (_, text) = server.text(&format!("GET {MAPS}?limit=500"), &headers, "").await;
    let mut table: Value = serde_json::from_str(&text).unwrap();
    table["columnDefinitions"] = table["columnDefinitions"].as_array().unwrap().len().into();
    expect![[r#"{"apiVersion":"meta.k8s.io/v1","columnDefinitions":3,"kind":"Table","metadata":{"resourceVersion":"1048579"},"rows":[{"cells":["a",1,"0s"],"object":{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","labels":{"name":"a"},"managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}},"f:metadata":{"f:labels":{".":{},"f:name":{}}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"a","namespace":"default","resourceVersion":"1048579","uid":"uid-3"}}}]}"#]].assert_eq(&table.to_string());
    let headers = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let (_, text) = server.text(&format!("GET {MAPS}"), &headers, "").await;
    expect![[r#"{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"1048579"},"items":[{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","labels":{"name":"a"},"managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}},"f:metadata":{"f:labels":{".":{},"f:name":{}}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"a","namespace":"default","resourceVersion":"1048579","uid":"uid-3"}}]}"#]].assert_eq(&text);
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let (_, text) = server.text(&format!("GET {MAPS}?includeObject=None"), &headers, "").await;
    let table: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(table["rows"][0]["object"], Value::Null);
}
