//! Validating admission policies, asked about writes of all sorts.

use std::sync::Arc;

use coracle_api::kinds::{CONFIG_MAP, POD};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::custom::{crontab, crontabs};
use crate::audit::Annotations;
use crate::authentication::User;
use crate::authorizer::MASTERS;
use crate::harness::{Server, config_map, deployment, pod};
use crate::objects::{Author, ObjectWrite, WriteOptions};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// A server with a policy, bound under the same name.
async fn bound(policy: Value, binding: Value) -> Server {
    let server = Server::start().await;
    add(&server, "demo", policy, binding).await;
    server
}

async fn add(server: &Server, name: &str, policy: Value, mut binding: Value) {
    let policy = json!({ "metadata": { "name": name }, "spec": policy });
    assert_eq!(server.outcome(&format!("POST {POLICIES}"), policy).await, "201");
    binding["policyName"] = name.into();
    let binding = json!({ "metadata": { "name": name }, "spec": binding });
    assert_eq!(server.outcome(&format!("POST {BINDINGS}"), binding).await, "201");
}

/// Some operations on some resources of the core group and of apps.
fn on(operations: &[&str], resources: &[&str]) -> Value {
    let rule =
        json!({ "apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": operations, "resources": resources });
    json!({ "resourceRules": [rule] })
}

fn deny() -> Value {
    json!({ "validationActions": ["Deny"] })
}

/// A policy of one expression.
fn policy(constraints: Value, expression: &str) -> Value {
    json!({ "matchConstraints": constraints, "validations": [{ "expression": expression }] })
}

async fn check(server: &Server, requests: &[(&str, Value)], expected: Expect) {
    let mut lines = String::new();
    for (line, body) in requests {
        lines.push_str(&format!("{line} → {}\n", server.outcome(line, body.clone()).await));
    }
    expected.assert_eq(&lines);
}

