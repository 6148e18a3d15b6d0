//! Every verb once, as a user would.

use coracle_tests::{Cluster, eventually, root, wasmctl};

#[test]
fn verbs_against_a_cluster() {
    let cluster = Cluster::start();
    let file = root().join("examples/hello/hello.wat");
    let file = file.to_str().unwrap();
    cluster.wasmctl(&["deploy", file, "--replicas", "2"]).ok();

    let pods = cluster.wasmctl(&["get", "pods"]).ok();
    assert_eq!(pods.lines().count(), 3, "{pods}");
    assert!(pods.starts_with("NAME"), "{pods}");
    assert!(pods.contains("1/1") && pods.contains("Running"), "{pods}");
    assert!(cluster.wasmctl(&["get", "pods", "-o", "wide"]).ok().contains("127."));
    let names = cluster.wasmctl(&["get", "pods", "-o", "name"]).ok();
    let pod = names.lines().next().unwrap().to_owned();
    assert!(pod.starts_with("pod/hello-"), "{names}");
    assert!(cluster.wasmctl(&["get", "deploy/hello", "-o", "yaml"]).ok().contains("kind: Deployment"));

    let described = cluster.wasmctl(&["describe", &pod]).ok();
    assert!(described.contains("Started"), "{described}");
    cluster.get("hello.localhost", "/cart");
    eventually("the access line is logged", || {
        cluster.wasmctl(&["logs", "deployment/hello"]).ok().contains("GET /cart 200").then_some(())
    });
    assert!(cluster.wasmctl(&["events"]).ok().contains("ScalingReplicaSet"));
    let status = cluster.wasmctl(&["status"]).ok();
    assert!(status.contains("1 ready") && status.contains("2 running"), "{status}");
    assert!(cluster.wasmctl(&["version"]).ok().contains("server"));

    // The same again changes nothing; a new value rolls out.
    cluster.wasmctl(&["deploy", file, "--replicas", "2"]).ok();
    assert_eq!(cluster.object("deployment/hello")["status"]["observedGeneration"], 1);
    cluster.wasmctl(&["deploy", file, "--replicas", "2", "--env", "A=b"]).ok();
    assert_eq!(cluster.object("deployment/hello")["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");

    let manifest = root().join("examples/hello/deployment.yaml");
    assert!(cluster.wasmctl(&["apply", "-f", manifest.to_str().unwrap()]).ok().contains("service/hello configured"));
    let image = cluster.wasmctl(&["push", file, "other:2"]).ok();
    assert!(image.starts_with("registry.coracle.internal/other@sha256:"), "{image}");
    let pulled = cluster.dir().join("pulled.wasm");
    cluster.wasmctl(&["pull", "registry.coracle.internal/other:2", "--file", pulled.to_str().unwrap()]).ok();
    assert!(cluster.wasmctl(&["inspect", pulled.to_str().unwrap()]).ok().contains("wasi:http 0.2 handler"));

    let rotated = cluster.wasmctl(&["secrets", "rotate"]).ok();
    assert!(rotated.contains("sealed anew with key"), "{rotated}");

    cluster.wasmctl(&["delete", "-f", manifest.to_str().unwrap()]).ok();
    eventually("the pods are gone", || cluster.wasmctl(&["get", "pods", "-o", "name"]).ok().is_empty().then_some(()));
}

/// What a manifest no longer says goes, in lists too; what somebody else set stays.
#[test]
fn applying_again_removes_what_is_no_longer_said_and_nothing_else() {
    let cluster = Cluster::start();
    let file = cluster.dir().join("web.yaml");
    let apply = |container: &str| {
        let manifest = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: 0\n  \
             selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    \
             spec: {{containers: [{{name: web, image: 'registry.example/web:1'{container}}}]}}\n"
        );
        std::fs::write(&file, manifest).unwrap();
        cluster.wasmctl(&["apply", "-f", file.to_str().unwrap()]).ok()
    };
    let environment = || {
        let deployment = cluster.object("deployment/web");
        let environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().cloned();
        environment
            .into_iter()
            .flatten()
            .map(|variable| variable["name"].as_str().unwrap().to_owned())
            .collect::<String>()
    };
    assert!(apply(", env: [{name: A, value: a}, {name: B, value: b}]").contains("created"));
    cluster.kubectl(&["set", "env", "deployment/web", "C=c"]).ok();
    assert!(apply(", env: [{name: A, value: a}]").contains("configured"));
    assert_eq!(environment(), "AC");
    assert!(apply(", env: [{name: A, value: a}]").contains("unchanged"));
    assert!(apply("").contains("configured"));
    assert_eq!(environment(), "C");
}

#[test]
fn usage() {
    assert!(wasmctl(&["--help"]).ok().contains("deploy"));
    assert!(wasmctl(&["completion", "bash"]).ok().contains("_wasmctl"));
    wasmctl(&["get"]).fails_with(2);
    wasmctl(&["no-such-verb"]).fails_with(2);
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("kubeconfig");
    let error = wasmctl(&["get", "pods", "--kubeconfig", missing.to_str().unwrap()]).fails_with(1);
    assert!(error.contains("kubeconfig"), "{error}");
}
