//! The real kubectl, unmodified.

use coracle_tests::{Cluster, eventually, guest, root};

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

#[test]
fn pods_and_nodes_tell_what_they_use() {
    let cluster = Cluster::start();
    let spinner = guest("command-loops.wat");
    cluster.wasmctl(&["push", spinner.to_str().unwrap(), "spinner:1"]).ok();
    let pod = r#"{apiVersion: v1, kind: Pod, metadata: {name: spinner, labels: {app: spinner}}, spec: {containers: [
        {name: main, image: "registry.coracle.internal/spinner:1", resources: {limits: {cpu: 200m}}}]}}"#;
    cluster.kubectl_with(pod, &["apply", "-f", "-"]).ok();
    let hello = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["deploy", hello.to_str().unwrap()]).ok();
    let used = |text: &str, name: &str, column: usize| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(column)?.trim_end_matches(|unit: char| !unit.is_ascii_digit()).parse().ok()
    };
    // It spins, but for no more than its limit allows.
    let text = eventually("the spinner is seen to spin", || {
        let top = cluster.kubectl(&["top", "pods"]);
        let text = if top.code == 0 { top.stdout } else { String::new() };
        used(&text, "spinner", 1).filter(|millis| *millis > 20).map(|_| text)
    });
    assert!(used(&text, "spinner", 1).is_some_and(|millis| millis <= 230), "{text}");
    assert_eq!(used(&text, "hello", 1), Some(0), "{text}");
    let containers = cluster.kubectl(&["top", "pod", "spinner", "--containers"]).ok();
    assert!(containers.lines().any(|line| line.split_whitespace().take(2).eq(["spinner", "main"])), "{containers}");
    let selected = cluster.kubectl(&["top", "pods", "-l", "app=spinner", "--no-headers"]).ok();
    assert_eq!(selected.lines().count(), 1, "{selected}");
    let nodes = cluster.kubectl(&["top", "nodes", "--no-headers"]).ok();
    assert!(nodes.split_whitespace().nth(1).is_some_and(|cpu| cpu.ends_with('m') && cpu != "0m"), "{nodes}");
    assert!(cluster.kubectl(&["top", "pod", "nobody"]).fails_with(1).contains("not found"));
    assert!(cluster.wasmctl(&["top", "pods", "-A"]).ok().contains("spinner"));
    assert!(cluster.wasmctl(&["top", "nodes"]).ok().starts_with("NAME"));
}

#[test]
fn init_containers_run_to_their_end_before_the_others() {
    let cluster = Cluster::start();
    for name in ["command-exit-0", "command-exit-3"] {
        cluster.wasmctl(&["push", guest(&format!("{name}.wat")).to_str().unwrap(), &format!("{name}:1")]).ok();
    }
    cluster.wasmctl(&["push", root().join("examples/hello/hello.wat").to_str().unwrap(), "hello:1"]).ok();
    let apply = |name: &str, policy: &str, init: &[&str]| {
        let init: Vec<String> = init
            .iter()
            .enumerate()
            .map(|(index, image)| format!("{{name: i{index}, image: registry.coracle.internal/{image}:1}}"))
            .collect();
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{restartPolicy: {policy}, initContainers: [{}], \
             containers: [{{name: c, image: 'registry.coracle.internal/hello:1'}}]}}}}",
            init.join(", ")
        );
        cluster.kubectl_with(&pod, &["apply", "-f", "-"]).ok();
    };
    let shows = |name: &str, wanted: &str| {
        eventually(wanted, || cluster.kubectl(&["get", "pod", name]).ok().contains(wanted).then_some(()));
    };
    apply("fine", "Always", &["command-exit-0", "command-exit-0"]);
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/fine", "--timeout=60s"]).ok();
    shows("fine", "Running");
    let condition = "jsonpath={.status.conditions[?(@.type==\"Initialized\")].status} {.status.initContainerStatuses[*].state.terminated.reason}";
    let initialized = |name: &str| cluster.kubectl(&["get", "pod", name, "-o", condition]).ok();
    assert_eq!(initialized("fine"), "True Completed Completed");

    apply("failing", "Always", &["command-exit-0", "command-exit-3"]);
    shows("failing", "Init:CrashLoopBackOff");
    assert_eq!(initialized("failing"), "False Completed");
    apply("failed", "Never", &["command-exit-3"]);
    shows("failed", "Init:Error");
    apply("endless", "Always", &["hello"]);
    shows("endless", "Init:CreateContainerConfigError");
    let described = cluster.kubectl(&["describe", "pod", "endless"]).ok();
    assert!(described.contains("has no end; make it one of spec.containers"), "{described}");
}
