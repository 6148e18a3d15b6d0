//! Machines that join: what their tokens must be, what they get, and that nothing is given twice.

use coracle_api::join::{Answer, hash};
use expect_test::{Expect, expect};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authentication::User;
use crate::harness::Server;

const TOKENS: &str = "/apis/coracle.dev/v1/jointokens";
const SECRET: &str = "00112233445566778899aabbccddeeff";
const JOINER: &str = "ffeeddccbbaa99887766554433221100";

async fn add_token(server: &Server, name: &str, role: &str, expiration: &str) {
    let spec = json!({ "role": role, "expirationTimestamp": expiration, "secretHash": hash(SECRET.as_bytes()) });
    let (code, answer) =
        server.json(&format!("POST {TOKENS}"), json!({ "metadata": { "name": name }, "spec": spec })).await;
    assert_eq!(code, 201, "{answer}");
}

async fn server_with_tokens() -> Server {
    let server = Server::start().await;
    add_token(&server, "good", "host", "2026-11-22T10:00:00Z").await;
    add_token(&server, "late", "host", "2026-11-21T10:00:00Z").await;
    add_token(&server, "server", "server", "2026-11-22T10:00:00Z").await;
    server
}

fn request() -> Value {
    let params = CertificateParams::new(vec!["kubernetes.default".to_owned()]).unwrap();
    let signing_request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    json!({
        "role": "host", "id": "good", "secret": SECRET, "joiner": JOINER, "name": "worker-1", "address": "10.0.0.7",
        "signingRequest": signing_request, "time": "2026-11-21T10:00:03Z",
    })
}

async fn join(server: &Server, change: Value) -> String {
    let mut request = request();
    coracle_api::patch::merge_patch(&mut request, &change);
    server.as_user(User::anonymous()).outcome("POST /join", request).await
}

async fn check(server: &Server, change: Value, expected: Expect) {
    expected.assert_eq(&join(server, change).await);
}

