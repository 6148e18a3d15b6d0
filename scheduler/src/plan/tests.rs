use std::collections::BTreeMap;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::{Amounts, Effect, Node, NodeInfo, Operator, Requirement, Taint, Toleration};

const GI: i64 = 1 << 30;

fn amounts(cpu_millis: i64, memory_bytes: i64, pods: i64) -> Amounts {
    Amounts { cpu_millis, memory_bytes, pods, extended: BTreeMap::new() }
}

fn info(name: &str, cpu: i64, memory: i64) -> NodeInfo {
    let labels = BTreeMap::from([("kubernetes.io/hostname".into(), name.into())]);
    NodeInfo { name: name.into(), labels, allocatable: amounts(cpu, memory, 110), ready: true, ..NodeInfo::default() }
}

fn node(info: NodeInfo) -> Node {
    Node { info: Arc::new(info), requested: Amounts::default() }
}

fn shape(cpu: i64, memory: i64) -> Shape {
    Shape { requests: amounts(cpu, memory, 1), ..Shape::default() }
}

fn pods(prefix: &str, count: usize, shape: Shape) -> Vec<PodRequest> {
    let shape = Arc::new(shape);
    (0..count).map(|index| PodRequest { key: format!("{prefix}{index}").into(), shape: shape.clone() }).collect()
}

fn check(nodes: Vec<NodeInfo>, pods: &[PodRequest], expected: Expect) {
    let plan = plan(&Snapshot { nodes: nodes.into_iter().map(node).collect() }, pods);
    let mut text = String::new();
    for (pod, node) in &plan.bindings {
        writeln!(text, "{pod} -> {node}").unwrap();
    }
    for (pod, reason) in &plan.unschedulable {
        writeln!(text, "{pod}: {reason}").unwrap();
    }
    expected.assert_eq(&text);
}

