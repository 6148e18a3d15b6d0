use expect_test::expect;
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, node, pod, running};

fn large(name: &str, memory: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"memory": memory}});
    pod
}

#[test]
fn pods_are_bound_or_told_why_not() {
    let mut leaving = pod("leaving");
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T04:00:00Z".into();
    let mut other = pod("other-scheduler");
    other["spec"]["schedulerName"] = "mine".into();
    let taken = running(large("taken", "1Gi"), "n", "10.0.0.1", true);
    let cluster = Cluster::with([node("n"), taken, pod("small"), large("large", "900Gi"), leaving, other]);
    expect![[r#"
        bind default/small n
        status pods/default/large {"conditions":[{"lastProbeTime":null,"lastTransitionTime":"2026-11-21T04:00:00Z","message":"0/1 nodes are available: 1 Insufficient memory. memory: requested 900Gi; the largest host, n, has 7Gi free of 8Gi.","reason":"Unschedulable","status":"False","type":"PodScheduled"}]}
        event Normal Scheduled: Successfully assigned default/small to n
        event Warning FailedScheduling: 0/1 nodes are available: 1 Insufficient memory. memory: requested 900Gi; the largest host, n, has 7Gi free of 8Gi.
    "#]].assert_eq(&cluster.ask(&Key::Scheduling));
}

#[test]
fn a_pod_is_told_once_and_tried_again_when_room_is_made() {
    let mut cluster = Cluster::with([node("n"), running(large("taken", "7Gi"), "n", "10.0.0.1", true)]);
    cluster.create(large("waiting", "2Gi"));
    cluster.settle();
    assert!(cluster.world.get("pods/default/waiting").unwrap().pod().unwrap().unschedulable.is_some());
    assert_eq!(cluster.ask(&Key::Scheduling), "");
    cluster.delete("pods/default/taken", None, true);
    cluster.settle();
    assert_eq!(cluster.value("pods/default/waiting")["spec"]["nodeName"], "n");
}

#[test]
fn a_cordoned_node_takes_no_pod_until_it_is_uncordoned() {
    let mut cluster = Cluster::with([node("n"), running(pod("there"), "n", "10.0.0.1", true)]);
    cluster.edit("nodes/n", |node| node["spec"] = json!({"unschedulable": true}));
    cluster.create(pod("waiting"));
    expect![[r#"
        status pods/default/waiting {"conditions":[{"lastProbeTime":null,"lastTransitionTime":"2026-11-21T04:00:00Z","message":"0/1 nodes are available: 1 node(s) were unschedulable.","reason":"Unschedulable","status":"False","type":"PodScheduled"}]}
        event Warning FailedScheduling: 0/1 nodes are available: 1 node(s) were unschedulable.
    "#]].assert_eq(&cluster.ask(&Key::Scheduling));
    cluster.settle();
    assert_eq!(cluster.value("pods/default/there")["spec"]["nodeName"], "n");
    cluster.edit("nodes/n", |node| node["spec"] = json!({}));
    cluster.settle();
    assert_eq!(cluster.value("pods/default/waiting")["spec"]["nodeName"], "n");
}

#[test]
fn requests_count_limits_init_containers_and_overhead() {
    let mut cluster = Cluster::with([]);
    let mut pod = pod("p");
    pod["spec"] = json!({
        "containers": [
            {"name": "a", "image": "a", "resources": {"limits": {"cpu": "1"}, "requests": {"memory": "1Gi"}}},
            {"name": "b", "image": "b", "resources": {"requests": {"cpu": "250m", "nvidia.com/gpu": "1"}}},
        ],
        "initContainers": [
            {"name": "side", "image": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
            {"name": "init", "image": "i", "resources": {"requests": {"cpu": "2", "memory": "1"}}},
        ],
        "overhead": {"cpu": "10m"},
    });
    cluster.create(pod);
    let object = cluster.world.get("pods/default/p").unwrap();
    expect![[r#"
        Amounts {
            cpu_millis: 2110,
            memory_bytes: 1073741824,
            pods: 1,
            extended: {
                "nvidia.com/gpu": 1,
            },
        }
    "#]]
    .assert_debug_eq(&object.pod().unwrap().shape.requests);
}
