use std::time::Duration;

use coracle_api::status;
use expect_test::{Expect, expect};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::{Config, WriteOptions};

/// Stands for a 503 that says that nothing was done.
const NO_LEADER: u16 = 1503;

/// Answers one request each, in order, then refuses to be asked again; returns the request lines that came.
async fn script(listener: TcpListener, answers: Vec<(u16, String)>) -> Vec<String> {
    let mut requests = Vec::new();
    for (code, body) in answers {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).await.unwrap();
            head.push(byte[0]);
        }
        let line = String::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
        requests.push(line.replace(" HTTP/1.1", ""));
        let (code, mark) = match code {
            NO_LEADER => (503, format!("{}: true\r\n", status::NOT_LEADER)),
            code => (code, String::new()),
        };
        let reply =
            format!("HTTP/1.1 {code} X\r\n{mark}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(reply.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
    }
    requests
}

fn pod(name: &str, revision: u64) -> Value {
    json!({"metadata": {"name": name, "resourceVersion": revision.to_string()}})
}

fn pods(revision: u64, items: &[Value]) -> String {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": revision.to_string()}, "items": items}).to_string()
}

fn event(change: &str, object: Value) -> String {
    format!("{}\n", json!({"type": change, "object": object}))
}

fn expired() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"})
}

fn show(event: &InformerEvent) -> String {
    let name = |value: &Value| value["metadata"]["name"].as_str().unwrap().to_owned();
    match event {
        InformerEvent::Restarted(all) => format!("restarted {:?}", all.iter().map(name).collect::<Vec<_>>()),
        InformerEvent::Applied(value) => format!("applied {}", name(value)),
        InformerEvent::Deleted(value) => format!("deleted {}", name(value)),
    }
}

fn config(servers: &[&TcpListener]) -> Config {
    let mut servers = servers.iter().map(|server| format!("http://{}", server.local_addr().unwrap()));
    Config {
        server: servers.next().unwrap(),
        other_servers: servers.collect(),
        ca_pem: Vec::new(),
        identity_pem: None,
        token: None,
        namespace: "default".to_owned(),
        context: "test".to_owned(),
        cluster: serde_json::Map::new(),
    }
}

