//! Certificate signing requests: who may make, approve and sign them, and what our own signer signs.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_store::WatchRequest;
use expect_test::{Expect, expect};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authentication::User;
use crate::harness::{Server, Still, pki};
use crate::signer;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

fn request(name: &str, signer: &str, (user, group): (&str, &str)) -> Value {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.distinguished_name.push(DnType::CommonName, user);
    let pem = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    json!({
        "metadata": { "name": name },
        "spec": {
            "request": BASE64.encode(pem), "signerName": format!("kubernetes.io/{signer}"), "usages": ["client auth"],
            "expirationSeconds": 3600, "username": "somebody else",
        },
    })
}

async fn check(server: &Server, line: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.outcome(line, body).await);
}

fn condition(kind: &str) -> Value {
    json!({ "status": { "conditions": [{ "type": kind, "status": "True", "reason": "Test" }] } })
}

#[tokio::test]
async fn a_request_notes_who_asked_and_must_be_readable() {
    let server = Server::start().await;
    let post = format!("POST {REQUESTS}");
    let (code, made) = server.json(&post, request("a", "kube-apiserver-client", ("jane", "team"))).await;
    assert_eq!(code, 201, "{made}");
    expect![[r#""admin" ["system:masters","system:authenticated"]"#]]
        .assert_eq(&format!("{} {}", made["spec"]["username"], made["spec"]["groups"]));
    let masters = request("b", "kube-apiserver-client", ("jane", "system:masters"));
    check(&server, &post, masters, expect![[r#"403 certificatesigningrequests.certificates.k8s.io "b" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"#]]).await;
    let members = request("b", "kube-apiserver-client", ("jane", "coracle:members"));
    check(&server, &post, members, expect![[r#"403 certificatesigningrequests.certificates.k8s.io "b" is forbidden: use of kubernetes.io/kube-apiserver-client signer with coracle:members group is not allowed"#]]).await;
    let mut damaged = request("c", "kube-apiserver-client", ("jane", "team"));
    damaged["spec"]["request"] =
        BASE64.encode("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n").into();
    let (code, answer) = server.json(&post, damaged).await;
    assert_eq!((code, &answer["details"]["causes"][0]["field"]), (422, &"spec.request".into()));
}

#[tokio::test]
async fn approving_and_signing_need_a_right_of_their_own() {
    let admin = Server::start().await;
    admin.furnish().await;
    admin.json(&format!("POST {REQUESTS}"), request("a", "kube-apiserver-client", ("jane", "team"))).await;
    let rules = json!([{
        "apiGroups": ["certificates.k8s.io"], "verbs": ["get", "patch", "update"],
        "resources": ["certificatesigningrequests/approval", "certificatesigningrequests/status"],
    }]);
    let group = "/apis/rbac.authorization.k8s.io/v1";
    admin.json(&format!("POST {group}/clusterroles"), json!({ "metadata": { "name": "r" }, "rules": rules })).await;
    let bind = |name: &str, role: &str| {
        json!({
            "metadata": { "name": name }, "roleRef": { "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "User", "name": "jane" }],
        })
    };
    admin.json(&format!("POST {group}/clusterrolebindings"), bind("a", "r")).await;
    let jane = admin.as_user(User::authenticated("jane", []));
    let (approve, status) = (format!("PATCH {REQUESTS}/a/approval"), format!("PATCH {REQUESTS}/a/status"));
    check(&jane, &approve, condition("Approved"), expect![[r#"403 certificatesigningrequests.certificates.k8s.io "a" is forbidden: user not permitted to approve requests with signerName "kubernetes.io/kube-apiserver-client""#]]).await;
    let approver = "system:certificates.k8s.io:kube-apiserver-client-approver";
    admin.json(&format!("POST {group}/clusterrolebindings"), bind("b", approver)).await;
    check(&jane, &approve, condition("Failed"), expect![[r#"422 CertificateSigningRequest.certificates.k8s.io "a" is invalid: status.conditions: Forbidden: updates may not add a condition of type "Failed""#]]).await;
    check(&jane, &approve, condition("Approved"), expect!["200"]).await;
    check(&jane, &approve, condition("Denied"), expect![[r#"422 CertificateSigningRequest.certificates.k8s.io "a" is invalid: status.conditions: Forbidden: updates may not remove a condition of type "Approved""#]]).await;
    check(&jane, &status, json!({ "status": { "certificate": "eA==" } }), expect![[r#"403 certificatesigningrequests.certificates.k8s.io "a" is forbidden: user not permitted to sign requests with signerName "kubernetes.io/kube-apiserver-client""#]]).await;
    check(&admin, &status, condition("Denied"), expect![[r#"422 CertificateSigningRequest.certificates.k8s.io "a" is invalid: [status.conditions: Forbidden: updates may not remove a condition of type "Approved", status.conditions: Forbidden: updates may not add a condition of type "Denied"]"#]]).await;
    let (_, found) = admin.json(&format!("GET {REQUESTS}/a"), Value::Null).await;
    expect![[r#"{"conditions":[{"lastTransitionTime":"2026-11-21T10:00:00Z","lastUpdateTime":"2026-11-21T10:00:00Z","reason":"Test","status":"True","type":"Approved"}]}"#]].assert_eq(&found["status"].to_string());
}

/// The request once the signer has dealt with it.
async fn settled(server: &Server, name: &str) -> Value {
    let store = server.app.objects.store();
    let key = format!("certificatesigningrequests.certificates.k8s.io/{name}");
    let snapshot = store.snapshot();
    let request = WatchRequest { prefix: key.clone(), tag: None, after: snapshot.revision() };
    let (mut watch, mut record) = (store.watch(request).unwrap(), snapshot.get(&key).unwrap());
    loop {
        let found: Value = serde_json::from_slice(&record.json).unwrap();
        let is_failed = found["status"]["conditions"].as_array().is_some_and(|list| list.len() > 1);
        if found["status"]["certificate"].is_string() || is_failed {
            return found;
        }
        record = Arc::clone(&watch.next().await.unwrap().record);
    }
}

#[tokio::test]
async fn what_is_approved_is_signed() {
    let server = Server::start().await;
    let dir = TempDir::new().unwrap();
    let pki = Arc::new(pki(dir.path(), Still::default()));
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(signer::run(server.app.objects.clone(), Arc::clone(&pki), shutdown.clone()));
    let cases = [
        ("user", "kube-apiserver-client", ("jane", "team")),
        ("host", "kube-apiserver-client-kubelet", ("system:node:n1", "system:nodes")),
        ("wrong", "kube-apiserver-client-kubelet", ("jane", "system:nodes")),
    ];
    let mut results = Vec::new();
    for (name, signer, subject) in cases {
        server.json(&format!("POST {REQUESTS}"), request(name, signer, subject)).await;
        server.json(&format!("PATCH {REQUESTS}/{name}/approval"), condition("Approved")).await;
        let found = settled(&server, name).await;
        results.push(match found["status"]["certificate"].as_str() {
            None => found["status"]["conditions"][1]["message"].to_string(),
            Some(certificate) => {
                let pem = BASE64.decode(certificate).unwrap();
                let der = CertificateDer::from_pem_slice(&pem).unwrap();
                let user = User::from_certificate(&der);
                let (_, parsed) = X509Certificate::from_der(&der).unwrap();
                let validity = parsed.validity();
                let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
                format!("{} {:?} {seconds} s, CA: {}", user.name, user.groups, parsed.is_ca())
            }
        });
    }
    expect![[r#"
        jane ["team", "system:authenticated"] 3900 s, CA: false
        system:node:n1 ["system:nodes", "system:authenticated"] 3900 s, CA: false
        "subject common name does not begin with system:node:""#]]
    .assert_eq(&results.join("\n"));
    shutdown.cancel();
    task.await.unwrap();
}
