//! What a real API server answers, word for word.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::harness::{Server, config_map, deployment};

async fn check(server: &Server, line: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.shown(line, body).await);
}

async fn check_headers(server: &Server, line: &str, headers: &[(&str, &str)], body: &'static str, expected: Expect) {
    let (code, body) = server.text(line, headers, body).await;
    expected.assert_eq(&format!("{code} {body}"));
}

#[tokio::test]
async fn bodies_are_those_of_kubernetes() {
    let server = Server::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    server.json(&format!("POST {maps}"), config_map("c1", "b")).await;
    server.json("POST /apis/apps/v1/namespaces/default/deployments", deployment("d1", 1)).await;
    let mut stale = config_map("c1", "c");
    stale["metadata"]["resourceVersion"] = "1".into();
    let wrong = json!({ "spec": { "replicas": -1, "selector": { "matchLabels": { "a": "b" } } } });
    let nowhere = "POST /api/v1/namespaces/nope/configmaps";
    let precondition = json!({ "preconditions": { "uid": "abc" } });
    check(&server, "GET /apis/apps/v1/namespaces/default/deployments/zz", Value::Null, expect![[r#"404 {"apiVersion":"v1","code":404,"details":{"group":"apps","kind":"deployments","name":"zz"},"kind":"Status","message":"deployments.apps \"zz\" not found","metadata":{},"reason":"NotFound","status":"Failure"}"#]]).await;
    check(&server, &format!("POST {maps}"), config_map("c1", "b"), expect![[r#"409 {"apiVersion":"v1","code":409,"details":{"kind":"configmaps","name":"c1"},"kind":"Status","message":"configmaps \"c1\" already exists","metadata":{},"reason":"AlreadyExists","status":"Failure"}"#]]).await;
    check(&server, &format!("PUT {maps}/c1"), stale, expect![[r#"409 {"apiVersion":"v1","code":409,"details":{"kind":"configmaps","name":"c1"},"kind":"Status","message":"Operation cannot be fulfilled on configmaps \"c1\": the object has been modified; please apply your changes to the latest version and try again","metadata":{},"reason":"Conflict","status":"Failure"}"#]]).await;
    check(&server, "PATCH /apis/apps/v1/namespaces/default/deployments/d1", wrong, expect![[r#"422 {"apiVersion":"v1","code":422,"details":{"causes":[{"field":"spec.replicas","message":"Invalid value: -1: must be greater than or equal to 0","reason":"FieldValueInvalid"},{"field":"spec.template.metadata.labels","message":"Invalid value: map[string]string{\"app\":\"d1\"}: `selector` does not match template `labels`","reason":"FieldValueInvalid"},{"field":"spec.selector","message":"Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"b\", \"app\":\"d1\"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable","reason":"FieldValueInvalid"}],"group":"apps","kind":"Deployment","name":"d1"},"kind":"Status","message":"Deployment.apps \"d1\" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"d1\"}: `selector` does not match template `labels`, spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"b\", \"app\":\"d1\"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable]","metadata":{},"reason":"Invalid","status":"Failure"}"#]]).await;
    check(&server, nowhere, config_map("c1", "b"), expect![[r#"404 {"apiVersion":"v1","code":404,"details":{"kind":"namespaces","name":"nope"},"kind":"Status","message":"namespaces \"nope\" not found","metadata":{},"reason":"NotFound","status":"Failure"}"#]]).await;
    check(&server, &format!("DELETE {maps}/c1"), precondition, expect![[r#"409 {"apiVersion":"v1","code":409,"details":{"kind":"ConfigMap","name":"c1"},"kind":"Status","message":"Operation cannot be fulfilled on ConfigMap \"c1\": the UID in the precondition (abc) does not match the UID in record (uid-3). The object might have been deleted and then recreated","metadata":{},"reason":"Conflict","status":"Failure"}"#]]).await;
    check(&server, &format!("GET {maps}?fieldSelector=data.x%3D1"), Value::Null, expect![[r#"400 {"apiVersion":"v1","code":400,"kind":"Status","message":"\"data.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"","metadata":{},"reason":"BadRequest","status":"Failure"}"#]]).await;
    check(&server, &format!("GET {maps}?labelSelector=a+in"), Value::Null, expect![[r#"400 {"apiVersion":"v1","code":400,"kind":"Status","message":"unable to parse requirement: found '' expected: '('","metadata":{},"reason":"BadRequest","status":"Failure"}"#]]).await;
    tokio::time::pause();
    check(&server, &format!("GET {maps}?resourceVersion=99999999"), Value::Null, expect![[r#"504 {"apiVersion":"v1","code":504,"details":{"causes":[{"message":"Too large resource version","reason":"ResourceVersionTooLarge"}],"retryAfterSeconds":1},"kind":"Status","message":"Timeout: Too large resource version: 99999999, current: 1048580","metadata":{},"reason":"Timeout","status":"Failure"}"#]]).await;
    tokio::time::resume();
    check(&server, &format!("GET {maps}?continue=zz"), Value::Null, expect![[r#"400 {"apiVersion":"v1","code":400,"kind":"Status","message":"invalid continue token: continue key is not valid: Invalid padding","metadata":{},"reason":"BadRequest","status":"Failure"}"#]]).await;
    check(&server, &format!("POST {maps}/c1"), config_map("c1", "b"), expect![[r#"405 {"apiVersion":"v1","code":405,"details":{},"kind":"Status","message":"the server does not allow this method on the requested resource","metadata":{},"reason":"MethodNotAllowed","status":"Failure"}"#]]).await;
    check(&server, "GET /api/v1/nothing", Value::Null, expect![[r#"404 {"apiVersion":"v1","code":404,"details":{},"kind":"Status","message":"the server could not find the requested resource","metadata":{},"reason":"NotFound","status":"Failure"}"#]]).await;
    check(&server, "GET /api/v1/pods/no-namespace", Value::Null, expect![[r#"404 {"apiVersion":"v1","code":404,"details":{},"kind":"Status","message":"the server could not find the requested resource","metadata":{},"reason":"NotFound","status":"Failure"}"#]]).await;
    check(&server, "GET /apis/apps/v1/namespaces/default/deployments/d1/nothing", Value::Null, expect![[r#"404 {"apiVersion":"v1","code":404,"details":{},"kind":"Status","message":"the server could not find the requested resource","metadata":{},"reason":"NotFound","status":"Failure"}"#]]).await;
    check(&server, "GET /nothing", Value::Null, expect![[r#"404 {"apiVersion":"v1","code":404,"details":{},"kind":"Status","message":"the server could not find the requested resource","metadata":{},"reason":"NotFound","status":"Failure"}"#]]).await;
}

#[tokio::test]
async fn media_types_are_named() {
    let server = Server::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let post = format!("POST {maps}");
    let json_type = ("content-type", "application/json");
    check_headers(&server, &post, &[json_type], "{", expect![[r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({)","reason":"BadRequest","code":400}"#]]).await;
    check_headers(&server, &post, &[json_type], "[]", expect![[r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: expected an object, found a list (5b5d)","reason":"BadRequest","code":400}"#]]).await;
    check_headers(&server, &post, &[("content-type", "application/vnd.kubernetes.protobuf")], "k8s", expect![[r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the object provided is unrecognized (must be of type ConfigMap): the provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] (6b3873)","reason":"BadRequest","code":400}"#]])
        .await;
    check_headers(&server, &post, &[("content-type", "text/html")], "x", expect![[r#"415 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf","reason":"UnsupportedMediaType","code":415}"#]]).await;
    let patch = format!("PATCH {maps}/c1");
    check_headers(&server, &patch, &[("content-type", "application/apply-patch+yaml")], "a: b", expect![[r#"422 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"PatchOptions","causes":[{"reason":"FieldValueRequired","message":"Required value: is required for apply patch","field":"fieldManager"}]},"code":422}"#]]).await;
    check_headers(&server, &patch, &[json_type], "{}", expect![[r#"415 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"415: Unsupported Media Type","reason":"UnsupportedMediaType","details":{},"code":415}"#]]).await;
    check_headers(&server, &format!("GET {maps}"), &[("accept", "text/html")], "", expect![[r#"406 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"406: Not Acceptable","reason":"NotAcceptable","details":{},"code":406}"#]]).await;
}

#[tokio::test]
async fn long_bodies_are_refused() {
    let server = Server::start().await;
    let body = vec![b'x'; crate::handlers::BODY_BYTES_MAX + 1];
    let line = "POST /api/v1/namespaces/default/configmaps";
    let (code, body) = server.text(line, &[("content-type", "application/json")], body).await;
    expect![[r#"413 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Request entity too large: limit is 3145728","reason":"RequestEntityTooLarge","code":413}"#]].assert_eq(&format!("{code} {body}"));
}
