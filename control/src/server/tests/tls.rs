//! The real listener: certificates, protocols, the end; and a log fetched from a host.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use coracle_registry::Digest;
use expect_test::expect;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jiff::SignedDuration;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::authentication::User;
use crate::authorizer::Rbac;
use crate::harness::{self, Server, artifacts, cluster_files, pod};
use crate::joining::Joining;
use crate::pki::{Identity, Pki, Signable};
use crate::sealing::Sealer;
use crate::server::{ANSWERED_TIMEOUT, ServerConfig, serve};
use crate::{Identities, Objects, SystemClock};

struct Listening {
    base: String,
    /// Without TLS.
    registry: String,
    server: Server,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

fn pki(dir: &TempDir) -> Arc<Pki> {
    Arc::new(harness::pki(dir.path(), SystemClock))
}

async fn listen(dir: &TempDir, pki: &Arc<Pki>) -> Listening {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    // Certificates are good by the clock of the machine.
    let store = server.app.objects.store().clone();
    let sealer = Sealer::open(&server.dir.path().join("pki"), &store.snapshot(), true).unwrap();
    let objects = Objects::new(store, Arc::new(SystemClock), sealer, Arc::new(Rbac::default()));
    let shutdown = CancellationToken::new();
    let artifacts = artifacts(dir.path());
    let registry = format!("http://{}", artifacts.listener.local_addr().unwrap());
    let config = ServerConfig {
        listener,
        identities: Identities::issue(pki.clone(), "a", names, 0.8).unwrap(),
        objects,
        tokens: Arc::clone(&server.app.tokens),
        audit_log: Some(dir.path().join("audit.log")),
        cluster_files: cluster_files(dir.path()),
        joining: Joining { pki: pki.clone() },
        artifacts,
        shutdown: shutdown.clone(),
    };
    Listening { base, registry, server, shutdown, task: tokio::spawn(serve(config)) }
}

fn client(pki: &Pki, identity: &Identity) -> reqwest::Client {
    let tls = pki.client_config(identity.rotating(0.8).unwrap()).unwrap();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

#[tokio::test]
async fn certificates_say_who_asks() {
    let dir = TempDir::new().unwrap();
    let (pki, other) = (pki(&dir), harness::pki(&dir.path().join("other"), SystemClock));
    let listening = listen(&dir, &pki).await;
    let url = format!("{}/api/v1/nodes", listening.base);
    let admin = client(&pki, &pki.issue_admin().unwrap()).get(&url).send().await.unwrap();
    assert_eq!(admin.status(), 200);
    let nobody = client(&pki, &pki.issue_client("someone", "nobody").unwrap()).get(&url).send().await.unwrap();
    assert_eq!(nobody.status(), 403);
    assert!(nobody.text().await.unwrap().contains("User \\\"someone\\\" cannot list resource \\\"nodes\\\""));
    let foreign = client(&pki, &other.issue_admin().unwrap()).get(&url).send().await;
    assert!(foreign.is_err(), "a certificate of another CA is refused");
    listening.shutdown.cancel();
    listening.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn watches_end_with_the_server() {
    let dir = TempDir::new().unwrap();
    let pki = pki(&dir);
    let listening = listen(&dir, &pki).await;
    let client = client(&pki, &pki.issue_admin().unwrap());
    let url = format!("{}/api/v1/namespaces?watch=true", listening.base);
    let mut watch = client.get(&url).send().await.unwrap();
    assert!(watch.chunk().await.unwrap().is_some());
    listening.shutdown.cancel();
    while let Ok(Some(_)) = watch.chunk().await {}
    listening.task.await.unwrap().unwrap();
    assert!(client.get(&url).send().await.is_err());
}

#[tokio::test]
async fn a_server_that_ends_takes_no_connections() {
    let dir = TempDir::new().unwrap();
    let listening = listen(&dir, &pki(&dir)).await;
    let address = listening.base.strip_prefix("https://").unwrap();
    // It is waited for, but not for long.
    let _silent = TcpStream::connect(address).await.unwrap();
    let is_taken = async || TcpStream::connect(address).await.is_ok();
    assert!(is_taken().await);
    listening.shutdown.cancel();
    while is_taken().await {
        tokio::task::yield_now().await;
    }
    assert!(!listening.task.is_finished(), "the connection that is silent is waited for, and others are refused");
    tokio::time::timeout(ANSWERED_TIMEOUT, listening.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn who_is_suspended_holds_up_no_server_that_ends() {
    let dir = TempDir::new().unwrap();
    let pki = pki(&dir);
    let listening = listen(&dir, &pki).await;
    let tls = pki.client_config(pki.issue_admin().unwrap().rotating(0.8).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).http2_prior_knowledge().build().unwrap();
    let url = format!("{}/api/v1/nodes", listening.base);
    // What nobody drives answers no ping, and does not end its connection.
    let suspended = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(client.get(&url).send()).unwrap().status(), 200);
        (runtime, client)
    });
    let (runtime, _client) = suspended.await.unwrap();
    listening.shutdown.cancel();
    tokio::time::timeout(ANSWERED_TIMEOUT, listening.task).await.unwrap().unwrap().unwrap();
    runtime.shutdown_background();
}

/// A host that answers every request with its path.
async fn host(pki: &Pki) -> u16 {
    let identity = pki.issue_host("n1", &["127.0.0.1".to_owned()]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(pki.server_config(identity.rotating(0.8).unwrap()).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = acceptor.accept(stream).await.unwrap();
            assert!(stream.get_ref().1.peer_certificates().is_some());
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let line = format!("log of {}\n", request.uri());
                Ok::<_, Infallible>(http::Response::new(Body::from(line)))
            });
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        }
    });
    port
}

