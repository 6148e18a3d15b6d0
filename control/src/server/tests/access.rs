//! Who is refused what, and in which words.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::authentication::User;
use crate::harness::{Server, config_map, pod};

async fn check(server: &Server, line: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.outcome(line, body).await);
}

#[tokio::test]
async fn strangers_see_health_and_version_only() {
    let server = Server::start().await.as_user(User::anonymous());
    for path in ["/healthz", "/livez", "/readyz", "/readyz/store", "/version"] {
        check(&server, &format!("GET {path}"), Value::Null, expect!["200"]).await;
    }
    expect![[r#"403 {"apiVersion":"v1","code":403,"details":{"kind":"pods"},"kind":"Status","message":"pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"","metadata":{},"reason":"Forbidden","status":"Failure"}"#]].assert_eq(&server.shown("GET /api/v1/namespaces/default/pods", Value::Null).await);
    check(&server, "GET /api/v1/nodes/n1", Value::Null, expect![[r#"403 nodes "n1" is forbidden: User "system:anonymous" cannot get resource "nodes" in API group "" at the cluster scope"#]]).await;
    check(
        &server,
        "GET /metrics",
        Value::Null,
        expect![[r#"403 forbidden: User "system:anonymous" cannot get path "/metrics""#]],
    )
    .await;
    check(
        &server,
        "POST /version",
        Value::Null,
        expect![[r#"403 forbidden: User "system:anonymous" cannot post path "/version""#]],
    )
    .await;
    check(
        &server,
        "GET /api",
        Value::Null,
        expect![[r#"403 forbidden: User "system:anonymous" cannot get path "/api""#]],
    )
    .await;
    check(
        &server,
        "GET /healthzz",
        Value::Null,
        expect![[r#"403 forbidden: User "system:anonymous" cannot get path "/healthzz""#]],
    )
    .await;
    check(&server, "POST /apis/coracle.dev/v1/batches", json!({}), expect![[r#"403 forbidden: User "system:anonymous" cannot create resource "batches" in API group "coracle.dev" at the cluster scope"#]]).await;
    check(&server, "PATCH /api/v1/namespaces/default/pods/p/status", json!({}), expect![[r#"403 pods "p" is forbidden: User "system:anonymous" cannot patch resource "pods/status" in API group "" in the namespace "default""#]]).await;
}

#[tokio::test]
async fn hosts_keep_to_themselves() {
    let admin = Server::start().await;
    let host = admin.as_node("n1");
    let node = |name: &str| json!({ "metadata": { "name": name } });
    check(&host, "POST /api/v1/nodes", node("n1"), expect!["201"]).await;
    check(&host, "POST /api/v1/nodes", node("n2"), expect![[r#"403 nodes "n2" is forbidden: User "system:node:n1" cannot create resource "nodes" in API group "" at the cluster scope"#]]).await;
    check(&host, "PATCH /api/v1/nodes/n1/status", json!({ "status": {} }), expect!["200"]).await;
    check(&host, "GET /api/v1/nodes", Value::Null, expect!["200"]).await;
    check(&host, "PATCH /api/v1/nodes/n2/status", json!({ "status": {} }), expect![[r#"403 nodes "n2" is forbidden: User "system:node:n1" cannot patch resource "nodes/status" in API group "" at the cluster scope"#]]).await;
    check(&host, "DELETE /api/v1/nodes/n1", Value::Null, expect![[r#"403 nodes "n1" is forbidden: User "system:node:n1" cannot delete resource "nodes" in API group "" at the cluster scope"#]]).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    check(&host, &format!("POST {leases}"), node("n1"), expect!["201"]).await;
    check(&host, &format!("POST {leases}"), node("n2"), expect![[r#"403 leases.coordination.k8s.io "n2" is forbidden: User "system:node:n1" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "kube-node-lease""#]]).await;
    let pods = "/api/v1/namespaces/default/pods";
    for (name, target) in [("mine", "n1"), ("other", "n2")] {
        admin.json(&format!("POST {pods}"), pod(name)).await;
        admin.json(&format!("POST {pods}/{name}/binding"), json!({ "target": { "name": target } })).await;
    }
    check(&host, &format!("GET {pods}/mine"), Value::Null, expect!["200"]).await;
    check(&host, &format!("GET {pods}/other"), Value::Null, expect![[r#"403 pods "other" is forbidden: User "system:node:n1" cannot get resource "pods" in API group "" in the namespace "default""#]]).await;
    check(&host, "GET /api/v1/pods", Value::Null, expect![[r#"403 pods is forbidden: User "system:node:n1" cannot list resource "pods" in API group "" at the cluster scope"#]]).await;
    check(&host, "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn1", Value::Null, expect!["200"]).await;
    check(&host, &format!("PATCH {pods}/mine"), json!({ "metadata": { "labels": { "a": "b" } } }), expect![[r#"403 pods "mine" is forbidden: User "system:node:n1" cannot patch resource "pods" in API group "" in the namespace "default""#]]).await;
    check(&host, &format!("PATCH {pods}/other/status"), json!({ "status": {} }), expect![[r#"403 pods "other" is forbidden: User "system:node:n1" cannot patch resource "pods/status" in API group "" in the namespace "default""#]]).await;
    check(&host, "GET /api/v1/services", Value::Null, expect!["200"]).await;
    check(&host, "POST /api/v1/namespaces/default/configmaps", config_map("c", "x"), expect![[r#"403 configmaps is forbidden: User "system:node:n1" cannot create resource "configmaps" in API group "" in the namespace "default""#]]).await;
}

#[tokio::test]
async fn hosts_read_what_their_pods_refer_to() {
    let admin = Server::start().await;
    let host = admin.as_node("n1");
    let pods = "/api/v1/namespaces/default/pods";
    let maps = "/api/v1/namespaces/default/configmaps";
    for name in ["mine", "theirs", "nobodys"] {
        admin.json(&format!("POST {maps}"), config_map(name, "x")).await;
    }
    let mut created = Vec::new();
    for (name, target, config_map) in [("a", "n1", "mine"), ("b", "n2", "theirs"), ("c", "n1", "mine")] {
        let mut pod = pod(name);
        match name {
            "c" => pod["metadata"]["annotations"] = json!({ "coracle.dev/config": format!("other, {config_map}") }),
            _ => pod["spec"]["volumes"] = json!([{ "name": "v", "configMap": { "name": config_map } }]),
        }
        admin.json(&format!("POST {pods}"), pod).await;
        created
            .push(admin.json(&format!("POST {pods}/{name}/binding"), json!({ "target": { "name": target } })).await.0);
    }
    assert_eq!(created, [201, 201, 201]);
    check(&host, &format!("GET {maps}/mine"), Value::Null, expect!["200"]).await;
    check(&host, &format!("GET {maps}?fieldSelector=metadata.name%3Dmine"), Value::Null, expect!["200"]).await;
    check(&host, &format!("GET {maps}/theirs"), Value::Null, expect![[r#"403 configmaps "theirs" is forbidden: User "system:node:n1" cannot get resource "configmaps" in API group "" in the namespace "default""#]]).await;
    check(&host, &format!("GET {maps}?fieldSelector=metadata.name%3Dtheirs"), Value::Null, expect![[r#"403 configmaps is forbidden: User "system:node:n1" cannot list resource "configmaps" in API group "" in the namespace "default""#]]).await;
    check(&host, &format!("GET {maps}"), Value::Null, expect![[r#"403 configmaps is forbidden: User "system:node:n1" cannot list resource "configmaps" in API group "" in the namespace "default""#]]).await;
    check(&host, "GET /api/v1/configmaps?fieldSelector=metadata.name%3Dmine", Value::Null, expect![[r#"403 configmaps is forbidden: User "system:node:n1" cannot list resource "configmaps" in API group "" at the cluster scope"#]]).await;
    check(&host, "GET /api/v1/namespaces/default/secrets/mine", Value::Null, expect![[r#"403 secrets "mine" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default""#]]).await;
    check(&host, "GET /api/v1/namespaces/kube-system/configmaps/mine", Value::Null, expect![[r#"403 configmaps "mine" is forbidden: User "system:node:n1" cannot get resource "configmaps" in API group "" in the namespace "kube-system""#]]).await;
    // One pod that goes leaves another; with the last, the host has nothing to read any more.
    admin.json(&format!("DELETE {pods}/a"), json!({ "gracePeriodSeconds": 0 })).await;
    check(&host, &format!("GET {maps}/mine"), Value::Null, expect!["200"]).await;
    admin.json(&format!("DELETE {pods}/c"), json!({ "gracePeriodSeconds": 0 })).await;
    check(&host, &format!("GET {maps}/mine"), Value::Null, expect![[r#"403 configmaps "mine" is forbidden: User "system:node:n1" cannot get resource "configmaps" in API group "" in the namespace "default""#]]).await;
}

#[tokio::test]
async fn hosts_batches_are_checked_item_by_item() {
    let admin = Server::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let mut items = Vec::new();
    for (name, target) in [("mine", "n1"), ("other", "n2")] {
        admin.json(&format!("POST {pods}"), pod(name)).await;
        admin.json(&format!("POST {pods}/{name}/binding"), json!({ "target": { "name": target } })).await;
        let mut object = pod(name);
        object["metadata"]["namespace"] = "default".into();
        object["status"] = json!({ "phase": "Running" });
        items.push(json!({ "verb": "updateStatus", "object": object.clone() }));
        items.push(json!({ "verb": "update", "object": object.clone() }));
        items.push(json!({ "verb": "delete", "object": object, "options": { "gracePeriodSeconds": 0 } }));
    }
    let (_, answer) = admin.as_node("n1").json("POST /apis/coracle.dev/v1/batches", json!({ "items": items })).await;
    let codes: Vec<_> = answer["items"].as_array().unwrap().iter().map(|item| item["code"].to_string()).collect();
    assert_eq!(codes.join(" "), "200 403 200 403 403 403");
}

#[tokio::test]
async fn one_may_ask_what_one_may() {
    let server = Server::start().await;
    server.furnish().await;
    let node = server.as_node("n1");
    let review = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let about = |verb: &str, resource: &str| json!({ "spec": { "resourceAttributes": { "verb": verb, "resource": resource } } });
    expect![[r#"201 {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"resource":"nodes","verb":"delete"}},"status":{"allowed":true,"reason":"group system:masters may do everything"}}"#]].assert_eq(&server.shown(review, about("delete", "nodes")).await);
    let (_, answer) = node.json(review, about("list", "services")).await;
    assert_eq!(answer["status"]["allowed"], true);
    let (_, answer) = node.json(review, about("delete", "services")).await;
    assert_eq!(answer["status"]["allowed"], false);
    let path = json!({ "spec": { "nonResourceAttributes": { "verb": "get", "path": "/metrics" } } });
    let (_, answer) = node.json(review, path).await;
    assert_eq!(answer["status"]["allowed"], false);
    check(
        &server,
        review,
        json!({}),
        expect!["400 spec: exactly one of resourceAttributes and nonResourceAttributes must be set"],
    )
    .await;
    let rules = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let (_, answer) = server.json(rules, json!({ "spec": { "namespace": "default" } })).await;
    assert_eq!(
        (&answer["status"]["incomplete"], &answer["status"]["resourceRules"][0]["verbs"][0]),
        (&false.into(), &"*".into())
    );
}
