use expect_test::expect;
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, node, pod, running};

const KEY: &str = "resourcequotas/default/q";

fn quota(hard: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": hard}})
}

fn status(cluster: &Cluster) -> String {
    cluster.value(KEY)["status"].to_string()
}

#[test]
fn the_status_follows_the_objects() {
    let mut cluster = Cluster::with([node("n")]);
    cluster.create(quota(json!({"pods": "3", "count/pods": "9", "requests.cpu": "2", "secrets": "1"})));
    expect![[r#"
        status resourcequotas/default/q {"hard":{"count/pods":"9","pods":"3","requests.cpu":"2","secrets":"1"},"used":{"count/pods":"0","pods":"0","requests.cpu":"0","secrets":"0"}}
    "#]].assert_eq(&cluster.ask(&Key::ResourceQuota(KEY.into())));
    cluster.settle();
    let mut asking = pod("a");
    asking["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "500m"}});
    cluster.create(asking);
    cluster.create(running(pod("b"), "n", "10.0.0.1", true));
    let mut elsewhere = pod("c");
    elsewhere["metadata"]["namespace"] = "other".into();
    cluster.create(elsewhere);
    cluster.settle();
    let mut shown = vec![status(&cluster)];
    cluster.edit("pods/default/b", |pod| pod["status"]["phase"] = "Failed".into());
    cluster.settle();
    shown.push(status(&cluster));
    cluster.delete("pods/default/a", None, true);
    cluster.delete("pods/default/b", None, true);
    cluster.edit(KEY, |quota| quota["spec"]["hard"] = json!({"pods": "1"}));
    cluster.settle();
    shown.push(status(&cluster));
    expect![[r#"
        {"hard":{"count/pods":"9","pods":"3","requests.cpu":"2","secrets":"1"},"used":{"count/pods":"2","pods":"2","requests.cpu":"500m","secrets":"0"}}
        {"hard":{"count/pods":"9","pods":"3","requests.cpu":"2","secrets":"1"},"used":{"count/pods":"2","pods":"1","requests.cpu":"500m","secrets":"0"}}
        {"hard":{"pods":"1"},"used":{"pods":"0"}}"#]].assert_eq(&shown.join("\n"));
}

#[test]
fn a_change_that_counts_for_nothing_is_not_looked_at() {
    let mut cluster = Cluster::with([node("n"), quota(json!({"pods": "3"})), running(pod("a"), "n", "10.0.0.1", true)]);
    cluster.edit("pods/default/a", |pod| pod["status"]["podIP"] = "10.0.0.2".into());
    assert!(!cluster.dirty.contains(&Key::ResourceQuota(KEY.into())), "{:?}", cluster.dirty);
    cluster.edit("pods/default/a", |pod| pod["status"]["phase"] = "Succeeded".into());
    assert!(cluster.dirty.contains(&Key::ResourceQuota(KEY.into())), "{:?}", cluster.dirty);
}
