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
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        check(&server, &format!("GET {path}"), Value::Null, expect!["200"]).await;
    }
    check(
        &server,
        "GET /readyz/store",
        Value::Null,
        expect![[r#"403 forbidden: User "system:anonymous" cannot get path "/readyz/store""#]],
    )
    .await;
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
    check(&server, "POST /apis/coracle.dev/v1/batches", json!({}), expect![[r#"403 batches.coracle.dev is forbidden: User "system:anonymous" cannot create resource "batches" in API group "coracle.dev" at the cluster scope"#]]).await;
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
        expect![[r#"422 SelfSubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"#]],
    )
    .await;
    let rules = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let (_, answer) = server.json(rules, json!({ "spec": { "namespace": "default" } })).await;
    assert_eq!(
        (&answer["status"]["incomplete"], &answer["status"]["resourceRules"][0]["verbs"][0]),
        (&false.into(), &"*".into())
    );
}

/// A role in a namespace is about the Namespace, too, as it is in itself.
#[tokio::test]
async fn a_namespace_is_in_itself() {
    let server = Server::start().await;
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({ "metadata": { "name": "r" }, "rules": [{ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "create"] }] });
    assert_eq!(server.outcome(&format!("POST {path}/roles"), role).await, "201");
    let reference = json!({ "kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io" });
    let bob = json!({ "kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io" });
    let binding = json!({ "metadata": { "name": "b" }, "roleRef": reference, "subjects": [bob] });
    assert_eq!(server.outcome(&format!("POST {path}/rolebindings"), binding).await, "201");
    let bob = server.as_user(User::authenticated("bob", []));
    check(&bob, "GET /api/v1/namespaces/default", Value::Null, expect!["200"]).await;
    check(&bob, "GET /api/v1/namespaces/kube-node-lease", Value::Null, expect![[r#"403 namespaces "kube-node-lease" is forbidden: User "bob" cannot get resource "namespaces" in API group "" in the namespace "kube-node-lease""#]]).await;
    check(&bob, "GET /api/v1/namespaces", Value::Null, expect![[r#"403 namespaces is forbidden: User "bob" cannot list resource "namespaces" in API group "" at the cluster scope"#]]).await;
    check(&bob, "POST /api/v1/namespaces", json!({ "metadata": { "name": "default" } }), expect![[r#"403 namespaces is forbidden: User "bob" cannot create resource "namespaces" in API group "" at the cluster scope"#]]).await;
}

/// Reviews are read as strictly as objects, and see the selectors of the request they ask about.
#[tokio::test]
async fn reviews_are_read_as_objects_are() {
    let server = Server::start().await;
    let review = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews";
    let strict = format!("{review}?fieldValidation=Strict");
    let spec = |spec: Value| json!({ "spec": spec });
    let pods = json!({ "resource": "pods", "verb": "list" });
    let wrong = [
        (&*strict, json!({ "user": "a", "resourceAttribute": pods })),
        (review, json!({ "user": 5, "resourceAttributes": pods })),
        (
            review,
            json!({ "user": "a", "resourceAttributes": pods, "nonResourceAttributes": { "path": "/", "verb": "get" } }),
        ),
        (
            review,
            json!({ "user": "a", "resourceAttributes": { "fieldSelector": { "requirements": [{ "key": "a", "operator": "Is" }] } } }),
        ),
        ("POST /apis/coracle.dev/v1/secretkeyrotations?dryRun=All", json!({})),
        ("GET /apis/coracle.dev/v1/secretkeyrotations", json!({})),
    ];
    let mut lines = String::new();
    for (line, asked) in wrong {
        lines.push_str(&format!("{}\n", server.outcome(line, spec(asked)).await));
    }
    expect![[r#"
        400 SubjectAccessReview in version "v1" cannot be handled as a SubjectAccessReview: strict decoding error: unknown field "spec.resourceAttribute"
        400 SubjectAccessReview in version "v1" cannot be handled as a SubjectAccessReview: json: cannot unmarshal number into Go struct field SubjectAccessReviewSpec.spec.user of type string
        422 SubjectAccessReview.authorization.k8s.io "" is invalid: spec.nonResourceAttributes: Invalid value: map[string]string{"path":"/", "verb":"get"}: cannot be specified in combination with resourceAttributes
        422 SubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes.fieldSelector.requirements[0].operator: Unsupported value: "Is": supported values: "DoesNotExist", "Exists", "In", "NotIn"
        400 dryRun: a SecretKeyRotation is carried out or not, it cannot be tried: leave dryRun out
        405 the server does not allow this method on the requested resource
    "#]].assert_eq(&lines);
    for (node, allowed) in [("n1", true), ("n2", false)] {
        let selector = json!({ "requirements": [{ "key": "spec.nodeName", "operator": "In", "values": [node] }] });
        let asked = json!({ "resource": "pods", "verb": "list", "fieldSelector": selector });
        let asked = spec(json!({ "user": "system:node:n1", "groups": ["system:nodes"], "resourceAttributes": asked }));
        assert_eq!(server.json(review, asked).await.1["status"]["allowed"], allowed, "{node}");
    }
}

/// A host says what its machine is, and not what it is for.
#[tokio::test]
async fn hosts_cannot_draw_pods_to_themselves() {
    let server = Server::start().await;
    let host = server.as_node("n1");
    let node = |labels: Value| json!({ "metadata": { "name": "n1", "labels": labels } });
    check(&host, "POST /api/v1/nodes", node(json!({ "node-role.kubernetes.io/control-plane": "" })), expect![[r#"403 nodes "n1" is forbidden: node "n1" is not allowed to set the following labels: node-role.kubernetes.io/control-plane"#]]).await;
    check(&host, "POST /api/v1/nodes", node(json!({ "kubernetes.io/os": "linux" })), expect!["201"]).await;
    check(
        &host,
        "PATCH /api/v1/nodes/n1",
        json!({ "spec": { "taints": [{ "key": "a", "effect": "NoSchedule" }] } }),
        expect![[r#"403 nodes "n1" is forbidden: node "n1" is not allowed to modify taints"#]],
    )
    .await;
    check(
        &host,
        "PATCH /api/v1/nodes/n1",
        json!({ "metadata": { "labels": { "example.com/gpu": "1" } } }),
        expect!["200"],
    )
    .await;
    let range = json!({ "spec": { "podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"] } });
    check(&server, "PATCH /api/v1/nodes/n1", range, expect!["200"]).await;
    check(&server, "PATCH /api/v1/nodes/n1", json!({ "spec": { "podCIDR": "bogus" } }), expect![[r#"422 Node "n1" is invalid: [spec.podCIDRs[0]: Invalid value: "bogus": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64), spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid]"#]]).await;
}
