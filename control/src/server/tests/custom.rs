//! Objects of kinds that users define: everything that is done to objects of built-in kinds.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::watching::Frames;
use crate::harness::{Server, config_map};

const TABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";
const BETA: &str = "/apis/stable.example.com/v1beta1/namespaces/default/crontabs";
const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crontabs.stable.example.com";

/// The definition that Kubernetes' documentation begins with, and an older version of it.
pub(super) fn crontabs() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["image"],
                "properties": {
                    "cronSpec": { "type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$", "default": "5 0 * * *" },
                    "image": { "type": "string" },
                    "replicas": { "type": "integer", "minimum": 1, "maximum": 10 },
                    "ports": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object", "required": ["name"],
                            "properties": { "name": { "type": "string" }, "port": { "type": "integer" } },
                        },
                    },
                },
            },
            "status": { "type": "object", "properties": { "replicas": { "type": "integer" }, "labelSelector": { "type": "string" } } },
        },
    });
    let version = |name: &str| {
        json!({
            "name": name, "served": true, "storage": name == "v1", "schema": { "openAPIV3Schema": schema },
            "subresources": {
                "status": {},
                "scale": {
                    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                    "labelSelectorPath": ".status.labelSelector",
                },
            },
            "selectableFields": [{ "jsonPath": ".spec.image" }],
            "additionalPrinterColumns": [
                { "name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec", "description": "When it runs" },
                { "name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas" },
                { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
            ],
        })
    };
    let mut beta = version("v1beta1");
    beta["deprecated"] = true.into();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "crontabs.stable.example.com" },
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced", "versions": [version("v1"), beta],
            "names": { "plural": "crontabs", "singular": "crontab", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"] },
        },
    })
}

pub(super) fn crontab(name: &str) -> Value {
    json!({
        "apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": { "name": name },
        "spec": { "image": "my-image" },
    })
}

async fn started() -> Server {
    let server = Server::start_with_controllers().await;
    server.define(crontabs()).await;
    server
}

async fn check(server: &Server, line: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.outcome(line, body).await);
}

/// An object without what only the server knows.
fn essence(mut object: Value) -> String {
    for field in ["uid", "resourceVersion", "managedFields", "creationTimestamp"] {
        object["metadata"].as_object_mut().unwrap().remove(field);
    }
    object.to_string()
}

