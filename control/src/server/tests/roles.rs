//! What roles and bindings give to whom, from the next request on, and what nobody may give away.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::authentication::User;
use crate::harness::{Server, config_map};

const GROUP: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn check(server: &Server, line: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.outcome(line, body).await);
}

fn jane() -> User {
    User::authenticated("jane", ["team".to_owned()])
}

fn role(name: &str, resource: &str, verbs: &[&str]) -> Value {
    let rule = json!({ "apiGroups": [""], "resources": [resource], "verbs": verbs });
    json!({ "metadata": { "name": name }, "rules": [rule] })
}

fn binding(name: &str, (kind, role): (&str, &str), subject: Value) -> Value {
    json!({ "metadata": { "name": name }, "roleRef": { "kind": kind, "name": role }, "subjects": [subject] })
}

fn to(kind: &str, name: &str) -> Value {
    json!({ "kind": kind, "name": name })
}

async fn give(admin: &Server, path: &str, object: Value) {
    let (code, answer) = admin.json(&format!("POST {GROUP}/{path}"), object).await;
    assert_eq!(code, 201, "{answer}");
}

#[tokio::test]
async fn a_binding_counts_from_the_next_request_on() {
    let admin = Server::start().await;
    let server = admin.as_user(jane());
    let maps = "GET /api/v1/namespaces/default/configmaps";
    check(&server, maps, Value::Null, expect![[r#"403 configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default""#]]).await;
    give(&admin, "namespaces/default/rolebindings", binding("b", ("Role", "reader"), to("User", "jane"))).await;
    check(&server, maps, Value::Null, expect![[r#"403 configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default""#]]).await;
    give(&admin, "namespaces/default/roles", role("reader", "configmaps", &["list"])).await;
    check(&server, maps, Value::Null, expect!["200"]).await;
    check(&server, "GET /api/v1/configmaps", Value::Null, expect![[r#"403 configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" at the cluster scope"#]]).await;
    check(&server, "GET /api/v1/namespaces/kube-system/configmaps", Value::Null, expect![[r#"403 configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "kube-system""#]]).await;
    admin.json(&format!("DELETE {GROUP}/namespaces/default/rolebindings/b"), Value::Null).await;
    check(&server, maps, Value::Null, expect![[r#"403 configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default""#]]).await;
    give(&admin, "clusterroles", role("reader", "configmaps", &["list"])).await;
    give(&admin, "clusterrolebindings", binding("b", ("ClusterRole", "reader"), to("Group", "team"))).await;
    check(&server, "GET /api/v1/configmaps", Value::Null, expect!["200"]).await;
    check(&server, "POST /api/v1/namespaces/default/configmaps", config_map("c", "x"), expect![[r#"403 configmaps is forbidden: User "jane" cannot create resource "configmaps" in API group "" in the namespace "default""#]]).await;
}

#[tokio::test]
async fn service_accounts_are_bound_by_their_names() {
    let admin = Server::start().await;
    let server = admin.as_user(User::authenticated("system:serviceaccount:default:robot", []));
    give(&admin, "clusterroles", role("reader", "configmaps", &["list"])).await;
    let own = json!({ "kind": "ServiceAccount", "name": "robot" });
    give(&admin, "namespaces/default/rolebindings", binding("b", ("ClusterRole", "reader"), own)).await;
    check(&server, "GET /api/v1/namespaces/default/configmaps", Value::Null, expect!["200"]).await;
    check(&server, "GET /api/v1/configmaps", Value::Null, expect![[r#"403 configmaps is forbidden: User "system:serviceaccount:default:robot" cannot list resource "configmaps" in API group "" at the cluster scope"#]]).await;
}

#[tokio::test]
async fn the_default_roles_do_what_they_say() {
    let admin = Server::start().await;
    admin.furnish().await;
    let (user, stranger) = (admin.as_user(jane()), admin.as_user(User::anonymous()));
    for path in ["/api", "/apis", "/apis/apps/v1", "/openapi/v3", "/version"] {
        assert_eq!(user.outcome(&format!("GET {path}"), Value::Null).await, "200", "{path}");
    }
    check(&user, "GET /metrics", Value::Null, expect![[r#"403 forbidden: User "jane" cannot get path "/metrics""#]])
        .await;
    check(
        &stranger,
        "GET /api",
        Value::Null,
        expect![[r#"403 forbidden: User "system:anonymous" cannot get path "/api""#]],
    )
    .await;
    check(&stranger, "GET /version", Value::Null, expect!["200"]).await;
    let view = binding("b", ("ClusterRole", "system:aggregate-to-view"), to("User", "jane"));
    give(&admin, "namespaces/default/rolebindings", view).await;
    check(&user, "GET /apis/apps/v1/namespaces/default/deployments", Value::Null, expect!["200"]).await;
    check(&user, "GET /api/v1/namespaces/default/secrets", Value::Null, expect![[r#"403 secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" in the namespace "default""#]]).await;
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let admin = Server::start().await;
    let server = admin.as_user(jane());
    let rules = json!([
        { "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["create", "update", "patch", "get"] },
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"] },
    ]);
    give(&admin, "clusterroles", json!({ "metadata": { "name": "chief" }, "rules": rules })).await;
    give(&admin, "clusterrolebindings", binding("chief", ("ClusterRole", "chief"), to("User", "jane"))).await;
    let roles = format!("{GROUP}/namespaces/default/roles");
    check(&server, &format!("POST {roles}"), role("r", "configmaps", &["get"]), expect!["201"]).await;
    check(&server, &format!("POST {roles}"), role("s", "configmaps", &["get", "delete", "watch"]), expect![[r#"
        403 roles.rbac.authorization.k8s.io "s" is forbidden: user "jane" (groups=["team" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {APIGroups:[""], Resources:["configmaps"], Verbs:["delete" "watch"]}"#]]).await;
    let more = json!({ "rules": role("r", "secrets", &["get"])["rules"] });
    check(&server, &format!("PATCH {roles}/r"), more, expect![[r#"
        403 roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["team" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#]]).await;
    let finalizers = json!({ "metadata": { "finalizers": ["example.com/mine"] } });
    check(&server, &format!("PATCH {roles}/r"), finalizers, expect!["200"]).await;
    let everyone = json!({ "metadata": { "name": "all" }, "aggregationRule": { "clusterRoleSelectors": [{}] } });
    check(&server, &format!("POST {GROUP}/clusterroles"), everyone, expect![[r#"403 clusterroles.rbac.authorization.k8s.io "all" is forbidden: must have cluster-admin privileges to use the aggregationRule"#]]).await;

    give(&admin, "clusterroles", role("keeper", "secrets", &["get"])).await;
    let bindings = format!("{GROUP}/namespaces/default/rolebindings");
    let post = format!("POST {bindings}");
    check(&server, &post, binding("a", ("ClusterRole", "keeper"), to("User", "jane")), expect![[r#"
        403 rolebindings.rbac.authorization.k8s.io "a" is forbidden: user "jane" (groups=["team" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#]]).await;
    check(&server, &post, binding("b", ("Role", "r"), to("User", "joe")), expect!["201"]).await;
    check(
        &server,
        &post,
        binding("c", ("Role", "none"), to("User", "joe")),
        expect![[r#"404 roles.rbac.authorization.k8s.io "none" not found"#]],
    )
    .await;
    let bind = json!({
        "metadata": { "name": "binder" },
        "rules": [{ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["keeper"], "verbs": ["bind"] }],
    });
    give(&admin, "clusterroles", bind).await;
    give(&admin, "clusterrolebindings", binding("binder", ("ClusterRole", "binder"), to("User", "jane"))).await;
    check(&server, &post, binding("a", ("ClusterRole", "keeper"), to("User", "jane")), expect!["201"]).await;

    let escalate = json!({
        "metadata": { "name": "climber" },
        "rules": [{ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"] }],
    });
    give(&admin, "clusterroles", escalate).await;
    give(&admin, "clusterrolebindings", binding("climber", ("ClusterRole", "climber"), to("User", "jane"))).await;
    check(&server, &format!("POST {roles}"), role("s", "configmaps", &["delete"]), expect!["201"]).await;
}
