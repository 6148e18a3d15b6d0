//! Streams into pods that can't be had, and why; whose they may be.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::authentication::User;
use crate::harness::{Server, pod};

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn each_obstacle_is_named() {
    let server = Server::start().await;
    let check = async |line: &str, expected: Expect| {
        let (method, path) = line.split_once(' ').unwrap();
        expected.assert_eq(&server.outcome(&format!("{method} {PODS}/{path}"), Value::Null).await);
    };
    check("GET p/exec", expect![[r#"404 pods "p" not found"#]]).await;
    let mut two = pod("p");
    let second = json!({ "name": "side", "image": "example.org/b@sha256:00" });
    two["spec"]["containers"].as_array_mut().unwrap().push(second);
    server.json(&format!("POST {PODS}"), two).await;
    check("GET p/portforward", expect!["400 pod p does not have a host assigned"]).await;
    server.json(&format!("POST {PODS}/p/binding"), json!({ "target": { "name": "n1" } })).await;
    check("GET p/attach", expect!["400 a container name must be specified for pod p, choose one of: [main side]"])
        .await;
    check("POST p/exec?container=nope", expect!["400 container nope is not valid for pod p"]).await;
    check("POST p/exec?container=side", expect!["503 the host n1 is not known (any more)"]).await;
    check("POST p/portforward", expect!["503 the host n1 is not known (any more)"]).await;
    check("PUT p/exec", expect!["405 the server does not allow this method on the requested resource"]).await;
    check("GET p/proxy", expect!["404 the server could not find the requested resource"]).await;
    let done = json!({ "status": { "phase": "Succeeded" } });
    server.json(&format!("PATCH {PODS}/p/status"), done).await;
    check(
        "GET p/attach?container=main",
        expect!["400 cannot connect to pod p, which has completed; current phase is Succeeded"],
    )
    .await;
}

#[tokio::test]
async fn to_read_is_not_to_connect() {
    let admin = Server::start().await;
    admin.furnish().await;
    admin.json(&format!("POST {PODS}"), pod("p")).await;
    let bind = async |user: &str, role: &str| {
        let binding = json!({
            "metadata": { "name": user }, "roleRef": { "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "User", "name": user }],
        });
        let path = "POST /apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
        assert_eq!(admin.json(path, binding).await.0, 201);
    };
    let rule = json!({ "apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"] });
    let reader = json!({ "metadata": { "name": "reader" }, "rules": [rule] });
    assert_eq!(admin.json("POST /apis/rbac.authorization.k8s.io/v1/clusterroles", reader).await.0, 201);
    bind("reader", "reader").await;
    bind("viewer", "system:aggregate-to-view").await;
    bind("editor", "system:aggregate-to-edit").await;
    let check = async |user: &str, line: &str, expected: Expect| {
        let server = admin.as_user(User::authenticated(user, []));
        let (method, path) = line.split_once(' ').unwrap();
        expected.assert_eq(&server.outcome(&format!("{method} {PODS}/{path}"), Value::Null).await);
    };
    check("viewer", "GET p/exec", expect![[r#"403 pods "p" is forbidden: User "viewer" cannot get resource "pods/exec" in API group "" in the namespace "default""#]]).await;
    check("reader", "GET p/exec", expect![[r#"403 pods "p" is forbidden: User "reader" cannot create resource "pods/exec" in API group "" in the namespace "default""#]]).await;
    for line in ["GET p/exec", "POST p/attach", "GET p/portforward"] {
        check("editor", line, expect!["400 pod p does not have a host assigned"]).await;
    }
}