#[tokio::test]
async fn objects_are_defaulted_pruned_and_judged() {
    let server = started().await;
    let mut object = crontab("a");
    object["spec"]["unknown"] = 1.into();
    let (code, created) = server.json(&format!("POST {TABS}"), object.clone()).await;
    expect![[r#"201 {"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"generation":1,"name":"a","namespace":"default"},"spec":{"cronSpec":"5 0 * * *","image":"my-image"}}"#]].assert_eq(&format!("{code} {}", essence(created)));
    check(&server, &format!("POST {TABS}?fieldValidation=Strict"), object, expect![[r#"400 CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: unknown field "spec.unknown""#]]).await;
    let (_, headers) = {
        let mut warned = crontab("warned");
        warned["spec"]["unknown"] = 1.into();
        let response = server.send(&format!("POST {TABS}"), &[], warned.to_string()).await;
        (response.status(), response.headers()["warning"].to_str().unwrap().to_owned())
    };
    expect![[r#"299 - "unknown field \"spec.unknown\"""#]].assert_eq(&headers);
    let mut wrong = crontab("b");
    wrong["spec"] = json!({ "cronSpec": "* * *", "replicas": 11, "ports": [{ "name": "a" }, { "name": "a" }] });
    check(&server, &format!("POST {TABS}"), wrong, expect![[r#"422 CronTab.stable.example.com "b" is invalid: [spec.image: Required value, spec.cronSpec: Invalid value: "* * *": spec.cronSpec in body should match '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$', spec.ports[1]: Duplicate value: map[string]string{"name":"a"}, spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10]"#]]).await;
    let mut wrong = crontab("b");
    wrong["metadata"]["labels"] = "none".into();
    check(&server, &format!("POST {TABS}"), wrong, expect![[r#"400 CronTab in version "v1" cannot be handled as a CronTab: json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels of type map[string]string"#]]).await;
    let mut wrong = crontab("B");
    wrong["kind"] = "Other".into();
    check(
        &server,
        &format!("POST {TABS}"),
        wrong,
        expect!["400 the kind in the data (Other) does not match the expected kind (CronTab)"],
    )
    .await;
    check(&server, &format!("POST {TABS}"), crontab("B"), expect![[r#"422 CronTab.stable.example.com "B" is invalid: metadata.name: Invalid value: "B": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#]]).await;
    check(&server, &format!("POST {TABS}?dryRun=All"), crontab("c"), expect!["201"]).await;
    check(
        &server,
        &format!("GET {TABS}/c"),
        Value::Null,
        expect![[r#"404 crontabs.stable.example.com "c" not found"#]],
    )
    .await;
}

#[tokio::test]
async fn rules_see_what_was_before() {
    let server = Server::start_with_controllers().await;
    let mut definition = crontabs();
    let spec = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["x-kubernetes-validations"] = json!([
        { "rule": "!has(self.replicas) || self.replicas != 4", "message": "four is unlucky" },
        { "rule": "self.image == oldSelf.image", "message": "the image never changes", "fieldPath": ".image" },
    ]);
    server.define(definition).await;
    check(&server, &format!("POST {TABS}"), crontab("a"), expect!["201"]).await;
    check(
        &server,
        &format!("PATCH {TABS}/a"),
        json!({ "spec": { "replicas": 4 } }),
        expect![[r#"422 CronTab.stable.example.com "a" is invalid: spec: Invalid value: "object": four is unlucky"#]],
    )
    .await;
    check(
        &server,
        &format!("PATCH {TABS}/a/scale"),
        json!({ "spec": { "replicas": 3 } }),
        expect![[r#"500 Internal error occurred: the spec replicas field ".spec.replicas" does not exist"#]],
    )
    .await;
    check(&server, &format!("PATCH {TABS}/a"), json!({ "spec": { "replicas": 3 } }), expect!["200"]).await;
    check(
        &server,
        &format!("PATCH {TABS}/a/scale"),
        json!({ "spec": { "replicas": 4 } }),
        expect![[r#"422 CronTab.stable.example.com "a" is invalid: spec: Invalid value: "object": four is unlucky"#]],
    )
    .await;
    check(&server, &format!("PATCH {TABS}/a"), json!({ "spec": { "image": "other" } }), expect![[r#"422 CronTab.stable.example.com "a" is invalid: spec.image: Invalid value: "object": the image never changes"#]]).await;
}

#[tokio::test]
async fn patches_keep_what_they_do_not_touch() {
    let server = started().await;
    server.json(&format!("POST {TABS}"), crontab("a")).await;
    let (code, patched) = server.json(&format!("PATCH {TABS}/a"), json!({ "spec": { "replicas": 3 } })).await;
    expect![[r#"200 {"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"generation":2,"name":"a","namespace":"default"},"spec":{"cronSpec":"5 0 * * *","image":"my-image","replicas":3}}"#]].assert_eq(&format!("{code} {}", essence(patched)));
    let (code, patched) =
        server.json(&format!("PATCH {TABS}/a"), json!({ "metadata": { "labels": { "a": "b" } } })).await;
    assert_eq!((code, &patched["metadata"]["generation"]), (200, &json!(2)), "labels are no new generation");
    check(&server, &format!("PATCH {TABS}/a"), json!({ "spec": { "replicas": 30 } }), expect![[r#"422 CronTab.stable.example.com "a" is invalid: spec.replicas: Invalid value: 30: spec.replicas in body should be less than or equal to 10"#]]).await;
    let strategic = [("content-type", "application/strategic-merge-patch+json")];
    let (_, text) = server.text(&format!("PATCH {TABS}/a"), &strategic, "{}").await;
    expect![[r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml","reason":"UnsupportedMediaType","code":415}"#]].assert_eq(&text);
    let json_patch = [("content-type", "application/json-patch+json")];
    let body = r#"[{"op": "replace", "path": "/spec/replicas", "value": 4}]"#;
    let (code, text) = server.text(&format!("PATCH {TABS}/a"), &json_patch, body).await;
    let patched: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &patched["spec"]["replicas"]), (200, &json!(4)));
}

#[tokio::test]
async fn configurations_share_lists_by_their_keys() {
    let server = started().await;
    let apply = |manager: &str, ports: Value| {
        let mut object = crontab("a");
        object["spec"]["ports"] = ports;
        (format!("PATCH {TABS}/a?fieldManager={manager}"), object)
    };
    let headers = [("content-type", "application/apply-patch+yaml")];
    let mut shown = String::new();
    for (manager, ports) in [
        ("one", json!([{ "name": "http", "port": 80 }])),
        ("two", json!([{ "name": "https", "port": 443 }])),
        ("two", json!([{ "name": "http", "port": 81 }])),
        ("one", json!([{ "name": "http", "port": 80, "prot": "x" }])),
        ("one", json!([])),
    ] {
        let (line, object) = apply(manager, ports);
        let (code, text) = server.text(&line, &headers, object.to_string()).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        let what = if code < 400 { &answer["spec"]["ports"] } else { &answer["message"] };
        shown.push_str(&format!("{manager} {code} {what}\n"));
    }
    expect![[r#"
        one 201 [{"name":"http","port":80}]
        two 200 [{"name":"http","port":80},{"name":"https","port":443}]
        two 409 "Apply failed with 1 conflict: conflict with \"one\": .spec.ports[name=\"http\"].port"
        one 400 "failed to create typed patch object (/a; stable.example.com/v1, Kind=CronTab): .spec.ports[0].prot: field not declared in schema"
        one 200 [{"name":"https","port":443}]
    "#]].assert_eq(&shown);
    let (_, object) = server.json(&format!("GET {TABS}/a"), Value::Null).await;
    expect![[r#"[{"apiVersion":"stable.example.com/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:image":{},"f:ports":{}}},"manager":"one","operation":"Apply","time":"2026-11-21T10:00:00Z"},{"apiVersion":"stable.example.com/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:image":{},"f:ports":{"k:{\"name\":\"https\"}":{".":{},"f:name":{},"f:port":{}}}}},"manager":"two","operation":"Apply","time":"2026-11-21T10:00:00Z"}]"#]].assert_eq(&object["metadata"]["managedFields"].to_string());
}

#[tokio::test]
async fn status_and_scale_are_kept_apart() {
    let server = started().await;
    let mut object = crontab("a");
    object["status"] = json!({ "replicas": 9 });
    let (_, created) = server.json(&format!("POST {TABS}"), object).await;
    assert!(created.get("status").is_none(), "a status is not created");
    check(
        &server,
        &format!("GET {TABS}/a/scale"),
        Value::Null,
        expect![[r#"500 Internal error occurred: the spec replicas field ".spec.replicas" does not exist"#]],
    )
    .await;
    let status = json!({ "spec": { "replicas": 7 }, "status": { "replicas": 2, "labelSelector": "app=a" } });
    let (code, patched) = server.json(&format!("PATCH {TABS}/a/status"), status).await;
    expect![[r#"200 {"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"generation":1,"name":"a","namespace":"default"},"spec":{"cronSpec":"5 0 * * *","image":"my-image"},"status":{"labelSelector":"app=a","replicas":2}}"#]].assert_eq(&format!("{code} {}", essence(patched)));
    check(&server, &format!("PATCH {TABS}/a/status"), json!({ "status": { "replicas": "two" } }), expect![[r#"422 CronTab.stable.example.com "a" is invalid: status.replicas: Invalid value: "string": status.replicas in body must be of type integer: "string""#]]).await;
    let (code, scaled) = server
        .json(&format!("PUT {TABS}/a/scale"), json!({ "metadata": { "name": "a" }, "spec": { "replicas": 5 } }))
        .await;
    expect![[r#"200 {"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"a","namespace":"default"},"spec":{"replicas":5},"status":{"replicas":2,"selector":"app=a"}}"#]].assert_eq(&format!("{code} {}", essence(scaled)));
    check(&server, &format!("PATCH {TABS}/a/scale"), json!({ "spec": { "replicas": 50 } }), expect![[r#"422 CronTab.stable.example.com "a" is invalid: spec.replicas: Invalid value: 50: spec.replicas in body should be less than or equal to 10"#]]).await;
    let (_, object) = server.json(&format!("GET {TABS}/a"), Value::Null).await;
    assert_eq!((&object["spec"]["replicas"], &object["metadata"]["generation"]), (&json!(5), &json!(2)));
    check(
        &server,
        &format!("GET {TABS}/a/log"),
        Value::Null,
        expect!["404 the server could not find the requested resource"],
    )
    .await;
}

#[tokio::test]
async fn lists_select_and_show_columns() {
    let server = started().await;
    for (name, image) in [("a", "one"), ("b", "two")] {
        let mut object = crontab(name);
        object["spec"]["image"] = image.into();
        server.json(&format!("POST {TABS}"), object).await;
    }
    let (_, list) = server.json(&format!("GET {TABS}?fieldSelector=spec.image%3Dtwo"), Value::Null).await;
    let names: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    expect![[r#""CronTabList" "stable.example.com/v1" [String("b")]"#]]
        .assert_eq(&format!("{} {} {names:?}", list["kind"], list["apiVersion"]));
    check(&server, &format!("GET {TABS}?fieldSelector=spec.replicas%3D2"), Value::Null, expect![[r#"400 "spec.replicas" is not a known field selector: only "metadata.name", "metadata.namespace", "spec.image""#]]).await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let (_, text) = server.text("GET /apis/stable.example.com/v1/crontabs", &accept, "").await;
    let table: Value = serde_json::from_str(&text).unwrap();
    let cells: Vec<String> = table["rows"].as_array().unwrap().iter().map(|row| row["cells"].to_string()).collect();
    expect![[r#"[{"description":"Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: http://kubernetes.io/docs/user-guide/identifiers#names","format":"name","name":"Name","priority":0,"type":"string"},{"description":"When it runs","format":"","name":"Spec","priority":0,"type":"string"},{"description":"","format":"","name":"Replicas","priority":0,"type":"integer"},{"description":"","format":"","name":"Age","priority":0,"type":"date"}] ["[\"a\",\"5 0 * * *\",null,\"0s\"]", "[\"b\",\"5 0 * * *\",null,\"0s\"]"]"#]].assert_eq(&format!("{} {cells:?}", table["columnDefinitions"]));
    let (code, deleted) = server.json(&format!("DELETE {TABS}?labelSelector=none%3Dsuch"), Value::Null).await;
    assert_eq!((code, &deleted["items"]), (200, &json!([])));
    let (code, _) = server.json(&format!("DELETE {TABS}"), Value::Null).await;
    let (_, left) = server.json(&format!("GET {TABS}"), Value::Null).await;
    assert_eq!((code, &left["items"]), (200, &json!([])));
}

#[tokio::test]
async fn versions_show_the_same_objects() {
    let server = started().await;
    let mut object = crontab("a");
    object["apiVersion"] = "stable.example.com/v1beta1".into();
    let response = server.send(&format!("POST {BETA}"), &[], object.to_string()).await;
    expect![[r#"299 - "stable.example.com/v1beta1 CronTab is deprecated""#]]
        .assert_eq(response.headers()["warning"].to_str().unwrap());
    let key = "crontabs.stable.example.com/default/a";
    let stored = server.app.objects.store().snapshot().get(key).unwrap();
    assert!(
        stored.json.starts_with(br#"{"apiVersion":"stable.example.com/v1","#),
        "it is stored in the storage version"
    );
    let mut shown = String::new();
    for path in [TABS, BETA] {
        let (_, one) = server.json(&format!("GET {path}/a"), Value::Null).await;
        let (_, list) = server.json(&format!("GET {path}"), Value::Null).await;
        let mut frames = Frames::open(&server, &format!("{path}?watch=true"), "application/json").await;
        let frame = frames.next().await.unwrap();
        shown.push_str(&format!(
            "{} {} {} {}\n",
            one["apiVersion"], list["apiVersion"], list["items"][0]["apiVersion"], frame["object"]["apiVersion"]
        ));
    }
    expect![[r#"
        "stable.example.com/v1" "stable.example.com/v1" "stable.example.com/v1" "stable.example.com/v1"
        "stable.example.com/v1beta1" "stable.example.com/v1beta1" "stable.example.com/v1beta1" "stable.example.com/v1beta1"
    "#]].assert_eq(&shown);
    let (code, patched) = server.json(&format!("PATCH {BETA}/a"), json!({ "spec": { "replicas": 2 } })).await;
    assert_eq!((code, &patched["apiVersion"]), (200, &json!("stable.example.com/v1beta1")));
}

#[tokio::test]
async fn watches_end_with_their_kind() {
    let server = started().await;
    server.json(&format!("POST {TABS}"), crontab("a")).await;
    let mut frames = Frames::open(&server, &format!("{TABS}?watch=true"), "application/json").await;
    let mut shown = Vec::new();
    shown.push(frames.next().await.unwrap()["type"].clone());
    server.json(&format!("DELETE {DEFINITION}"), Value::Null).await;
    while let Some(frame) = frames.next().await {
        shown.push(frame["type"].clone());
    }
    expect![[r#"["ADDED","DELETED"]"#]].assert_eq(&json!(shown).to_string());
}

#[tokio::test]
async fn a_quota_counts_them() {
    let server = started().await;
    let quota =
        json!({ "metadata": { "name": "q" }, "spec": { "hard": { "count/crontabs.stable.example.com": "1" } } });
    server.json("POST /api/v1/namespaces/default/resourcequotas", quota).await;
    check(&server, &format!("POST {TABS}"), crontab("a"), expect!["201"]).await;
    check(&server, &format!("POST {TABS}"), crontab("b"), expect![[r#"403 crontabs.stable.example.com "b" is forbidden: exceeded quota: q, requested: count/crontabs.stable.example.com=1, used: count/crontabs.stable.example.com=1, limited: count/crontabs.stable.example.com=1"#]]).await;
    let quota = "/api/v1/namespaces/default/resourcequotas/q";
    server.until(quota, |_, quota| quota["status"]["used"]["count/crontabs.stable.example.com"] == "1").await;
}

#[tokio::test]
async fn what_they_own_goes_with_them() {
    let server = started().await;
    let (_, owner) = server.json(&format!("POST {TABS}"), crontab("a")).await;
    let mut owned = config_map("owned", "x");
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "stable.example.com/v1", "kind": "CronTab", "name": "a", "uid": owner["metadata"]["uid"],
    }]);
    server.json("POST /api/v1/namespaces/default/configmaps", owned).await;
    check(&server, &format!("DELETE {TABS}/a"), Value::Null, expect!["200"]).await;
    server.until("/api/v1/namespaces/default/configmaps/owned", |code, _| code == 404).await;
}

#[tokio::test]
async fn a_namespace_takes_them_along() {
    let server = started().await;
    server.json("POST /api/v1/namespaces", json!({ "metadata": { "name": "team" } })).await;
    let path = "/apis/stable.example.com/v1/namespaces/team/crontabs";
    let mut held = crontab("a");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.json(&format!("POST {path}"), held).await;
    server.json("DELETE /api/v1/namespaces/team", Value::Null).await;
    server.until(&format!("{path}/a"), |_, object| object["metadata"]["deletionTimestamp"].is_string()).await;
    check(&server, "GET /api/v1/namespaces/team", Value::Null, expect!["200"]).await;
    check(&server, &format!("PATCH {path}/a"), json!({ "metadata": { "finalizers": null } }), expect!["200"]).await;
    server.until("/api/v1/namespaces/team", |code, _| code == 404).await;
}

#[tokio::test]
async fn a_batch_may_hold_them() {
    let server = started().await;
    let mut object = crontab("a");
    object["metadata"]["namespace"] = "default".into();
    let batch = json!({ "items": [{ "verb": "create", "object": object }] });
    let (_, answer) = server.json("POST /apis/coracle.dev/v1/batches", batch).await;
    assert_eq!(answer["items"][0]["code"], 200, "{answer}");
}

/// As in Kubernetes, which checks less of what it does not know: finalizers have any names, also those of the definition, and what is
/// written must say of which kind and revision it is.
#[tokio::test]
async fn custom_objects_are_taken_as_they_are() {
    let server = started().await;
    let mut tab = crontab("a");
    tab["metadata"]["finalizers"] = json!(["resources-finalizer.argocd.argoproj.io"]);
    let headers = [("content-type", "application/json")];
    let made = server.send(&format!("POST {TABS}"), &headers, tab.to_string()).await;
    assert_eq!(made.status(), 201);
    expect![[r#"299 - "metadata.finalizers: \"resources-finalizer.argocd.argoproj.io\": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers""#]].assert_eq(made.headers()["warning"].to_str().unwrap());
    let label = json!({ "metadata": { "labels": { "a": "b" } } }).to_string();
    let headers = [("content-type", "application/merge-patch+json")];
    let changed = server.send(&format!("PATCH {TABS}/a"), &headers, label).await;
    assert_eq!((changed.status().as_u16(), changed.headers().get("warning")), (200, None));
    let mut of_no_kind = crontab("b");
    of_no_kind.as_object_mut().unwrap().remove("kind");
    check(&server, &format!("POST {TABS}"), of_no_kind, expect![[r#"400 Object 'Kind' is missing in '{"apiVersion":"stable.example.com/v1","metadata":{"name":"b"},"spec":{"image":"my-image"}}'"#]]).await;
    check(&server, &format!("PUT {TABS}/a"), tab, expect![[r#"422 CronTab.stable.example.com "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"#]]).await;
    check(&server, &format!("DELETE {DEFINITION}"), Value::Null, expect!["200"]).await;
    check(&server, &format!("PATCH {DEFINITION}"), json!({ "metadata": { "labels": { "a": "b" } } }), expect!["200"])
        .await;
}
