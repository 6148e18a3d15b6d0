use std::sync::Arc;

use coracle_api::kinds;
use expect_test::expect;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::rollout::Limits;
use crate::controllers::Key;
use crate::controllers::harness::{Cluster, deployment, node};

const KEY: &str = "deployments.apps/default/web";

fn key() -> Key {
    Key::Deployment(KEY.into())
}

/// Every pod that has a node becomes ready, as a host would report it.
fn make_ready(cluster: &mut Cluster, limit: usize) -> usize {
    let waiting = |pod: &Arc<str>| {
        cluster.world.get(pod).and_then(|pod| pod.pod()).is_some_and(|pod| pod.node.is_some() && !pod.ready)
    };
    let keys: Vec<Arc<str>> = cluster.keys(&kinds::POD).into_iter().filter(waiting).take(limit).collect();
    for key in &keys {
        cluster.edit(key, |pod| {
            let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T04:00:00Z"});
            pod["status"] = json!({"phase": "Running", "podIP": "10.0.0.1", "conditions": [condition]});
        });
    }
    keys.len()
}

/// Hosts confirm every deletion.
fn confirm_deletions(cluster: &mut Cluster) {
    for key in cluster.keys(&kinds::POD) {
        if cluster.world.get(&key).is_some_and(|pod| pod.meta.deleting.is_some()) {
            cluster.delete(&key, None, true);
        }
    }
}

fn finish(cluster: &mut Cluster) {
    for _ in 0..100 {
        cluster.settle();
        confirm_deletions(cluster);
        if make_ready(cluster, usize::MAX) == 0 && cluster.dirty.is_empty() {
            return;
        }
    }
    panic!("the rollout never ends");
}

fn set_image(cluster: &mut Cluster, image: &str) {
    cluster.edit(KEY, |deployment| deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image.into());
}

