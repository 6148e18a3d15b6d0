//! The real kubectl, unmodified.

use coracle_tests::{Cluster, eventually, root};

#[test]
fn an_ordinary_session() {
    let cluster = Cluster::start();
    let file = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["push", file.to_str().unwrap(), "hello:1"]).ok();
    let manifest = root().join("examples/hello/deployment.yaml");
    let manifest = manifest.to_str().unwrap();

    let resources = cluster.kubectl(&["api-resources"]).ok();
    for kind in ["pods", "deployments", "services", "ingresses", "endpointslices", "leases", "events"] {
        assert!(resources.contains(kind), "{resources}");
    }
    let applied = cluster.kubectl(&["apply", "-f", manifest]).ok();
    assert!(applied.contains("deployment.apps/hello created"), "{applied}");
    cluster.kubectl(&["rollout", "status", "deployment/hello", "--timeout=60s"]).ok();
    cluster.kubectl(&["wait", "--for=condition=Available", "deployment/hello", "--timeout=60s"]).ok();
    assert!(cluster.kubectl(&["apply", "-f", manifest]).ok().contains("deployment.apps/hello unchanged"));
    cluster.kubectl(&["scale", "deployment/hello", "--replicas=3"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/hello", "--timeout=60s"]).ok();
    let pods = cluster.kubectl(&["get", "pods", "-o", "wide"]).ok();
    assert_eq!(pods.matches("1/1").count(), 3, "{pods}");
    assert!(cluster.kubectl(&["get", "deployment", "hello", "-o", "yaml"]).ok().contains("readyReplicas: 3"));
    cluster.kubectl(&["label", "deployment", "hello", "tier=front"]).ok();
    assert!(cluster.kubectl(&["get", "deployments", "-l", "tier=front", "-o", "name"]).ok().contains("hello"));
    let described = cluster.kubectl(&["describe", "deployment", "hello"]).ok();
    assert!(described.contains("NewReplicaSetAvailable") && described.contains("ScalingReplicaSet"), "{described}");
    eventually("the ingress knows the pods", || (cluster.get("hello.localhost", "/kubectl").0 == 200).then_some(()));
    eventually("the log has the request", || {
        cluster.kubectl(&["logs", "-l", "app=hello", "--tail=-1"]).ok().contains("GET /kubectl 200").then_some(())
    });
    let list = "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: listed}}]}";
    assert_eq!(cluster.kubectl_with(list, &["apply", "-f", "-"]).ok(), "configmap/listed created\n");
    cluster.kubectl(&["delete", "-f", manifest, "--timeout=60s"]).ok();
    eventually("the pods are gone", || cluster.kubectl(&["get", "pods", "-o", "name"]).ok().is_empty().then_some(()));
}

#[test]
fn errors_are_kubernetes_own() {
    let cluster = Cluster::start();
    let missing = cluster.kubectl(&["get", "deployment", "zz"]).fails_with(1);
    assert!(missing.contains("deployments.apps \"zz\" not found"), "{missing}");
    let unknown = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\nsurprise: 1\n";
    let refused = cluster.kubectl_with(unknown, &["apply", "-f", "-"]).fails_with(1);
    assert!(refused.contains("unknown field") && refused.contains("surprise"), "{refused}");
    let mismatch = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: d}}
    spec: {containers: [{name: c, image: registry.coracle.internal/hello:1}]}
";
    let refused = cluster.kubectl_with(mismatch, &["apply", "-f", "-"]).fails_with(1);
    assert!(refused.contains("`selector` does not match template `labels`"), "{refused}");
}
