use expect_test::expect;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, node, pod, running};

fn lease(seconds: i64) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "n", "namespace": "kube-node-lease"},
        "spec": {"leaseDurationSeconds": seconds, "renewTime": "2026-11-21T04:00:00.000000Z"},
    })
}

fn key() -> Key {
    Key::Node("n".into())
}

fn after(cluster: &mut Cluster, seconds: i64) -> String {
    cluster.now += SignedDuration::from_secs(seconds);
    cluster.ask(&key())
}

#[test]
fn a_silent_node_is_lost_and_its_pods_move_on() {
    let mut cluster = Cluster::with([node("n"), lease(8), running(pod("web-a"), "n", "10.0.0.1", true)]);
    expect![[r#"
        wake in 1 s
    "#]]
    .assert_eq(&after(&mut cluster, 7));
    expect![[r#"
        status nodes/n {"conditions":[{"lastHeartbeatTime":"2026-11-21T04:00:08Z","lastTransitionTime":"2026-11-21T04:00:08Z","message":"Kubelet stopped posting node status.","reason":"NodeStatusUnknown","status":"Unknown","type":"Ready"}]}
        event Normal NodeNotReady: Node n status is now: NodeNotReady
    "#]].assert_eq(&after(&mut cluster, 1));
    cluster.run(&key());
    expect![[r#"
        wake in 6 s
    "#]]
    .assert_eq(&after(&mut cluster, 4));
    expect![[r#"
        delete pods/default/web-a
    "#]]
    .assert_eq(&after(&mut cluster, 6));
    // A sign of life.
    cluster.edit("leases.coordination.k8s.io/kube-node-lease/n", |lease| lease["spec"]["renewTime"] = "later".into());
    expect![[r#"
        status nodes/n {"conditions":[{"lastHeartbeatTime":"2026-11-21T04:00:19Z","lastTransitionTime":"2026-11-21T04:00:19Z","message":"the host renews its lease again","reason":"KubeletReady","status":"True","type":"Ready"}]}
        wake in 7 s
    "#]].assert_eq(&after(&mut cluster, 1));
    cluster.run(&key());
    expect![[r#"
        wake in 6 s
    "#]]
    .assert_eq(&after(&mut cluster, 1));
}

#[test]
fn without_a_lease_a_node_gets_the_usual_term() {
    let mut cluster = Cluster::with([node("n")]);
    expect![[r#"
        wake in 10 s
    "#]]
    .assert_eq(&cluster.ask(&key()));
    expect![[r#"
        status nodes/n {"conditions":[{"lastHeartbeatTime":"2026-11-21T04:00:10Z","lastTransitionTime":"2026-11-21T04:00:10Z","message":"Kubelet stopped posting node status.","reason":"NodeStatusUnknown","status":"Unknown","type":"Ready"}]}
        event Normal NodeNotReady: Node n status is now: NodeNotReady
    "#]].assert_eq(&after(&mut cluster, 10));
}

#[test]
fn the_pods_of_a_node_that_is_gone_go_at_once() {
    let mut cluster = Cluster::with([running(pod("web-a"), "n", "10.0.0.1", true)]);
    expect![[r#"
        wake in 40 s
    "#]]
    .assert_eq(&cluster.ask(&key()));
    expect![[r#"
        delete pods/default/web-a within 0 s
    "#]]
    .assert_eq(&after(&mut cluster, 40));
}
