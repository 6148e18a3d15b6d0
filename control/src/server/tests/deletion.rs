//! Deletion: at once, after a grace period, after finalizers, of everything.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::harness::{Server, config_map, deployment, pod};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn check(server: &Server, line: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.outcome(line, body).await);
}

fn deletion(object: &Value) -> String {
    let metadata = &object["metadata"];
    let fields = ["deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "generation"];
    fields.map(|field| metadata[field].to_string()).join(" ")
}

#[tokio::test]
async fn what_nothing_holds_goes_at_once() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c1", "b")).await;
    expect![[r#"200 {"apiVersion":"v1","details":{"kind":"configmaps","name":"c1","uid":"uid-3"},"kind":"Status","metadata":{},"status":"Success"}"#]].assert_eq(&server.shown(&format!("DELETE {MAPS}/c1"), Value::Null).await);
    check(&server, &format!("DELETE {MAPS}/c1"), Value::Null, expect![[r#"404 configmaps "c1" not found"#]]).await;
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let server = Server::start().await;
    let mut object = config_map("c1", "b");
    object["metadata"]["finalizers"] = json!(["example.org/hold"]);
    server.json(&format!("POST {MAPS}"), object).await;
    let (code, marked) = server.json(&format!("DELETE {MAPS}/c1"), Value::Null).await;
    expect![[r#"200 "2026-11-21T10:00:00Z" 0 ["example.org/hold"] null"#]]
        .assert_eq(&format!("{code} {}", deletion(&marked)));
    let (_, again) = server.json(&format!("DELETE {MAPS}/c1"), Value::Null).await;
    assert_eq!(again, marked);
    let more = json!({ "metadata": { "finalizers": ["example.org/hold", "example.org/more"] } });
    check(&server, &format!("PATCH {MAPS}/c1"), more, expect![[r#"422 ConfigMap "c1" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.org/more"}"#]]).await;
    let (code, _) = server.json(&format!("PATCH {MAPS}/c1"), json!({ "metadata": { "finalizers": null } })).await;
    assert_eq!(code, 200);
    check(&server, &format!("GET {MAPS}/c1"), Value::Null, expect![[r#"404 configmaps "c1" not found"#]]).await;
}

#[tokio::test]
async fn propagation_becomes_finalizers() {
    let server = Server::start().await;
    let mut shown = String::new();
    for (name, policy) in [("a", "Background"), ("b", "Foreground"), ("c", "Orphan")] {
        server.json(&format!("POST {DEPLOYMENTS}"), deployment(name, 1)).await;
        let (code, answer) =
            server.json(&format!("DELETE {DEPLOYMENTS}/{name}"), json!({ "propagationPolicy": policy })).await;
        shown.push_str(&format!("{policy} {code} {} {}\n", answer["kind"], deletion(&answer)));
    }
    expect![[r#"
        Background 200 "Status" null null null null
        Foreground 200 "Deployment" "2026-11-21T10:00:00Z" 0 ["foregroundDeletion"] 2
        Orphan 200 "Deployment" "2026-11-21T10:00:00Z" 0 ["orphan"] 2
    "#]]
    .assert_eq(&shown);
    check(&server, &format!("DELETE {DEPLOYMENTS}/b?propagationPolicy=Odd"), Value::Null, expect![[r#"422 DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Odd": supported values: "Background", "Foreground", "Orphan""#]]).await;
}

#[tokio::test]
async fn pods_get_time_to_stop() {
    let server = Server::start().await;
    let mut shown = String::new();
    for name in ["unbound", "bound", "over"] {
        server.json(&format!("POST {PODS}"), pod(name)).await;
        if name != "unbound" {
            let binding = json!({ "target": { "name": "n1" } });
            server.json(&format!("POST {PODS}/{name}/binding"), binding).await;
        }
        if name == "over" {
            server.json(&format!("PATCH {PODS}/{name}/status"), json!({ "status": { "phase": "Succeeded" } })).await;
        }
        let (code, answer) = server.json(&format!("DELETE {PODS}/{name}"), Value::Null).await;
        let (left, _) = server.json(&format!("GET {PODS}/{name}"), Value::Null).await;
        shown.push_str(&format!("{name}: {code} {} {left}\n", deletion(&answer)));
    }
    for grace in [60, 10, 0] {
        let (code, answer) = server.json(&format!("DELETE {PODS}/bound"), json!({ "gracePeriodSeconds": grace })).await;
        let (left, _) = server.json(&format!("GET {PODS}/bound"), Value::Null).await;
        shown.push_str(&format!("{grace}: {code} {} {left}\n", deletion(&answer)));
    }
    expect![[r#"
        unbound: 200 null null null 1 404
        bound: 200 "2026-11-21T10:00:30Z" 30 null 2 200
        over: 200 null null null 1 404
        60: 200 "2026-11-21T10:00:30Z" 30 null 2 200
        10: 200 "2026-11-21T10:00:10Z" 10 null 2 200
        0: 200 "2026-11-21T10:00:10Z" 10 null 2 404
    "#]]
    .assert_eq(&shown);
}

#[tokio::test]
async fn preconditions_hold() {
    let server = Server::start().await;
    let (_, created) = server.json(&format!("POST {MAPS}"), config_map("c1", "b")).await;
    let line = format!("DELETE {MAPS}/c1");
    let revision = |revision: &Value| json!({ "preconditions": { "resourceVersion": revision } });
    check(&server, &line, revision(&"1".into()), expect![[r#"409 Operation cannot be fulfilled on configmaps "c1": the object has been modified; please apply your changes to the latest version and try again"#]]).await;
    check(&server, &line, revision(&"x".into()), expect![[r#"400 preconditions.resourceVersion: invalid value "x""#]])
        .await;
    check(
        &server,
        &line,
        json!({ "gracePeriodSeconds": "x" }),
        expect![[r#"400 DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"#]],
    )
    .await;
    check(&server, &line, revision(&created["metadata"]["resourceVersion"]), expect!["200"]).await;
}

#[tokio::test]
async fn collections_go_by_selector() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        let mut object = config_map(name, "x");
        object["metadata"]["labels"] = json!({ "tier": if name == "c" { "back" } else { "front" } });
        server.json(&format!("POST {MAPS}"), object).await;
    }
    let (code, deleted) = server.json(&format!("DELETE {MAPS}?labelSelector=tier%3Dfront"), Value::Null).await;
    assert_eq!((code, deleted["items"].as_array().unwrap().len()), (200, 2));
    let (_, left) = server.json(&format!("GET {MAPS}"), Value::Null).await;
    assert_eq!(left["items"][0]["metadata"]["name"], "c");
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    check(
        &server,
        "DELETE /api/v1/namespaces",
        Value::Null,
        expect!["405 the server does not allow this method on the requested resource"],
    )
    .await;
    check(
        &server,
        "DELETE /api/v1/configmaps",
        Value::Null,
        expect!["405 the server does not allow this method on the requested resource"],
    )
    .await;
}

#[tokio::test]
async fn namespaces_end_empty() {
    let server = Server::start().await;
    let namespace = json!({ "metadata": { "name": "team" } });
    let (_, created) = server.json("POST /api/v1/namespaces", namespace).await;
    expect![[r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","labels":{"kubernetes.io/metadata.name":"team"},"managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:kubernetes.io/metadata.name":{}}},"f:spec":{"f:finalizers":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"team","resourceVersion":"1048579","uid":"uid-3"},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}"#]].assert_eq(&created.to_string());
    check(
        &server,
        "DELETE /api/v1/namespaces/default",
        Value::Null,
        expect![[r#"403 namespaces "default" is forbidden: this namespace may not be deleted"#]],
    )
    .await;
    let (_, marked) = server.json("DELETE /api/v1/namespaces/team", Value::Null).await;
    expect![[r#""2026-11-21T10:00:00Z" 0 null null {"phase":"Terminating"}"#]].assert_eq(&format!(
        "{} {}",
        deletion(&marked),
        marked["status"]
    ));
    expect![[r#"403 {"apiVersion":"v1","code":403,"details":{"causes":[{"field":"metadata.namespace","message":"namespace team is being terminated","reason":"NamespaceTerminating"}],"kind":"configmaps","name":"c"},"kind":"Status","message":"configmaps \"c\" is forbidden: unable to create new content in namespace team because it is being terminated","metadata":{},"reason":"Forbidden","status":"Failure"}"#]].assert_eq(&server.shown("POST /api/v1/namespaces/team/configmaps", config_map("c", "x")).await);
    let emptied = json!({ "spec": { "finalizers": [] } });
    check(&server, "PATCH /api/v1/namespaces/team", emptied, expect!["200"]).await;
    check(&server, "GET /api/v1/namespaces/team", Value::Null, expect!["200"]).await;
    let finalized = json!({ "metadata": { "name": "team" }, "spec": { "finalizers": [] } });
    check(&server, "PUT /api/v1/namespaces/team/finalize", finalized, expect!["200"]).await;
    check(&server, "GET /api/v1/namespaces/team", Value::Null, expect![[r#"404 namespaces "team" not found"#]]).await;
}

#[tokio::test]
async fn pods_are_evicted() {
    let server = Server::start().await;
    server.json(&format!("POST {PODS}"), pod("p")).await;
    let eviction = json!({ "kind": "Eviction", "apiVersion": "policy/v1", "metadata": { "name": "p" } });
    expect![[r#"201 {"apiVersion":"v1","code":201,"kind":"Status","metadata":{},"status":"Success"}"#]]
        .assert_eq(&server.shown(&format!("POST {PODS}/p/eviction"), eviction).await);
    check(&server, &format!("GET {PODS}/p"), Value::Null, expect![[r#"404 pods "p" not found"#]]).await;
}
