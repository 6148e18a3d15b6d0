use expect_test::expect;
use serde_json::json;

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, deployment, node};

#[test]
fn a_cluster_starts_with_four_furnished_namespaces() {
    let mut cluster = Cluster::new();
    cluster.run(&Key::Bootstrap);
    cluster.settle();
    let keys: Vec<String> = cluster.world.range("").map(|object| object.key.to_string()).collect();
    expect![[""]].assert_eq(&keys.join("\n"));
}

#[test]
fn a_namespace_is_furnished() {
    let cluster = Cluster::with([json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})]);
    expect![[""]].assert_eq(&cluster.ask(&Key::Namespace("team".into())));
}

#[test]
fn a_namespace_goes_when_it_is_empty() {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}, "spec": {"finalizers": ["kubernetes"]},
    });
    let mut cluster = Cluster::with([node("n"), namespace]);
    cluster.create(deployment(3));
    cluster.settle();
    assert_eq!(cluster.world.range("pods/").count(), 3);
    // Without a host to confirm, pods on a node keep the namespace.
    cluster.delete("namespaces/default", None, false);
    cluster.settle();
    assert!(cluster.world.get("namespaces/default").is_some());
    for key in cluster.keys(&coracle_api::kinds::POD) {
        cluster.delete(&key, None, true);
    }
    cluster.settle();
    // As one of the four every cluster has, it was made anew.
    let left: Vec<String> = cluster.world.range("").map(|object| object.key.to_string()).collect();
    expect![[""]].assert_eq(&left.join("\n"));
}
