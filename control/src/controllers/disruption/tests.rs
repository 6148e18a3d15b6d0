use coracle_api::kinds;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, deployment, node, pod, running};

const KEY: &str = "poddisruptionbudgets.policy/default/b";

fn budget(spec: &Value) -> Value {
    let mut object = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "default"}});
    object["spec"] = spec.clone();
    object["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    object
}

fn key() -> Key {
    Key::DisruptionBudget(KEY.into())
}

/// A deployment of so many pods, all but `unready` of which are ready.
fn cluster(replicas: i64, unready: usize, spec: &Value) -> Cluster {
    let mut cluster = Cluster::with([node("n"), deployment(replicas)]);
    cluster.run(&Key::Deployment("deployments.apps/default/web".into()));
    cluster.settle();
    for (index, key) in cluster.keys(&kinds::POD).into_iter().enumerate() {
        let ip = format!("10.0.0.{index}");
        cluster.edit(&key, |object| *object = running(object.take(), "n", &ip, index >= unready));
    }
    cluster.settle();
    cluster.create(budget(spec));
    cluster
}

fn check(replicas: i64, unready: usize, spec: &Value, expected: Expect) {
    let mut cluster = cluster(replicas, unready, spec);
    cluster.run(&key());
    let status = cluster.value(KEY)["status"].take();
    let number = |field: &str| status[field].to_string();
    let [allowed, current, desired, expected_pods] =
        ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"].map(number);
    expected.assert_eq(&format!("{current} of {expected_pods} healthy, {desired} wanted, {allowed} may go"));
}

#[test]
fn numbers_and_percentages() {
    check(3, 0, &json!({"minAvailable": 2}), expect!["3 of 3 healthy, 2 wanted, 1 may go"]);
    check(3, 1, &json!({"minAvailable": 2}), expect!["2 of 3 healthy, 2 wanted, 0 may go"]);
    check(3, 2, &json!({"minAvailable": 2}), expect!["1 of 3 healthy, 2 wanted, 0 may go"]);
    check(3, 0, &json!({"minAvailable": "50%"}), expect!["3 of 3 healthy, 2 wanted, 1 may go"]);
    check(3, 0, &json!({"maxUnavailable": 1}), expect!["3 of 3 healthy, 2 wanted, 1 may go"]);
    check(3, 1, &json!({"maxUnavailable": 1}), expect!["2 of 3 healthy, 2 wanted, 0 may go"]);
    check(10, 0, &json!({"maxUnavailable": "25%"}), expect!["10 of 10 healthy, 7 wanted, 3 may go"]);
    check(2, 0, &json!({"maxUnavailable": 5}), expect!["2 of 2 healthy, 0 wanted, 2 may go"]);
    check(2, 0, &json!({}), expect!["2 of 0 healthy, 0 wanted, 0 may go"]);
}

#[test]
fn the_status_is_written_when_it_changes() {
    let mut cluster = cluster(2, 0, &json!({"maxUnavailable": 1}));
    expect![[r#"
        status poddisruptionbudgets.policy/default/b {"conditions":[{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"","observedGeneration":1,"reason":"SufficientPods","status":"True","type":"DisruptionAllowed"}],"currentHealthy":2,"desiredHealthy":1,"disruptionsAllowed":1,"expectedPods":2,"observedGeneration":1}
    "#]].assert_eq(&cluster.ask(&key()));
    cluster.settle();
    expect![""].assert_eq(&cluster.ask(&key()));
    let pods = cluster.keys(&kinds::POD);
    cluster.edit(&pods[0], |pod| pod["status"]["conditions"][0]["status"] = "False".into());
    assert!(cluster.dirty.contains(&key()));
    expect![[r#"
        status poddisruptionbudgets.policy/default/b {"conditions":[{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"","observedGeneration":1,"reason":"InsufficientPods","status":"False","type":"DisruptionAllowed"}],"currentHealthy":1,"disruptionsAllowed":0}
    "#]].assert_eq(&cluster.ask(&key()));
    cluster.settle();
    cluster.edit("deployments.apps/default/web", |object| object["spec"]["replicas"] = 1.into());
    assert!(cluster.dirty.contains(&key()));
}

#[test]
fn pods_without_a_controller_count_for_a_number_only() {
    let pods = || [node("n"), running(pod("web-a"), "n", "10.0.0.1", true)];
    let shown = |spec: Value| Cluster::with(pods().into_iter().chain([budget(&spec)])).ask(&key());
    expect![[r#"
        status poddisruptionbudgets.policy/default/b {"conditions":[{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"","observedGeneration":1,"reason":"SufficientPods","status":"True","type":"DisruptionAllowed"}],"currentHealthy":1,"disruptionsAllowed":1,"expectedPods":1,"observedGeneration":1}
    "#]].assert_eq(&shown(json!({"minAvailable": 0})));
    expect![[r#"
        status poddisruptionbudgets.policy/default/b {"conditions":[{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"","observedGeneration":1,"reason":"InsufficientPods","status":"False","type":"DisruptionAllowed"}],"currentHealthy":1,"observedGeneration":1}
    "#]].assert_eq(&shown(json!({"maxUnavailable": 1})));
    let mut owned = running(pod("web-a"), "n", "10.0.0.1", true);
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "a.example/v1", "kind": "Odd", "name": "o", "uid": "u", "controller": true}]);
    let cluster = Cluster::with([node("n"), owned, budget(&json!({"maxUnavailable": 1}))]);
    expect![[r#"
        status poddisruptionbudgets.policy/default/b {"conditions":[{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"found no controllers for pod \"web-a\"","observedGeneration":1,"reason":"SyncFailed","status":"False","type":"DisruptionAllowed"}],"observedGeneration":1}
    "#]].assert_eq(&cluster.ask(&key()));
}

/// An evicted pod counts as gone at once, and for two minutes, unless it is being deleted, when it is gone anyway.
#[test]
fn evicted_pods_count_as_gone_for_a_while() {
    let mut cluster = cluster(2, 0, &json!({"maxUnavailable": 1}));
    cluster.settle();
    let pods = cluster.keys(&kinds::POD);
    let name = pods[0].rsplit('/').next().unwrap().to_owned();
    cluster.edit(KEY, |budget| {
        budget["status"]["disruptionsAllowed"] = 0.into();
        budget["status"]["disruptedPods"] = json!({name: "2026-11-21T04:00:00Z"});
    });
    cluster.settle();
    let allowed = |cluster: &Cluster| cluster.value(KEY)["status"]["disruptionsAllowed"].clone();
    assert_eq!(allowed(&cluster), 0);
    cluster.pass(119);
    assert_eq!(allowed(&cluster), 0);
    cluster.pass(1);
    assert_eq!((allowed(&cluster), &cluster.value(KEY)["status"]["disruptedPods"]), (1.into(), &Value::Null));
}
