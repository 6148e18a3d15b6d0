//! Evictions, as `kubectl drain` asks for them.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::harness::{Server, pod};

const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

fn eviction(name: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}})
}

/// Healthy pods of these names, and a budget that lets so many of them go.
async fn start(names: &[impl AsRef<str>], allowed: i64) -> Server {
    let server = Server::start().await;
    for name in names {
        let name = name.as_ref();
        let mut healthy = pod(name);
        healthy["metadata"]["labels"] = json!({"app": "web"});
        server.json(&format!("POST {PODS}"), healthy).await;
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        server.json(&format!("PATCH {PODS}/{name}/status"), json!({ "status": status })).await;
    }
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    server.json(&format!("POST {BUDGETS}"), json!({"metadata": {"name": "b"}, "spec": spec})).await;
    let status =
        json!({"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 1});
    let (code, body) = server.json(&format!("PATCH {BUDGETS}/b/status"), json!({ "status": status })).await;
    assert_eq!(code, 200, "{body}");
    server
}

async fn check(server: &Server, name: &str, body: Value, expected: Expect) {
    expected.assert_eq(&server.shown(&format!("POST {PODS}/{name}/eviction"), body).await);
}

#[tokio::test]
async fn the_budget_pays_until_it_is_spent() {
    let server = start(&["p1", "p2"], 1).await;
    check(&server, "p1", eviction("p2"), expect![[r#"400 {"apiVersion":"v1","code":400,"kind":"Status","message":"name in URL does not match name in Eviction object","metadata":{},"reason":"BadRequest","status":"Failure"}"#]]).await;
    let mut dry = eviction("p1");
    dry["deleteOptions"] = json!({"dryRun": ["All"]});
    check(
        &server,
        "p1",
        dry,
        expect![[r#"201 {"apiVersion":"v1","code":201,"kind":"Status","metadata":{},"status":"Success"}"#]],
    )
    .await;
    check(
        &server,
        "p1",
        eviction("p1"),
        expect![[r#"201 {"apiVersion":"v1","code":201,"kind":"Status","metadata":{},"status":"Success"}"#]],
    )
    .await;
    check(&server, "p1", eviction("p1"), expect![[r#"404 {"apiVersion":"v1","code":404,"details":{"kind":"pods","name":"p1"},"kind":"Status","message":"pods \"p1\" not found","metadata":{},"reason":"NotFound","status":"Failure"}"#]]).await;
    check(&server, "p2", eviction("p2"), expect![[r#"429 {"apiVersion":"v1","code":429,"details":{"causes":[{"message":"The disruption budget b needs 1 healthy pods and has 3 currently","reason":"DisruptionBudget"}]},"kind":"Status","message":"Cannot evict pod as it would violate the pod's disruption budget.","metadata":{},"reason":"TooManyRequests","status":"Failure"}"#]]).await;
    let (_, budget) = server.json(&format!("GET {BUDGETS}/b"), Value::Null).await;
    expect![[r#"{"conditions":[{"lastTransitionTime":"2026-11-21T10:00:00Z","message":"","observedGeneration":1,"reason":"InsufficientPods","status":"False","type":"DisruptionAllowed"}],"currentHealthy":3,"desiredHealthy":1,"disruptedPods":{"p1":"2026-11-21T10:00:00Z"},"disruptionsAllowed":0,"expectedPods":0,"observedGeneration":1}"#]].assert_eq(&budget["status"].to_string());
}

#[tokio::test]
async fn a_budget_that_nobody_has_looked_at_says_when_to_ask_again() {
    let server = start(&["p1"], 1).await;
    server.json(&format!("PATCH {BUDGETS}/b"), json!({"spec": {"minAvailable": 2}})).await;
    let json_type = ("content-type", "application/json");
    let line = format!("POST {PODS}/p1/eviction");
    let response = server.send(&line, &[json_type], eviction("p1").to_string()).await;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "10"));
}

#[tokio::test]
async fn what_a_client_demands_of_the_pod_holds() {
    let server = start(&["p1"], 1).await;
    let mut other = eviction("p1");
    other["deleteOptions"] = json!({"preconditions": {"uid": "other"}});
    check(&server, "p1", other, expect![[r#"409 {"apiVersion":"v1","code":409,"details":{"kind":"Pod","name":"p1"},"kind":"Status","message":"Operation cannot be fulfilled on Pod \"p1\": the UID in the precondition (other) does not match the UID in record (uid-3). The object might have been deleted and then recreated","metadata":{},"reason":"Conflict","status":"Failure"}"#]]).await;
    check(
        &server,
        "p1",
        eviction("p1"),
        expect![[r#"201 {"apiVersion":"v1","code":201,"kind":"Status","metadata":{},"status":"Success"}"#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_evictions_that_race_only_as_many_pass_as_the_budget_allows() {
    let names: Vec<String> = (0..50).map(|number| format!("p{number}")).collect();
    let server = std::sync::Arc::new(start(&names, 40).await);
    let evictions = names.iter().map(|name| {
        let server = std::sync::Arc::clone(&server);
        let (line, body) = (format!("POST {PODS}/{name}/eviction"), eviction(name));
        tokio::spawn(async move { server.json(&line, body).await.0 })
    });
    let mut codes: Vec<u16> = futures::future::join_all(evictions).await.into_iter().map(Result::unwrap).collect();
    codes.sort_unstable();
    assert_eq!(codes, [[201; 40].as_slice(), &[429; 10]].concat());
    assert_eq!(server.app.objects.store().snapshot().count("pods/"), 10);
}
