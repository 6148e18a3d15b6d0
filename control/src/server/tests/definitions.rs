//! The life of a definition: accepted, served, changed, deleted with all its objects.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::custom::{crontab, crontabs};
use crate::harness::Server;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crontabs.stable.example.com";
const TABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";

async fn check(server: &Server, line: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.outcome(line, body).await);
}

fn conditions(definition: &Value) -> String {
    let conditions = definition["status"]["conditions"].as_array().unwrap().iter();
    let line = |condition: &Value| {
        ["type", "status", "reason", "message"].map(|field| condition[field].as_str().unwrap()).join(" ")
    };
    conditions.map(line).collect::<Vec<String>>().join("\n")
}

#[tokio::test]
async fn a_definition_is_established() {
    let server = Server::start().await;
    let (code, created) = server.json(&format!("POST {DEFINITIONS}"), crontabs()).await;
    expect![[r#"201 {"acceptedNames":{"kind":"","plural":""},"conditions":[],"storedVersions":["v1"]} {"categories":["all"],"kind":"CronTab","listKind":"CronTabList","plural":"crontabs","shortNames":["ct"],"singular":"crontab"} {"strategy":"None"}"#]].assert_eq(&format!(
        "{code} {} {} {}",
        created["status"], created["spec"]["names"], created["spec"]["conversion"]
    ));
    check(
        &server,
        &format!("GET {TABS}"),
        Value::Null,
        expect!["404 the server could not find the requested resource"],
    )
    .await;
    server.drive();
    let definition = server.until(DEFINITION, |_, definition| coracle_api::custom::is_established(definition)).await;
    expect![[r#"
        NamesAccepted True NoConflicts no conflicts found
        Established True InitialNamesAccepted the initial names have been accepted"#]]
    .assert_eq(&conditions(&definition));
    expect![[r#"{"categories":["all"],"kind":"CronTab","listKind":"CronTabList","plural":"crontabs","shortNames":["ct"],"singular":"crontab"}"#]].assert_eq(&definition["status"]["acceptedNames"].to_string());
    check(&server, &format!("GET {TABS}"), Value::Null, expect!["200"]).await;
    check(
        &server,
        "GET /apis/stable.example.com/v2/crontabs",
        Value::Null,
        expect!["404 the server could not find the requested resource"],
    )
    .await;
}

#[tokio::test]
async fn it_is_discovered_in_both_forms() {
    let server = Server::start_with_controllers().await;
    server.define(crontabs()).await;
    expect![[r#"200 {"apiVersion":"v1","kind":"APIGroup","name":"stable.example.com","preferredVersion":{"groupVersion":"stable.example.com/v1","version":"v1"},"versions":[{"groupVersion":"stable.example.com/v1","version":"v1"},{"groupVersion":"stable.example.com/v1beta1","version":"v1beta1"}]}"#]].assert_eq(&server.shown("GET /apis/stable.example.com", Value::Null).await);
    let (_, old) = server.json("GET /apis/stable.example.com/v1", Value::Null).await;
    expect![[r#"{"apiVersion":"v1","groupVersion":"stable.example.com/v1","kind":"APIResourceList","resources":[{"categories":["all"],"kind":"CronTab","name":"crontabs","namespaced":true,"shortNames":["ct"],"singularName":"crontab","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]},{"group":"autoscaling","kind":"Scale","name":"crontabs/scale","namespaced":true,"singularName":"","verbs":["get","patch","update"],"version":"v1"},{"kind":"CronTab","name":"crontabs/status","namespaced":true,"singularName":"","verbs":["get","patch","update"]}]}"#]].assert_eq(&old.to_string());
    let accept = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let (_, text) = server.text("GET /apis", &accept, "").await;
    let all: Value = serde_json::from_str(&text).unwrap();
    let group = all["items"].as_array().unwrap().last().unwrap();
    expect![[r#"{"metadata":{"creationTimestamp":null,"name":"stable.example.com"},"versions":[{"freshness":"Current","resources":[{"categories":["all"],"resource":"crontabs","responseKind":{"group":"stable.example.com","kind":"CronTab","version":"v1"},"scope":"Namespaced","shortNames":["ct"],"singularResource":"crontab","subresources":[{"responseKind":{"group":"autoscaling","kind":"Scale","version":"v1"},"subresource":"scale","verbs":["get","patch","update"]},{"responseKind":{"group":"stable.example.com","kind":"CronTab","version":"v1"},"subresource":"status","verbs":["get","patch","update"]}],"verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}],"version":"v1"},{"freshness":"Current","resources":[{"categories":["all"],"resource":"crontabs","responseKind":{"group":"stable.example.com","kind":"CronTab","version":"v1beta1"},"scope":"Namespaced","shortNames":["ct"],"singularResource":"crontab","subresources":[{"responseKind":{"group":"autoscaling","kind":"Scale","version":"v1"},"subresource":"scale","verbs":["get","patch","update"]},{"responseKind":{"group":"stable.example.com","kind":"CronTab","version":"v1beta1"},"subresource":"status","verbs":["get","patch","update"]}],"verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}],"version":"v1beta1"}]}"#]].assert_eq(&group.to_string());
}

#[tokio::test]
async fn it_is_explained() {
    let server = Server::start_with_controllers().await;
    let (_, before) = server.json("GET /openapi/v3", Value::Null).await;
    assert!(before["paths"]["apis/stable.example.com/v1"].is_null());
    server.define(crontabs()).await;
    let (_, index) = server.json("GET /openapi/v3", Value::Null).await;
    let url = index["paths"]["apis/stable.example.com/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let (_, document) = server.json(&format!("GET {url}"), Value::Null).await;
    let schemas = &document["components"]["schemas"];
    let schema = &schemas["com.example.stable.v1.CronTab"];
    expect![[r#"[{"group":"stable.example.com","kind":"CronTab","version":"v1"}] {"maximum":10,"minimum":1,"type":"integer"}"#]].assert_eq(&format!(
        "{} {}",
        schema["x-kubernetes-group-version-kind"], schema["properties"]["spec"]["properties"]["replicas"]
    ));
    let patch = &document["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}"]["patch"];
    let media_types: Vec<&String> = patch["requestBody"]["content"].as_object().unwrap().keys().collect();
    expect![[r#"["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]"#]]
        .assert_eq(&format!("{media_types:?}"));
    assert!(schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].is_object());
    assert!(schemas["com.example.stable.v1.CronTabList"].is_object());
}

#[tokio::test]
async fn a_change_holds_at_once() {
    let server = Server::start_with_controllers().await;
    server.define(crontabs()).await;
    server.json(&format!("POST {TABS}"), crontab("old")).await;
    let mut changed = crontabs();
    let spec = &mut changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["image"]["maxLength"] = 5.into();
    spec["properties"]["color"] = json!({ "type": "string", "default": "red" });
    changed["spec"]["versions"][1]["served"] = false.into();
    check(&server, &format!("PATCH {DEFINITION}"), changed, expect!["200"]).await;
    check(
        &server,
        &format!("POST {TABS}"),
        crontab("new"),
        expect![[
            r#"422 CronTab.stable.example.com "new" is invalid: spec.image: Too long: may not be more than 5 bytes"#
        ]],
    )
    .await;
    let (_, old) = server.json(&format!("GET {TABS}/old"), Value::Null).await;
    assert_eq!(old["spec"]["color"], "red", "what is read has the new defaults");
    check(&server, &format!("PATCH {TABS}/old"), json!({ "spec": { "replicas": 2 } }), expect!["200"]).await;
    check(
        &server,
        "GET /apis/stable.example.com/v1beta1/crontabs",
        Value::Null,
        expect!["404 the server could not find the requested resource"],
    )
    .await;
    let group = json!({ "spec": { "group": "other.example.com", "scope": "Cluster", "names": { "kind": "Tab" } } });
    check(&server, &format!("PATCH {DEFINITION}"), group, expect![[r#"422 CustomResourceDefinition.apiextensions.k8s.io "crontabs.stable.example.com" is invalid: [metadata.name: Invalid value: "crontabs.stable.example.com": must be spec.names.plural+"."+spec.group, spec.group: Invalid value: "other.example.com": field is immutable, spec.scope: Invalid value: "Cluster": field is immutable, spec.names.kind: Invalid value: "Tab": field is immutable]"#]]).await;
}

#[tokio::test]
async fn names_are_given_once() {
    let server = Server::start_with_controllers().await;
    server.define(crontabs()).await;
    let mut second = crontabs();
    second["metadata"]["name"] = "tabs.stable.example.com".into();
    second["spec"]["names"] =
        json!({ "plural": "tabs", "singular": "crontab", "kind": "CronTab", "shortNames": ["tb"] });
    server.json(&format!("POST {DEFINITIONS}"), second).await;
    let path = format!("{DEFINITIONS}/tabs.stable.example.com");
    let second = server.until(&path, |_, second| second["status"]["conditions"][0].is_object()).await;
    expect![[r#"
        NamesAccepted False ListKindConflict "CronTabList" is already in use
        Established False NotAccepted not all names are accepted"#]]
    .assert_eq(&conditions(&second));
    check(
        &server,
        "GET /apis/stable.example.com/v1/tabs",
        Value::Null,
        expect!["404 the server could not find the requested resource"],
    )
    .await;
    server.json(&format!("DELETE {DEFINITION}"), Value::Null).await;
    server.until(&path, |_, second| coracle_api::custom::is_established(second)).await;
    check(&server, "GET /apis/stable.example.com/v1/tabs", Value::Null, expect!["200"]).await;
}

#[tokio::test]
async fn a_definition_goes_after_its_objects() {
    let server = Server::start_with_controllers().await;
    server.define(crontabs()).await;
    let mut held = crontab("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.json(&format!("POST {TABS}"), held).await;
    server.json(&format!("POST {TABS}"), crontab("free")).await;
    let (code, marked) = server.json(&format!("DELETE {DEFINITION}"), Value::Null).await;
    expect![[r#"
        200 ["customresourcecleanup.apiextensions.k8s.io"] NamesAccepted True NoConflicts no conflicts found
        Established True InitialNamesAccepted the initial names have been accepted
        Terminating True InstanceDeletionPending CustomResourceDefinition marked for deletion; CustomResource deletion will be in progress"#]].assert_eq(&format!("{code} {} {}", marked["metadata"]["finalizers"], conditions(&marked)));
    server.until(&format!("{TABS}/free"), |code, _| code == 404).await;
    check(
        &server,
        &format!("POST {TABS}"),
        crontab("late"),
        expect!["405 create not allowed while custom resource definition is terminating"],
    )
    .await;
    check(&server, &format!("PATCH {TABS}/held"), json!({ "metadata": { "finalizers": null } }), expect!["200"]).await;
    server.until(DEFINITION, |code, _| code == 404).await;
    check(
        &server,
        &format!("GET {TABS}"),
        Value::Null,
        expect!["404 the server could not find the requested resource"],
    )
    .await;
    let left = server.app.objects.store().snapshot();
    assert_eq!(left.range("crontabs.stable.example.com/", None).count(), 0);
}

#[tokio::test]
async fn roles_speak_of_it() {
    let server = Server::start_with_controllers().await;
    server.furnish().await;
    server.define(crontabs()).await;
    let reader = server.as_user(crate::authentication::User::authenticated("reader", []));
    check(&reader, &format!("GET {TABS}"), Value::Null, expect![[r#"403 crontabs.stable.example.com is forbidden: User "reader" cannot list resource "crontabs" in API group "stable.example.com" in the namespace "default""#]]).await;
    let role = json!({
        "metadata": { "name": "tabs" },
        "rules": [{ "apiGroups": ["stable.example.com"], "resources": ["crontabs"], "verbs": ["list"] }],
    });
    server.json("POST /apis/rbac.authorization.k8s.io/v1/clusterroles", role).await;
    let binding = json!({
        "metadata": { "name": "tabs" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tabs" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader" }],
    });
    server.json("POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await;
    check(&reader, &format!("GET {TABS}"), Value::Null, expect!["200"]).await;
}
