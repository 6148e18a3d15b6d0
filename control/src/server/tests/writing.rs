//! Creating and updating: what the server stamps, keeps, refuses and leaves alone.

use expect_test::{Expect, expect};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::harness::{Server, config_map, deployment, pod};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn check(server: &Server, line: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.outcome(line, body).await);
}

#[tokio::test]
async fn an_object_is_stamped_once() {
    let server = Server::start().await;
    let mut object = config_map("c1", "b");
    object["metadata"]["uid"] = "mine".into();
    object["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z".into();
    object["metadata"]["deletionTimestamp"] = "2001-01-01T00:00:00Z".into();
    expect![[r#"201 {"apiVersion":"v1","data":{"a":"b"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"c1","namespace":"default","resourceVersion":"1048579","uid":"uid-3"}}"#]].assert_eq(&server.shown(&format!("POST {MAPS}"), object.clone()).await);
    object["data"]["a"] = "c".into();
    object["metadata"]["uid"] = Value::Null;
    expect![[r#"200 {"apiVersion":"v1","data":{"a":"c"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"c1","namespace":"default","resourceVersion":"1048580","uid":"uid-3"}}"#]].assert_eq(&server.shown(&format!("PUT {MAPS}/c1"), object).await);
    expect![[r#"200 {"apiVersion":"v1","data":{"a":"c"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"c1","namespace":"default","resourceVersion":"1048580","uid":"uid-3"}}"#]].assert_eq(&server.shown(&format!("GET {MAPS}/c1"), Value::Null).await);
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_none() {
    let server = Server::start().await;
    let (_, created) = server.json(&format!("POST {MAPS}"), config_map("c1", "b")).await;
    let (code, updated) = server.json(&format!("PUT {MAPS}/c1"), config_map("c1", "b")).await;
    assert_eq!((code, &updated), (200, &created));
    let (_, patched) = server.json(&format!("PATCH {MAPS}/c1"), json!({ "data": { "a": "b" } })).await;
    assert_eq!(patched, created);
}

#[tokio::test]
async fn generation_counts_changes_of_the_spec() {
    let server = Server::start().await;
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    let (_, object) = server.json(&format!("POST {DEPLOYMENTS}"), deployment("d1", 1)).await;
    assert_eq!(generation(&object), 1);
    let line = format!("PATCH {DEPLOYMENTS}/d1");
    let (_, object) = server.json(&line, json!({ "metadata": { "labels": { "a": "b" } } })).await;
    assert_eq!(generation(&object), 1);
    let (_, object) = server.json(&line, json!({ "spec": { "replicas": 2 } })).await;
    assert_eq!(generation(&object), 2);
    let status = json!({ "status": { "replicas": 2 }, "spec": { "replicas": 9 } });
    let (_, object) = server.json(&format!("PATCH {DEPLOYMENTS}/d1/status"), status).await;
    assert_eq!(
        (generation(&object), &object["spec"]["replicas"], &object["status"]["replicas"]),
        (2.into(), &2.into(), &2.into())
    );
    let (_, object) = server.json(&line, json!({ "status": { "replicas": 7 } })).await;
    assert_eq!((generation(&object), &object["status"]["replicas"]), (2.into(), &2.into()));
}

#[tokio::test]
async fn preconditions_and_addresses() {
    let server = Server::start().await;
    let (_, created) = server.json(&format!("POST {MAPS}"), config_map("c1", "b")).await;
    let mut current = created.clone();
    current["data"]["a"] = "c".into();
    check(&server, &format!("PUT {MAPS}/c1"), current.clone(), expect!["200"]).await;
    check(&server, &format!("PUT {MAPS}/c1"), current, expect![[r#"409 Operation cannot be fulfilled on configmaps "c1": the object has been modified; please apply your changes to the latest version and try again"#]]).await;
    let mut other = config_map("c1", "d");
    other["metadata"]["uid"] = "other".into();
    check(&server, &format!("PUT {MAPS}/c1"), other, expect![[r#"409 Operation cannot be fulfilled on configmaps "c1": Precondition failed: UID in precondition: other, UID in object meta: uid-3"#]]).await;
    check(&server, &format!("PUT {MAPS}/c2"), config_map("c1", "d"), expect![[r#"404 configmaps "c2" not found"#]])
        .await;
    check(&server, &format!("PUT {MAPS}/c2"), config_map("c2", "d"), expect![[r#"404 configmaps "c2" not found"#]])
        .await;
    let mut elsewhere = config_map("c1", "d");
    elsewhere["metadata"]["namespace"] = "kube-node-lease".into();
    check(
        &server,
        &format!("PUT {MAPS}/c1"),
        elsewhere.clone(),
        expect!["400 the namespace of the provided object does not match the namespace sent on the request"],
    )
    .await;
    check(
        &server,
        &format!("POST {MAPS}"),
        elsewhere,
        expect!["400 the namespace of the provided object does not match the namespace sent on the request"],
    )
    .await;
    check(
        &server,
        &format!("POST {MAPS}"),
        pod("p"),
        expect!["400 the kind in the data (Pod) does not match the expected kind (ConfigMap)"],
    )
    .await;
    check(
        &server,
        &format!("POST {MAPS}"),
        json!({ "metadata": {} }),
        expect![[r#"422 ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required"#]],
    )
    .await;
    check(&server, &format!("POST {MAPS}"), json!({ "metadata": { "name": "Not_A_Name" } }), expect![[r#"422 ConfigMap "Not_A_Name" is invalid: metadata.name: Invalid value: "Not_A_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#]]).await;
    let versioned = json!({ "metadata": { "name": "c3", "resourceVersion": "7" } });
    check(
        &server,
        &format!("POST {MAPS}"),
        versioned,
        expect!["400 resourceVersion should not be set on objects to be created"],
    )
    .await;
    check(
        &server,
        "POST /api/v1/configmaps",
        config_map("c4", "x"),
        expect!["405 the server does not allow this method on the requested resource"],
    )
    .await;
}

#[tokio::test]
async fn names_are_generated() {
    let server = Server::start().await;
    let mut names = Vec::new();
    for _ in 0..3 {
        let (code, object) =
            server.json(&format!("POST {MAPS}"), json!({ "metadata": { "generateName": "job-" } })).await;
        assert_eq!(code, 201);
        names.push(object["metadata"]["name"].as_str().unwrap().to_owned());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.starts_with("job-") && name.len() == 9), "{names:?}");
}

#[tokio::test]
async fn dry_runs_write_nothing() {
    let server = Server::start().await;
    let before = server.app.objects.store().snapshot().revision();
    expect![[r#"201 {"apiVersion":"v1","data":{"a":"b"},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"c1","namespace":"default","uid":"uid-3"}}"#]].assert_eq(&server.shown(&format!("POST {MAPS}?dryRun=All"), config_map("c1", "b")).await);
    check(&server, &format!("GET {MAPS}/c1"), Value::Null, expect![[r#"404 configmaps "c1" not found"#]]).await;
    check(
        &server,
        &format!("POST {MAPS}?dryRun=Some"),
        config_map("c1", "b"),
        expect![[
            r#"422 CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All""#
        ]],
    )
    .await;
    assert_eq!(server.app.objects.store().snapshot().revision(), before);
    server.json(&format!("POST {MAPS}"), config_map("c1", "b")).await;
    let (_, patched) = server.json(&format!("PATCH {MAPS}/c1?dryRun=All"), json!({ "data": { "a": "z" } })).await;
    assert_eq!(patched["data"]["a"], "z");
    check(&server, &format!("DELETE {MAPS}/c1?dryRun=All"), Value::Null, expect!["200"]).await;
    let (_, kept) = server.json(&format!("GET {MAPS}/c1"), Value::Null).await;
    assert_eq!(kept["data"]["a"], "b");
}

#[tokio::test]
async fn unknown_fields_are_refused_warned_of_or_dropped() {
    let server = Server::start().await;
    let mut object = deployment("d1", 1);
    object["spec"]["replicaz"] = 3.into();
    let json_type: &[(&str, &str)] = &[("content-type", "application/json")];
    let mut shown = String::new();
    for validation in ["Strict", "Warn", "Ignore", "Odd"] {
        let line = format!("POST {DEPLOYMENTS}?dryRun=All&fieldValidation={validation}");
        let response = server.send(&line, json_type, object.to_string()).await;
        let warnings: Vec<_> =
            response.headers().get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
        shown.push_str(&format!("{validation} {} {warnings:?}\n", response.status().as_u16()));
    }
    let twice = r#"{"metadata":{"name":"x","name":"y"},"data":{"a":"1","a":"2"}}"#;
    for validation in ["Strict", "Warn"] {
        let line = format!("POST {MAPS}?dryRun=All&fieldValidation={validation}");
        let response = server.send(&line, json_type, twice).await;
        let warnings: Vec<_> =
            response.headers().get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
        shown.push_str(&format!("{validation} {} {warnings:?}\n", response.status().as_u16()));
    }
    expect![[r#"
        Strict 400 []
        Warn 201 ["299 - \"unknown field \\\"spec.replicaz\\\"\""]
        Ignore 201 []
        Odd 422 []
        Strict 400 []
        Warn 201 ["299 - \"duplicate field \\\"metadata.name\\\"\"", "299 - \"duplicate field \\\"data.a\\\"\""]
    "#]]
    .assert_eq(&shown);
    check(&server, &format!("POST {DEPLOYMENTS}?fieldValidation=Strict"), object.clone(), expect![[r#"400 Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.replicaz""#]]).await;
    let line = format!("POST {MAPS}?fieldValidation=Strict");
    let both = r#"{"metadata":{"name":"x"},"data":{"a":"1","a":"2"},"odd":1}"#;
    let response = server.send(&line, json_type, both).await;
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    expect![[r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "odd", duplicate field "data.a""#]].assert_eq(serde_json::from_slice::<Value>(&answer).unwrap()["message"].as_str().unwrap());
    let mut wrong = deployment("d1", 1);
    wrong["spec"]["replicas"] = "three".into();
    check(&server, &format!("POST {DEPLOYMENTS}?fieldValidation=Ignore"), wrong, expect![[r#"400 Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"#]]).await;
    server.json(&format!("POST {DEPLOYMENTS}"), object).await;
    let (_, kept) = server.json(&format!("GET {DEPLOYMENTS}/d1"), Value::Null).await;
    assert!(
        kept["spec"].get("replicaz").is_none()
            && kept["metadata"]["managedFields"].to_string().find("replicaz").is_none()
    );
    let line = format!("PATCH {DEPLOYMENTS}/d1?fieldValidation=Strict");
    check(&server, &line, json!({ "spec": { "replicas": 2 } }), expect!["200"]).await;
    check(&server, &line, json!({ "spec": { "odd": 2 } }), expect![[r#"422  "" is invalid: patch: Invalid value: "{\"spec\":{\"odd\":2}}": strict decoding error: unknown field "spec.odd""#]]).await;
}

#[tokio::test]
async fn pods_run_as_someone_and_ask_for_what_there_is() {
    let server = Server::start().await;
    let (_, created) = server.json(&format!("POST {PODS}"), pod("p1")).await;
    assert_eq!(created["spec"]["serviceAccountName"], "default");
    assert_eq!(created["status"]["phase"], "Pending");
    let mut robot = pod("p2");
    robot["spec"]["serviceAccountName"] = "robot".into();
    check(&server, &format!("POST {PODS}"), robot, expect![[r#"403 pods "p2" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found"#]]).await;
    let mut networked = pod("p3");
    networked["spec"]["hostNetwork"] = true.into();
    check(&server, &format!("POST {PODS}"), networked, expect![[r#"422 Pod "p3" is invalid: spec.hostNetwork: Forbidden: the host's network is not supported by this version of Coracle"#]]).await;
    let mut resolving = pod("p4");
    resolving["spec"]["dnsConfig"] = json!({ "nameservers": ["192.0.2.1"] });
    let response =
        server.send(&format!("POST {PODS}"), &[("content-type", "application/json")], resolving.to_string()).await;
    assert_eq!(response.status(), 201);
    expect![[r#"299 - "spec.dnsConfig: has no effect here""#]]
        .assert_eq(response.headers()["warning"].to_str().unwrap());
}

/// Kubernetes tries until it has written what nobody tied to a revision.
#[tokio::test]
async fn of_many_patches_of_one_object_none_is_refused() {
    let server = std::sync::Arc::new(Server::start().await);
    server.json(&format!("POST {MAPS}"), config_map("a", "x")).await;
    let patch = |writer: usize| {
        let server = server.clone();
        async move {
            for round in 0..10 {
                let body = json!({ "data": { format!("{writer}-{round}"): "y" } });
                assert_eq!(server.json(&format!("PATCH {MAPS}/a"), body).await.0, 200);
            }
        }
    };
    futures::future::join_all((0..24).map(patch)).await;
    let (_, map) = server.json(&format!("GET {MAPS}/a"), Value::Null).await;
    assert_eq!(map["data"].as_object().unwrap().keys().filter(|key| key.contains('-')).count(), 240);
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let server = Server::start().await;
    server.json(&format!("POST {PODS}"), pod("p1")).await;
    let binding = |node: &str| json!({ "metadata": { "name": "p1" }, "target": { "kind": "Node", "name": node } });
    check(&server, &format!("POST {PODS}/p1/binding"), binding("n1"), expect!["201"]).await;
    check(
        &server,
        &format!("POST {PODS}/p1/binding"),
        binding("n2"),
        expect![[r#"409 Operation cannot be fulfilled on pods "p1": pod p1 is already assigned to node "n1""#]],
    )
    .await;
    let mut of_another = binding("n2");
    of_another["metadata"]["name"] = "zz".into();
    check(&server, &format!("POST {PODS}/zz/binding"), of_another, expect![[r#"404 pods "zz" not found"#]]).await;
    let (_, bound) = server.json(&format!("GET {PODS}/p1"), Value::Null).await;
    expect![[r#""n1" [{"lastProbeTime":null,"lastTransitionTime":"2026-11-21T10:00:00Z","observedGeneration":1,"status":"True","type":"PodScheduled"}]"#]].assert_eq(&format!("{} {}", bound["spec"]["nodeName"], bound["status"]["conditions"]));
}

#[tokio::test]
async fn replicas_are_scaled() {
    let server = Server::start().await;
    server.json(&format!("POST {DEPLOYMENTS}"), deployment("d1", 1)).await;
    let scale = format!("{DEPLOYMENTS}/d1/scale");
    expect![[r#"200 {"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","name":"d1","namespace":"default","resourceVersion":"1048579","uid":"uid-3"},"spec":{"replicas":1},"status":{"replicas":0,"selector":"app=d1"}}"#]].assert_eq(&server.shown(&format!("GET {scale}"), Value::Null).await);
    expect![[r#"200 {"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","name":"d1","namespace":"default","resourceVersion":"1048580","uid":"uid-3"},"spec":{"replicas":4},"status":{"replicas":0,"selector":"app=d1"}}"#]].assert_eq(&server.shown(&format!("PATCH {scale}"), json!({ "spec": { "replicas": 4 } })).await);
    let whole = json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": { "name": "d1" }, "spec": { "replicas": 5 } });
    check(&server, &format!("PUT {scale}"), whole, expect!["200"]).await;
    check(&server, &format!("PATCH {scale}"), json!({ "spec": { "replicas": -4 } }), expect![[r#"422 Scale.autoscaling "d1" is invalid: spec.replicas: Invalid value: -4: must be greater than or equal to 0"#]]).await;
    check(
        &server,
        &format!("PATCH {scale}"),
        json!({ "spec": { "replicas": "x" } }),
        expect![[r#"422  "" is invalid: patch: Invalid value: "{\"spec\":{\"replicas\":\"x\"}}": json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32"#]],
    )
    .await;
    let (_, scaled) = server.json(&format!("GET {DEPLOYMENTS}/d1"), Value::Null).await;
    assert_eq!(scaled["spec"]["replicas"], 5);
}

#[tokio::test]
async fn one_object_has_many_shapes() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c1", "b")).await;
    let line = format!("GET {MAPS}/c1");
    let mut shown = String::new();
    for accept in [
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf,application/json",
        "application/json;as=Table;g=meta.k8s.io;v=v9, */*",
    ] {
        let (code, text) = server.text(&line, &[("accept", accept)], "").await;
        shown.push_str(&format!("{code} {text}\n"));
    }
    expect![[r#"
        200 {"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"c1","namespace":"default","resourceVersion":"1048579","uid":"uid-3"}}
        200 apiVersion: v1
        data:
          a: b
        kind: ConfigMap
        metadata:
          creationTimestamp: "2026-11-21T10:00:00Z"
          managedFields:
          - apiVersion: v1
            fieldsType: FieldsV1
            fieldsV1:
              "f:data":
                ".": {}
                "f:a": {}
            manager: unknown
            operation: Update
            time: "2026-11-21T10:00:00Z"
          name: c1
          namespace: default
          resourceVersion: "1048579"
          uid: uid-3

        200 {"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"1048579","creationTimestamp":"2026-11-21T10:00:00Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"c1","namespace":"default","uid":"uid-3"},"data":{"a":"b"}}
        200 {"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"1048579","creationTimestamp":"2026-11-21T10:00:00Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}},"manager":"unknown","operation":"Update","time":"2026-11-21T10:00:00Z"}],"name":"c1","namespace":"default","uid":"uid-3"},"data":{"a":"b"}}
    "#]].assert_eq(&shown);
    let table = [("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")];
    let (_, text) = server.text(&line, &table, "").await;
    let table: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(table["rows"][0]["cells"][0], "c1");
    assert_eq!(table["metadata"]["resourceVersion"], table["rows"][0]["object"]["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn yaml_is_read() {
    let server = Server::start().await;
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: doc\ndata:\n  a: 'yes'\n";
    let (code, answer) = server.text(&format!("POST {MAPS}"), &[("content-type", "application/yaml")], body).await;
    assert_eq!(code, 201, "{answer}");
}

/// `kubectl diff` would show them as a change.
#[tokio::test]
async fn empty_metadata_is_left_out() {
    let server = Server::start().await;
    let mut map = config_map("c1", "b");
    map["metadata"]["annotations"] = json!({});
    map["metadata"]["labels"] = json!({"a": "b"});
    map["metadata"]["finalizers"] = Value::Null;
    let keys = |map: &Value| map["metadata"].as_object().unwrap().keys().cloned().collect::<Vec<String>>().join(" ");
    let (_, created) = server.json(&format!("POST {MAPS}"), map).await;
    expect!["creationTimestamp labels managedFields name namespace resourceVersion uid"].assert_eq(&keys(&created));
    let emptied = json!({"metadata": {"labels": {}, "annotations": {}}});
    let (_, patched) = server.json(&format!("PATCH {MAPS}/c1"), emptied).await;
    assert_eq!(keys(&patched), keys(&created));
    let without = json!({"metadata": {"labels": {"a": null}}});
    let (_, patched) = server.json(&format!("PATCH {MAPS}/c1"), without).await;
    expect!["creationTimestamp managedFields name namespace resourceVersion uid"].assert_eq(&keys(&patched));
}

#[tokio::test]
async fn request_ids_are_honoured_when_fit() {
    let server = Server::start().await;
    let response = server.send("GET /version", &[("x-request-id", "abc-1")], "").await;
    assert_eq!(response.headers()["x-request-id"], "abc-1");
    let response = server.send("GET /version", &[("x-request-id", "a b")], "").await;
    assert_eq!(response.headers()["x-request-id"].len(), 36);
}
