//! Server-side apply, and who owns the fields of an object.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::harness::{Server, config_map, deployment};
use crate::objects::{Configuration, Effect, ObjectWrite, Part, WriteOptions};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const APPLY: &[(&str, &str)] = &[("content-type", "application/apply-patch+yaml")];

async fn apply(server: &Server, path: &str, body: &str) -> (u16, Value) {
    server.tick();
    let (code, text) = server.text(&format!("PATCH {path}"), APPLY, body.to_owned()).await;
    (code, serde_json::from_str(&text).unwrap())
}

/// Code and message of a failure, code alone of a success.
async fn outcome(server: &Server, path: &str, body: &str) -> String {
    let (code, answer) = apply(server, path, body).await;
    match answer["message"].as_str() {
        Some(message) if code >= 400 => format!("{code} {message}"),
        _ => code.to_string(),
    }
}

/// The owners of an object, a line each.
fn owners(object: &Value) -> String {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let line = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
        let time = text("time").replace("2026-11-21T10:00:", "");
        format!("{} {} {} {time} {}\n", text("manager"), text("operation"), text("subresource"), entry["fieldsV1"])
    };
    entries.map(line).collect()
}

async fn owners_of(server: &Server, path: &str) -> String {
    owners(&server.json(&format!("GET {path}"), Value::Null).await.1)
}

