use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::controllers::harness::{Cluster, node, pod, running};
use crate::controllers::{Key, Settings};

fn lease() -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "n", "namespace": "kube-node-lease"},
        "spec": {"leaseDurationSeconds": 5, "renewTime": "2026-11-21T04:00:00.000000Z"},
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
    let mut cluster = Cluster::with([node("n"), lease(), running(pod("web-a"), "n", "10.0.0.1", true)]);
    expect![[r#"
        wake in 1 s
    "#]]
    .assert_eq(&after(&mut cluster, 4));
    expect![[r#"
        status nodes/n {"conditions":[{"lastHeartbeatTime":"2026-11-21T04:00:05Z","lastTransitionTime":"2026-11-21T04:00:05Z","message":"Kubelet stopped posting node status.","reason":"NodeStatusUnknown","status":"Unknown","type":"Ready"}]}
        event Normal NodeNotReady: Node n status is now: NodeNotReady
    "#]].assert_eq(&after(&mut cluster, 1));
    cluster.run(&key());
    expect![[r#"
        wake in 2 s
    "#]]
    .assert_eq(&after(&mut cluster, 3));
    expect![[r#"
        delete pods/default/web-a
    "#]]
    .assert_eq(&after(&mut cluster, 2));
    // A sign of life.
    cluster.edit("leases.coordination.k8s.io/kube-node-lease/n", |lease| lease["spec"]["renewTime"] = "later".into());
    expect![[r#"
        status nodes/n {"conditions":[{"lastHeartbeatTime":"2026-11-21T04:00:11Z","lastTransitionTime":"2026-11-21T04:00:11Z","message":"the host renews its lease again","reason":"KubeletReady","status":"True","type":"Ready"}]}
        wake in 4 s
    "#]].assert_eq(&after(&mut cluster, 1));
    cluster.run(&key());
    expect![[r#"
        wake in 3 s
    "#]]
    .assert_eq(&after(&mut cluster, 1));
}

/// A pod on the node that tolerates these.
fn tolerant(name: &str, tolerations: Value) -> Value {
    let mut pod = running(pod(name), "n", "10.0.0.1", true);
    pod["spec"]["tolerations"] = tolerations;
    pod
}

/// When each pod leaves a node, in seconds.
fn check_departures(node: Value, tolerations: &[(&str, Value)], expected: Expect) {
    let pods = tolerations.iter().map(|(name, tolerations)| tolerant(name, tolerations.clone()));
    let mut cluster = Cluster::with(std::iter::once(node).chain(pods));
    let mut text = String::new();
    for seconds in 0..100 {
        // It is alive, whatever else.
        cluster.create(lease());
        for line in cluster.ask(&key()).lines().filter_map(|line| line.strip_prefix("delete pods/default/")) {
            writeln!(text, "{line} after {seconds} s").unwrap();
        }
        cluster.run(&key());
        cluster.now += SignedDuration::from_secs(1);
    }
    expected.assert_eq(&text);
}

#[test]
fn pods_stay_for_as_long_as_they_tolerate_it() {
    let mut unready = node("n");
    unready["status"]["conditions"][0] =
        json!({"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T04:00:00Z"});
    let not_ready = "node.kubernetes.io/not-ready";
    let pods = [
        ("silent", json!([])),
        ("of-another", json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}])),
        ("for-30", json!([{"key": not_ready, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}])),
        ("for-none", json!([{"key": not_ready, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}])),
        (
            "for-the-shortest",
            json!([
                {"key": not_ready, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
                {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 20},
                {"operator": "Exists"},
            ]),
        ),
        ("for-ever", json!([{"operator": "Exists"}])),
        ("against-placement-only", json!([{"key": not_ready, "operator": "Exists", "effect": "NoSchedule"}])),
    ];
    check_departures(
        unready,
        &pods,
        expect![[r#"
        for-none after 0 s
        against-placement-only after 10 s
        of-another after 10 s
        silent after 10 s
        for-the-shortest after 20 s
        for-30 after 30 s
    "#]],
    );
    let mut tainted = node("n");
    tainted["spec"]["taints"] = json!([
        {"key": "gpu", "value": "broken", "effect": "NoExecute"},
        {"key": "old", "effect": "NoSchedule"},
        {"key": "leave", "effect": "NoExecute", "timeAdded": "2026-11-21T04:00:00Z"},
    ]);
    let both = |seconds: i64| json!([{"key": "leave", "operator": "Exists"}, {"key": "gpu", "value": "broken", "tolerationSeconds": seconds, "effect": "NoExecute"}]);
    let pods = [
        ("silent", json!([])),
        ("of-one", json!([{"key": "leave", "operator": "Exists"}])),
        ("of-another-value", json!([{"key": "leave", "operator": "Exists"}, {"key": "gpu", "value": "old"}])),
        ("of-both", both(7)),
        ("for-ever", json!([{"operator": "Exists"}])),
    ];
    check_departures(
        tainted.clone(),
        &pods,
        expect![[r#"
        of-another-value after 1 s
        of-one after 1 s
        silent after 1 s
        of-both after 7 s
    "#]],
    );
    expect![[r#"
        update nodes/n {"spec":{"taints":[{"effect":"NoExecute","key":"gpu","timeAdded":"2026-11-21T04:00:00Z","value":"broken"},{"effect":"NoSchedule","key":"old"},{"effect":"NoExecute","key":"leave","timeAdded":"2026-11-21T04:00:00Z"}]}}
    "#]].assert_eq(&Cluster::with([tainted]).ask(&key()));
}

#[test]
fn a_pod_that_is_younger_than_a_taint_stays_its_whole_time() {
    let mut tainted = node("n");
    tainted["spec"]["taints"] = json!([{"key": "leave", "effect": "NoExecute", "timeAdded": "2026-11-21T03:00:00Z"}]);
    let tolerant = json!([{"key": "leave", "operator": "Exists", "tolerationSeconds": 3}]);
    check_departures(
        tainted,
        &[("silent", json!([])), ("for-3", tolerant)],
        expect![[r#"
        silent after 0 s
        for-3 after 3 s
    "#]],
    );
}

#[test]
fn a_node_that_was_lost_stays_so_when_the_control_plane_starts() {
    let mut lost = node("n");
    lost["status"]["conditions"][0] = json!({
        "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": "2026-11-21T03:59:57Z",
    });
    let mut web = running(pod("web-a"), "n", "10.0.0.1", true);
    web["metadata"]["creationTimestamp"] = "2026-11-21T03:00:00Z".into();
    let mut cluster = Cluster::with([lost, lease(), web]);
    expect![[r#"
        wake in 2 s
    "#]]
    .assert_eq(&cluster.ask(&key()));
    expect![[r#"
        delete pods/default/web-a
    "#]]
    .assert_eq(&after(&mut cluster, 2));
    cluster.edit("leases.coordination.k8s.io/kube-node-lease/n", |lease| lease["spec"]["renewTime"] = "later".into());
    expect![[r#"
        status nodes/n {"conditions":[{"lastHeartbeatTime":"2026-11-21T04:00:02Z","lastTransitionTime":"2026-11-21T04:00:02Z","message":"the host renews its lease again","reason":"KubeletReady","status":"True","type":"Ready"}]}
        wake in 5 s
    "#]].assert_eq(&cluster.ask(&key()));
}

#[test]
fn how_long_a_node_may_be_silent_and_pods_stay_is_configured() {
    let mut cluster = Cluster::with([node("n"), running(pod("web-a"), "n", "10.0.0.1", true)]);
    cluster.world.settings = Arc::new(Settings {
        node_monitor_grace_period: SignedDuration::from_secs(40),
        default_unreachable_toleration: SignedDuration::from_secs(300),
        ..Settings::default()
    });
    expect![[r#"
        wake in 40 s
    "#]]
    .assert_eq(&cluster.ask(&key()));
    cluster.now += SignedDuration::from_secs(40);
    cluster.run(&key());
    expect![[r#"
        wake in 300 s
    "#]]
    .assert_eq(&cluster.ask(&key()));
}

#[test]
fn without_a_lease_a_node_gets_the_usual_term() {
    let mut cluster = Cluster::with([node("n")]);
    expect![[r#"
        wake in 5 s
    "#]]
    .assert_eq(&cluster.ask(&key()));
    expect![[r#"
        status nodes/n {"conditions":[{"lastHeartbeatTime":"2026-11-21T04:00:05Z","lastTransitionTime":"2026-11-21T04:00:05Z","message":"Kubelet stopped posting node status.","reason":"NodeStatusUnknown","status":"Unknown","type":"Ready"}]}
        event Normal NodeNotReady: Node n status is now: NodeNotReady
    "#]].assert_eq(&after(&mut cluster, 5));
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
