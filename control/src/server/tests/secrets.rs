//! Secrets look the same to clients as ever, and different on disk.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use expect_test::expect;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::harness::Server;

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

fn is_shown(text: &str) -> bool {
    text.contains(&BASE64.encode("hunter2")) && !text.contains("sealed")
}

/// The first frame of a watch.
async fn frame(response: Response) -> String {
    let frame = response.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    String::from_utf8(frame.to_vec()).unwrap()
}

#[tokio::test]
async fn every_way_to_read_a_secret_shows_it() {
    let server = Server::start().await;
    let secret =
        json!({ "metadata": { "name": "s", "labels": { "a": "b" } }, "stringData": { "password": "hunter2" } });
    let (code, made) = server.json(&format!("POST {SECRETS}"), secret).await;
    assert_eq!((code, is_shown(&made.to_string())), (201, true));
    let revision = made["metadata"]["resourceVersion"].as_str().unwrap();
    let stored = server.app.objects.store().snapshot().get("secrets/default/s").unwrap();
    assert!(!is_shown(&String::from_utf8_lossy(&stored.json)));
    for path in [
        format!("{SECRETS}/s"),
        format!("{SECRETS}/s?resourceVersion=0"),
        SECRETS.to_owned(),
        format!("{SECRETS}?labelSelector=a%3Db&fieldSelector=type%3DOpaque"),
        "/api/v1/secrets?limit=1".to_owned(),
    ] {
        let (code, text) = server.text(&format!("GET {path}"), &[], "").await;
        assert_eq!((code, is_shown(&text)), (200, true), "{path}: {text}");
    }
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let first = server.send(&format!("GET {SECRETS}?watch=true&{initial}"), &[], "").await;
    assert!(is_shown(&frame(first).await));
    let changes = server.send(&format!("GET {SECRETS}?watch=true&resourceVersion={revision}"), &[], "").await;
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let (_, text) = server.text(&format!("GET {SECRETS}"), &table, "").await;
    let table: Value = serde_json::from_str(&text).unwrap();
    expect![[r#"["s","Opaque",1,"0s"]"#]].assert_eq(&table["rows"][0]["cells"].to_string());
    let (_, same) = server.json(&format!("PATCH {SECRETS}/s"), json!({ "metadata": { "labels": { "a": "b" } } })).await;
    assert_eq!(same["metadata"]["resourceVersion"], revision, "nothing changed, nothing was written");
    let (_, patched) =
        server.json(&format!("PATCH {SECRETS}/s"), json!({ "metadata": { "labels": { "a": "c" } } })).await;
    assert!(is_shown(&patched.to_string()));
    assert!(is_shown(&frame(changes).await));
    let rotated = server.shown("POST /apis/coracle.dev/v1/secretkeyrotations", json!({})).await;
    assert!(rotated.starts_with("201 ") && rotated.contains("\"rewritten\":1"), "{rotated}");
    let (_, found) = server.json(&format!("GET {SECRETS}/s"), Value::Null).await;
    assert!(is_shown(&found.to_string()));
    let (_, gone) = server.json(&format!("DELETE {SECRETS}"), Value::Null).await;
    assert!(is_shown(&gone.to_string()));
}