#[tokio::test]
async fn a_host_gets_a_certificate_for_its_name_and_address_once() {
    let server = server_with_tokens().await;
    let anonymous = server.as_user(User::anonymous());
    let (code, answer) = anonymous.json("POST /join", request()).await;
    assert_eq!(code, 200, "{answer}");
    let answer: Answer = serde_json::from_value(answer).unwrap();
    assert_eq!(answer.ca, server.app.joining.pki.ca_pem());
    assert_eq!(answer.servers, ["10.0.0.1:6443"]);
    let der = CertificateDer::from_pem_slice(answer.certificate.as_bytes()).unwrap();
    let user = User::from_certificate(&der);
    assert_eq!((user.node(), user.groups.join(" ").as_str()), (Some("worker-1"), "system:nodes system:authenticated"));
    let (_, node) = server.json("GET /api/v1/nodes/worker-1", Value::Null).await;
    assert_eq!(node["metadata"]["uid"], *user.uid, "it is for the Node that was made");
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    expect![[r#"
        [IPAddress([10, 0, 0, 7]), DNSName("worker-1")]
        client true server true
        from Nov 20 10:00:00 2026 +00:00 to Nov 28 10:00:00 2026 +00:00"#]]
    .assert_eq(&format!(
        "{:?}\nclient {} server {}\nfrom {} to {}",
        names.value.general_names,
        usage.client_auth,
        usage.server_auth,
        certificate.validity().not_before,
        certificate.validity().not_after
    ));
    check(
        &server,
        json!({ "name": "worker-2" }),
        expect!["401 the token was used by worker-1; make a new one with `wasmctl token create`"],
    )
    .await;
}

#[tokio::test]
async fn what_is_refused_does_not_use_the_token_up() {
    let server = server_with_tokens().await;
    check(
        &server,
        json!({ "id": "none" }),
        expect![
            "401 the token is not known: it was deleted or has expired; make a new one with `wasmctl token create`"
        ],
    )
    .await;
    check(&server, json!({ "secret": "ff" }), expect!["401 the token's secret is wrong"]).await;
    check(
        &server,
        json!({ "id": "late" }),
        expect!["401 the token expired at 2026-11-21T10:00:00Z; make a new one with `wasmctl token create`"],
    )
    .await;
    check(
        &server,
        json!({ "id": "server" }),
        expect!["401 the token is for a server, not for a host; make another with `wasmctl token create --role host`"],
    )
    .await;
    check(&server, json!({ "joiner": "ff" }), expect!["400 the machine that joins shows no secret of its own"]).await;
    server.wait(60);
    check(&server, json!({ "id": "server", "role": "server" }), expect!["400 a server says at which port its API is"])
        .await;
    check(
        &server,
        json!({ "time": "2026-11-21T07:00:03Z" }),
        expect!["400 the clock of the machine that joins is 3h 57s behind the server's; set it, and try again"],
    )
    .await;
    check(
        &server,
        json!({ "time": "2026-11-23T10:00:00Z" }),
        expect!["400 the clock of the machine that joins is 47h 59m ahead of the server's; set it, and try again"],
    )
    .await;
    check(
        &server,
        json!({ "signingRequest": "nonsense" }),
        expect!["400 the certificate signing request cannot be read"],
    )
    .await;
    check(
        &server,
        json!({ "address": "0.0.0.0" }),
        expect!["400 other machines cannot reach 0.0.0.0: name an address that they can with --advertise"],
    )
    .await;
    let unknown = join(&server, json!({ "unknown": 1 })).await;
    assert!(unknown.starts_with("400 this is no request to join: unknown field `unknown`"), "{unknown}");
    server.wait(60);
    for name in ["Worker", "kubernetes.default.svc", "localhost", "10.0.0.1"] {
        assert!(join(&server, json!({ "name": name })).await.starts_with("400 "), "{name}");
    }
    check(
        &server,
        json!({ "name": "kubernetes" }),
        expect![[r#"400 "kubernetes" cannot be a machine's name: the API server is known by it"#]],
    )
    .await;
    check(&server, json!({}), expect!["200"]).await;
}

#[tokio::test]
async fn a_machine_that_got_no_answer_asks_again_and_nobody_else_does() {
    let server = server_with_tokens().await;
    let other = "0".repeat(32);
    for _ in 0..2 {
        check(&server, json!({}), expect!["200"]).await;
        check(
            &server,
            json!({ "joiner": other }),
            expect!["401 the token was used by worker-1; make a new one with `wasmctl token create`"],
        )
        .await;
    }
    let member = async |change: Value| {
        let mut request = request();
        coracle_api::patch::merge_patch(
            &mut request,
            &json!({ "role": "server", "id": "server", "name": "two", "port": 6443 }),
        );
        coracle_api::patch::merge_patch(&mut request, &change);
        let (code, answer) = server.as_user(User::anonymous()).json("POST /join", request).await;
        format!("{code} {}{}", answer["membership"]["member"], answer["message"])
    };
    let (first, again) = (member(json!({})).await, member(json!({})).await);
    assert!(first.starts_with("200 "), "{first}");
    assert_eq!(first, again, "it is the member that it was");
    expect!["200 2null"].assert_eq(&member(json!({ "address": "10.0.0.8" })).await);
    expect![[r#"401 null"the token was used by two; make a new one with `wasmctl token create`""#]]
        .assert_eq(&member(json!({ "joiner": other })).await);
}

#[tokio::test]
async fn the_name_of_a_living_host_is_taken_and_that_of_a_lost_one_is_not() {
    let server = server_with_tokens().await;
    let node = server.as_node("worker-1");
    let ready = |status: &str| json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
    node.json("POST /api/v1/nodes", json!({ "metadata": { "name": "worker-1" } })).await;
    node.json("PATCH /api/v1/nodes/worker-1/status", ready("True")).await;
    check(&server, json!({}), expect![[r#"409 Operation cannot be fulfilled on nodes "worker-1": a host of this name is alive; choose another name with --name, or stop that host first"#]]).await;
    node.json("PATCH /api/v1/nodes/worker-1/status", ready("Unknown")).await;
    check(&server, json!({}), expect!["200"]).await;
}

#[tokio::test]
async fn of_two_that_show_a_token_at_once_one_joins() {
    let server = server_with_tokens().await;
    let (one, other) = tokio::join!(join(&server, json!({ "name": "a" })), join(&server, json!({ "name": "b" })));
    let joined = [&one, &other].into_iter().filter(|outcome| *outcome == "200").count();
    assert_eq!(joined, 1, "{one}, {other}");
}

#[tokio::test]
async fn who_fails_often_has_to_wait() {
    let server = server_with_tokens().await;
    let mut outcomes = Vec::new();
    for _ in 0..10 {
        outcomes.push(join(&server, json!({ "secret": "ff" })).await);
    }
    assert!(outcomes.iter().all(|outcome| outcome.starts_with("401 ")), "{outcomes:?}");
    check(&server, json!({}), expect!["429 too many attempts to join from 0.0.0.0 failed; try again in a minute"])
        .await;
}

#[tokio::test]
async fn only_masters_have_to_do_with_tokens() {
    let server = server_with_tokens().await;
    server.furnish().await;
    let binding = json!({
        "metadata": { "name": "jane" }, "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane" }],
    });
    server.json("POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await;
    for user in [server.as_user(User::authenticated("jane", [])), server.as_node("worker-1")] {
        for line in ["GET", "POST"].map(|method| format!("{method} {TOKENS}")) {
            let outcome = user.outcome(&line, json!({ "metadata": { "name": "a" } })).await;
            assert!(outcome.starts_with("403 "), "{} {line}: {outcome}", user.user.name);
        }
    }
    check(&server, json!({}), expect!["200"]).await;
}
