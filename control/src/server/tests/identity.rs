//! Who one is: tokens of service accounts, reviews, and speaking for somebody else.

use axum::body::Body;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::authentication::User;
use crate::harness::{Server, pod};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

async fn server() -> Server {
    let server = Server::start().await;
    server.furnish().await;
    let (code, _) = server.json(&format!("POST {ACCOUNTS}"), json!({ "metadata": { "name": "robot" } })).await;
    assert_eq!(code, 201);
    server
}

async fn token(server: &Server, spec: Value) -> String {
    let (code, answer) = server.json(&format!("POST {ACCOUNTS}/robot/token"), json!({ "spec": spec })).await;
    assert_eq!(code, 201, "{answer}");
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// Who the server takes the bearer of a token for, or how it refuses.
async fn who(server: &Server, token: &str) -> String {
    let stranger = server.as_user(User::anonymous());
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let (code, text) = stranger.text(&format!("POST {WHO}"), &headers, Body::from("{}")).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    match code {
        201 => answer["status"]["userInfo"].to_string(),
        code => format!("{code} {} {}", answer["reason"].as_str().unwrap(), answer["message"].as_str().unwrap()),
    }
}

#[tokio::test]
async fn a_token_is_its_account() {
    let server = server().await;
    let (code, answer) = server.json(&format!("POST {ACCOUNTS}/robot/token"), json!({})).await;
    assert_eq!(code, 201);
    let token = answer["status"]["token"].as_str().unwrap();
    expect![[r#"{"extra":{"authentication.kubernetes.io/credential-id":["JTI=uid-33"]},"groups":["system:serviceaccounts","system:serviceaccounts:default","system:authenticated"],"uid":"uid-32","username":"system:serviceaccount:default:robot"}"#]].assert_eq(&who(&server, token).await);
    expect![[r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","name":"robot","namespace":"default"},"spec":{"audiences":["https://kubernetes.default.svc.cluster.local"],"boundObjectRef":null,"expirationSeconds":3600},"status":{"expirationTimestamp":"2026-11-21T11:00:00Z","token":"TOKEN"}}"#]].assert_eq(&answer.to_string().replace(token, "TOKEN"));
}

#[tokio::test]
async fn a_bad_token_is_refused_and_not_taken_for_none() {
    let server = server().await;
    expect!["401 Unauthorized Unauthorized"].assert_eq(&who(&server, "nonsense").await);
    let other = token(&server, json!({ "audiences": ["https://example.com"] })).await;
    expect!["401 Unauthorized Unauthorized"].assert_eq(&who(&server, &other).await);
    let stranger = server.as_user(User::anonymous());
    for authorization in ["Basic YTpi", "Bearer", "nonsense"] {
        let response = stranger.send("GET /healthz", &[("authorization", authorization)], Body::empty()).await;
        assert_eq!(response.status(), 401, "{authorization}");
    }
}

#[tokio::test]
async fn a_token_ends_with_what_it_is_bound_to() {
    let server = server().await;
    let pods = "/api/v1/namespaces/default/pods";
    let mut robot = pod("p");
    robot["spec"]["serviceAccountName"] = "robot".into();
    server.json(&format!("POST {pods}"), robot.clone()).await;
    let secret = json!({ "metadata": { "name": "s" } });
    server.json("POST /api/v1/namespaces/default/secrets", secret).await;
    let reference =
        |kind: &str, name: &str| json!({ "boundObjectRef": { "apiVersion": "v1", "kind": kind, "name": name } });
    let by_pod = token(&server, reference("Pod", "p")).await;
    let by_secret = token(&server, reference("Secret", "s")).await;
    let by_account = token(&server, json!({})).await;
    expect![[r#"{"extra":{"authentication.kubernetes.io/credential-id":["JTI=uid-35"],"authentication.kubernetes.io/pod-name":["p"],"authentication.kubernetes.io/pod-uid":["uid-33"]},"groups":["system:serviceaccounts","system:serviceaccounts:default","system:authenticated"],"uid":"uid-32","username":"system:serviceaccount:default:robot"}"#]].assert_eq(&who(&server, &by_pod).await);
    server.json(&format!("DELETE {pods}/p"), Value::Null).await;
    expect!["401 Unauthorized Unauthorized"].assert_eq(&who(&server, &by_pod).await);
    server.json(&format!("POST {pods}"), robot).await;
    expect!["401 Unauthorized Unauthorized"].assert_eq(&who(&server, &by_pod).await);
    server.json("DELETE /api/v1/namespaces/default/secrets/s", Value::Null).await;
    expect!["401 Unauthorized Unauthorized"].assert_eq(&who(&server, &by_secret).await);
    assert!(who(&server, &by_account).await.contains("robot"));
    server.json(&format!("DELETE {ACCOUNTS}/robot"), Value::Null).await;
    server.json(&format!("POST {ACCOUNTS}"), json!({ "metadata": { "name": "robot" } })).await;
    expect!["401 Unauthorized Unauthorized"].assert_eq(&who(&server, &by_account).await);
}

#[tokio::test]
async fn what_is_asked_of_a_token_is_checked() {
    let server = server().await;
    server.json("POST /api/v1/namespaces/default/pods", pod("p")).await;
    let check = async |spec: Value, expected: Expect| {
        expected.assert_eq(&server.outcome(&format!("POST {ACCOUNTS}/robot/token"), json!({ "spec": spec })).await);
    };
    check(json!({ "expirationSeconds": 599 }), expect![[r#"422 TokenRequest.authentication.k8s.io "robot" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"#]]).await;
    check(json!({ "expirationSeconds": 1_i64 << 33 }), expect![[r#"422 TokenRequest.authentication.k8s.io "robot" is invalid: spec.expirationSeconds: Invalid value: 8589934592: may not specify a duration larger than 2^32 seconds"#]]).await;
    check(json!({ "expirationSeconds": "long" }), expect![[r#"400 TokenRequest in version "v1" cannot be handled as a TokenRequest: json: cannot unmarshal string into Go struct field TokenRequestSpec.spec.expirationSeconds of type int64"#]]).await;
    check(
        json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Node", "name": "n" } }),
        expect!["400 cannot bind token to object of type v1, Kind=Node"],
    )
    .await;
    check(
        json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "none" } }),
        expect![[r#"404 pods "none" not found"#]],
    )
    .await;
    check(
        json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "p" } }),
        expect![[
            r#"400 cannot bind token for serviceaccount "robot" to pod running with different serviceaccount name."#
        ]],
    )
    .await;
    server.json("POST /api/v1/namespaces/default/secrets", json!({ "metadata": { "name": "s" } })).await;
    let other = json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "other" } });
    check(other, expect![[r#"409 Operation cannot be fulfilled on secrets "s": the UID in the bound object reference (other) does not match the UID in record. The object might have been deleted and then recreated"#]]).await;
    expect![[r#"404 serviceaccounts "none" not found"#]]
        .assert_eq(&server.outcome(&format!("POST {ACCOUNTS}/none/token"), json!({})).await);
    let body = json!({ "spec": { "expirationSeconds": 100_000_000 } }).to_string();
    let headers = [("content-type", "application/json")];
    let response = server.send(&format!("POST {ACCOUNTS}/robot/token"), &headers, body).await;
    expect![[r#"299 - "requested expiration of 100000000 seconds shortened to 86400 seconds""#]]
        .assert_eq(response.headers()["warning"].to_str().unwrap());
}

#[tokio::test]
async fn hosts_get_tokens_for_their_own_pods() {
    let server = server().await;
    for (name, node) in [("mine", "n1"), ("other", "n2")] {
        let mut robot = pod(name);
        robot["spec"]["serviceAccountName"] = "robot".into();
        server.json("POST /api/v1/namespaces/default/pods", robot).await;
        let target = json!({ "target": { "name": node } });
        server.json(&format!("POST /api/v1/namespaces/default/pods/{name}/binding"), target).await;
    }
    let host = server.as_node("n1");
    let ask = async |spec: Value| host.outcome(&format!("POST {ACCOUNTS}/robot/token"), json!({ "spec": spec })).await;
    let bound = |name: &str| json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": name } });
    expect!["201"].assert_eq(&ask(bound("mine")).await);
    expect![[r#"403 pods "other" is forbidden: User "system:node:n1" cannot get resource "pods" in API group "" in the namespace "default""#]].assert_eq(&ask(bound("other")).await);
    expect![[r#"403 serviceaccounts "robot" is forbidden: node requested token not bound to a pod"#]]
        .assert_eq(&ask(json!({})).await);
}

#[tokio::test]
async fn others_may_have_tokens_reviewed() {
    let server = server().await;
    let review = "POST /apis/authentication.k8s.io/v1/tokenreviews";
    let ask = async |token: &str, audiences: Value| {
        let (code, answer) = server.json(review, json!({ "spec": { "token": token, "audiences": audiences } })).await;
        format!("{code} {}", if code == 201 { &answer["status"] } else { &answer["message"] })
    };
    let own = token(&server, json!({ "audiences": ["a", "b"] })).await;
    expect![[r#"201 {"audiences":["b"],"authenticated":true,"user":{"extra":{"authentication.kubernetes.io/credential-id":["JTI=uid-33"]},"groups":["system:serviceaccounts","system:serviceaccounts:default","system:authenticated"],"uid":"uid-32","username":"system:serviceaccount:default:robot"}}"#]].assert_eq(&ask(&own, json!(["b", "c"])).await);
    expect![[r#"201 {"authenticated":false,"error":"the token is for the audiences [\"a\", \"b\"], none of [\"https://kubernetes.default.svc.cluster.local\"]","user":{}}"#]].assert_eq(&ask(&own, Value::Null).await);
    expect![[r#"201 {"authenticated":false,"error":"invalid bearer token","user":{}}"#]]
        .assert_eq(&ask("nonsense", Value::Null).await);
    expect![[r#"400 "token is required for TokenReview in authentication""#]].assert_eq(&ask("", Value::Null).await);
}

#[tokio::test]
async fn anyone_can_check_tokens_with_the_published_key() {
    let server = server().await;
    let account = User::authenticated("system:serviceaccount:default:robot", ["system:serviceaccounts".to_owned()]);
    let account = server.as_user(account);
    let (code, keys) = account.json("GET /openid/v1/jwks", Value::Null).await;
    assert_eq!((code, &keys["keys"][0]["crv"]), (200, &"P-256".into()));
    expect![[r#"200 {"id_token_signing_alg_values_supported":["ES256"],"issuer":"https://kubernetes.default.svc.cluster.local","jwks_uri":"https://kubernetes.default.svc.cluster.local/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"]}"#]].assert_eq(&account.shown("GET /.well-known/openid-configuration", Value::Null).await);
}

async fn as_other(server: &Server, headers: &[(&str, &str)]) -> String {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    let (code, text) = server.text(&format!("POST {WHO}"), &headers, Body::from("{}")).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    let shown = if code == 201 { &answer["status"]["userInfo"] } else { &answer["message"] };
    format!("{code} {shown}")
}

#[tokio::test]
async fn one_speaks_for_others_where_one_may() {
    let admin = server().await;
    expect![[r#"201 {"extra":{"example.com/key":["x"]},"groups":["a","system:authenticated"],"username":"jane"}"#]]
        .assert_eq(
            &as_other(
                &admin,
                &[
                    ("impersonate-user", "jane"),
                    ("impersonate-group", "a"),
                    ("impersonate-extra-example.com%2fkey", "x"),
                ],
            )
            .await,
        );
    expect![[r#"201 {"groups":["system:serviceaccounts","system:serviceaccounts:default","system:authenticated"],"username":"system:serviceaccount:default:robot"}"#]].assert_eq(&as_other(&admin, &[("impersonate-user", "system:serviceaccount:default:robot")]).await);
    expect![[r#"403 "selfsubjectreviews.authentication.k8s.io is forbidden: User \"system:anonymous\" cannot create resource \"selfsubjectreviews\" in API group \"authentication.k8s.io\" at the cluster scope""#]].assert_eq(&as_other(&admin, &[("impersonate-user", "system:anonymous")]).await);
    expect![[r#"400 "impersonation headers must name a user: Impersonate-User""#]]
        .assert_eq(&as_other(&admin, &[("impersonate-group", "a")]).await);
    let rules =
        json!([{ "apiGroups": [""], "resources": ["users"], "resourceNames": ["joe"], "verbs": ["impersonate"] }]);
    let group = "/apis/rbac.authorization.k8s.io/v1";
    admin.json(&format!("POST {group}/clusterroles"), json!({ "metadata": { "name": "r" }, "rules": rules })).await;
    let binding = json!({
        "metadata": { "name": "b" }, "roleRef": { "kind": "ClusterRole", "name": "r" },
        "subjects": [{ "kind": "User", "name": "jane" }],
    });
    admin.json(&format!("POST {group}/clusterrolebindings"), binding).await;
    let jane = admin.as_user(User::authenticated("jane", []));
    expect![[r#"201 {"groups":["system:authenticated"],"username":"joe"}"#]]
        .assert_eq(&as_other(&jane, &[("impersonate-user", "joe")]).await);
    expect![[r#"403 "users \"admin\" is forbidden: User \"jane\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope""#]]
    .assert_eq(&as_other(&jane, &[("impersonate-user", "admin")]).await);
    expect![[r#"403 "groups \"system:masters\" is forbidden: User \"jane\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope""#]].assert_eq(&as_other(&jane, &[("impersonate-user", "joe"), ("impersonate-group", "system:masters")]).await);
}

#[tokio::test]
async fn one_may_ask_what_others_may() {
    let server = server().await;
    let ask = async |line: &str, spec: Value| {
        let (code, answer) =
            server.json(&format!("POST /apis/authorization.k8s.io/v1/{line}"), json!({ "spec": spec })).await;
        format!("{code} {}", if code == 201 { &answer["status"] } else { &answer["message"] })
    };
    let pods = json!({ "verb": "list", "resource": "pods", "namespace": "default" });
    let about = |user: &str, groups: Value| json!({ "user": user, "groups": groups, "resourceAttributes": pods });
    expect![[r#"201 {"allowed":false}"#]].assert_eq(&ask("subjectaccessreviews", about("jane", json!([]))).await);
    expect![[r#"201 {"allowed":true,"reason":"group system:masters may do everything"}"#]]
        .assert_eq(&ask("subjectaccessreviews", about("jane", json!(["system:masters"]))).await);
    expect![[r#"422 "SubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.user: Invalid value: \"\": at least one of user or group must be specified""#]]
        .assert_eq(&ask("subjectaccessreviews", about("", json!([]))).await);
    expect![[r#"201 {"allowed":false}"#]]
        .assert_eq(&ask("namespaces/default/localsubjectaccessreviews", about("jane", json!([]))).await);
    expect![[r#"400 "spec.resourceAttributes.namespace must match namespace: \"other\", found \"default\"""#]]
        .assert_eq(&ask("namespaces/other/localsubjectaccessreviews", about("jane", json!([]))).await);
    expect![[r#"404 "the server could not find the requested resource""#]]
        .assert_eq(&ask("localsubjectaccessreviews", about("jane", json!([]))).await);
    let path = json!({ "user": "jane", "groups": ["system:authenticated"], "nonResourceAttributes": { "verb": "get", "path": "/api" } });
    expect![[r#"201 {"allowed":true}"#]].assert_eq(&ask("subjectaccessreviews", path).await);
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let jane = server.as_user(User::authenticated("jane", []));
    let (_, answer) = jane.json(&format!("POST {rules}"), json!({ "spec": { "namespace": "default" } })).await;
    expect![[r#"{"incomplete":false,"nonResourceRules":[{"nonResourceURLs":["/api","/api/*","/apis","/apis/*","/healthz","/livez","/openapi","/openapi/*","/readyz","/version","/version/"],"verbs":["get"]},{"nonResourceURLs":["/healthz","/livez","/readyz","/version","/version/"],"verbs":["get"]}],"resourceRules":[{"apiGroups":["authorization.k8s.io"],"resources":["selfsubjectaccessreviews","selfsubjectrulesreviews"],"verbs":["create"]},{"apiGroups":["authentication.k8s.io"],"resources":["selfsubjectreviews"],"verbs":["create"]}]}"#]].assert_eq(&answer["status"].to_string());
    expect!["400 no namespace on request"].assert_eq(&jane.outcome(&format!("POST {rules}"), json!({})).await);
}