async fn check(answers: Vec<(u16, String)>, events: usize, expected: Expect) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(config(&[&listener])).unwrap();
    let server = tokio::spawn(script(listener, answers));
    let mut informer = client.informer(&coracle_api::kinds::POD, None, ListOptions::fields("spec.nodeName=h1"));
    let mut lines = Vec::new();
    for _ in 0..events {
        lines.push(show(&informer.next().await.unwrap()));
    }
    // The last request may still be on its way: the informer asks for it while it is polled.
    let requests = tokio::select! {
        requests = server => requests.unwrap(),
        _ = informer.next() => unreachable!("the script holds no more events"),
    };
    lines.extend(requests);
    expected.assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn resumes_a_broken_watch_from_the_last_revision() {
    let answers = vec![
        (200, pods(5, &[pod("a", 3)])),
        (200, event("ADDED", pod("b", 6)) + &event("BOOKMARK", json!({"metadata": {"resourceVersion": "9"}}))),
        (200, event("DELETED", pod("a", 11))),
        (500, "down".to_owned()),
        (200, event("MODIFIED", pod("b", 12))),
    ];
    check(
        answers,
        4,
        expect![[r#"
            restarted ["a"]
            applied b
            deleted a
            applied b
            GET /api/v1/pods?fieldSelector=spec.nodeName%3Dh1
            GET /api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dh1&resourceVersion=5
            GET /api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dh1&resourceVersion=9
            GET /api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dh1&resourceVersion=11
            GET /api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dh1&resourceVersion=11"#]],
    )
    .await;
}

#[tokio::test]
async fn lists_again_when_the_revision_is_gone() {
    let answers = vec![
        (200, pods(5, &[pod("a", 3)])),
        (410, expired().to_string()),
        (200, pods(20, &[pod("c", 19)])),
        (200, event("ERROR", expired())),
        (200, pods(30, &[])),
    ];
    check(
        answers,
        3,
        expect![[r#"
            restarted ["a"]
            restarted ["c"]
            restarted []
            GET /api/v1/pods?fieldSelector=spec.nodeName%3Dh1
            GET /api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dh1&resourceVersion=5
            GET /api/v1/pods?fieldSelector=spec.nodeName%3Dh1
            GET /api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dh1&resourceVersion=20
            GET /api/v1/pods?fieldSelector=spec.nodeName%3Dh1"#]],
    )
    .await;
}

#[tokio::test]
async fn a_refused_connection_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = Config {
        server: server.clone(),
        other_servers: Vec::new(),
        ca_pem: Vec::new(),
        identity_pem: None,
        token: None,
        namespace: "default".to_owned(),
        context: "test".to_owned(),
        cluster: serde_json::Map::new(),
    };
    let error = Client::new(config.clone()).unwrap().version().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach the API server at {server}: Connection refused"));
    assert!(error.hint().unwrap().contains("`wasmctl up`"));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(script(listener, vec![(200, "{}".to_owned()), (200, "{}".to_owned())]));
    let client = Client::new(Config { other_servers: vec![other.clone()], ..config }).unwrap();
    client.version().await.expect("what could not be sent is sent to another server");
    assert_eq!(*client.server(), *other);
    client.version().await.unwrap();
}

#[tokio::test]
async fn what_a_server_without_a_leader_did_not_do_is_asked_of_the_next() {
    let listeners = [(); 3].map(async |()| TcpListener::bind("127.0.0.1:0").await.unwrap());
    let [lonely, other, gone] = futures::future::join_all(listeners).await.try_into().unwrap();
    let client = Client::new(config(&[&lonely, &other])).unwrap();
    let names = [&lonely, &other, &gone].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
    let no_leader = || (NO_LEADER, String::from_utf8(status::no_leader("nobody has led for 5 s").to_json()).unwrap());
    let unavailable = status::service_unavailable("the host does not answer").to_json();
    let unavailable = (503, String::from_utf8(unavailable).unwrap());
    let lonely = tokio::spawn(script(lonely, vec![no_leader(), no_leader()]));
    let other = tokio::spawn(script(other, vec![(201, "{}".to_owned()), unavailable, no_leader()]));
    let write = async |client: &Client| {
        let object = pod("a", 1);
        client.create(&coracle_api::kinds::POD, None, &object, &WriteOptions::default()).await
    };
    write(&client).await.expect("the other server has a leader");
    assert_eq!(*client.server(), *names[1]);
    let error = write(&client).await.unwrap_err();
    assert_eq!(error.to_string(), "the host does not answer", "of which no other server knows better");
    drop(gone);
    client.set_servers(&names);
    let error = write(&client).await.unwrap_err();
    let text = error.to_string().replace(&names[0], "A").replace(&names[1], "B").replace(&names[2], "C");
    expect![[r#"
        none of the cluster's 3 API servers can do it: B: nobody has led for 5 s; C: Connection refused; A: nobody has led for 5 s
        most of the control plane's members must run and reach each other: look at `wasmctl member list`, and start those that are down"#]].assert_eq(&format!("{text}\n{}", error.hint().unwrap()));
    assert_eq!(lonely.await.unwrap(), ["POST /api/v1/namespaces/default/pods"; 2]);
    assert_eq!(other.await.unwrap(), ["POST /api/v1/namespaces/default/pods"; 3]);
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_asked_no_more() {
    let (silent, other) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let client = Client::new(config(&[&silent, &other])).unwrap().with_request_timeout(Duration::from_millis(50));
    let server = tokio::spawn(script(other, vec![(200, json!({"gitVersion": "v1"}).to_string())]));
    let error = client.version().await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(client.version().await.unwrap()["gitVersion"], "v1");
    assert_eq!(server.await.unwrap(), ["GET /version"]);
}