#[tokio::test]
async fn applying_creates_changes_and_rests() {
    let server = Server::start().await;
    let path = format!("{MAPS}/c?fieldManager=a");
    let config = |data: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {data}\n");
    let (code, created) = apply(&server, &path, &config("{x: '1', z: '2'}")).await;
    expect![[r#"201 {"apiVersion":"v1","data":{"x":"1","z":"2"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:01Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:x":{},"f:z":{}}},"manager":"a","operation":"Apply","time":"2026-11-21T10:00:01Z"}],"name":"c","namespace":"default","resourceVersion":"1048579","uid":"uid-3"}}"#]].assert_eq(&format!("{code} {created}"));
    let (code, again) = apply(&server, &path, &config("{x: '1', z: '2'}")).await;
    assert_eq!((code, &again), (200, &created));
    let (code, changed) = apply(&server, &path, &config("{x: '3'}")).await;
    expect![[r#"
        200 {"x":"3"} a Apply - 03Z {"f:data":{"f:x":{}}}
    "#]]
    .assert_eq(&format!("{code} {} {}", changed["data"], owners(&changed)));
    let (code, dry) = apply(&server, &format!("{path}&dryRun=All"), &config("{x: '4'}")).await;
    assert_eq!((code, &dry["data"]["x"]), (200, &"4".into()));
    let (_, stored) = server.json(&format!("GET {MAPS}/c"), Value::Null).await;
    assert_eq!(stored, changed);
    let (code, _) =
        apply(&server, &format!("{MAPS}/d?fieldManager=a&dryRun=All"), &config("{}").replace(": c", ": d")).await;
    assert_eq!((code, server.json(&format!("GET {MAPS}/d"), Value::Null).await.0), (201, 404));
}

#[tokio::test]
async fn conflicts_name_the_owners() {
    let server = Server::start().await;
    let client_side = format!("POST {DEPLOYMENTS}?fieldManager=kubectl-client-side-apply");
    server.json(&client_side, deployment("d", 1)).await;
    let config = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 3}}";
    let (code, refused) = apply(&server, &format!("{DEPLOYMENTS}/d?fieldManager=a"), config).await;
    expect![[r#"409 {"apiVersion":"v1","code":409,"details":{"causes":[{"field":".spec.replicas","message":"conflict with \"kubectl-client-side-apply\" using apps/v1","reason":"FieldManagerConflict"}]},"kind":"Status","message":"Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas","metadata":{},"reason":"Conflict","status":"Failure"}"#]].assert_eq(&format!("{code} {refused}"));
    let (code, forced) = apply(&server, &format!("{DEPLOYMENTS}/d?fieldManager=a&force=true"), config).await;
    assert_eq!((code, &forced["spec"]["replicas"], &forced["metadata"]["generation"]), (200, &3.into(), &2.into()));
    expect![[r#"
        a Apply - 02Z {"f:spec":{"f:replicas":{}}}
        kubectl-client-side-apply Update - 00Z {"f:spec":{"f:progressDeadlineSeconds":{},"f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{"f:maxSurge":{},"f:maxUnavailable":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{".":{},"k:{\"name\":\"main\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}}
    "#]].assert_eq(&owners(&forced));
}

#[tokio::test]
async fn an_application_states_its_manager() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c", "x")).await;
    let check = async |path: &str, body: &str, expected: Expect| {
        expected.assert_eq(&outcome(&server, &format!("{MAPS}/{path}"), body).await);
    };
    let config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}";
    check(
        "c",
        config,
        expect![[
            r#"422 PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch"#
        ]],
    )
    .await;
    check("c?fieldManager=%01", config, expect![[r#"422 PatchOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "\u0001": invalid character U+0001 (at position 0)"#]]).await;
    check(
        &format!("c?fieldManager={}", "x".repeat(129)),
        config,
        expect![[
            r#"422 PatchOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes"#
        ]],
    )
    .await;
    check(
        "c?fieldManager=a&dryRun=x",
        config,
        expect![[
            r#"422 PatchOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "x": supported values: "All""#
        ]],
    )
    .await;
    let forced = server.outcome(&format!("PATCH {MAPS}/c?force=true"), json!({})).await;
    expect![[
        r#"422 PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch"#
    ]]
    .assert_eq(&forced);
    let cbor = [("content-type", "application/apply-patch+cbor")];
    let (code, _) = server.text(&format!("PATCH {MAPS}/c?fieldManager=a"), &cbor, "").await;
    assert_eq!(code, 415);
}

#[tokio::test]
async fn a_configuration_is_one_of_its_kind() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c", "x")).await;
    let check = async |path: &str, body: &str, expected: Expect| {
        expected.assert_eq(&outcome(&server, &format!("{MAPS}/{path}"), body).await);
    };
    check("c?fieldManager=a", "a: b: c", expect!["400 error decoding YAML: error converting YAML to JSON: mapping values are not allowed in this context at line 1, column 5"]).await;
    check(
        "c?fieldManager=a",
        "[]",
        expect![
            "400 error decoding YAML: couldn't get version/kind; json parse error: expected an object, found a list"
        ],
    )
    .await;
    check(
        "c?fieldManager=a",
        "{kind: ConfigMap}",
        expect!["400 Incorrect version specified in apply patch. Specified patch version: , expected: v1"],
    )
    .await;
    check(
        "c?fieldManager=a",
        "{apiVersion: apps/v1, kind: ConfigMap}",
        expect!["400 Incorrect version specified in apply patch. Specified patch version: apps/v1, expected: v1"],
    )
    .await;
    check(
        "c?fieldManager=a",
        "{apiVersion: v1, kind: Secret}",
        expect!["400 the kind in the data (Secret) does not match the expected kind (ConfigMap)"],
    )
    .await;
    check(
        "c?fieldManager=a",
        "{apiVersion: v1, kind: ConfigMap, metadata: {managedFields: []}}",
        expect!["400 metadata.managedFields must be nil"],
    )
    .await;
    let twice = "{apiVersion: v1, kind: ConfigMap, data: {a: x, a: x}}";
    check(
        "c?fieldManager=a&fieldValidation=Strict",
        twice,
        expect![[r#"400 error strict decoding YAML: duplicate field "data.a""#]],
    )
    .await;
    check("c?fieldManager=a", twice, expect!["200"]).await;
}

#[tokio::test]
async fn a_configuration_fits_its_address() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c", "x")).await;
    let check = async |path: &str, body: &str, expected: Expect| {
        expected.assert_eq(&outcome(&server, &format!("{MAPS}/{path}"), body).await);
    };
    check(
        "c?fieldManager=a",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: d}}",
        expect!["400 the name of the object (d) does not match the name on the URL (c)"],
    )
    .await;
    check(
        "c?fieldManager=a",
        "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: x}}",
        expect!["400 the namespace of the provided object does not match the namespace sent on the request"],
    )
    .await;
    check(
        "c?fieldManager=a",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, dat: {}}",
        expect![
            "400 failed to create typed patch object (/c; /v1, Kind=ConfigMap): .dat: field not declared in schema"
        ],
    )
    .await;
    check("c?fieldManager=a", "{apiVersion: v1, kind: ConfigMap, metadata: {uid: other}}", expect![[r#"409 Operation cannot be fulfilled on configmaps "c": Precondition failed: UID in precondition: other, UID in object meta: uid-3"#]]).await;
    check("c?fieldManager=a", "{apiVersion: v1, kind: ConfigMap, metadata: {resourceVersion: '1'}}", expect![[r#"409 Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again"#]]).await;
    check("d?fieldManager=a", "{apiVersion: v1, kind: ConfigMap, metadata: {uid: other}}", expect![[r#"409 Operation cannot be fulfilled on configmaps "d": uid mismatch: the provided object specified uid other, and no existing object was found"#]]).await;
    check(
        "d?fieldManager=a",
        "{apiVersion: v1, kind: ConfigMap, metadata: {resourceVersion: '1'}}",
        expect!["400 resourceVersion should not be set on objects to be created"],
    )
    .await;
    check("D?fieldManager=a", "{apiVersion: v1, kind: ConfigMap}", expect![[r#"422 ConfigMap "D" is invalid: metadata.name: Invalid value: "D": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#]]).await;
}

#[tokio::test]
async fn parts_of_what_is_not_there_are_not_created() {
    let server = Server::start().await;
    server.json(&format!("POST {DEPLOYMENTS}"), deployment("d", 1)).await;
    let absent = "{apiVersion: apps/v1, kind: Deployment, status: {replicas: 1}}";
    expect![[r#"404 deployments.apps "x" not found"#]]
        .assert_eq(&outcome(&server, &format!("{DEPLOYMENTS}/x/status?fieldManager=a"), absent).await);
    let scale = "{apiVersion: autoscaling/v1, kind: Scale, spec: {replicas: 1}}";
    expect![[r#"404 deployments.apps "x" not found"#]]
        .assert_eq(&outcome(&server, &format!("{DEPLOYMENTS}/x/scale?fieldManager=a"), scale).await);
    expect![
        "400 Incorrect version specified in apply patch. Specified patch version: apps/v1, expected: autoscaling/v1"
    ]
    .assert_eq(&outcome(&server, &format!("{DEPLOYMENTS}/d/scale?fieldManager=a"), absent).await);
}

#[tokio::test]
async fn who_may_not_create_may_not_apply_anew() {
    let server = Server::start().await;
    let refused = coracle_api::status::unauthorized();
    let object = config_map("c", "x");
    let configuration = Configuration { object, force: false, creation_refused: Some(refused.clone()) };
    let (kind, options) = (&coracle_api::kinds::CONFIG_MAP, WriteOptions::default());
    let apply = async |configuration: Configuration| {
        server.app.objects.apply(kind, Some("default"), "c", Part::Main, configuration, &options).await
    };
    assert_eq!(apply(configuration.clone()).await.unwrap_err(), refused);
    server.json(&format!("POST {MAPS}"), config_map("c", "x")).await;
    assert_eq!(apply(configuration).await.unwrap().effect, Effect::Updated);
}

#[tokio::test]
async fn other_writes_are_recorded() {
    let server = Server::start().await;
    let path = format!("{DEPLOYMENTS}/d");
    let agent = |name: &'static str, kind: &'static str| [("user-agent", name), ("content-type", kind)];
    let body = deployment("d", 1).to_string();
    server.text(&format!("POST {DEPLOYMENTS}"), &agent("maker/v1.2 (linux)", "application/json"), body).await;
    expect![[r#"
        maker Update - 00Z {"f:spec":{"f:progressDeadlineSeconds":{},"f:replicas":{},"f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{"f:maxSurge":{},"f:maxUnavailable":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{".":{},"k:{\"name\":\"main\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}}
    "#]].assert_eq(&owners_of(&server, &path).await);
    server.tick();
    let merge = "application/merge-patch+json";
    let patch = json!({ "spec": { "replicas": 2 } }).to_string();
    let line = format!("PATCH {path}");
    server.text(&line, &agent("changer/v1", merge), patch.clone()).await;
    server.tick();
    // What changes nothing is not recorded.
    let (_, before) = server.json(&format!("GET {path}"), Value::Null).await;
    server.text(&line, &agent("idler/v1", merge), patch).await;
    assert_eq!(server.json(&format!("GET {path}"), Value::Null).await.1, before);
    let status = json!({ "status": { "replicas": 2, "conditions": [{ "type": "A", "status": "True" }] } }).to_string();
    server.text(&format!("PATCH {path}/status"), &agent("", merge), status).await;
    let replaced = json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "spec": { "replicas": 4 } });
    server.json(&format!("PUT {path}/scale?fieldManager=scaler"), replaced).await;
    let owned = owners_of(&server, &path).await;
    expect![[r#"
        changer Update - 01Z {"f:spec":{"f:replicas":{}}}
        unknown Update status 02Z {"f:status":{"f:conditions":{".":{},"k:{\"type\":\"A\"}":{".":{},"f:status":{},"f:type":{}}},"f:replicas":{}}}"#]].assert_eq(&owned.lines().skip(1).collect::<Vec<_>>().join("\n"));
    assert!(owned.starts_with("maker Update - 00Z ") && !owned.lines().next().unwrap().contains("f:replicas"));
}

#[tokio::test]
async fn status_and_scale_are_applied_by_themselves() {
    let server = Server::start().await;
    server.json(&format!("POST {DEPLOYMENTS}?fieldManager=maker"), deployment("d", 1)).await;
    let status = "{apiVersion: apps/v1, kind: Deployment, metadata: {labels: {a: b}}, spec: {replicas: 9}, status: {replicas: 1}}";
    let (code, object) = apply(&server, &format!("{DEPLOYMENTS}/d/status?fieldManager=a"), status).await;
    assert_eq!((code, &object["status"], &object["spec"]["replicas"]), (200, &json!({ "replicas": 1 }), &1.into()));
    assert!(object["metadata"].get("labels").is_none());
    let scale = "{apiVersion: autoscaling/v1, kind: Scale, metadata: {name: d}, spec: {replicas: 3}}";
    let path = format!("{DEPLOYMENTS}/d/scale?fieldManager=scaler");
    expect![[r#"409 Apply failed with 1 conflict: conflict with "maker" using apps/v1: .spec.replicas"#]]
        .assert_eq(&outcome(&server, &path, scale).await);
    let (code, answer) = apply(&server, &format!("{path}&force=true"), scale).await;
    assert_eq!((code, &answer["kind"], &answer["spec"]["replicas"]), (200, &"Scale".into(), &3.into()));
    let owned = owners_of(&server, &format!("{DEPLOYMENTS}/d")).await;
    expect![[r#"
        a Apply status 01Z {"f:status":{"f:replicas":{}}}
        scaler Apply scale 03Z {"f:spec":{"f:replicas":{}}}"#]]
    .assert_eq(&owned.lines().take(2).collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn controllers_own_what_they_change_in_owned_objects() {
    let server = Server::start().await;
    let objects = server.app.objects.clone();
    let kind = &coracle_api::kinds::DEPLOYMENT;
    let write = async |object: Value, is_new: bool| {
        let write = match is_new {
            true => ObjectWrite::Create { kind, object },
            false => ObjectWrite::Update { kind, object, revision: None },
        };
        objects.write_all(vec![write]).await.unwrap().remove(0).unwrap();
    };
    let in_default = |mut object: Value| {
        object["metadata"]["namespace"] = "default".into();
        object
    };
    write(in_default(deployment("ours", 1)), true).await;
    write(in_default(deployment("ours", 2)), false).await;
    assert_eq!(owners_of(&server, &format!("{DEPLOYMENTS}/ours")).await, "");
    let config = "{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 3}}";
    expect![[r#"409 Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas"#]]
        .assert_eq(&outcome(&server, &format!("{DEPLOYMENTS}/ours?fieldManager=a"), config).await);
    apply(&server, &format!("{DEPLOYMENTS}/theirs?fieldManager=a"), &deployment("theirs", 1).to_string()).await;
    write(in_default(deployment("theirs", 2)), false).await;
    expect![[r#"409 Apply failed with 1 conflict: conflict with "coracle-controllers" using apps/v1: .spec.replicas"#]]
        .assert_eq(&outcome(&server, &format!("{DEPLOYMENTS}/theirs?fieldManager=a"), config).await);
}

#[tokio::test]
async fn clients_may_edit_and_reset_the_owners() {
    let server = Server::start().await;
    let path = format!("{MAPS}/c");
    server.json(&format!("POST {MAPS}?fieldManager=kubectl-client-side-apply"), config_map("c", "x")).await;
    let patch = async |value: Value| {
        let operations = json!([{ "op": "replace", "path": "/metadata/managedFields", "value": value }]);
        let headers = [("content-type", "application/json-patch+json")];
        server.text(&format!("PATCH {path}"), &headers, operations.to_string()).await
    };
    // kubectl migrates so from client-side apply: the fields become those of an application, which may drop them.
    let (_, mut object) = server.json(&format!("GET {path}"), Value::Null).await;
    let mut entries = object["metadata"]["managedFields"].take();
    entries[0]["manager"] = "kubectl".into();
    entries[0]["operation"] = "Apply".into();
    assert_eq!(patch(entries).await.0, 200);
    expect![[r#"
        kubectl Apply - 00Z {"f:data":{".":{},"f:a":{}}}
    "#]]
    .assert_eq(&owners_of(&server, &path).await);
    let config = "{apiVersion: v1, kind: ConfigMap, data: {b: z}}";
    let (_, object) = apply(&server, &format!("{path}?fieldManager=kubectl"), config).await;
    expect![[r#"
        {"b":"z"} kubectl Apply - 01Z {"f:data":{"f:b":{}}}
    "#]]
    .assert_eq(&format!("{} {}", object["data"], owners(&object)));
    // None stated means those there are; garbage is refused.
    assert_eq!(patch(json!([])).await.0, 200);
    let (code, text) = patch(json!([{ "manager": "x", "operation": "Odd" }])).await;
    let refused: Value = serde_json::from_str(&text).unwrap();
    expect![[r#"422 "ConfigMap \"c\" is invalid: metadata.managedFields[0].operation: Invalid value: \"Odd\": must be `Apply` or `Update`""#]].assert_eq(&format!("{code} {}", refused["message"]));
    assert_ne!(owners_of(&server, &path).await, "");
    // One empty entry resets, and nothing is recorded until the next application.
    patch(json!([{}])).await;
    server.json(&format!("PATCH {path}"), json!({ "data": { "c": "w" } })).await;
    assert_eq!(owners_of(&server, &path).await, "");
    apply(&server, &format!("{path}?fieldManager=a"), "{apiVersion: v1, kind: ConfigMap, data: {d: v}}").await;
    expect![[r#"
        a Apply - 02Z {"f:data":{"f:d":{}}}
        before-first-apply Update - 02Z {"f:data":{".":{},"f:b":{},"f:c":{}}}
    "#]]
    .assert_eq(&owners_of(&server, &path).await);
}
