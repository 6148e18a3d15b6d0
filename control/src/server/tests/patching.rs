//! Patches of all kinds, and conflicts.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::harness::{Server, config_map, deployment};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn patch(server: &Server, path: &str, kind: &str, body: Value) -> (u16, Value) {
    let content_type = format!("application/{kind}-patch+json");
    let headers = [("content-type", content_type.as_str())];
    let (code, text) = server.text(&format!("PATCH {path}"), &headers, body.to_string()).await;
    (code, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn lists_merge_by_key() {
    let server = Server::start().await;
    server.json(&format!("POST {DEPLOYMENTS}"), deployment("d", 1)).await;
    let body = |containers: Value| json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    let path = format!("{DEPLOYMENTS}/d");
    let images = |object: &Value| {
        let containers = object["spec"]["template"]["spec"]["containers"].as_array().unwrap().iter();
        containers
            .map(|container| format!("{}={}", container["name"], container["image"]))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let (_, object) = patch(&server, &path, "strategic-merge", body(json!([{ "name": "side", "image": "s:1" }]))).await;
    expect![[r#""side"="s:1" "main"="example.org/a:1""#]].assert_eq(&images(&object));
    let (_, object) =
        patch(&server, &path, "strategic-merge", body(json!([{ "name": "side", "$patch": "delete" }]))).await;
    expect![[r#""main"="example.org/a:1""#]].assert_eq(&images(&object));
    let (_, object) = patch(&server, &path, "merge", body(json!([{ "name": "only", "image": "o:1" }]))).await;
    expect![[r#""only"="o:1""#]].assert_eq(&images(&object));
    let operation = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "j:1" }]);
    let (_, object) = patch(&server, &path, "json", operation).await;
    expect![[r#""only"="j:1""#]].assert_eq(&images(&object));
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c", "x")).await;
    let check = async |kind: &str, name: &str, body: Value, expected: Expect| {
        let (code, answer) = patch(&server, &format!("{MAPS}/{name}"), kind, body).await;
        expected.assert_eq(&format!("{code} {}", answer["message"].as_str().unwrap_or_default()));
    };
    check("merge", "zz", json!({ "data": {} }), expect![[r#"404 configmaps "zz" not found"#]]).await;
    check(
        "merge",
        "c",
        json!([]),
        expect![
            "400 error decoding patch: couldn't get version/kind; json parse error: expected an object, found a list"
        ],
    )
    .await;
    check(
        "merge",
        "c",
        json!({ "metadata": { "name": "d" } }),
        expect!["400 the name of the object (d) does not match the name on the URL (c)"],
    )
    .await;
    check(
        "merge",
        "c",
        json!({ "metadata": { "namespace": "d" } }),
        expect!["400 the namespace of the provided object does not match the namespace sent on the request"],
    )
    .await;
    check("merge", "c", json!({ "metadata": { "resourceVersion": "1" } }), expect![[r#"409 Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again"#]]).await;
    check("merge", "c", json!({ "data": { "a": 7 } }), expect![[r#"422  "" is invalid: patch: Invalid value: "{\"data\":{\"a\":7}}": json: cannot unmarshal number into Go struct field ConfigMap.data.a of type string"#]]).await;
    check("json", "c", json!([{ "op": "test", "path": "/data/a", "value": "z" }]), expect!["422 the server rejected our request due to an error in our request: operation '/0' failed at path '/data/a': value did not match"]).await;
    check("json", "c", json!([{ "op": "odd", "path": "/data/a" }]), expect!["400 error decoding patch: unknown variant `odd`, expected one of `add`, `remove`, `replace`, `move`, `copy`, `test` at line 1 column 12"]).await;
    check(
        "json",
        "c",
        json!([{ "op": "replace", "path": "/kind", "value": "Secret" }]),
        expect!["400 the kind in the data (Secret) does not match the expected kind (ConfigMap)"],
    )
    .await;
    check("strategic-merge", "c", json!({ "$patch": "odd" }), expect![[r#"400 unknown patch type: "odd""#]]).await;
}

#[tokio::test]
async fn patches_at_once_all_count() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c", "x")).await;
    let path = format!("{MAPS}/c");
    let patches = (0..6).map(|count| {
        let (server, path) = (&server, path.as_str());
        async move { patch(server, path, "merge", json!({ "data": { (format!("k{count}")): "v" } })).await.0 }
    });
    let codes = futures::future::join_all(patches).await;
    assert_eq!(codes, [200; 6]);
    let (_, object) = server.json(&format!("GET {path}"), Value::Null).await;
    assert_eq!(object["data"].as_object().unwrap().len(), 7);
}