#[tokio::test]
async fn logs_come_from_the_host() {
    let dir = TempDir::new().unwrap();
    let pki = pki(&dir);
    let listening = listen(&dir, &pki).await;
    let port = host(&pki).await;
    let server = &listening.server;
    server.json("POST /api/v1/nodes", json!({ "metadata": { "name": "n1" } })).await;
    let status = json!({ "status": {
        "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
    } });
    server.json("PATCH /api/v1/nodes/n1/status", status).await;
    server.json("POST /api/v1/namespaces/default/pods", pod("p")).await;
    server.json("POST /api/v1/namespaces/default/pods/p/binding", json!({ "target": { "name": "n1" } })).await;
    let url = format!("{}/api/v1/namespaces/default/pods/p/log?tailLines=3&follow=true&odd=1", listening.base);
    let answer =
        client(&pki, &pki.issue_admin().unwrap()).get(&url).timeout(Duration::from_secs(20)).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "log of /logs/default/p/main?tailLines=3&follow=true\n");
}

#[tokio::test]
async fn writes_are_audited_and_reads_are_not() {
    let dir = TempDir::new().unwrap();
    let pki = pki(&dir);
    let listening = listen(&dir, &pki).await;
    let (admin, host) = (client(&pki, &pki.issue_admin().unwrap()), client(&pki, &pki.issue_host("n1", &[]).unwrap()));
    let secrets = format!("{}/api/v1/namespaces/default/secrets", listening.base);
    let body = json!({ "metadata": { "name": "s" }, "stringData": { "password": "hunter2" } });
    let send =
        async |request: reqwest::RequestBuilder| request.header("x-request-id", "id").send().await.unwrap().status();
    assert_eq!(send(admin.post(&secrets).json(&body)).await, 201);
    assert_eq!(send(admin.get(&secrets)).await, 200);
    assert_eq!(send(admin.delete(format!("{secrets}/s?dryRun=All")).header("impersonate-user", "jane")).await, 403);
    let uploads = format!("v2/shop/blobs/uploads/?digest={}", Digest::of(b"{}"));
    assert_eq!(send(admin.post(format!("{}/{uploads}", listening.base)).body("{}")).await, 201);
    let put = admin.put(format!("{}/v2/shop/manifests/1", listening.base)).body("{}");
    assert_eq!(send(put.header("impersonate-user", "jane")).await, 403);
    let by_credentials = admin.post(format!("{}/{uploads}", listening.registry)).body("{}");
    assert_eq!(send(by_credentials.basic_auth("admin", Some("registry-password"))).await, 201);
    assert_eq!(send(admin.get(format!("{}/v2/shop/tags/list", listening.base))).await, 404);
    let events = format!("{}/api/v1/namespaces/default/events", listening.base);
    send(host.post(&events).json(&json!({}))).await;
    listening.shutdown.cancel();
    listening.task.await.unwrap().unwrap();
    let log = std::fs::read_to_string(dir.path().join("audit.log")).unwrap();
    assert!(!log.contains("hunter2"));
    let lines = log.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        let impersonated = &event["impersonatedUser"]["username"];
        let about = match &event["objectRef"] {
            Value::Null => event["requestURI"].to_string().replace(&Digest::of(b"{}").to_string(), "CONFIG"),
            object => object.to_string(),
        };
        let (user, code) = (&event["user"]["username"], &event["responseStatus"]["code"]);
        format!("{} {user} {impersonated} {about} {code}\n", event["verb"])
    });
    expect![[r#"
        "create" "admin" null {"apiVersion":"v1","name":"s","namespace":"default","resource":"secrets"} 201
        "delete" "admin" "jane" {"apiVersion":"v1","name":"s","namespace":"default","resource":"secrets"} 403
        "post" "admin" null "/v2/shop/blobs/uploads/?digest=CONFIG" 201
        "put" "admin" "jane" "/v2/shop/manifests/1" 403
        "post" "coracle:registry:admin" null "/v2/shop/blobs/uploads/?digest=CONFIG" 201
    "#]]
    .assert_eq(&lines.collect::<String>());
}

fn signing_request() -> Value {
    let params = CertificateParams::new(vec!["kubernetes".to_owned()]).unwrap();
    let pem = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    json!({ "signingRequest": pem })
}

#[tokio::test]
async fn a_host_gets_its_next_certificate_and_nobody_else_does() {
    let dir = TempDir::new().unwrap();
    let pki = pki(&dir);
    let listening = listen(&dir, &pki).await;
    let names = ["127.0.0.1".to_owned(), "n1".to_owned()];
    let ask = async |identity: Identity, headers: &[(&str, &str)], body: Value| {
        let mut request = client(&pki, &identity).post(format!("{}/coracle/certificate", listening.base)).json(&body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (host, admin) = (pki.issue_host("n1", &names).unwrap(), pki.issue_admin().unwrap());
    let (code, answer) = ask(host.clone(), &[], signing_request()).await;
    assert_eq!(code, 200, "{answer}");
    let renewed = answer["certificate"].as_str().unwrap();
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    assert_eq!(User::from_certificate(&der(renewed)), User::from_certificate(&der(&host.certificate_pem)));
    let member = pki.issue_client("coracle:member:b", "coracle:members").unwrap();
    let speaks = [("x-remote-user", "system:node:n1"), ("x-remote-group", "system:nodes")];
    let impersonates = [("impersonate-user", "system:node:n1"), ("impersonate-group", "system:nodes")];
    let refused = [
        ask(admin.clone(), &[], signing_request()).await,
        ask(admin, &impersonates, signing_request()).await,
        ask(member, &speaks, signing_request()).await,
        ask(pki.issue_client("system:node:n1", "people").unwrap(), &[], signing_request()).await,
        ask(host.clone(), &[], json!({ "signingRequest": "nonsense" })).await,
        ask(host, &[], json!({ "signingRequest": "", "names": ["kubernetes"] })).await,
    ];
    let refused = refused.map(|(code, answer)| format!("{code} {}", answer["message"].as_str().unwrap()));
    expect![[r#"
        403 forbidden: User "admin" is no host that shows its certificate
        403 forbidden: User "system:node:n1" is no host that shows its certificate
        403 forbidden: User "system:node:n1" is no host that shows its certificate
        403 forbidden: User "system:node:n1" is no host that shows its certificate
        400 the certificate signing request cannot be read
        400 this is no request for a certificate: unknown field `names`, expected `signingRequest` at line 1 column 8"#]]
    .assert_eq(&refused.join("\n"));
}

#[tokio::test]
async fn a_host_may_do_nothing_once_its_node_is_deleted() {
    let dir = TempDir::new().unwrap();
    let pki = pki(&dir);
    let listening = listen(&dir, &pki).await;
    let node = json!({ "metadata": { "name": "n1" } });
    let (_, made) = listening.server.json("POST /api/v1/nodes", node.clone()).await;
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(Vec::new()).unwrap().serialize_request(&key).unwrap().pem().unwrap();
    let (signable, uid) = (Signable::from_pem(&request).unwrap(), made["metadata"]["uid"].as_str().unwrap());
    let certificate_pem = pki.sign_host(signable, "n1", uid, &[]).unwrap();
    let joined = client(&pki, &Identity { certificate_pem, key_pem: key.serialize_pem() });
    let of_a_server = client(&pki, &pki.issue_host("n1", &[]).unwrap());
    let base = &listening.base;
    let ask = async |host: &reqwest::Client| {
        let mut outcomes = Vec::new();
        for request in [
            host.get(format!("{base}/api/v1/services")),
            host.get(format!("{base}/version")),
            host.post(format!("{base}/coracle/certificate")).json(&signing_request()),
            host.get(format!("{base}/v2/a/tags/list")),
        ] {
            // The connection on which it went out may just have been ended.
            let answer = match request.try_clone().unwrap().send().await {
                Ok(answer) => answer,
                Err(_) => request.send().await.unwrap(),
            };
            let (code, answer) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
            outcomes.push(format!(
                "{code} {}",
                answer["reason"].as_str().or(answer["errors"][0]["code"].as_str()).unwrap_or("")
            ));
        }
        outcomes.join(", ")
    };
    expect!["200 , 200 , 200 , 404 NAME_UNKNOWN"].assert_eq(&ask(&joined).await);
    let mut watch = joined.get(format!("{base}/api/v1/services?watch=true")).send().await.unwrap();
    listening.server.json("DELETE /api/v1/nodes/n1", Value::Null).await;
    let gone = expect!["401 NodeDeleted, 401 NodeDeleted, 401 NodeDeleted, 401 DENIED"];
    gone.assert_eq(&ask(&joined).await);
    while let Ok(Some(_)) = watch.chunk().await {}
    // Another machine's Node of the same name is no help.
    listening.server.json("POST /api/v1/nodes", node).await;
    gone.assert_eq(&ask(&joined).await);
    expect!["200 , 200 , 200 , 404 NAME_UNKNOWN"].assert_eq(&ask(&of_a_server).await);
}

#[tokio::test]
async fn a_connection_takes_no_requests_when_its_certificate_is_over_and_the_next_one_shows_another() {
    let dir = TempDir::new().unwrap();
    let pki = pki(&dir);
    let listening = listen(&dir, &pki).await;
    let lifetime = SignedDuration::from_secs(2);
    let short = Pki::open_or_create(&dir.path().join("pki"), Arc::new(SystemClock), lifetime).unwrap();
    let identity = short.issue_host("n1", &[]).unwrap().rotating(0.8).unwrap();
    let tls = pki.client_config(identity.clone()).unwrap();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap();
    let ask = async || client.get(format!("{}/api/v1/nodes", listening.base)).send().await;
    assert_eq!(ask().await.unwrap().status(), 200);
    while ask().await.is_ok() {}
    let Identity { certificate_pem, key_pem } = pki.issue_host("n1", &[]).unwrap();
    identity.replace(certificate_pem.as_bytes(), key_pem.as_bytes()).unwrap();
    assert_eq!(ask().await.unwrap().status(), 200);
}
