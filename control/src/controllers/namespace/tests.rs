use coracle_api::object;
use expect_test::expect;
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, deployment, node};

/// The roles and bindings every cluster has are `bootstrap`'s matter.
fn keys_but_roles(cluster: &Cluster) -> String {
    let objects = cluster.world.range("").filter(|object| object.kind.group != "rbac.authorization.k8s.io");
    objects.map(|object| object.key.to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_cluster_starts_with_four_furnished_namespaces() {
    let mut cluster = Cluster::new();
    cluster.run(&Key::Bootstrap);
    cluster.settle();
    let keys = keys_but_roles(&cluster);
    expect![[r#"
        configmaps/default/kube-root-ca.crt
        configmaps/kube-node-lease/kube-root-ca.crt
        configmaps/kube-public/kube-root-ca.crt
        configmaps/kube-system/kube-root-ca.crt
        namespaces/default
        namespaces/kube-node-lease
        namespaces/kube-public
        namespaces/kube-system
        priorityclasses.scheduling.k8s.io/system-cluster-critical
        priorityclasses.scheduling.k8s.io/system-node-critical
        serviceaccounts/default/default
        serviceaccounts/kube-node-lease/default
        serviceaccounts/kube-public/default
        serviceaccounts/kube-system/default"#]]
    .assert_eq(&keys);
}

#[test]
fn a_namespace_is_furnished() {
    let cluster = Cluster::with([json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})]);
    expect![[r#"
        create serviceaccounts/team/default {}
        create configmaps/team/kube-root-ca.crt {"data":{"ca.crt":"PEM"},"metadata":{"annotations":{"kubernetes.io/description":"Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."}}}
    "#]].assert_eq(&cluster.ask(&Key::Namespace("team".into())));
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
    let left = keys_but_roles(&cluster);
    expect![[r#"
        configmaps/default/kube-root-ca.crt
        configmaps/kube-node-lease/kube-root-ca.crt
        configmaps/kube-public/kube-root-ca.crt
        configmaps/kube-system/kube-root-ca.crt
        namespaces/default
        namespaces/kube-node-lease
        namespaces/kube-public
        namespaces/kube-system
        nodes/n
        priorityclasses.scheduling.k8s.io/system-cluster-critical
        priorityclasses.scheduling.k8s.io/system-node-critical
        serviceaccounts/default/default
        serviceaccounts/kube-node-lease/default
        serviceaccounts/kube-public/default
        serviceaccounts/kube-system/default"#]]
    .assert_eq(&left);
}

/// What keeps it is told, and what others want to do before it goes is theirs.
#[test]
fn a_namespace_says_what_keeps_it() {
    let finalizers = json!(["kubernetes", "example.com/own"]);
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}, "spec": {"finalizers": finalizers} });
    let metadata = json!({ "name": "kept", "namespace": "team", "finalizers": ["example.com/keep"] });
    let kept = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    let mut cluster = Cluster::with([namespace.clone(), kept]);
    cluster.delete("namespaces/team", None, false);
    cluster.settle();
    let told =
        |cluster: &Cluster| cluster.world.get("namespaces/team").unwrap().decode()["status"]["conditions"].take();
    let messages =
        |told: Value| object::list_at(&told, &[]).iter().map(|one| format!("{}\n", one["message"])).collect::<String>();
    expect![[r#"
        "Some resources are remaining: configmaps. has 1 resource instances"
        "Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances"
    "#]]
    .assert_eq(&messages(told(&cluster)));
    let mut cluster = Cluster::with([namespace]);
    cluster.delete("namespaces/team", None, false);
    cluster.settle();
    let left = cluster.world.get("namespaces/team").unwrap().decode();
    assert_eq!(left["spec"]["finalizers"], json!(["example.com/own"]));
}
