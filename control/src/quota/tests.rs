use coracle_api::kinds::{CONFIG_MAP, DEPLOYMENT, PERSISTENT_VOLUME_CLAIM, POD, SERVICE};
use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

fn check(kind: &Kind, object: &Value, expected: Expect) {
    expected.assert_eq(&amounts::print(&Usage::of(kind, object).amounts));
}

#[test]
fn what_objects_use() {
    check(&CONFIG_MAP, &Value::Null, expect!["configmaps=1,count/configmaps=1"]);
    check(&DEPLOYMENT, &Value::Null, expect!["count/deployments.apps=1"]);
    let container = |cpu: &str, policy: Option<&str>| json!({"resources": {"requests": {"cpu": cpu, "example.com/gpu": "1"}, "limits": {"memory": "1Gi"}}, "restartPolicy": policy});
    let mut pod = json!({"spec": {
        "containers": [container("100m", None), container("200m", None)],
        "initContainers": [container("50m", Some("Always")), container("1", None)],
        "overhead": {"cpu": "10m", "memory": "1Mi"},
    }});
    check(
        &POD,
        &pod,
        expect![
            "count/pods=1,cpu=1060m,limits.memory=3073Mi,memory=1Mi,pods=1,requests.cpu=1060m,requests.example.com/gpu=3,requests.memory=1Mi"
        ],
    );
    pod["status"] = json!({"phase": "Succeeded"});
    check(&POD, &pod, expect!["count/pods=1"]);
    let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}, "status": {"allocatedResources": {"storage": "2Gi"}}});
    check(
        &PERSISTENT_VOLUME_CLAIM,
        &claim,
        expect![
            "count/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/requests.storage=2Gi,persistentvolumeclaims=1,requests.storage=2Gi"
        ],
    );
    let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30000}]);
    check(
        &SERVICE,
        &json!({"spec": {"type": "LoadBalancer", "ports": ports, "allocateLoadBalancerNodePorts": false}}),
        expect!["count/services=1,services=1,services.loadbalancers=1,services.nodeports=1"],
    );
    check(
        &SERVICE,
        &json!({"spec": {"type": "ClusterIP", "ports": ports}}),
        expect!["count/services=1,services=1,services.loadbalancers=0,services.nodeports=0"],
    );
}

#[test]
fn what_quotas_count() {
    let kinds = |resources: &[&str]| {
        let hard: Map<String, Value> = resources.iter().map(|name| ((*name).to_owned(), "1".into())).collect();
        let quota = Quota::read(&json!({"metadata": {"name": "q"}, "spec": {"hard": hard}}));
        quota.kinds([]).into_iter().map(|kind| kind.plural).collect::<Vec<_>>().join(" ")
    };
    let rows = [
        kinds(&["pods"]),
        kinds(&["requests.nvidia.com/gpu"]),
        kinds(&["requests.storage", "services.nodeports"]),
        kinds(&["count/deployments.apps", "secrets", "configmaps"]),
        kinds(&["count/pods", "fast.storageclass.storage.k8s.io/persistentvolumeclaims"]),
        kinds(&["count/nodes", "horses"]),
    ];
    expect![[r#"
        pods
        pods
        persistentvolumeclaims services
        configmaps secrets deployments
        persistentvolumeclaims pods
    "#]]
    .assert_eq(&rows.join("\n"));
}