fn summary(cluster: &Cluster) -> String {
    let deployment = cluster.value(KEY);
    let mut lines =
        vec![format!("{} {}", deployment["metadata"]["annotations"], without_conditions(&deployment["status"]))];
    for condition in deployment["status"]["conditions"].as_array().into_iter().flatten() {
        lines.push(format!(
            "  {}={} {}: {}",
            text(&condition["type"]),
            text(&condition["status"]),
            text(&condition["reason"]),
            text(&condition["message"])
        ));
    }
    for key in cluster.keys(&kinds::REPLICA_SET) {
        let set = cluster.value(&key);
        let image = text(&set["spec"]["template"]["spec"]["containers"][0]["image"]);
        lines.push(format!(
            "{} {image} {} {}",
            text(&set["metadata"]["name"]),
            set["spec"]["replicas"],
            set["metadata"]["annotations"]
        ));
    }
    lines.join("\n")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn without_conditions(status: &Value) -> Value {
    let mut status = status.clone();
    status.as_object_mut().unwrap().remove("conditions");
    status
}

fn cluster(replicas: i64) -> Cluster {
    let mut cluster = Cluster::with([node("n1"), node("n2")]);
    cluster.create(deployment(replicas));
    cluster
}

#[test]
fn a_new_deployment_makes_a_replica_set() {
    expect![[r#"
        create replicasets.apps/default/web-nvhglc2 {"metadata":{"annotations":{"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"1"},"labels":{"app":"web","pod-template-hash":"nvhglc2"}},"spec":{"minReadySeconds":0,"replicas":3,"selector":{"matchLabels":{"app":"web","pod-template-hash":"nvhglc2"}},"template":{"metadata":{"labels":{"app":"web","pod-template-hash":"nvhglc2"}},"spec":{"containers":[{"image":"web:1","imagePullPolicy":"IfNotPresent","name":"web","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}}
        status deployments.apps/default/web {"conditions":[{"lastTransitionTime":"2026-11-21T04:00:00Z","lastUpdateTime":"2026-11-21T04:00:00Z","message":"Deployment does not have minimum availability.","reason":"MinimumReplicasUnavailable","status":"False","type":"Available"},{"lastTransitionTime":"2026-11-21T04:00:00Z","lastUpdateTime":"2026-11-21T04:00:00Z","message":"Created new replica set \"web-nvhglc2\"","reason":"NewReplicaSetCreated","status":"True","type":"Progressing"}],"observedGeneration":1}
        event Normal ScalingReplicaSet: Scaled up replica set web-nvhglc2 from 0 to 3
        wake in 600 s
    "#]].assert_eq(&cluster(3).ask(&key()));
}

#[test]
fn a_rollout_from_start_to_end() {
    let mut cluster = cluster(3);
    cluster.settle();
    expect![[r#"
        {"deployment.kubernetes.io/revision":"1"} {"observedGeneration":1,"replicas":3,"unavailableReplicas":3,"updatedReplicas":3}
          Available=False MinimumReplicasUnavailable: Deployment does not have minimum availability.
          Progressing=True ReplicaSetUpdated: ReplicaSet "web-nvhglc2" is progressing.
        web-nvhglc2 web:1 3 {"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"1"}"#]].assert_eq(&summary(&cluster));
    finish(&mut cluster);
    expect![[r#"
        {"deployment.kubernetes.io/revision":"1"} {"availableReplicas":3,"observedGeneration":1,"readyReplicas":3,"replicas":3,"updatedReplicas":3}
          Available=True MinimumReplicasAvailable: Deployment has minimum availability.
          Progressing=True NewReplicaSetAvailable: ReplicaSet "web-nvhglc2" has successfully progressed.
        web-nvhglc2 web:1 3 {"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"1"}"#]].assert_eq(&summary(&cluster));
    set_image(&mut cluster, "web:2");
    cluster.settle();
    expect![[r#"
        {"deployment.kubernetes.io/revision":"2"} {"availableReplicas":3,"observedGeneration":2,"readyReplicas":3,"replicas":4,"unavailableReplicas":1,"updatedReplicas":1}
          Available=True MinimumReplicasAvailable: Deployment has minimum availability.
          Progressing=True ReplicaSetUpdated: ReplicaSet "web-bdmbd95" is progressing.
        web-bdmbd95 web:2 1 {"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"2"}
        web-nvhglc2 web:1 3 {"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"1"}"#]].assert_eq(&summary(&cluster));
    finish(&mut cluster);
    expect![[r#"
        {"deployment.kubernetes.io/revision":"2"} {"availableReplicas":3,"observedGeneration":2,"readyReplicas":3,"replicas":3,"updatedReplicas":3}
          Available=True MinimumReplicasAvailable: Deployment has minimum availability.
          Progressing=True NewReplicaSetAvailable: ReplicaSet "web-bdmbd95" has successfully progressed.
        web-bdmbd95 web:2 3 {"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"2"}
        web-nvhglc2 web:1 0 {"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"1"}"#]].assert_eq(&summary(&cluster));
    // Rolled back: the old set gets a new revision.
    set_image(&mut cluster, "web:1");
    finish(&mut cluster);
    expect![[r#"
        {"deployment.kubernetes.io/revision":"3"} {"availableReplicas":3,"observedGeneration":3,"readyReplicas":3,"replicas":3,"updatedReplicas":3}
          Available=True MinimumReplicasAvailable: Deployment has minimum availability.
          Progressing=True NewReplicaSetAvailable: ReplicaSet "web-nvhglc2" has successfully progressed.
        web-bdmbd95 web:2 0 {"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"2"}
        web-nvhglc2 web:1 3 {"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"3","deployment.kubernetes.io/revision-history":"1"}"#]].assert_eq(&summary(&cluster));
}

#[test]
fn a_rollout_that_makes_no_progress_times_out() {
    let mut cluster = cluster(2);
    finish(&mut cluster);
    set_image(&mut cluster, "web:broken");
    cluster.settle();
    cluster.pass(601);
    expect![[r#"
        {"deployment.kubernetes.io/revision":"2"} {"availableReplicas":2,"observedGeneration":2,"readyReplicas":2,"replicas":3,"unavailableReplicas":1,"updatedReplicas":1}
          Available=True MinimumReplicasAvailable: Deployment has minimum availability.
          Progressing=False ProgressDeadlineExceeded: ReplicaSet "web-nbv5tr2" has timed out progressing.
        web-nbv5tr2 web:broken 1 {"deployment.kubernetes.io/desired-replicas":"2","deployment.kubernetes.io/max-replicas":"3","deployment.kubernetes.io/revision":"2"}
        web-nvhglc2 web:1 2 {"deployment.kubernetes.io/desired-replicas":"2","deployment.kubernetes.io/max-replicas":"3","deployment.kubernetes.io/revision":"1"}"#]].assert_eq(&summary(&cluster));
}

#[test]
fn a_paused_deployment_scales_and_does_not_roll() {
    let mut cluster = cluster(2);
    finish(&mut cluster);
    cluster.edit(KEY, |deployment| deployment["spec"]["paused"] = true.into());
    set_image(&mut cluster, "web:2");
    cluster.edit(KEY, |deployment| deployment["spec"]["replicas"] = 4.into());
    finish(&mut cluster);
    expect![[r#"
        {"deployment.kubernetes.io/revision":"1"} {"availableReplicas":4,"observedGeneration":4,"readyReplicas":4,"replicas":4}
          Available=True MinimumReplicasAvailable: Deployment has minimum availability.
          Progressing=Unknown DeploymentPaused: Deployment is paused
        web-nvhglc2 web:1 4 {"deployment.kubernetes.io/desired-replicas":"4","deployment.kubernetes.io/max-replicas":"5","deployment.kubernetes.io/revision":"1"}"#]].assert_eq(&summary(&cluster));
    cluster.edit(KEY, |deployment| deployment["spec"]["paused"] = false.into());
    finish(&mut cluster);
    expect![[r#"
        {"deployment.kubernetes.io/revision":"2"} {"availableReplicas":4,"observedGeneration":5,"readyReplicas":4,"replicas":4,"updatedReplicas":4}
          Available=True MinimumReplicasAvailable: Deployment has minimum availability.
          Progressing=True NewReplicaSetAvailable: ReplicaSet "web-bdmbd95" has successfully progressed.
        web-bdmbd95 web:2 4 {"deployment.kubernetes.io/desired-replicas":"4","deployment.kubernetes.io/max-replicas":"5","deployment.kubernetes.io/revision":"2"}
        web-nvhglc2 web:1 0 {"deployment.kubernetes.io/desired-replicas":"4","deployment.kubernetes.io/max-replicas":"5","deployment.kubernetes.io/revision":"1"}"#]].assert_eq(&summary(&cluster));
}

#[test]
fn recreate_waits_for_the_old_pods() {
    let mut cluster = cluster(2);
    cluster.edit(KEY, |deployment| deployment["spec"]["strategy"] = json!({"type": "Recreate"}));
    finish(&mut cluster);
    set_image(&mut cluster, "web:2");
    cluster.settle();
    // The old pods are being deleted, and no host has confirmed it.
    assert_eq!(cluster.keys(&kinds::REPLICA_SET).len(), 1);
    finish(&mut cluster);
    expect![[r#"
        {"deployment.kubernetes.io/revision":"2"} {"availableReplicas":2,"observedGeneration":3,"readyReplicas":2,"replicas":2,"updatedReplicas":2}
          Available=True MinimumReplicasAvailable: Deployment has minimum availability.
          Progressing=True NewReplicaSetAvailable: ReplicaSet "web-bdmbd95" has successfully progressed.
        web-bdmbd95 web:2 2 {"deployment.kubernetes.io/desired-replicas":"2","deployment.kubernetes.io/max-replicas":"2","deployment.kubernetes.io/revision":"2"}
        web-nvhglc2 web:1 0 {"deployment.kubernetes.io/desired-replicas":"2","deployment.kubernetes.io/max-replicas":"2","deployment.kubernetes.io/revision":"1"}"#]].assert_eq(&summary(&cluster));
}

#[test]
fn old_revisions_are_kept_up_to_the_limit() {
    let mut cluster = cluster(1);
    cluster.edit(KEY, |deployment| deployment["spec"]["revisionHistoryLimit"] = 2.into());
    for image in ["a", "b", "c", "d", "e"] {
        set_image(&mut cluster, image);
        finish(&mut cluster);
        cluster.now += jiff::SignedDuration::from_secs(1);
    }
    assert_eq!(cluster.keys(&kinds::REPLICA_SET).len(), 3);
    assert_eq!(text(&cluster.value(KEY)["metadata"]["annotations"][super::REVISION]), "5");
}

#[test]
fn a_deployment_and_all_it_owns_goes() {
    let mut cluster = cluster(3);
    finish(&mut cluster);
    cluster.delete(KEY, Some(crate::objects::Propagation::Foreground), false);
    finish(&mut cluster);
    assert_eq!((cluster.keys(&kinds::REPLICA_SET).len(), cluster.keys(&kinds::POD).len()), (0, 0));
    assert!(cluster.world.get(KEY).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Image(u8),
    Scale(i64),
    Turn,
    Ready(usize),
    Crash(usize),
    Confirm,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0u8..4).prop_map(Step::Image),
        1 => (0i64..9).prop_map(Step::Scale),
        6 => Just(Step::Turn),
        4 => (1usize..4).prop_map(Step::Ready),
        1 => (0usize..20).prop_map(Step::Crash),
        2 => Just(Step::Confirm),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Whatever happens and however late: no more pods than the surge allows, no fewer available than promised, except by
    /// what crashed or was only just asked for; and in the end all is as wished.
    #[test]
    fn rollouts_keep_their_promises(
        surge in 0i64..4,
        unavailable in 0i64..4,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut cluster = Cluster::with([node("n1"), node("n2")]);
        let mut object = deployment(5);
        object["spec"]["strategy"] = json!({
            "type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
        });
        cluster.create(object);
        finish(&mut cluster);
        // What scaling and crashes did is not the rollout's fault: the bounds hold once it had a chance to answer.
        let mut has_excuse = false;
        for step in steps {
            let available = |cluster: &Cluster| cluster.keys(&kinds::POD).iter().filter(|key| {
                let pod = cluster.world.get(key).unwrap();
                pod.meta.deleting.is_none() && pod.pod().unwrap().ready
            }).count() as i64;
            let before = available(&cluster);
            match step {
                Step::Image(number) => set_image(&mut cluster, &format!("web:{number}")),
                Step::Scale(replicas) => {
                    cluster.edit(KEY, |deployment| deployment["spec"]["replicas"] = replicas.into());
                    has_excuse = true;
                }
                Step::Turn => { cluster.turn(); }
                Step::Ready(count) => { make_ready(&mut cluster, count); }
                Step::Crash(index) => {
                    if let Some(key) = cluster.keys(&kinds::POD).get(index).cloned() {
                        cluster.delete(&key, None, true);
                        has_excuse = true;
                    }
                }
                Step::Confirm => confirm_deletions(&mut cluster),
            }
            let view = cluster.world.get(KEY).unwrap().deployment().unwrap().clone();
            let limits = Limits::rolling(view.replicas, &view.max_surge, &view.max_unavailable);
            let wanted: i64 = cluster.keys(&kinds::REPLICA_SET).iter()
                .map(|key| cluster.world.get(key).unwrap().replica_set().unwrap().replicas).sum();
            if !has_excuse {
                prop_assert!(wanted <= limits.total_max(), "{} pods wanted of {}", wanted, limits.total_max());
                let available = available(&cluster);
                prop_assert!(available >= limits.available_min() || available >= before, "{} of {}", available, limits.available_min());
            }
            if cluster.dirty.is_empty() && view.status.available_replicas == view.replicas {
                has_excuse = false;
            }
        }
        finish(&mut cluster);
        let value = cluster.value(KEY);
        let replicas = value["spec"]["replicas"].as_i64().unwrap();
        prop_assert_eq!(cluster.keys(&kinds::POD).len() as i64, replicas);
        let status = cluster.world.get(KEY).unwrap().deployment().unwrap().status.clone();
        prop_assert_eq!((status.updated_replicas, status.available_replicas, status.replicas), (replicas, replicas, replicas));
        let progressing = status.conditions.iter().find(|condition| condition.kind == "Progressing").unwrap();
        prop_assert_eq!(progressing.reason.as_str(), "NewReplicaSetAvailable");
    }
}
