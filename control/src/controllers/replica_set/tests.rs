use expect_test::expect;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, node, pod, running};
use coracle_api::kinds;

const KEY: &str = "replicasets.apps/default/web";

fn key() -> Key {
    Key::ReplicaSet(KEY.into())
}

fn set(replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "default", "uid": "set"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}},
                "spec": {"containers": [{"name": "web", "image": "web"}]},
            },
        },
    })
}

fn owned(mut pod: Value) -> Value {
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true}]);
    pod
}

#[test]
fn makes_exactly_what_is_missing() {
    let cluster = Cluster::with([set(3), owned(pod("web-a"))]);
    expect![[r#"
        create pods/default/web-fp4kd {"metadata":{"annotations":{"a":"b"},"labels":{"app":"web"}},"spec":{"containers":[{"image":"web","imagePullPolicy":"Always","name":"web","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}
        create pods/default/web-z5l9x {"metadata":{"annotations":{"a":"b"},"labels":{"app":"web"}},"spec":{"containers":[{"image":"web","imagePullPolicy":"Always","name":"web","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}
        status replicasets.apps/default/web {"fullyLabeledReplicas":1,"observedGeneration":1,"replicas":1}
        event Normal SuccessfulCreate: Created pod: web-fp4kd
        event Normal SuccessfulCreate: Created pod: web-z5l9x
    "#]].assert_eq(&cluster.ask(&key()));
    assert_eq!(cluster.ask(&key()), cluster.ask(&key()), "the same decision makes the same names");
}

/// It differs in its selector, which is a plain map.
#[test]
fn a_replication_controller_is_kept_like_a_set() {
    let mut controller = set(2);
    (controller["apiVersion"], controller["kind"]) = ("v1".into(), "ReplicationController".into());
    controller["spec"]["selector"] = json!({"app": "web"});
    let mut other = pod("web-other");
    other["metadata"]["labels"]["app"] = "other".into();
    let cluster = Cluster::with([controller, other, pod("web-adopted")]);
    expect![[r#"
        update pods/default/web-adopted {"metadata":{"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"controller":true,"kind":"ReplicationController","name":"web","uid":"set"}]}}
        create pods/default/web-vqfpn {"metadata":{"annotations":{"a":"b"},"labels":{"app":"web"}},"spec":{"containers":[{"image":"web","imagePullPolicy":"Always","name":"web","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}
        status replicationcontrollers/default/web {"observedGeneration":1}
        event Normal SuccessfulCreate: Created pod: web-vqfpn
    "#]].assert_eq(&cluster.ask(&Key::ReplicaSet("replicationcontrollers/default/web".into())));
}

#[test]
fn deletes_what_can_best_be_spared() {
    let ready = running(pod("web-ready"), "n", "10.0.0.1", true);
    let starting = running(pod("web-starting"), "n", "10.0.0.2", false);
    let mut cheap = running(pod("web-cheap"), "n", "10.0.0.3", true);
    cheap["metadata"]["annotations"] = json!({"controller.kubernetes.io/pod-deletion-cost": "-1"});
    let pods = [ready, starting, cheap, pod("web-unplaced")].map(owned);
    let cluster = Cluster::with(pods.into_iter().chain([node("n"), set(1)]));
    expect![[r#"
        delete pods/default/web-unplaced
        delete pods/default/web-starting
        delete pods/default/web-cheap
        status replicasets.apps/default/web {"availableReplicas":2,"fullyLabeledReplicas":4,"observedGeneration":1,"readyReplicas":2,"replicas":4}
        event Normal SuccessfulDelete: Deleted pod: web-unplaced
        event Normal SuccessfulDelete: Deleted pod: web-starting
        event Normal SuccessfulDelete: Deleted pod: web-cheap
    "#]].assert_eq(&cluster.ask(&key()));
}

#[test]
fn pods_that_are_over_or_leaving_are_replaced() {
    let mut failed = running(pod("web-failed"), "n", "10.0.0.1", false);
    failed["status"]["phase"] = "Failed".into();
    let mut leaving = running(pod("web-leaving"), "n", "10.0.0.2", true);
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T04:00:30Z".into();
    leaving["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    let cluster = Cluster::with([node("n"), set(1), owned(failed), owned(leaving)]);
    expect![[r#"
        create pods/default/web-shj8k {"metadata":{"annotations":{"a":"b"},"labels":{"app":"web"}},"spec":{"containers":[{"image":"web","imagePullPolicy":"Always","name":"web","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}
        status replicasets.apps/default/web {"observedGeneration":1}
        event Normal SuccessfulCreate: Created pod: web-shj8k
    "#]].assert_eq(&cluster.ask(&key()));
}

#[test]
fn adopts_and_releases() {
    let mut other = owned(pod("web-other"));
    other["metadata"]["labels"] = json!({"app": "other"});
    let cluster = Cluster::with([set(1), pod("web-orphan"), other]);
    expect![[r#"
        update pods/default/web-other {"metadata":{"ownerReferences":null}}
        update pods/default/web-orphan {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"ReplicaSet","name":"web","uid":"set"}]}}
        status replicasets.apps/default/web {"observedGeneration":1}
    "#]].assert_eq(&cluster.ask(&key()));
}

#[test]
fn ready_pods_become_available_in_time() {
    let mut patient = set(1);
    patient["spec"]["minReadySeconds"] = 1830.into();
    let pods = [running(pod("web-a"), "n", "10.0.0.1", true)].map(owned);
    let cluster = Cluster::with(pods.into_iter().chain([node("n"), patient]));
    expect![[r#"
        status replicasets.apps/default/web {"fullyLabeledReplicas":1,"observedGeneration":1,"readyReplicas":1,"replicas":1}
        wake in 30 s
    "#]].assert_eq(&cluster.ask(&key()));
}

#[test]
fn the_pods_of_a_silent_node_are_not_ready() {
    let mut silent = node("n");
    silent["status"]["conditions"][0]["status"] = "Unknown".into();
    let cluster = Cluster::with([silent, set(1), owned(running(pod("web-a"), "n", "10.0.0.1", true))]);
    expect![[r#"
        status replicasets.apps/default/web {"fullyLabeledReplicas":1,"observedGeneration":1,"replicas":1}
    "#]]
    .assert_eq(&cluster.ask(&key()));
}

#[test]
fn what_the_api_refuses_is_told_and_tried_later() {
    let mut cluster = Cluster::with([set(1)]);
    for _ in 0..2 {
        cluster.world.fail(&key(), "pods \"web-x\" is forbidden: no".to_owned(), false, cluster.now);
    }
    expect![[r#"
        status replicasets.apps/default/web {"conditions":[{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"pods \"web-x\" is forbidden: no","reason":"FailedCreate","status":"True","type":"ReplicaFailure"}],"observedGeneration":1}
        event Warning FailedCreate: Error creating: pods "web-x" is forbidden: no
        wake in 0.04 s
    "#]].assert_eq(&cluster.ask(&key()));
}

#[test]
fn a_burst_is_made_in_parts_and_told_in_short() {
    let cluster = Cluster::with([set(1000)]);
    let asked = cluster.ask(&key());
    let count = |what: &str| asked.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("create pods/"), count("event")), (250, 11));
    let mut cluster = cluster;
    cluster.run(&key());
    cluster.settle();
    assert_eq!(cluster.keys(&kinds::POD).len(), 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn converges_on_the_count(steps in prop::collection::vec((0i64..12, 0usize..4), 1..12)) {
        let mut cluster = Cluster::with([set(0)]);
        for (replicas, lost) in steps {
            cluster.edit(KEY, |set| set["spec"]["replicas"] = replicas.into());
            for key in cluster.keys(&kinds::POD).into_iter().take(lost) {
                cluster.delete(&key, None, true);
            }
            cluster.settle();
            prop_assert_eq!(cluster.keys(&kinds::POD).len() as i64, replicas);
            prop_assert_eq!(&cluster.value(KEY)["status"]["replicas"], &json!(replicas));
        }
    }
}
