use std::sync::Arc;

use expect_test::expect;
use serde_json::{Value, json};

use crate::controllers::harness::{Cluster, node};
use crate::controllers::{Key, Settings};

fn node_with(name: &str, range: &str) -> Value {
    let mut node = node(name);
    node["spec"] = json!({ "podCIDR": range, "podCIDRs": [range] });
    node
}

#[test]
fn nodes_get_the_lowest_free_ranges_in_the_order_they_came() {
    let mut first = node("z");
    first["metadata"]["creationTimestamp"] = "2026-11-21T03:00:00Z".into();
    let cluster = Cluster::with([node("a"), first, node_with("b", "127.128.64.0/18")]);
    expect![[r#"
        update nodes/z {"spec":{"podCIDR":"127.128.0.0/18","podCIDRs":["127.128.0.0/18"]}}
        update nodes/a {"spec":{"podCIDR":"127.128.128.0/18","podCIDRs":["127.128.128.0/18"]}}
    "#]]
    .assert_eq(&cluster.ask(&Key::NodeIpam));
}

#[test]
fn a_larger_or_smaller_range_that_a_node_has_is_left_out() {
    let nodes = [node("new"), node_with("large", "127.128.0.0/16"), node_with("small", "127.129.0.128/25")];
    expect![[r#"
        update nodes/new {"spec":{"podCIDR":"127.129.64.0/18","podCIDRs":["127.129.64.0/18"]}}
    "#]]
    .assert_eq(&Cluster::with(nodes).ask(&Key::NodeIpam));
}

#[test]
fn a_node_waits_for_a_range_until_another_node_is_gone() {
    let mut cluster = Cluster::with([]);
    cluster.world.settings =
        Arc::new(Settings { cluster_cidr: "127.128.0.0/17".parse().unwrap(), ..Settings::default() });
    for name in ["a", "b", "c"] {
        cluster.create(node(name));
    }
    cluster.settle();
    let range = |cluster: &Cluster, name: &str| cluster.value(&format!("nodes/{name}"))["spec"]["podCIDR"].clone();
    assert_eq!(
        ["a", "b", "c"].map(|name| range(&cluster, name)),
        [json!("127.128.0.0/18"), json!("127.128.64.0/18"), Value::Null]
    );
    expect![[r#"
        event Warning CIDRNotAvailable: Node c gets no pods: every /18 of the cluster's pod addresses, 127.128.0.0/17, is some node's; delete Nodes that are gone, or give a larger --cluster-cidr
    "#]]
    .assert_eq(&cluster.ask(&Key::NodeIpam));
    cluster.remove("nodes/a");
    cluster.settle();
    assert_eq!(range(&cluster, "c"), "127.128.0.0/18");
}
