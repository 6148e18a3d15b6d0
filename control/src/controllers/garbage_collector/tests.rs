use expect_test::expect;
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::Cluster;

fn config(name: &str, owners: &[Value]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "uid": name, "ownerReferences": owners},
    })
}

fn owner(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name, "blockOwnerDeletion": true})
}

fn ask(cluster: &Cluster, name: &str) -> String {
    cluster.ask(&Key::Garbage(format!("configmaps/default/{name}").into()))
}

#[test]
fn what_has_no_owner_left_goes() {
    let stranger = json!({"apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "x"});
    let cluster = Cluster::with([
        config("present", &[]),
        config("garbage", &[owner("gone")]),
        config("kept", &[owner("present")]),
        config("half", &[owner("gone"), owner("present")]),
        config("of-a-stranger", &[stranger]),
    ]);
    let asked: Vec<String> = ["present", "garbage", "kept", "half", "of-a-stranger"]
        .iter()
        .map(|name| format!("{name}: {}", ask(&cluster, name)))
        .collect();
    expect![[r#"
        present: 
        garbage: delete configmaps/default/garbage

        kept: 
        half: update configmaps/default/half {"metadata":{"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"kind":"ConfigMap","name":"present","uid":"present"}]}}

        of-a-stranger: "#]].assert_eq(&asked.join("\n"));
}

fn leaving(name: &str, finalizer: &str) -> Value {
    let mut object = config(name, &[]);
    object["metadata"]["deletionTimestamp"] = "2026-11-21T04:00:00Z".into();
    object["metadata"]["finalizers"] = json!([finalizer]);
    object
}

#[test]
fn a_foreground_deletion_takes_dependents_first() {
    let mut cluster = Cluster::with([
        leaving("top", "foregroundDeletion"),
        config("middle", &[owner("top")]),
        config("bottom", &[owner("middle")]),
    ]);
    expect![[r#"
        delete configmaps/default/middle Foreground
    "#]]
    .assert_eq(&ask(&cluster, "top"));
    cluster.run(&Key::Garbage("configmaps/default/top".into()));
    cluster.settle();
    assert_eq!(cluster.world.range("configmaps/").count(), 0);
}

#[test]
fn an_orphaning_deletion_leaves_dependents() {
    let mut cluster = Cluster::with([leaving("top", "orphan"), config("middle", &[owner("top")])]);
    expect![[r#"
        update configmaps/default/middle {"metadata":{"ownerReferences":null}}
    "#]]
    .assert_eq(&ask(&cluster, "top"));
    cluster.run(&Key::Garbage("configmaps/default/top".into()));
    cluster.settle();
    let left: Vec<String> = cluster.world.range("configmaps/").map(|object| object.key.to_string()).collect();
    assert_eq!(left, ["configmaps/default/middle"]);
}
