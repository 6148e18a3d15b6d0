//! Quotas hold: for one request after the other, within a batch, and for many at once.

use expect_test::expect;
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{Server, config_map, pod};

const NAMESPACE: &str = "/api/v1/namespaces/default";
const BATCH: &str = "POST /apis/coracle.dev/v1/batches";

async fn with_quota(hard: Value) -> Server {
    let server = Server::start().await;
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    let (code, body) = server.json(&format!("POST {NAMESPACE}/resourcequotas"), quota).await;
    assert_eq!(code, 201, "{body}");
    server
}

fn asking(name: &str, cpu_milli: u64) -> Value {
    let mut pod = pod(name);
    pod["metadata"]["namespace"] = "default".into();
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": format!("{cpu_milli}m")}});
    pod
}

fn batch(objects: impl IntoIterator<Item = Value>) -> Value {
    let items: Vec<Value> = objects.into_iter().map(|object| json!({"verb": "create", "object": object})).collect();
    json!({"apiVersion": "coracle.dev/v1", "kind": "Batch", "items": items})
}

#[tokio::test]
async fn one_after_the_other() {
    let server = with_quota(json!({"pods": "2", "configmaps": "1", "requests.cpu": "1"})).await;
    let pods = format!("POST {NAMESPACE}/pods");
    let mut shown = vec![
        server.outcome(&pods, pod("silent")).await,
        server.outcome(&pods, asking("large", 1100)).await,
        server.outcome(&pods, asking("a", 600)).await,
        server.outcome(&pods, asking("a", 600)).await,
        server.outcome(&pods, asking("b", 600)).await,
        server.outcome(&format!("{pods}?dryRun=All"), asking("b", 400)).await,
        server.outcome(&pods, asking("b", 400)).await,
        server.outcome(&pods, asking("c", 0)).await,
    ];
    server.json(&format!("PATCH {NAMESPACE}/pods/a/status"), json!({"status": {"phase": "Succeeded"}})).await;
    shown.push(server.outcome(&pods, asking("c", 600)).await);
    shown.push(server.outcome(&format!("POST {NAMESPACE}/configmaps"), config_map("x", "")).await);
    shown.push(server.outcome(&format!("POST {NAMESPACE}/configmaps"), config_map("y", "")).await);
    // Other namespaces have quotas of their own, or none.
    let mut elsewhere = asking("d", 5000);
    elsewhere["metadata"]["namespace"] = "kube-node-lease".into();
    shown.push(server.outcome("POST /api/v1/namespaces/kube-node-lease/pods", elsewhere).await);
    expect![[r#"
        403 pods "silent" is forbidden: failed quota: q: must specify requests.cpu for: main
        403 pods "large" is forbidden: exceeded quota: q, requested: requests.cpu=1100m, used: requests.cpu=0, limited: requests.cpu=1
        201
        409 pods "a" already exists
        403 pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1
        201
        201
        403 pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2
        201
        201
        403 configmaps "y" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1
        201"#]].assert_eq(&shown.join("\n"));
}

#[tokio::test]
async fn an_update_may_not_use_more_either() {
    let server = with_quota(json!({"services.loadbalancers": "0"})).await;
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let line = format!("PATCH {NAMESPACE}/services/s");
    let shown = [
        server.outcome(&format!("POST {NAMESPACE}/services"), service).await,
        server.outcome(&line, json!({"spec": {"type": "LoadBalancer"}})).await,
        server.outcome(&line, json!({"spec": {"type": "NodePort"}})).await,
    ];
    expect![[r#"
        201
        403 services "s" is forbidden: exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0
        200"#]].assert_eq(&shown.join("\n"));
}

#[tokio::test]
async fn within_a_batch() {
    let server = with_quota(json!({"pods": "2"})).await;
    // What fails for another reason takes nothing from the others.
    let mut wrong = asking("wrong", 0);
    wrong["spec"]["containers"] = json!([]);
    let pods = [asking("a", 0), wrong, asking("b", 0), asking("c", 0)];
    let (_, answer) = server.json(BATCH, batch(pods)).await;
    let codes: Vec<String> = answer["items"].as_array().unwrap().iter().map(|item| item["code"].to_string()).collect();
    expect!["200 422 200 403"].assert_eq(&codes.join(" "));
    let (_, answer) = server.json(&format!("GET {NAMESPACE}/pods"), Value::Null).await;
    assert_eq!(answer["items"].as_array().unwrap().len(), 2);
}

/// Something a client does; names and amounts are few, so that clients get into each other's way.
#[derive(Clone, Debug)]
enum Step {
    Create(u64, u64),
    Batch(Vec<(u64, u64)>),
    Finish(u64),
    Delete(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let pod = (0..20_u64, 0..5_u64);
    prop_oneof![
        4 => pod.clone().prop_map(|(name, cpu)| Step::Create(name, cpu * 100)),
        2 => prop::collection::vec(pod, 1..6).prop_map(|pods| Step::Batch(pods.into_iter().map(|(name, cpu)| (name, cpu * 100)).collect())),
        1 => (0..20_u64).prop_map(Step::Finish),
        1 => (0..20_u64).prop_map(Step::Delete),
    ]
}

async fn carry_out(server: &Server, step: &Step) {
    let named = |name: &u64| format!("p{name}");
    match step {
        Step::Create(name, cpu) => {
            drop(server.json(&format!("POST {NAMESPACE}/pods"), asking(&named(name), *cpu)).await)
        }
        Step::Batch(pods) => {
            drop(server.json(BATCH, batch(pods.iter().map(|(name, cpu)| asking(&named(name), *cpu)))).await)
        }
        Step::Finish(name) => {
            let line = format!("PATCH {NAMESPACE}/pods/p{name}/status");
            drop(server.json(&line, json!({"status": {"phase": "Failed"}})).await);
        }
        Step::Delete(name) => drop(server.json(&format!("DELETE {NAMESPACE}/pods/p{name}"), Value::Null).await),
    }
}

/// Pods that aren't over, and the thousandths of CPUs they request, after each change of a pod.
fn used_over_time(events: &[Value]) -> Vec<(usize, u64)> {
    let mut pods = std::collections::HashMap::new();
    let mut history = Vec::new();
    for event in events {
        let pod = &event["object"];
        let cpu = pod.pointer("/spec/containers/0/resources/requests/cpu").and_then(Value::as_str).unwrap();
        let cpu = coracle_api::quantity::Quantity::parse(cpu).unwrap().milli().unsigned_abs();
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        if event["type"] == "DELETED" || pod["status"]["phase"] == "Failed" {
            pods.remove(&name);
        } else {
            pods.insert(name, cpu);
        }
        history.push((pods.len(), pods.values().sum()));
    }
    history
}

/// Every change of a pod there was, from the store's own history.
fn history(server: &Server) -> Vec<Value> {
    use coracle_store::{Change, WatchRequest};
    let store = server.app.objects.store();
    let request = WatchRequest { prefix: "pods/default/".to_owned(), tag: None, after: 1 << 20 };
    let mut watch = store.watch(request).unwrap();
    std::iter::from_fn(|| watch.try_next())
        .map(|event| {
            let event = event.unwrap();
            let object: Value = serde_json::from_slice(&event.record.json).unwrap();
            json!({"type": if event.change == Change::Delete { "DELETED" } else { "PUT" }, "object": object})
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn many_at_once_never_use_more(clients in prop::collection::vec(prop::collection::vec(step(), 1..12), 2..8)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let events = runtime.block_on(async {
            let server = with_quota(json!({"pods": "6", "requests.cpu": "1"})).await;
            join_all(clients.into_iter().map(|steps| {
                let server = server.as_user(server.user.clone());
                tokio::spawn(async move {
                    for step in &steps {
                        carry_out(&server, step).await;
                    }
                })
            })).await;
            history(&server)
        });
        for (pods, cpu) in used_over_time(&events) {
            prop_assert!(pods <= 6 && cpu <= 1000, "{pods} pods with {cpu}m");
        }
    }
}

/// A client that goes away before its answer leaves nothing reserved, and gets no more than is there.
#[tokio::test]
async fn clients_that_go_away() {
    let server = with_quota(json!({"pods": "1"})).await;
    let line = format!("POST {NAMESPACE}/pods");
    for round in 0..20 {
        let create = server.json(&line, asking(&format!("gone-{round}"), 0));
        // Polled once: the write is on its way by now.
        assert!(futures::FutureExt::now_or_never(create).is_none());
        let (code, _) = server.json(&line, asking(&format!("kept-{round}"), 0)).await;
        assert!(matches!(code, 201 | 403), "{code}");
        let name = loop {
            let (_, answer) = server.json(&format!("GET {NAMESPACE}/pods"), Value::Null).await;
            match answer["items"].as_array().unwrap().as_slice() {
                [] => tokio::task::yield_now().await,
                pods => break pods[0]["metadata"]["name"].as_str().unwrap().to_owned(),
            }
        };
        server.json(&format!("DELETE {NAMESPACE}/pods/{name}"), Value::Null).await;
    }
    let history = used_over_time(&history(&server));
    assert!(history.len() == 40 && history.iter().all(|(pods, _)| *pods <= 1), "{history:?}");
}
