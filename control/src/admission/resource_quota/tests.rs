use coracle_api::kind::Kind;
use coracle_api::kinds::{CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, POD, SERVICE};
use coracle_store::Snapshot;
use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::custom_kinds::Index;

/// A quota `q` of which some is used.
fn standing(spec: Value, used: Value) -> Standing {
    let quota = Quota::read(&json!({"metadata": {"name": "q"}, "spec": spec}));
    Standing { quota, used: amounts::read(&used, &[]) }
}

/// What a quota says to an object that replaces another, or none.
fn check(kind: &'static Kind, standing: &Standing, old: Option<Value>, new: &Value, expected: Expect) {
    let attributes = Attributes {
        kind,
        namespace: Some("default"),
        name: "x",
        snapshot: &Snapshot::default(),
        custom_kinds: &Index::default(),
        trusted: false,
    };
    let before = old.map(|old| Usage::of(kind, &old));
    let verdict = admit(&attributes, std::slice::from_ref(standing), new, before.as_ref(), &Usage::of(kind, new));
    expected.assert_eq(&match verdict {
        Ok(increases) => format!("adds {}", amounts::print(&increases[0])),
        Err(status) => format!("{} {}", status.code, status.message),
    });
}

fn pod(resources: Value) -> Value {
    json!({"spec": {"containers": [{"name": "c", "resources": resources}]}})
}

#[test]
fn counted_pods() {
    let full = standing(json!({"hard": {"pods": "2"}}), json!({"pods": "2"}));
    check(
        &POD,
        &full,
        None,
        &pod(json!({})),
        expect![[r#"403 pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"#]],
    );
    check(&CONFIG_MAP, &full, None, &json!({}), expect!["adds "]);
    let room = standing(json!({"hard": {"pods": "2", "count/pods": "5"}}), json!({"pods": "1", "count/pods": "4"}));
    check(&POD, &room, None, &pod(json!({})), expect!["adds count/pods=1,pods=1"]);
    let objects = standing(json!({"hard": {"count/pods": "5"}}), json!({"count/pods": "5"}));
    check(
        &POD,
        &objects,
        None,
        &pod(json!({})),
        expect![[
            r#"403 pods "x" is forbidden: exceeded quota: q, requested: count/pods=1, used: count/pods=5, limited: count/pods=5"#
        ]],
    );
}

#[test]
fn pods_state_what_is_limited() {
    let quota = standing(
        json!({"hard": {"limits.cpu": "1", "requests.memory": "1Gi", "pods": "9"}}),
        json!({"limits.cpu": "600m"}),
    );
    check(
        &POD,
        &quota,
        None,
        &pod(json!({})),
        expect![[
            r#"403 pods "x" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.memory for: c"#
        ]],
    );
    check(
        &POD,
        &quota,
        None,
        &pod(json!({"limits": {"cpu": "500m"}, "requests": {"memory": "2Gi"}})),
        expect![[
            r#"403 pods "x" is forbidden: exceeded quota: q, requested: limits.cpu=500m,requests.memory=2Gi, used: limits.cpu=600m,requests.memory=0, limited: limits.cpu=1,requests.memory=1Gi"#
        ]],
    );
    check(
        &POD,
        &quota,
        None,
        &pod(json!({"limits": {"cpu": "400m"}, "requests": {"memory": "1Gi"}})),
        expect!["adds limits.cpu=400m,pods=1,requests.memory=1Gi"],
    );
    let two = json!({"spec": {"containers": [{"name": "b"}, {"name": "a"}], "initContainers": [{"name": "i", "resources": {"limits": {"cpu": "1"}}}]}});
    check(
        &POD,
        &quota,
        None,
        &two,
        expect![[
            r#"403 pods "x" is forbidden: failed quota: q: must specify limits.cpu for: a,b; requests.memory for: a,b,i"#
        ]],
    );
}

#[test]
fn scopes_select() {
    let best_effort = standing(json!({"hard": {"pods": "0"}, "scopes": ["BestEffort"]}), json!({}));
    check(
        &POD,
        &best_effort,
        None,
        &pod(json!({})),
        expect![[r#"403 pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"#]],
    );
    check(&POD, &best_effort, None, &pod(json!({"requests": {"cpu": "1"}})), expect!["adds "]);
    let selector = json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]});
    let high = standing(json!({"hard": {"cpu": "0", "pods": "0"}, "scopeSelector": selector}), json!({}));
    let mut important = pod(json!({}));
    check(&POD, &high, None, &important, expect!["adds "]);
    important["spec"]["priorityClassName"] = "high".into();
    check(
        &POD,
        &high,
        None,
        &important,
        expect![[r#"403 pods "x" is forbidden: failed quota: q: must specify cpu for: c"#]],
    );
    let bounded = standing(json!({"hard": {"pods": "0"}, "scopes": ["Terminating"]}), json!({}));
    let mut job = pod(json!({}));
    job["spec"]["activeDeadlineSeconds"] = 5.into();
    check(
        &POD,
        &bounded,
        Some(pod(json!({}))),
        &job,
        expect![[r#"403 pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"#]],
    );
    check(&POD, &bounded, Some(job.clone()), &job, expect!["adds "]);
}

#[test]
fn only_what_is_more_is_asked_about() {
    let claim =
        |size: &str| json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": size}}}});
    let hard =
        json!({"hard": {"requests.storage": "10Gi", "fast.storageclass.storage.k8s.io/requests.storage": "3Gi"}});
    let quota =
        standing(hard, json!({"requests.storage": "11Gi", "fast.storageclass.storage.k8s.io/requests.storage": "2Gi"}));
    check(&PERSISTENT_VOLUME_CLAIM, &quota, Some(claim("2Gi")), &claim("1Gi"), expect!["adds "]);
    check(&PERSISTENT_VOLUME_CLAIM, &quota, Some(claim("2Gi")), &claim("2Gi"), expect!["adds "]);
    check(
        &PERSISTENT_VOLUME_CLAIM,
        &quota,
        Some(claim("2Gi")),
        &claim("4Gi"),
        expect![[
            r#"403 persistentvolumeclaims "x" is forbidden: exceeded quota: q, requested: fast.storageclass.storage.k8s.io/requests.storage=2Gi,requests.storage=2Gi, used: fast.storageclass.storage.k8s.io/requests.storage=2Gi,requests.storage=11Gi, limited: fast.storageclass.storage.k8s.io/requests.storage=3Gi,requests.storage=10Gi"#
        ]],
    );
    let balancers = standing(
        json!({"hard": {"services": "1", "services.loadbalancers": "0", "services.nodeports": "1"}}),
        json!({"services": "1"}),
    );
    let service = |kind: &str| json!({"spec": {"type": kind, "ports": [{"port": 80}, {"port": 81}]}});
    check(
        &SERVICE,
        &balancers,
        Some(service("ClusterIP")),
        &service("LoadBalancer"),
        expect![[
            r#"403 services "x" is forbidden: exceeded quota: q, requested: services.loadbalancers=1,services.nodeports=2, used: services.loadbalancers=0,services.nodeports=0, limited: services.loadbalancers=0,services.nodeports=1"#
        ]],
    );
    check(&SERVICE, &balancers, Some(service("LoadBalancer")), &service("NodePort"), expect!["adds "]);
}
