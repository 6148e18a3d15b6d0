//! Whatever a client sends, it is told what is wrong, and nothing is stored. Protobuf bodies are in `api/src/protobuf/tests`.

use axum::body::Body;
use bytes::Bytes;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::harness::{Server, config_map, pod};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

async fn check(server: &Server, line: &str, content_type: &str, body: impl Into<Body>, expected: Expect) {
    let (code, text) = server.text(line, &[("content-type", content_type)], body).await;
    let message = serde_json::from_str::<Value>(&text).ok().and_then(|body| Some(body["message"].as_str()?.to_owned()));
    // Names of hundreds of letters are no pleasure to read.
    expected.assert_eq(&format!("{code} {}", message.unwrap_or(text)).replace(&"a".repeat(300), "a…"));
}

#[tokio::test]
async fn bodies_that_expand_are_refused() {
    let server = Server::start().await;
    let post = format!("POST {MAPS}");
    server.json(&post, config_map("there", "before")).await;
    let nested =
        |open: &str, close: &str| format!("{{\"data\":{{\"a\":{}{}}}}}", open.repeat(100_000), close.repeat(100_000));
    check(&server, &post, JSON, nested("[", "]"), expect![[r#"400 the object provided is unrecognized (must be of type ConfigMap): the object is nested deeper than 100 levels ({"data":{"a":[[[[[[[[[[[[[[[[[ ...)"#]]).await;
    check(&server, &post, YAML, nested("[", "]"), expect![[r#"400 the object provided is unrecognized (must be of type ConfigMap): error converting YAML to JSON: recursion limit exceeded at line 1, column 267 ({"data":{"a":[[[[[[[[[[[[[[[[[ ...)"#]]).await;
    check(
        &server,
        &format!("PATCH {MAPS}/there"),
        "application/merge-patch+json",
        nested("{\"a\":", "}"),
        expect!["400 error decoding patch: the object is nested deeper than 100 levels"],
    )
    .await;
    let patch = format!("PATCH {MAPS}/there?fieldManager=m");
    let mut bomb = "a: &a0 [x]\n".to_owned();
    for level in 1..30 {
        let below = level - 1;
        bomb.push_str(&format!("b{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 9].join(", ")));
    }
    check(&server, &post, YAML, bomb.clone(), expect!["400 the object provided is unrecognized (must be of type ConfigMap): error converting YAML to JSON: budget breached: Nodes { nodes: 250001 } at line 1, column 8 (defined at line 6, column 9) (used at line 7, column 10) (613a20266130205b785d0a62313a20266131205b2a61302c202a61302c20 ...)"]).await;
    check(&server, &patch, "application/apply-patch+yaml", bomb, expect!["400 error decoding YAML: error converting YAML to JSON: budget breached: Nodes { nodes: 250001 } at line 1, column 8 (defined at line 6, column 9) (used at line 7, column 10)"]).await;
    let longest = vec![b' '; crate::handlers::BODY_BYTES_MAX + 1];
    for content_type in [JSON, YAML, "application/vnd.kubernetes.protobuf"] {
        check(&server, &post, content_type, longest.clone(), expect!["413 Request entity too large: limit is 3145728"])
            .await;
    }
    check(
        &server,
        &patch,
        "application/apply-patch+yaml",
        longest,
        expect!["413 Request entity too large: limit is 3145728"],
    )
    .await;
    assert_eq!(server.app.objects.store().snapshot().count("configmaps/"), 1);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let server = Server::start().await;
    let post = format!("POST {MAPS}");
    let broken = |text: &str| [text.as_bytes(), b"\xff\xfe", text.as_bytes()].concat();
    check(&server, &post, JSON, broken("{\"data\": \""), expect![[r#"400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid unicode code point at line 1 column 11 ({"data": "��{"data": ")"#]]).await;
    check(&server, &post, YAML, broken("data: "), expect!["400 the object provided is unrecognized (must be of type ConfigMap): error converting YAML to JSON: invalid utf-8 sequence of 1 bytes from index 6 (646174613a20fffe646174613a20)"]).await;
    let mut inside = br#"{"metadata":{"name":"c"},"data":{"a":"#.to_vec();
    inside.extend(b"\"\xc3\x28\"}}");
    check(&server, &post, JSON, inside, expect![[r#"400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid unicode code point at line 1 column 39 ({"metadata":{"name":"c"},"data ...)"#]]).await;
    check(&server, &format!("GET {MAPS}/%ff"), "", "", expect!["404 the server could not find the requested resource"])
        .await;
    check(&server, &format!("GET {MAPS}?labelSelector=%ff"), "", "", expect![[r#"400 unable to parse requirement: key: Invalid value: "�": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#]]).await;
    check(
        &server,
        &format!("GET {MAPS}?continue=%ff"),
        "",
        "",
        expect!["400 invalid continue token: continue key is not valid: Invalid symbol 239, offset 0."],
    )
    .await;
}

#[tokio::test]
async fn a_body_that_is_cut_off_writes_nothing() {
    let server = Server::start().await;
    let whole = config_map("c", "b").to_string();
    let parts = [Ok(Bytes::from(whole)), Err(std::io::Error::other("the connection is gone"))];
    let body = Body::from_stream(futures::stream::iter(parts));
    check(
        &server,
        &format!("POST {MAPS}"),
        JSON,
        body,
        expect!["400 the body could not be read: the connection is gone"],
    )
    .await;
    assert_eq!(server.app.objects.store().snapshot().count("configmaps/"), 0);
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let server = Server::start().await;
    let long = "a".repeat(300);
    let named = |name: &str| config_map(name, "b").to_string();
    check(
        &server,
        &format!("POST {MAPS}"),
        JSON,
        named(&long),
        expect![[
            r#"422 ConfigMap "a…" is invalid: metadata.name: Invalid value: "a…": must be no more than 253 bytes"#
        ]],
    )
    .await;
    check(&server, &format!("POST {MAPS}"), JSON, named("../etc/passwd"), expect![[r#"422 ConfigMap "../etc/passwd" is invalid: metadata.name: Invalid value: "../etc/passwd": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#]]).await;
    check(
        &server,
        &format!("POST {MAPS}"),
        JSON,
        named(""),
        expect![[r#"422 ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required"#]],
    )
    .await;
    let generated = json!({"metadata": {"generateName": long}}).to_string();
    check(&server, &format!("POST {MAPS}"), JSON, generated, expect![[r#"422 ConfigMap "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaagk752" is invalid: metadata.generateName: Invalid value: "a…": must be no more than 253 bytes"#]]).await;
    for line in [format!("GET {MAPS}/{long}"), format!("DELETE {MAPS}/{long}")] {
        let (code, body) = server.json(&line, Value::Null).await;
        assert_eq!((code, body["details"]["name"].as_str()), (404, Some(long.as_str())));
    }
    // Events are called as those want who send them.
    for metadata in [json!({ "name": "Foo_X:1" }), json!({ "generateName": "Pod_x." })] {
        let event = json!({ "metadata": metadata, "involvedObject": { "namespace": "default" } });
        assert_eq!(server.json("POST /api/v1/namespaces/default/events", event).await.0, 201);
    }
    check(
        &server,
        &format!("POST /api/v1/namespaces/{long}/configmaps"),
        JSON,
        named("c"),
        expect![[r#"404 namespaces "a…" not found"#]],
    )
    .await;
}

#[tokio::test]
async fn verbs_that_are_none_are_refused() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c", "b")).await;
    let mut shown = String::new();
    for method in ["HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"] {
        let (code, _) = server.text(&format!("{method} {MAPS}/c"), &[], "").await;
        shown.push_str(&format!("{method} {code}\n"));
    }
    for line in [format!("PUT {MAPS}"), format!("PATCH {MAPS}"), format!("POST {MAPS}/c"), "DELETE /healthz".to_owned()]
    {
        shown.push_str(&format!("{line} {}\n", server.outcome(&line, json!({})).await));
    }
    expect![[r#"
        HEAD 200
        OPTIONS 405
        TRACE 405
        CONNECT 405
        PROPFIND 405
        get 405
        PUT /api/v1/namespaces/default/configmaps 405 the server does not allow this method on the requested resource
        PATCH /api/v1/namespaces/default/configmaps 405 the server does not allow this method on the requested resource
        POST /api/v1/namespaces/default/configmaps/c 405 the server does not allow this method on the requested resource
        DELETE /healthz 405 the server does not allow this method on the requested resource
    "#]]
    .assert_eq(&shown);
}

#[tokio::test]
async fn revisions_that_no_watch_can_begin_at() {
    let server = Server::start().await;
    let check = async |query: &str, expected: Expect| {
        expected.assert_eq(&server.outcome(&format!("GET {MAPS}?watch=true&{query}"), Value::Null).await);
    };
    check(
        "resourceVersion=-1",
        expect![[
            r#"422 ListOptions.meta.k8s.io "" is invalid: resourceVersion: Invalid value: "-1": must be a whole number"#
        ]],
    )
    .await;
    check("resourceVersion=abc", expect![[r#"422 ListOptions.meta.k8s.io "" is invalid: resourceVersion: Invalid value: "abc": must be a whole number"#]]).await;
    check("resourceVersion=99999999999999999999999", expect![[r#"422 ListOptions.meta.k8s.io "" is invalid: resourceVersion: Invalid value: "99999999999999999999999": must be a whole number"#]]).await;
    check("timeoutSeconds=x", expect![[r#"400 invalid value "x" for timeoutSeconds: not a whole number"#]]).await;
    tokio::time::pause();
    check("resourceVersion=99999999", expect!["504 Timeout: Too large resource version: 99999999, current: 1048578"])
        .await;
}

#[tokio::test]
async fn of_two_deletions_one_finds_nothing() {
    let server = Server::start().await;
    for _ in 0..20 {
        server.json(&format!("POST {MAPS}"), config_map("c", "b")).await;
        let line = format!("DELETE {MAPS}/c");
        let (first, second) = tokio::join!(server.json(&line, Value::Null), server.json(&line, Value::Null));
        let mut codes = [first.0, second.0];
        codes.sort_unstable();
        assert_eq!(codes, [200, 404]);
    }
}

/// What Kubernetes refuses although it could be taken for something.
#[tokio::test]
async fn what_is_meant_is_not_guessed() {
    let server = Server::start().await;
    server.json("POST /api/v1/namespaces/default/configmaps", config_map("a", "x")).await;
    let a = "/api/v1/namespaces/default/configmaps/a";
    let mut lines = String::new();
    for (line, body) in [
        ("DELETE", json!({ "dryRun": ["x"] })),
        ("DELETE", json!({ "dryRun": "All" })),
        ("DELETE", json!({ "kind": "Pod" })),
        ("DELETE", json!({ "preconditions": "x" })),
        ("DELETE", json!({ "preconditions": { "uid": 5 } })),
        ("DELETE", json!({ "propagationPolicy": 5 })),
        ("DELETE", json!({ "propagationPolicy": "Orphan", "orphanDependents": true })),
        ("PUT", json!({ "data": { "a": "y" } })),
        ("PUT", json!({ "metadata": "a" })),
        ("PUT", json!({ "kind": 5, "metadata": { "name": "a" } })),
        ("PUT", json!({ "apiVersion": ["v1"], "metadata": { "name": "a" } })),
    ] {
        lines.push_str(&format!("{line} {body} {}\n", server.outcome(&format!("{line} {a}"), body.clone()).await));
    }
    for line in [
        format!("DELETE {a}?dryRun="),
        format!("GET {a}?resourceVersion=99999999999"),
        "GET /api/v1/namespaces/default/configmaps?resourceVersion=0&resourceVersionMatch=Exact".to_owned(),
        "GET /api/v1/namespaces/default/configmaps?sendInitialEvents=true".to_owned(),
        "GET /api/v1/namespaces/default/configmaps?resourceVersion=1&resourceVersionMatch=NotOlderThan&continue=x"
            .to_owned(),
        "GET /api/v1/namespaces/default/configmaps?timeoutSeconds=abc".to_owned(),
        "GET /api/v1/namespaces/default/configmaps?watch=1&limit=abc".to_owned(),
        "GET /api/v1/namespaces/default/configmaps?watch=1&sendInitialEvents=true&resourceVersionMatch=Exact"
            .to_owned(),
        "GET /api/v1/namespaces/default/pods/p/log?tailLines=-1&limitBytes=0&sinceSeconds=1&sinceTime=x&stream=y"
            .to_owned(),
    ] {
        lines.push_str(&format!("{line} {}\n", server.outcome(&line, Value::Null).await));
    }
    expect![[r#"
        DELETE {"dryRun":["x"]} 422 DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "x": supported values: "All"
        DELETE {"dryRun":"All"} 400 DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal string into Go struct field DeleteOptions.dryRun of type []string
        DELETE {"kind":"Pod"} 400 the body of a deletion must be of kind DeleteOptions, found "Pod"
        DELETE {"preconditions":"x"} 400 DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal string into Go struct field DeleteOptions.preconditions of type v1.Preconditions
        DELETE {"preconditions":{"uid":5}} 400 DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal number into Go struct field Preconditions.preconditions.uid of type string
        DELETE {"propagationPolicy":5} 400 DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal number into Go struct field DeleteOptions.propagationPolicy of type string
        DELETE {"orphanDependents":true,"propagationPolicy":"Orphan"} 422 DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set
        PUT {"data":{"a":"y"}} 400 the name of the object (a based on URL) was undeterminable: name must be provided
        PUT {"metadata":"a"} 400 ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta
        PUT {"kind":5,"metadata":{"name":"a"}} 400 couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string
        PUT {"apiVersion":["v1"],"metadata":{"name":"a"}} 400 couldn't get version/kind; json parse error: json: cannot unmarshal array into Go struct field .apiVersion of type string
        DELETE /api/v1/namespaces/default/configmaps/a?dryRun= 422 DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "": supported values: "All"
        GET /api/v1/namespaces/default/configmaps/a?resourceVersion=99999999999 504 Timeout: Too large resource version: 99999999999, current: 1048579
        GET /api/v1/namespaces/default/configmaps?resourceVersion=0&resourceVersionMatch=Exact 422 ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"
        GET /api/v1/namespaces/default/configmaps?sendInitialEvents=true 422 ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list
        GET /api/v1/namespaces/default/configmaps?resourceVersion=1&resourceVersionMatch=NotOlderThan&continue=x 422 ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided
        GET /api/v1/namespaces/default/configmaps?timeoutSeconds=abc 400 invalid value "abc" for timeoutSeconds: not a whole number
        GET /api/v1/namespaces/default/configmaps?watch=1&limit=abc 400 invalid value "abc" for limit: not a whole number
        GET /api/v1/namespaces/default/configmaps?watch=1&sendInitialEvents=true&resourceVersionMatch=Exact 422 ListOptions.meta.k8s.io "" is invalid: [resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan, resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"]
        GET /api/v1/namespaces/default/pods/p/log?tailLines=-1&limitBytes=0&sinceSeconds=1&sinceTime=x&stream=y 422 PodLogOptions "p" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, limitBytes: Invalid value: 0: must be greater than 0, : Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified, sinceTime: Invalid value: "x": must be of the form "2006-01-02T15:04:05Z07:00", stream: Unsupported value: "y": supported values: "All"]
    "#]].assert_eq(&lines);
}

/// As Go makes nothing of a null in a list or a map.
#[tokio::test]
async fn nulls_are_empty_values() {
    let server = Server::start().await;
    let mut object = config_map("a", "x");
    object["data"]["b"] = Value::Null;
    object["metadata"]["labels"] = json!({ "l": null });
    let (_, made) = server.json("POST /api/v1/namespaces/default/configmaps", object).await;
    assert_eq!((&made["data"]["b"], &made["metadata"]["labels"]["l"]), (&json!(""), &json!("")));
    let mut object = config_map("b", "x");
    object["metadata"]["finalizers"] = json!([null]);
    expect![[r#"422 ConfigMap "b" is invalid: [metadata.finalizers: Invalid value: "": name part must be non-empty, metadata.finalizers: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), metadata.finalizers: Invalid value: "": name is neither a standard finalizer name nor is it fully qualified]"#]].assert_eq(&server.outcome("POST /api/v1/namespaces/default/configmaps", object).await);
}

/// What a request asks for besides its object is looked at before anything is done.
#[tokio::test]
async fn what_cannot_be_done_as_asked_is_not_done() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("a", "x")).await;
    server.json("POST /api/v1/namespaces/default/pods", pod("p")).await;
    let (a, json_patch) = (format!("PATCH {MAPS}/a"), "application/json-patch+json");
    let replaced = |value: &str| format!(r#"[{{"op":"replace","path":"","value":{value}}}]"#);
    for value in ["5", r#""s""#, "[]", "true", "null"] {
        let told =
            format!("422  \"\" is invalid: patch: Invalid value: {:?}: its result is not an object", replaced(value));
        let (code, text) = server.text(&a, &[("content-type", json_patch)], replaced(value)).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{code} {}", answer["message"].as_str().unwrap()), told);
    }
    for line in [format!("POST {MAPS}"), a.clone(), format!("DELETE {MAPS}/a"), format!("DELETE {MAPS}")] {
        let headers = [("content-type", "application/merge-patch+json"), ("accept", "text/html")];
        let (code, _) = server.text(&line, &headers, r#"{"metadata":{"name":"b"},"data":{"new":"y"}}"#).await;
        assert_eq!(code, 406, "{line}");
    }
    let mut lines = String::new();
    let (pods, accounts) = ("/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/serviceaccounts");
    for (line, body) in [
        (format!("DELETE {MAPS}"), json!({ "preconditions": { "uid": "other" } })),
        (format!("DELETE {MAPS}?limit=1"), Value::Null),
        (format!("DELETE {MAPS}?continue=x"), Value::Null),
        (format!("POST {pods}/p/eviction"), json!({ "kind": "Pod" })),
        (format!("POST {pods}/p/eviction?fieldValidation=Strict"), json!({ "foo": 1 })),
        (format!("POST {pods}/p/binding"), json!({ "kind": "Pod", "target": { "name": "n" } })),
        (format!("POST {pods}/p/binding"), json!({ "metadata": { "name": "q" }, "target": { "name": "n" } })),
        (format!("POST {pods}/p/binding"), json!({ "target": { "kind": "Pod" } })),
        (format!("POST {accounts}/default/token"), json!({ "kind": "Pod" })),
        (
            "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
            json!({ "kind": "Pod", "spec": { "nonResourceAttributes": { "path": "/", "verb": "get" } } }),
        ),
        (format!("PATCH {pods}/p/status"), json!({ "status": { "observedGeneration": -1 } })),
    ] {
        lines.push_str(&format!("{line} {}\n", server.outcome(&line, body).await));
    }
    expect![[r#"
        DELETE /api/v1/namespaces/default/configmaps 409 Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (other) does not match the UID in record (uid-3). The object might have been deleted and then recreated
        DELETE /api/v1/namespaces/default/configmaps?limit=1 400 limit: a collection is deleted as it is now and as a whole: leave limit out
        DELETE /api/v1/namespaces/default/configmaps?continue=x 400 continue: a collection is deleted as it is now and as a whole: leave continue out
        POST /api/v1/namespaces/default/pods/p/eviction 400 the kind in the data (Pod) does not match the expected kind (Eviction)
        POST /api/v1/namespaces/default/pods/p/eviction?fieldValidation=Strict 400 Eviction in version "v1" cannot be handled as a Eviction: strict decoding error: unknown field "foo"
        POST /api/v1/namespaces/default/pods/p/binding 400 the kind in the data (Pod) does not match the expected kind (Binding)
        POST /api/v1/namespaces/default/pods/p/binding 400 name in URL does not match name in Binding object
        POST /api/v1/namespaces/default/pods/p/binding 422 Binding "p" is invalid: [target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>", target.name: Required value]
        POST /api/v1/namespaces/default/serviceaccounts/default/token 400 the kind in the data (Pod) does not match the expected kind (TokenRequest)
        POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews 400 the kind in the data (Pod) does not match the expected kind (SelfSubjectAccessReview)
        PATCH /api/v1/namespaces/default/pods/p/status 422 Pod "p" is invalid: status.observedGeneration: Invalid value: -1: must be greater than or equal to 0
    "#]].assert_eq(&lines);
    let (_, map) = server.json(&format!("GET {MAPS}/a"), Value::Null).await;
    assert_eq!(map["data"], config_map("a", "x")["data"]);
    assert_eq!(server.app.objects.store().snapshot().count("configmaps/"), 1);
    assert_eq!(server.app.objects.store().snapshot().count("pods/"), 1);
}
