use coracle_api::kinds;
use expect_test::expect;
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::Cluster;

fn furnished() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.dirty.insert(Key::Bootstrap);
    cluster.settle();
    cluster
}

fn rules(cluster: &Cluster, role: &str) -> usize {
    cluster.value(&format!("clusterroles.rbac.authorization.k8s.io/{role}"))["rules"].as_array().unwrap().len()
}

#[test]
fn a_new_cluster_is_furnished_once() {
    let cluster = furnished();
    let names = |kind| {
        let keys: Vec<String> =
            cluster.keys(kind).iter().map(|key| key.split_once('/').unwrap().1.to_owned()).collect();
        keys.join("\n")
    };
    expect![[r#"
        admin
        cluster-admin
        edit
        system:aggregate-to-admin
        system:aggregate-to-edit
        system:aggregate-to-view
        system:aggregated-metrics-reader
        system:auth-delegator
        system:basic-user
        system:certificates.k8s.io:kube-apiserver-client-approver
        system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
        system:discovery
        system:monitoring
        system:node
        system:public-info-viewer
        system:service-account-issuer-discovery
        view"#]]
    .assert_eq(&names(&kinds::CLUSTER_ROLE));
    expect![[r#"
        cluster-admin
        system:basic-user
        system:discovery
        system:monitoring
        system:public-info-viewer
        system:service-account-issuer-discovery"#]]
    .assert_eq(&names(&kinds::CLUSTER_ROLE_BINDING));
    expect![""].assert_eq(&cluster.ask(&Key::Bootstrap));
}

#[test]
fn every_default_is_valid() {
    for object in &*super::ACCESS {
        let mut errors = Vec::new();
        super::kind_of(object).validate(object, &mut errors);
        assert!(errors.is_empty(), "{object}: {errors:?}");
        let mut defaulted = object.clone();
        super::kind_of(object).default(&mut defaulted);
        assert_eq!(&defaulted, object);
    }
}

#[test]
fn roles_for_people_are_made_of_others() {
    let mut cluster = furnished();
    let [view, edit, admin] = ["view", "edit", "admin"].map(|role| rules(&cluster, role));
    assert!(0 < view && view < edit && edit < admin, "{view} {edit} {admin}");
    cluster.create(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "mine", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["example.com"], "resources": ["horses"], "verbs": ["get"]}],
    }));
    cluster.settle();
    assert_eq!(["view", "edit", "admin"].map(|role| rules(&cluster, role)), [view + 1, edit + 1, admin + 1]);
    cluster.remove("clusterroles.rbac.authorization.k8s.io/mine");
    cluster.settle();
    assert_eq!(["view", "edit", "admin"].map(|role| rules(&cluster, role)), [view, edit, admin]);
}

#[test]
fn what_is_missing_comes_back_and_what_was_added_stays() {
    let mut cluster = furnished();
    let role = "clusterroles.rbac.authorization.k8s.io/system:basic-user";
    let mine = json!({"apiGroups": ["example.com"], "resources": ["horses"], "verbs": ["get"]});
    cluster.edit(role, |object| {
        object["rules"] = json!([mine, object["rules"][0]]);
        object["metadata"]["annotations"] = Value::Null;
    });
    expect![[r#"
        update clusterroles.rbac.authorization.k8s.io/system:basic-user {"metadata":{"annotations":{"rbac.authorization.kubernetes.io/autoupdate":"true"}},"rules":[{"apiGroups":["example.com"],"resources":["horses"],"verbs":["get"]},{"apiGroups":["authorization.k8s.io"],"resources":["selfsubjectaccessreviews","selfsubjectrulesreviews"],"verbs":["create"]},{"apiGroups":["authentication.k8s.io"],"resources":["selfsubjectreviews"],"verbs":["create"]}]}
    "#]].assert_eq(&cluster.ask(&Key::Bootstrap));
    cluster.settle();
    let binding = "clusterrolebindings.rbac.authorization.k8s.io/system:public-info-viewer";
    cluster.edit(binding, |object| drop(object["subjects"].as_array_mut().unwrap().pop()));
    expect![[r#"
        update clusterrolebindings.rbac.authorization.k8s.io/system:public-info-viewer {"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:authenticated"},{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:unauthenticated"}]}
    "#]].assert_eq(&cluster.ask(&Key::Bootstrap));
    cluster.settle();
    cluster.edit(binding, |object| object["roleRef"]["name"] = "cluster-admin".into());
    expect![[r#"
        delete clusterrolebindings.rbac.authorization.k8s.io/system:public-info-viewer
    "#]]
    .assert_eq(&cluster.ask(&Key::Bootstrap));
    cluster.settle();
    assert_eq!(cluster.value(binding)["roleRef"]["name"], "system:public-info-viewer");
}

#[test]
fn what_says_no_is_left_alone() {
    let mut cluster = furnished();
    cluster.edit("clusterrolebindings.rbac.authorization.k8s.io/system:basic-user", |object| {
        object["subjects"] = json!([]);
        object["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false".into();
    });
    expect![""].assert_eq(&cluster.ask(&Key::Bootstrap));
}