#[test]
fn equal_pods_spread_over_equal_nodes() {
    check(
        vec![info("a", 4000, 8 * GI), info("b", 4000, 8 * GI), info("c", 4000, 8 * GI)],
        &pods("p", 6, shape(100, GI)),
        expect![[r#"
            p0 -> b
            p1 -> c
            p2 -> a
            p3 -> b
            p4 -> c
            p5 -> a
        "#]],
    );
}

#[test]
fn the_larger_node_takes_more() {
    check(
        vec![info("large", 8000, 16 * GI), info("small", 2000, 4 * GI)],
        &pods("p", 5, shape(1000, 2 * GI)),
        expect![[r#"
            p0 -> large
            p1 -> large
            p2 -> large
            p3 -> small
            p4 -> large
        "#]],
    );
}

#[test]
fn a_pod_without_requests_fits_until_the_places_run_out() {
    let tiny = NodeInfo { allocatable: amounts(1000, GI, 2), ..info("tiny", 0, 0) };
    check(
        vec![tiny],
        &pods("p", 3, shape(0, 0)),
        expect![[r#"
        p0 -> tiny
        p1 -> tiny
        p2: 0/1 nodes are available: 1 Too many pods. pods: requested 1; the largest host, tiny, has 0 free of 2.
    "#]],
    );
}

#[test]
fn a_request_too_large_says_what_there_is() {
    let mut small = info("small", 2000, 4 * GI);
    small.allocatable.memory_bytes = 4 * GI;
    check(
        vec![info("quiet-otter-1", 4000, 23 * GI + GI / 2), small],
        &pods("p", 1, shape(0, 900 * GI)),
        expect![[r#"
        p0: 0/2 nodes are available: 2 Insufficient memory. memory: requested 900Gi; the largest host, quiet-otter-1, has 23.5Gi free of 23.5Gi.
    "#]],
    );
    check(
        vec![info("a", 1000, GI)],
        &pods("p", 1, shape(2500, 2 * GI)),
        expect![[r#"
        p0: 0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. cpu: requested 2500m; the largest host, a, has 1 free of 1. memory: requested 2Gi; the largest host, a, has 1Gi free of 1Gi.
    "#]],
    );
}

#[test]
fn an_extended_resource_that_nobody_has() {
    let mut gpu = shape(0, 0);
    gpu.requests.extended.insert("nvidia.com/gpu".into(), 1);
    check(
        vec![info("a", 1000, GI)],
        &pods("p", 1, gpu.clone()),
        expect![[r#"
        p0: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu. nvidia.com/gpu: requested 1; no host has any.
    "#]],
    );
    let mut with = info("with", 1000, GI);
    with.allocatable.extended.insert("nvidia.com/gpu".into(), 1);
    check(
        vec![info("a", 1000, GI), with],
        &pods("p", 2, gpu),
        expect![[r#"
            p0 -> with
            p1: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu. nvidia.com/gpu: requested 1; the largest host, with, has 0 free of 1.
        "#]],
    );
}

#[test]
fn each_filter_gives_its_reason() {
    let lost = NodeInfo { ready: false, ..info("lost", 1000, GI) };
    let cordoned = NodeInfo { unschedulable: true, ..info("cordoned", 1000, GI) };
    let taint = Taint { key: "dedicated".into(), value: "ml".into(), effect: Effect::NoSchedule };
    let tainted = NodeInfo { taints: vec![taint], ..info("tainted", 1000, GI) };
    let nodes = vec![lost, cordoned, tainted, info("a", 100, GI), info("b", 100, GI)];
    check(
        nodes.clone(),
        &pods("p", 1, shape(500, 0)),
        expect![[r#"
        p0: 0/5 nodes are available: 1 node(s) had untolerated taint {dedicated: ml}, 1 node(s) were not ready, 1 node(s) were unschedulable, 2 Insufficient cpu.
    "#]],
    );
    let elsewhere = Shape { node_selector: BTreeMap::from([("zone".into(), "west".into())]), ..shape(0, 0) };
    check(
        nodes.clone(),
        &pods("p", 1, elsewhere),
        expect![[r#"
        p0: 0/5 nodes are available: 1 node(s) had untolerated taint {dedicated: ml}, 1 node(s) were not ready, 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector.
    "#]],
    );
    let tolerant = Toleration { key: Some("dedicated".into()), value: None, effect: None, seconds: None };
    check(
        nodes.clone(),
        &pods("p", 1, Shape { tolerations: vec![tolerant], ..shape(500, 0) }),
        expect![[r#"
        p0 -> tainted
    "#]],
    );
    let tolerant =
        Toleration { key: Some("node.kubernetes.io/unschedulable".into()), value: None, effect: None, seconds: None };
    check(
        nodes,
        &pods("p", 1, Shape { tolerations: vec![tolerant], ..shape(500, 0) }),
        expect![[r#"
        p0 -> cordoned
    "#]],
    );
    check(
        vec![],
        &pods("p", 1, shape(0, 0)),
        expect![[r#"
        p0: no nodes available to schedule pods
    "#]],
    );
}

#[test]
fn affinity_terms_are_alternatives_of_requirements_that_all_hold() {
    let require = |key: &str, operator, values: &[&str]| Requirement {
        key: key.into(),
        operator,
        values: values.iter().map(|value| Arc::from(*value)).collect(),
    };
    let mut west = info("west", 1000, GI);
    west.labels.extend([("zone".into(), "west".into()), ("cores".into(), "8".into())]);
    let nodes = vec![info("plain", 1000, GI), west];
    let with = |affinity| Shape { affinity: Some(affinity), ..shape(0, 0) };
    let big_west = vec![require("zone", Operator::In, &["west"]), require("cores", Operator::Gt, &["4"])];
    check(
        nodes.clone(),
        &pods("big-west", 1, with(vec![big_west])),
        expect![[r#"
        big-west0 -> west
    "#]],
    );
    let not_west = vec![require("zone", Operator::NotIn, &["west"])];
    check(
        nodes.clone(),
        &pods("not-west", 1, with(vec![vec![], not_west])),
        expect![[r#"
        not-west0 -> plain
    "#]],
    );
    let by_name = vec![require("metadata.name", Operator::In, &["plain"])];
    check(
        nodes.clone(),
        &pods("by-name", 1, with(vec![by_name])),
        expect![[r#"
        by-name0 -> plain
    "#]],
    );
    let too_big = vec![require("cores", Operator::Lt, &["8"])];
    check(
        nodes.clone(),
        &pods("too-big", 1, with(vec![too_big])),
        expect![[r#"
        too-big0: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.
    "#]],
    );
    check(
        nodes,
        &pods("no-term", 1, with(vec![])),
        expect![[r#"
        no-term0: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.
    "#]],
    );
}

#[test]
fn higher_priority_is_placed_first() {
    let mut requests = pods("low", 1, shape(800, 0));
    requests.extend(pods("high", 1, Shape { priority: 10, ..shape(800, 0) }));
    check(
        vec![info("a", 1000, GI)],
        &requests,
        expect![[r#"
        high0 -> a
        low0: 0/1 nodes are available: 1 Insufficient cpu. cpu: requested 800m; the largest host, a, has 200m free of 1.
    "#]],
    );
}

#[test]
fn a_disliked_node_is_the_last_resort() {
    let taint = Taint { key: "old".into(), value: "".into(), effect: Effect::PreferNoSchedule };
    let old = NodeInfo { taints: vec![taint], ..info("old", 9000, 9 * GI) };
    check(
        vec![old, info("new", 1000, GI)],
        &pods("p", 3, shape(500, 0)),
        expect![[r#"
        p0 -> new
        p1 -> new
        p2 -> old
    "#]],
    );
}

/// Places pods one at a time by looking at every node: what the heaps must agree with.
fn plan_slowly(snapshot: &Snapshot, pods: &[PodRequest]) -> Vec<(Arc<str>, Option<Arc<str>>)> {
    let mut planner = Planner { snapshot: snapshot.clone(), touched: Vec::new() };
    let mut order: Vec<&PodRequest> = pods.iter().collect();
    order.sort_by_key(|pod| std::cmp::Reverse(pod.shape.priority));
    let place = |pod: &PodRequest| {
        let best = (0..planner.snapshot.nodes.len()).filter_map(|node| planner.candidate(&pod.shape, node)).max();
        let name = best.map(|best| {
            let node = &mut planner.snapshot.nodes[best.node];
            node.requested.add(&pod.shape.requests);
            node.info.name.clone()
        });
        (pod.key.clone(), name)
    };
    order.into_iter().map(place).collect()
}

proptest! {
    #[test]
    fn heaps_choose_what_a_full_walk_would(
        nodes in prop::collection::vec((0i64..4000, 0i64..8, 0i64..6, any::<bool>()), 0..8),
        requests in prop::collection::vec((0i64..4, 0i64..3, 0i32..2), 0..40),
    ) {
        let nodes = nodes.into_iter().enumerate().map(|(index, (cpu, memory, places, ready))| {
            let name = format!("n{index}");
            let allocatable = amounts(cpu, memory * GI, places);
            node(NodeInfo { allocatable, ready, ..info(&name, 0, 0) })
        });
        let snapshot = Snapshot { nodes: nodes.collect() };
        let requests: Vec<PodRequest> = requests.into_iter().enumerate().map(|(index, (cpu, memory, priority))| {
            let shape = Shape { priority, ..shape(cpu * 300, memory * GI / 2) };
            PodRequest { key: format!("p{index}").into(), shape: Arc::new(shape) }
        }).collect();
        let plan = plan(&snapshot, &requests);

        let mut fast: BTreeMap<Arc<str>, Option<Arc<str>>> =
            plan.bindings.iter().map(|(pod, node)| (pod.clone(), Some(node.clone()))).collect();
        fast.extend(plan.unschedulable.iter().map(|(pod, _)| (pod.clone(), None)));
        prop_assert_eq!(&fast, &plan_slowly(&snapshot, &requests).into_iter().collect());

        let shapes: BTreeMap<_, _> = requests.iter().map(|pod| (pod.key.clone(), pod.shape.clone())).collect();
        for node in &snapshot.nodes {
            let mut used = node.clone();
            for (pod, _) in plan.bindings.iter().filter(|(_, name)| *name == node.info.name) {
                used.requested.add(&shapes[pod].requests);
            }
            for resource in [crate::Resource::Cpu, crate::Resource::Memory, crate::Resource::Pods] {
                prop_assert!(used.free(&resource) >= 0, "{:?}", used);
            }
        }
    }
}

/// Not timed: a plan that walked all nodes for each pod would take minutes here and be noticed.
#[test]
fn thousands_of_nodes_and_pods() {
    let nodes = (0..5_000).map(|index| node(info(&format!("n{index}"), 16_000, 64 * GI))).collect();
    let plan = plan(&Snapshot { nodes }, &pods("p", 20_000, shape(100, GI / 4)));
    assert_eq!((plan.bindings.len(), plan.unschedulable.len()), (20_000, 0));
}