#[tokio::test]
async fn replicas_are_limited_in_labelled_namespaces() {
    let constraints = on(&["CREATE", "UPDATE"], &["deployments", "deployments/scale"]);
    let selected = json!({ "namespaceSelector": { "matchLabels": { "environment": "test" } } });
    let binding = json!({ "validationActions": ["Deny"], "matchResources": selected });
    let server = bound(policy(constraints, "object.spec.replicas <= 5"), binding).await;
    let create = format!("POST {DEPLOYMENTS}");
    let scale = format!("PATCH {DEPLOYMENTS}/many/scale");
    let label = json!({ "metadata": { "labels": { "environment": "test" } } });
    check(
        &server,
        &[
            (&create, deployment("many", 6)),
            ("PATCH /api/v1/namespaces/default", label),
            (&create, deployment("more", 6)),
            (&create, deployment("few", 5)),
            (&format!("{create}?dryRun=All"), deployment("dry", 6)),
            (&scale, json!({ "spec": { "replicas": 7 } })),
            (&scale, json!({ "spec": { "replicas": 2 } })),
            (&format!("PATCH {DEPLOYMENTS}/few"), json!({ "spec": { "replicas": 9 } })),
            (&format!("PUT {DEPLOYMENTS}/few"), deployment("few", 10)),
        ],
        expect![[r#"
            POST /apis/apps/v1/namespaces/default/deployments → 201
            PATCH /api/v1/namespaces/default → 200
            POST /apis/apps/v1/namespaces/default/deployments → 422 deployments.apps "more" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.replicas <= 5
            POST /apis/apps/v1/namespaces/default/deployments → 201
            POST /apis/apps/v1/namespaces/default/deployments?dryRun=All → 422 deployments.apps "dry" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.replicas <= 5
            PATCH /apis/apps/v1/namespaces/default/deployments/many/scale → 422 deployments.apps "many" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.replicas <= 5
            PATCH /apis/apps/v1/namespaces/default/deployments/many/scale → 200
            PATCH /apis/apps/v1/namespaces/default/deployments/few → 422 deployments.apps "few" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.replicas <= 5
            PUT /apis/apps/v1/namespaces/default/deployments/few → 422 deployments.apps "few" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.replicas <= 5
        "#]],
    )
    .await;
    let refused = server.json(&create, deployment("more", 6)).await;
    expect![[r#"{"apiVersion":"v1","code":422,"details":{"causes":[{"message":"ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.replicas <= 5"}],"group":"apps","kind":"deployments","name":"more"},"kind":"Status","message":"deployments.apps \"more\" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.replicas <= 5","metadata":{},"reason":"Invalid","status":"Failure"}"#]].assert_eq(&refused.1.to_string());
    let (code, text) = server
        .text(
            &format!("PATCH {DEPLOYMENTS}/applied?fieldManager=me"),
            &[("content-type", "application/apply-patch+yaml")],
            deployment("applied", 6).to_string(),
        )
        .await;
    assert!(code == 422 && text.contains("failed expression: object.spec.replicas <= 5"), "{text}");
}

#[tokio::test]
async fn deletions_evictions_bindings_and_statuses_are_asked_about() {
    let constraints = on(&["*"], &["configmaps", "pods/binding", "pods/eviction", "pods/status"]);
    let server = bound(
        policy(
            constraints,
            "request.operation == 'DELETE' ? !('keep' in oldObject.data) && object == null :
             request.subResource == 'binding' ? object.target.name != 'bad' && request.kind.kind == 'Binding' :
             request.subResource == 'eviction' ? false :
             request.subResource == 'status' ? object.status.phase != 'Failed' : true",
        ),
        deny(),
    )
    .await;
    let bind = format!("POST {PODS}/p/binding");
    let status = format!("PATCH {PODS}/p/status");
    check(
        &server,
        &[
            (&format!("POST {CONFIG_MAPS}"), config_map("goes", "x")),
            (&format!("POST {CONFIG_MAPS}"), json!({ "metadata": { "name": "stays" }, "data": { "keep": "" } })),
            (&format!("DELETE {CONFIG_MAPS}/goes"), Value::Null),
            (&format!("DELETE {CONFIG_MAPS}/stays"), Value::Null),
            (&format!("DELETE {CONFIG_MAPS}"), Value::Null),
            (&format!("POST {PODS}"), pod("p")),
            (&bind, json!({ "target": { "name": "bad" } })),
            (&bind, json!({ "target": { "name": "good" } })),
            (&format!("POST {PODS}/p/eviction"), json!({ "metadata": { "name": "p" } })),
            (&status, json!({ "status": { "phase": "Failed" } })),
            (&status, json!({ "status": { "phase": "Running" } })),
            (&format!("DELETE {PODS}/p?gracePeriodSeconds=0"), Value::Null),
        ],
        expect![[r#"
            POST /api/v1/namespaces/default/configmaps → 201
            POST /api/v1/namespaces/default/configmaps → 201
            DELETE /api/v1/namespaces/default/configmaps/goes → 200
            DELETE /api/v1/namespaces/default/configmaps/stays → 422 configmaps "stays" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: request.operation == 'DELETE' ? !('keep' in oldObject.data) && object == null :
                         request.subResource == 'binding' ? object.target.name != 'bad' && request.kind.kind == 'Binding' :
                         request.subResource == 'eviction' ? false :
                         request.subResource == 'status' ? object.status.phase != 'Failed' : true
            DELETE /api/v1/namespaces/default/configmaps → 422 configmaps "stays" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: request.operation == 'DELETE' ? !('keep' in oldObject.data) && object == null :
                         request.subResource == 'binding' ? object.target.name != 'bad' && request.kind.kind == 'Binding' :
                         request.subResource == 'eviction' ? false :
                         request.subResource == 'status' ? object.status.phase != 'Failed' : true
            POST /api/v1/namespaces/default/pods → 201
            POST /api/v1/namespaces/default/pods/p/binding → 422 pods "p" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: request.operation == 'DELETE' ? !('keep' in oldObject.data) && object == null :
                         request.subResource == 'binding' ? object.target.name != 'bad' && request.kind.kind == 'Binding' :
                         request.subResource == 'eviction' ? false :
                         request.subResource == 'status' ? object.status.phase != 'Failed' : true
            POST /api/v1/namespaces/default/pods/p/binding → 201
            POST /api/v1/namespaces/default/pods/p/eviction → 422 pods "p" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: request.operation == 'DELETE' ? !('keep' in oldObject.data) && object == null :
                         request.subResource == 'binding' ? object.target.name != 'bad' && request.kind.kind == 'Binding' :
                         request.subResource == 'eviction' ? false :
                         request.subResource == 'status' ? object.status.phase != 'Failed' : true
            PATCH /api/v1/namespaces/default/pods/p/status → 422 pods "p" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: request.operation == 'DELETE' ? !('keep' in oldObject.data) && object == null :
                         request.subResource == 'binding' ? object.target.name != 'bad' && request.kind.kind == 'Binding' :
                         request.subResource == 'eviction' ? false :
                         request.subResource == 'status' ? object.status.phase != 'Failed' : true
            PATCH /api/v1/namespaces/default/pods/p/status → 200
            DELETE /api/v1/namespaces/default/pods/p?gracePeriodSeconds=0 → 200
        "#]],
    )
    .await;
}

#[tokio::test]
async fn parameters_are_objects() {
    let spec = json!({
        "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
        "matchConstraints": on(&["CREATE"], &["deployments"]),
        "variables": [{ "name": "most", "expression": "int(params.data.most)" }],
        "validations": [{
            "expression": "object.spec.replicas <= variables.most",
            "messageExpression": "'at most ' + string(variables.most) + ' in ' + namespaceObject.metadata.name",
            "reason": "Forbidden",
        }],
    });
    let named = json!({ "name": "limits", "parameterNotFoundAction": "Deny" });
    let server = bound(spec.clone(), json!({ "validationActions": ["Deny"], "paramRef": named })).await;
    let create = format!("POST {DEPLOYMENTS}?dryRun=All");
    check(
        &server,
        &[
            (&create, deployment("a", 1)),
            (&format!("POST {CONFIG_MAPS}"), json!({ "metadata": { "name": "limits" }, "data": { "most": "3" } })),
            (&create, deployment("a", 3)),
            (&create, deployment("a", 4)),
            (&format!("PATCH {CONFIG_MAPS}/limits"), json!({ "data": { "most": "x" } })),
            (&create, deployment("a", 1)),
        ],
        expect![[r#"
            POST /apis/apps/v1/namespaces/default/deployments?dryRun=All → 422 deployments.apps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction
            POST /api/v1/namespaces/default/configmaps → 201
            POST /apis/apps/v1/namespaces/default/deployments?dryRun=All → 201
            POST /apis/apps/v1/namespaces/default/deployments?dryRun=All → 403 deployments.apps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: at most 3 in default
            PATCH /api/v1/namespaces/default/configmaps/limits → 200
            POST /apis/apps/v1/namespaces/default/deployments?dryRun=All → 422 deployments.apps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: expression 'object.spec.replicas <= variables.most' resulted in error: type conversion error from 'string' to 'int': "x"
        "#]],
    )
    .await;
    let selected = json!({ "selector": { "matchLabels": { "l": "x" } }, "parameterNotFoundAction": "Allow" });
    let server = bound(spec, json!({ "validationActions": ["Deny"], "paramRef": selected })).await;
    let labelled = |name: &str, most: &str| json!({ "metadata": { "name": name, "labels": { "l": "x" } }, "data": { "most": most } });
    check(
        &server,
        &[
            (&create, deployment("a", 9)),
            (&format!("POST {CONFIG_MAPS}"), labelled("l1", "8")),
            (&format!("POST {CONFIG_MAPS}"), labelled("l2", "3")),
            (&create, deployment("a", 4)),
            (&create, deployment("a", 2)),
        ],
        expect![[r#"
            POST /apis/apps/v1/namespaces/default/deployments?dryRun=All → 201
            POST /api/v1/namespaces/default/configmaps → 201
            POST /api/v1/namespaces/default/configmaps → 201
            POST /apis/apps/v1/namespaces/default/deployments?dryRun=All → 403 deployments.apps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: at most 3 in default
            POST /apis/apps/v1/namespaces/default/deployments?dryRun=All → 201
        "#]],
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_decided_counts_as_the_policy_says() {
    let mut spec = policy(on(&["CREATE"], &["configmaps"]), "object.data.missing == 'x'");
    let server = bound(spec.clone(), deny()).await;
    check(&server, &[(&format!("POST {CONFIG_MAPS}"), config_map("a", "x"))], expect![[r#"
        POST /api/v1/namespaces/default/configmaps → 422 configmaps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: expression 'object.data.missing == 'x'' resulted in error: no such key: missing
    "#]]).await;
    spec["failurePolicy"] = "Ignore".into();
    let server = bound(spec, deny()).await;
    check(
        &server,
        &[(&format!("POST {CONFIG_MAPS}"), config_map("a", "x"))],
        expect![[r#"
        POST /api/v1/namespaces/default/configmaps → 201
    "#]],
    )
    .await;
    let mut spec = policy(on(&["CREATE"], &["configmaps"]), "false");
    spec["matchConditions"] = json!([
        { "name": "fails", "expression": "object.data.missing == 'x'" },
        { "name": "exempt", "expression": "request.userInfo.username != 'admin'" },
    ]);
    let server = bound(spec, deny()).await;
    let other = server.as_user(User::authenticated("other", [MASTERS.to_owned()]));
    check(
        &server,
        &[(&format!("POST {CONFIG_MAPS}"), config_map("a", "x"))],
        expect![[r#"
        POST /api/v1/namespaces/default/configmaps → 201
    "#]],
    )
    .await;
    check(&other, &[(&format!("POST {CONFIG_MAPS}"), config_map("b", "x"))], expect![[r#"
        POST /api/v1/namespaces/default/configmaps → 422 configmaps "b" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: expression 'object.data.missing == 'x'' resulted in error: no such key: missing
    "#]]).await;
}

#[tokio::test]
async fn bindings_may_warn() {
    let spec = policy(on(&["CREATE", "DELETE"], &["*"]), "request.name == 'good'");
    let server = bound(spec, json!({ "validationActions": ["Warn", "Audit"] })).await;
    for line in [format!("POST {CONFIG_MAPS}"), format!("DELETE {CONFIG_MAPS}/bad")] {
        let body = if line.starts_with("POST") { config_map("bad", "x").to_string() } else { String::new() };
        let response = server.send(&line, &[("content-type", "application/json")], body).await;
        assert_eq!(
            response.headers()["warning"],
            "299 - \"Validation failed for ValidatingAdmissionPolicy 'demo' with binding 'demo': failed expression: request.name == 'good'\""
        );
    }
}

/// Also where it names one, unless it says that it means only that.
#[tokio::test]
async fn a_policy_is_for_every_version_of_a_kind() {
    for match_policy in ["Equivalent", "Exact"] {
        let server = Server::start_with_controllers().await;
        server.define(crontabs()).await;
        let rule = json!({
            "apiGroups": ["stable.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["crontabs"],
        });
        let constraints = json!({ "resourceRules": [rule], "matchPolicy": match_policy });
        let expression = "request.kind.version != 'v1' || object.apiVersion != 'stable.example.com/v1' || request.requestKind.version == 'v1'";
        add(&server, "demo", policy(constraints, expression), deny()).await;
        let beta = "/apis/stable.example.com/v1beta1/namespaces/default/crontabs";
        let mut tab = crontab("a");
        tab["apiVersion"] = "stable.example.com/v1beta1".into();
        let outcome = server.outcome(&format!("POST {beta}"), tab).await;
        assert_eq!(outcome.starts_with("422"), match_policy == "Equivalent", "{match_policy}: {outcome}");
    }
}

/// Connections into pods and tokens write nothing, and are asked about all the same.
#[tokio::test]
async fn connections_and_tokens_are_asked_about() {
    let rules = json!([{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT", "CREATE"],
        "resources": ["pods/exec", "pods/portforward", "serviceaccounts/token"],
    }]);
    let expression = "request.operation == 'CONNECT' ? object.kind != 'PodExecOptions' || object.command[0] == 'ls' : \
                      object.spec.expirationSeconds <= 600";
    let server = bound(policy(json!({ "resourceRules": rules }), expression), deny()).await;
    let mut bound_pod = pod("p");
    bound_pod["spec"]["nodeName"] = "n1".into();
    server.json("POST /api/v1/namespaces/default/serviceaccounts", json!({ "metadata": { "name": "robot" } })).await;
    server.json(&format!("POST {PODS}"), bound_pod).await;
    let token = "POST /api/v1/namespaces/default/serviceaccounts/robot/token";
    check(
        &server,
        &[
            (&format!("POST {PODS}/p/exec?command=rm&command=-r"), Value::Null),
            (token, json!({ "spec": { "expirationSeconds": 3600 } })),
            (token, json!({ "spec": { "expirationSeconds": 600 } })),
        ],
        expect![[r#"
            POST /api/v1/namespaces/default/pods/p/exec?command=rm&command=-r → 422 pods "p" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: request.operation == 'CONNECT' ? object.kind != 'PodExecOptions' || object.command[0] == 'ls' : object.spec.expirationSeconds <= 600
            POST /api/v1/namespaces/default/serviceaccounts/robot/token → 422 serviceaccounts "robot" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: request.operation == 'CONNECT' ? object.kind != 'PodExecOptions' || object.command[0] == 'ls' : object.spec.expirationSeconds <= 600
            POST /api/v1/namespaces/default/serviceaccounts/robot/token → 201
        "#]],
    )
    .await;
    let listed = server.outcome(&format!("POST {PODS}/p/exec?command=ls"), Value::Null).await;
    assert!(!listed.contains("denied request"), "{listed}");
}

/// What users may do decides, as roles say at that moment; also what a service account may.
#[tokio::test]
async fn rights_are_asked_for() {
    let spec = json!({
        "matchConstraints": on(&["CREATE"], &["configmaps"]),
        "matchConditions": [{
            "name": "others", "expression": "!authorizer.group('demo').resource('gates').namespace('default').check('pass').allowed()",
        }],
        "validations": [
            { "expression": "authorizer.requestResource.check('delete').allowed()", "message": "who makes it must be able to delete it" },
            { "expression": "authorizer.serviceAccount('default', 'robot').group('').resource('configmaps').namespace(request.namespace).check('get').allowed()" },
        ],
    });
    let server = bound(spec, deny()).await;
    let creator = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"] }]);
    let deleter =
        json!([{ "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["b", "c"], "verbs": ["delete"] }]);
    let reader = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"] }]);
    let passer = json!([{ "apiGroups": ["demo"], "resources": ["gates"], "verbs": ["pass"] }]);
    let ann = json!({ "kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io" });
    let robot = json!({ "kind": "ServiceAccount", "name": "robot", "namespace": "default" });
    let mut lines = String::new();
    let grants =
        [("create", creator, &ann), ("delete", deleter, &ann), ("read", reader, &robot), ("pass", passer, &ann)];
    for (name, rules, subject) in grants {
        grant(&server, name, rules, subject).await;
        for object in ["a", "b", "c"] {
            let options =
                WriteOptions { author: Some(author("ann")), dry_run: object == "b", ..WriteOptions::default() };
            let made = server.app.objects.create(&CONFIG_MAP, Some("default"), config_map(object, "x"), &options).await;
            let outcome = made.map_or_else(|status| status.message, |_| "made".to_owned());
            lines.push_str(&format!("{name}, {object}: {outcome}\n"));
        }
    }
    expect![[r#"
        create, a: configmaps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: who makes it must be able to delete it
        create, b: configmaps "b" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: who makes it must be able to delete it
        create, c: configmaps "c" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: who makes it must be able to delete it
        delete, a: configmaps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: who makes it must be able to delete it
        delete, b: configmaps "b" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: authorizer.serviceAccount('default', 'robot').group('').resource('configmaps').namespace(request.namespace).check('get').allowed()
        delete, c: configmaps "c" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: authorizer.serviceAccount('default', 'robot').group('').resource('configmaps').namespace(request.namespace).check('get').allowed()
        read, a: configmaps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: who makes it must be able to delete it
        read, b: made
        read, c: made
        pass, a: made
        pass, b: made
        pass, c: configmaps "c" already exists
    "#]].assert_eq(&lines);
}

/// A role in the default namespace, bound.
async fn grant(server: &Server, name: &str, rules: Value, subject: &Value) {
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({ "metadata": { "name": name }, "rules": rules });
    assert_eq!(server.outcome(&format!("POST {path}/roles"), role).await, "201");
    let reference = json!({ "kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io" });
    let binding = json!({ "metadata": { "name": name }, "roleRef": reference, "subjects": [subject] });
    assert_eq!(server.outcome(&format!("POST {path}/rolebindings"), binding).await, "201");
}

fn author(name: &str) -> Author {
    Author { user: User::authenticated(name, []), annotations: Arc::default() }
}

/// How the creation of a ConfigMap ends, and what the audit log is told.
async fn audited(server: &Server, name: &str, text: &str) -> String {
    let annotations = Arc::new(Annotations::default());
    let author = Author { user: server.user.clone(), annotations: Arc::clone(&annotations) };
    let options = WriteOptions { author: Some(author), ..WriteOptions::default() };
    let object = config_map(name, text);
    let made = server.app.objects.create(&CONFIG_MAP, Some("default"), object, &options).await;
    let outcome = made.map_or_else(|status| status.message, |_| "made".to_owned());
    format!("{outcome}\n{}\n", serde_json::to_string_pretty(&annotations.to_map()).unwrap())
}

/// Annotations are noted whatever comes of the write, and those of several bindings together.
#[tokio::test]
async fn audit_annotations() {
    let mut spec = policy(on(&["CREATE"], &["configmaps"]), "object.data.a != 'red'");
    spec["variables"] = json!([{ "name": "color", "expression": "object.data.a" }]);
    spec["auditAnnotations"] = json!([
        { "key": "color", "valueExpression": "' ' + variables.color + ' '" },
        { "key": "name", "valueExpression": "object.metadata.name == 'quiet' ? null : object.metadata.name" },
        { "key": "none", "valueExpression": "' '" },
    ]);
    let server = bound(spec.clone(), json!({ "validationActions": ["Deny", "Audit"] })).await;
    add(&server, "other", spec.clone(), json!({ "validationActions": ["Audit"] })).await;
    expect![[r#"
        made
        {
          "demo/color": "blue",
          "demo/name": "loud",
          "other/color": "blue",
          "other/name": "loud"
        }
        configmaps "quiet" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.data.a != 'red'
        {
          "demo/color": "red",
          "other/color": "red",
          "validation.policy.admission.k8s.io/validation_failure": "[{\"binding\":\"demo\",\"expressionIndex\":0,\"message\":\"failed expression: object.data.a != 'red'\",\"policy\":\"demo\",\"validationActions\":[\"Deny\",\"Audit\"]},{\"binding\":\"other\",\"expressionIndex\":0,\"message\":\"failed expression: object.data.a != 'red'\",\"policy\":\"other\",\"validationActions\":[\"Audit\"]}]"
        }
    "#]].assert_eq(
        &[audited(&server, "loud", "blue").await, audited(&server, "quiet", "red").await].concat(),
    );
    spec["auditAnnotations"] = json!([{ "key": "k", "valueExpression": "object.data.missing" }]);
    let server = bound(spec.clone(), json!({ "validationActions": ["Audit"] })).await;
    expect![[r#"
        configmaps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: expression 'object.data.missing' resulted in error: no such key: missing
        {}
    "#]].assert_eq(&audited(&server, "a", "blue").await);
    spec["failurePolicy"] = "Ignore".into();
    let server = bound(spec, json!({ "validationActions": ["Audit"] })).await;
    expect![[r#"
        made
        {}
    "#]]
    .assert_eq(&audited(&server, "a", "blue").await);
}

/// A policy that refuses everything can be taken back; and it can be changed, which tells at once.
#[tokio::test]
async fn policies_are_not_asked_about_themselves() {
    let everything = json!({ "resourceRules": [
        { "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"] }
    ]});
    let server = bound(policy(everything, "false"), deny()).await;
    let create = format!("POST {CONFIG_MAPS}");
    let change = json!({ "spec": { "validations": [{ "expression": "object.metadata.name != 'bad'" }] } });
    check(
        &server,
        &[
            (&create, config_map("a", "x")),
            (&format!("PATCH {POLICIES}/demo"), change),
            (&create, config_map("a", "x")),
            (&create, config_map("bad", "x")),
            (&format!("DELETE {BINDINGS}/demo"), Value::Null),
            (&create, config_map("bad", "x")),
            (&format!("DELETE {POLICIES}/demo"), Value::Null),
        ],
        expect![[r#"
            POST /api/v1/namespaces/default/configmaps → 422 configmaps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: false
            PATCH /apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/demo → 200
            POST /api/v1/namespaces/default/configmaps → 201
            POST /api/v1/namespaces/default/configmaps → 422 configmaps "bad" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.metadata.name != 'bad'
            DELETE /apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/demo → 200
            POST /api/v1/namespaces/default/configmaps → 201
            DELETE /apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/demo → 200
        "#]],
    )
    .await;
}

/// What a controller creates is asked about, and what it reports isn't.
#[tokio::test]
async fn controllers_create_as_a_service_account() {
    let server = bound(policy(on(&["*"], &["pods", "pods/status"]), "object.metadata.name != 'bad'"), deny()).await;
    let write = |name: &str| {
        let mut object = pod(name);
        object["metadata"]["namespace"] = "default".into();
        object
    };
    let objects = &server.app.objects;
    let create = |name: &str| ObjectWrite::Create { kind: &POD, object: write(name) };
    let outcomes = objects.write_all(vec![create("good"), create("bad")]).await.unwrap();
    let texts: Vec<String> = outcomes
        .into_iter()
        .map(|outcome| outcome.map_or_else(|status| status.message, |_| "made".to_owned()))
        .collect();
    expect![[r#"
        made
        pods "bad" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.metadata.name != 'bad'"#]].assert_eq(&texts.join("\n"));
    let spec = policy(
        on(&["CREATE"], &["pods"]),
        "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')",
    );
    add(&server, "others", spec, deny()).await;
    let outcome = objects.write_all(vec![create("more")]).await.unwrap().remove(0);
    assert_eq!(outcome.unwrap_err().code, 422);
}

#[tokio::test]
async fn kinds_that_users_define_are_asked_about_and_are_parameters() {
    let server = Server::start_with_controllers().await;
    let tabs = "/apis/stable.example.com/v1/namespaces/default/crontabs";
    let rule = json!({
        "apiGroups": ["stable.example.com"], "apiVersions": ["*"], "operations": ["*"], "resources": ["crontabs", "crontabs/scale"],
    });
    let spec = json!({
        "paramKind": { "apiVersion": "stable.example.com/v1", "kind": "CronTab" },
        "matchConstraints": { "resourceRules": [rule] },
        "validations": [{ "expression": "object.spec.?replicas.orValue(1) <= params.spec.replicas || object.metadata.name == 'limit'" }],
    });
    // The definition comes after the policy that names its kind.
    add(
        &server,
        "demo",
        spec,
        json!({ "validationActions": ["Deny"], "paramRef": { "name": "limit", "parameterNotFoundAction": "Allow" } }),
    )
    .await;
    server.define(crontabs()).await;
    let with = |name: &str, replicas: i64| {
        let mut object = crontab(name);
        object["spec"]["replicas"] = replicas.into();
        object
    };
    let (create, scale) = (format!("POST {tabs}"), format!("PUT {tabs}/few/scale"));
    check(
        &server,
        &[
            (&create, with("limit", 3)),
            (&create, with("few", 2)),
            (&create, with("many", 4)),
            (&scale, json!({ "metadata": { "name": "few" }, "spec": { "replicas": 9 } })),
            (&scale, json!({ "metadata": { "name": "few" }, "spec": { "replicas": 3 } })),
        ],
        expect![[r#"
            POST /apis/stable.example.com/v1/namespaces/default/crontabs → 201
            POST /apis/stable.example.com/v1/namespaces/default/crontabs → 201
            POST /apis/stable.example.com/v1/namespaces/default/crontabs → 422 crontabs.stable.example.com "many" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.?replicas.orValue(1) <= params.spec.replicas || object.metadata.name == 'limit'
            PUT /apis/stable.example.com/v1/namespaces/default/crontabs/few/scale → 422 crontabs.stable.example.com "few" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: failed expression: object.spec.?replicas.orValue(1) <= params.spec.replicas || object.metadata.name == 'limit'
            PUT /apis/stable.example.com/v1/namespaces/default/crontabs/few/scale → 200
        "#]],
    )
    .await;
}
