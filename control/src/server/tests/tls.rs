//! The real listener: certificates, protocols, the end; and a log fetched from a host.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use expect_test::expect;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::authorizer::Rbac;
use crate::harness::{Server, cluster_files, joining, pod};
use crate::peers::MEMBERS;
use crate::pki::{Identity, Pki};
use crate::server::{ServerConfig, serve};

struct Listening {
    base: String,
    server: Server,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

fn pki(dir: &TempDir) -> Pki {
    Pki::open_or_create(&dir.path().join("pki"), "2026-11-21T10:00:00Z".parse().unwrap()).unwrap()
}

async fn listen(dir: &TempDir, pki: &Pki) -> Listening {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let identity = pki.issue_server(&["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let shutdown = CancellationToken::new();
    let config = ServerConfig {
        listener,
        tls: pki.server_config(&identity).unwrap(),
        objects: server.app.objects.clone(),
        authorizer: Arc::new(Rbac::default()),
        tokens: Arc::clone(&server.app.tokens),
        host_tls: pki.client_config(&pki.issue_admin().unwrap()).unwrap(),
        member_tls: pki.client_config(&pki.issue_client("coracle:member:a", MEMBERS).unwrap()).unwrap(),
        audit_log: Some(dir.path().join("audit.log")),
        cluster_files: cluster_files(dir.path()),
        joining: joining(dir.path()),
        shutdown: shutdown.clone(),
    };
    Listening { base, server, shutdown, task: tokio::spawn(serve(config)) }
}

fn client(pki: &Pki, identity: &Identity) -> reqwest::Client {
    reqwest::Client::builder().tls_backend_preconfigured(pki.client_config(identity).unwrap()).build().unwrap()
}

#[tokio::test]
async fn certificates_say_who_asks() {
    let dir = TempDir::new().unwrap();
    let (pki, other) =
        (pki(&dir), Pki::open_or_create(&dir.path().join("other"), "2026-11-21T10:00:00Z".parse().unwrap()).unwrap());
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

/// A host that answers every request with its path.
async fn host(pki: &Pki) -> u16 {
    let identity = pki.issue_host("n1", &["127.0.0.1".to_owned()]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(pki.server_config(&identity).unwrap()));
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
    let events = format!("{}/api/v1/namespaces/default/events", listening.base);
    send(host.post(&events).json(&json!({}))).await;
    listening.shutdown.cancel();
    listening.task.await.unwrap().unwrap();
    let log = std::fs::read_to_string(dir.path().join("audit.log")).unwrap();
    assert!(!log.contains("hunter2"));
    let lines = log.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let impersonated = &event["impersonatedUser"]["username"];
        format!(
            "{} {} {} {} {}\n",
            event["verb"], event["user"]["username"], impersonated, event["objectRef"], event["responseStatus"]["code"]
        )
    });
    expect![[r#"
        "create" "admin" null {"apiVersion":"v1","name":"s","namespace":"default","resource":"secrets"} 201
        "delete" "admin" "jane" {"apiVersion":"v1","name":"s","namespace":"default","resource":"secrets"} 403
    "#]]
    .assert_eq(&lines.collect::<String>());
}
