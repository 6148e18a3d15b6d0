//! Bodies that kubectl sends as protobuf, from its recordings.

use std::path::Path;

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::harness::{Server, config_map, pod};

const NAMESPACED: &str = "/api/v1/namespaces/default";

/// Sends a recording; shows the answer without who owns what, or its message where it's a failure.
async fn check(server: &Server, line: &str, name: &str, expected: Expect) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/tests/golden/protobuf").join(name);
    let headers = [
        ("content-type", "application/vnd.kubernetes.protobuf"),
        ("accept", "application/vnd.kubernetes.protobuf,application/json"),
    ];
    let (code, text) = server.text(line, &headers, std::fs::read(path).unwrap()).await;
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    if let Some(metadata) = answer.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let shown = if code < 400 { answer.to_string() } else { answer["message"].as_str().unwrap().to_owned() };
    expected.assert_eq(&format!("{code} {shown}"));
}

#[tokio::test]
async fn objects_are_created() {
    let server = Server::start().await;
    check(&server, &format!("POST {NAMESPACED}/configmaps?fieldValidation=Strict"), "configmap.bin", expect![[r#"201 {"apiVersion":"v1","binaryData":{"bin":"//4A"},"data":{"a":"1","empty":""},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","name":"c1","namespace":"default","resourceVersion":"1048579","uid":"uid-3"}}"#]]).await;
    check(&server, &format!("POST {NAMESPACED}/secrets?fieldValidation=Strict"), "secret.bin", expect![[r#"201 {"apiVersion":"v1","data":{"empty":"","password":"aHVudGVyMg=="},"kind":"Secret","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","name":"s1","namespace":"default","resourceVersion":"1048580","uid":"uid-4"},"type":"Opaque"}"#]]).await;
    check(
        &server,
        "POST /apis/apps/v1/namespaces/default/deployments?fieldValidation=Strict",
        "deployment.bin",
        expect![[r#"201 {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","generation":1,"labels":{"app":"web"},"name":"web","namespace":"default","resourceVersion":"1048581","uid":"uid-5"},"spec":{"progressDeadlineSeconds":600,"replicas":3,"revisionHistoryLimit":10,"selector":{"matchLabels":{"app":"web"}},"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"registry.example/web@sha256:0000000000000000000000000000000000000000000000000000000000000000","imagePullPolicy":"IfNotPresent","name":"web","ports":[{"containerPort":8080,"protocol":"TCP"}],"resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}},"status":{}}"#]],
    )
    .await;
    check(
        &server,
        "POST /apis/networking.k8s.io/v1/namespaces/default/ingresses?fieldValidation=Strict",
        "ingress.bin",
        expect![[r#"201 {"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","generation":1,"name":"shop","namespace":"default","resourceVersion":"1048582","uid":"uid-6"},"spec":{"defaultBackend":{"service":{"name":"web","port":{"name":"http"}}},"ingressClassName":"coracle","rules":[{"host":"shop.example","http":{"paths":[{"backend":{"service":{"name":"cart","port":{"number":8080}}},"path":"/cart","pathType":"Prefix"}]}}],"tls":[{"hosts":["shop.example"],"secretName":"shop-tls"}]},"status":{"loadBalancer":{}}}"#]],
    )
    .await;
    check(&server, &format!("POST {NAMESPACED}/services?fieldValidation=Strict"), "service-headless.bin", expect![[r#"201 {"apiVersion":"v1","kind":"Service","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","generation":1,"labels":{"app":"db"},"name":"db","namespace":"default","resourceVersion":"1048583","uid":"uid-7"},"spec":{"clusterIP":"None","clusterIPs":["None"],"internalTrafficPolicy":"Cluster","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","selector":{"app":"db"},"sessionAffinity":"None","type":"ClusterIP"},"status":{"loadBalancer":{}}}"#]])
        .await;
    check(&server, "POST /api/v1/namespaces?fieldValidation=Strict", "namespace.bin", expect![[r#"201 {"apiVersion":"v1","kind":"Namespace","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","labels":{"kubernetes.io/metadata.name":"team"},"name":"team","resourceVersion":"1048584","uid":"uid-8"},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}"#]]).await;
}

#[tokio::test]
async fn objects_are_updated_and_deleted() {
    let server = Server::start().await;
    server.json(&format!("POST {NAMESPACED}/configmaps"), config_map("c1", "old")).await;
    check(&server, &format!("PUT {NAMESPACED}/configmaps/c1"), "configmap.bin", expect![[r#"200 {"apiVersion":"v1","binaryData":{"bin":"//4A"},"data":{"a":"1","empty":""},"kind":"ConfigMap","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","name":"c1","namespace":"default","resourceVersion":"1048580","uid":"uid-3"}}"#]]).await;
    server.json(&format!("POST {NAMESPACED}/pods"), pod("p1")).await;
    check(&server, &format!("DELETE {NAMESPACED}/pods/p1?dryRun=All"), "drain.bin", expect![[r#"200 {"apiVersion":"v1","kind":"Pod","metadata":{"creationTimestamp":"2026-11-21T10:00:00Z","generation":1,"labels":{"app":"p1"},"name":"p1","namespace":"default","resourceVersion":"1048581","uid":"uid-4"},"spec":{"containers":[{"image":"example.org/a@sha256:00","imagePullPolicy":"IfNotPresent","name":"main","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority","priority":0,"restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"serviceAccount":"default","serviceAccountName":"default","terminationGracePeriodSeconds":30},"status":{"phase":"Pending","qosClass":"BestEffort"}}"#]]).await;
}

#[tokio::test]
async fn rights_are_told() {
    let server = Server::start().await;
    server.furnish().await;
    let reviews = "POST /apis/authorization.k8s.io/v1";
    check(&server, &format!("{reviews}/selfsubjectaccessreviews"), "can-i.bin", expect![[r#"201 {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"group":"apps","namespace":"team","resource":"deployments","verb":"create"}},"status":{"allowed":true,"reason":"group system:masters may do everything"}}"#]]).await;
    check(&server, &format!("{reviews}/selfsubjectaccessreviews"), "can-i-path.bin", expect![[r#"201 {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"nonResourceAttributes":{"path":"/healthz","verb":"get"}},"status":{"allowed":true,"reason":"group system:masters may do everything"}}"#]]).await;
    check(&server, &format!("{reviews}/selfsubjectrulesreviews"), "can-i-list.bin", expect![[r#"201 {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectRulesReview","spec":{"namespace":"default"},"status":{"incomplete":false,"nonResourceRules":[{"nonResourceURLs":["*"],"verbs":["*"]}],"resourceRules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}}"#]]).await;
    let node = server.as_node("n1");
    check(&node, &format!("{reviews}/selfsubjectaccessreviews"), "can-i.bin", expect![[r#"201 {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"group":"apps","namespace":"team","resource":"deployments","verb":"create"}},"status":{"allowed":false}}"#]]).await;
}

#[tokio::test]
async fn other_kinds_and_other_bytes_are_refused() {
    let server = Server::start().await;
    check(
        &server,
        &format!("POST {NAMESPACED}/configmaps"),
        "secret.bin",
        expect!["400 the kind in the data (Secret) does not match the expected kind (ConfigMap)"],
    )
    .await;
    check(&server, &format!("POST {NAMESPACED}/configmaps"), "configmap.json", expect![[r#"
        400 the object provided is unrecognized (must be of type ConfigMap): the provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({
            "kind": "ConfigMap",
            ...)"#]]).await;
    check(
        &server,
        &format!("PATCH {NAMESPACED}/configmaps/c1"),
        "configmap.bin",
        expect!["415 415: Unsupported Media Type"],
    )
    .await;
}
