//! Every verb once, as a user would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use coracle_tests::{Cluster, eventually, example, root, try_get, wasmctl, wasmctl_path};

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

    // The same again changes nothing; a new value rolls out. There are as many pods as before unless it is said.
    cluster.wasmctl(&["deploy", file]).ok();
    assert_eq!(cluster.object("deployment/hello")["status"]["observedGeneration"], 1);
    cluster.wasmctl(&["deploy", file, "--env", "A=b"]).ok();
    let rolled = cluster.object("deployment/hello");
    assert_eq!(rolled["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    assert_eq!(rolled["spec"]["replicas"], 2);
    cluster.kubectl(&["scale", "deployment/hello", "--replicas=3"]).ok();
    cluster.wasmctl(&["deploy", file, "--env", "A=c"]).ok();
    assert_eq!(cluster.object("deployment/hello")["spec"]["replicas"], 3);

    let manifest = root().join("examples/hello/deployment.yaml");
    assert!(cluster.wasmctl(&["apply", "-f", manifest.to_str().unwrap()]).ok().contains("service/hello configured"));
    let image = cluster.wasmctl(&["push", file, "other:2"]).ok();
    assert!(image.starts_with("registry.coracle.internal/other@sha256:"), "{image}");
    let pulled = cluster.dir().join("pulled.wasm");
    cluster.wasmctl(&["pull", "registry.coracle.internal/other:2", "--file", pulled.to_str().unwrap()]).ok();
    assert!(cluster.wasmctl(&["inspect", pulled.to_str().unwrap()]).ok().contains("wasi:http 0.2 handler"));
    let measured = cluster.wasmctl(&["inspect", "registry.coracle.internal/other:2", "--measure", "-o", "json"]).ok();
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert!(measured["measured"]["instanceMicrosecondsP50"].as_f64().unwrap() > 0.0, "{measured}");

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

/// A node is cordoned, emptied as its pods and their budget allow, and put back.
#[test]
fn a_node_goes_out_of_service_and_comes_back() {
    let cluster = Cluster::start();
    let node = cluster.wasmctl(&["node", "list", "-o", "name"]).ok().trim().to_owned();
    let unknown = cluster.wasmctl(&["node", "cordon", &node, "zz"]).fails_with(1);
    assert!(unknown.contains("nodes \"zz\" not found") && unknown.contains("wasmctl node list"), "{unknown}");

    cluster.wasmctl(&["deploy", root().join("examples/hello/hello.wat").to_str().unwrap()]).ok();
    let image = cluster.object("deployment/hello")["spec"]["template"]["spec"]["containers"][0]["image"].take();
    cluster.kubectl(&["run", "bare", &format!("--image={}", image.as_str().unwrap())]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/bare", "--timeout=60s"]).ok();
    cluster.kubectl(&["create", "poddisruptionbudget", "hello", "--selector=app=hello", "--min-available=1"]).ok();
    eventually("the budget is counted", || {
        (cluster.object("pdb/hello")["status"]["currentHealthy"] == 1).then_some(())
    });

    let rehearsed = cluster.wasmctl(&["node", "drain", &node, "--force", "--dry-run"]).ok();
    assert!(rehearsed.contains("pod default/bare evicted (dry run)"), "{rehearsed}");
    assert!(rehearsed.contains("has to wait (dry run): The disruption budget hello needs 1"), "{rehearsed}");
    assert!(rehearsed.ends_with(&format!("{node} waits for 1 of 2 pods (dry run)\n")), "{rehearsed}");
    assert_eq!(cluster.wasmctl(&["node", "cordon", &node]).ok(), format!("{node} cordoned\n"));
    assert_eq!(cluster.wasmctl(&["node", "cordon", &node]).ok(), format!("{node} already cordoned\n"));
    assert!(cluster.wasmctl(&["node", "list"]).ok().contains("Ready,SchedulingDisabled"));

    let refused = cluster.wasmctl(&["node", "drain", &node]).fails_with(1);
    assert!(refused.contains("pod default/bare has no controller that would replace it (--force)"), "{refused}");
    assert_eq!(cluster.object("pod/bare")["status"]["phase"], "Running");
    let late = cluster.wasmctl(&["node", "drain", &node, "--force", "--timeout", "2"]).fails_with(3);
    assert!(late.contains("waits: The disruption budget hello needs 1 healthy pods and has 1 currently"), "{late}");
    assert_eq!(cluster.get("hello.localhost", "/").0, 200);
    eventually("the other pod is gone", || {
        (!cluster.wasmctl(&["get", "pods", "-o", "name"]).ok().contains("pod/bare")).then_some(())
    });
    let mut drain = cluster.start_wasmctl(&["node", "drain", &node]);
    assert_eq!(drain.next_line(), format!("{node} already cordoned"));
    cluster.wasmctl(&["delete", "pdb", "hello"]).ok();
    let drained = drain.end().ok();
    assert!(drained.starts_with("pod default/hello-") && drained.ends_with(&format!("{node} drained\n")), "{drained}");

    eventually("the pod that replaces it has to wait", || {
        let status = cluster.wasmctl(&["status"]).ok();
        status.contains("pending: 0/1 nodes are available: 1 node(s) were unschedulable.").then_some(())
    });
    assert_eq!(cluster.wasmctl(&["node", "uncordon", &node]).ok(), format!("{node} uncordoned\n"));
    eventually("it answers", || (cluster.get("hello.localhost", "/").0 == 200).then_some(()));
}

/// Kinds that users define are kinds like any others.
#[test]
fn verbs_know_the_kinds_that_users_define() {
    let cluster = Cluster::start();
    let unknown = cluster.wasmctl(&["get", "widgets"]).fails_with(2);
    assert!(unknown.contains("no kind is called `widgets`") && unknown.contains("deployments"), "{unknown}");
    let definition = root().join("tests/charts/widgets/crds/widgets.yaml");
    cluster.wasmctl(&["apply", "-f", definition.to_str().unwrap()]).ok();
    let file = cluster.dir().join("widget.yaml");
    let file = file.to_str().unwrap();
    let apply = |replicas: u8| {
        let object = format!(
            "{{apiVersion: shop.example.com/v1, kind: Widget, metadata: {{name: one}}, spec: {{replicas: {replicas}}}}}"
        );
        std::fs::write(file, object).unwrap();
        cluster.wasmctl(&["apply", "-f", file])
    };
    let applied = eventually("the kind is served", || Some(apply(2)).filter(|applied| applied.code == 0));
    assert_eq!(applied.ok(), "widget.shop.example.com/one created\n");

    let table = cluster.wasmctl(&["get", "widgets"]).ok();
    assert!(table.starts_with("NAME   COLOR   REPLICAS   AGE\none    blue    2"), "{table}");
    assert!(cluster.wasmctl(&["get", "all"]).ok().contains("one    blue    2"));
    assert_eq!(cluster.wasmctl(&["get", "wg/one", "-o", "name"]).ok(), "widget.shop.example.com/one\n");
    assert_eq!(cluster.object("widgets.v1beta1.shop.example.com/one")["apiVersion"], "shop.example.com/v1beta1");
    assert!(cluster.wasmctl(&["describe", "widget", "one"]).ok().contains("replicas: 2"));
    let mut watch = cluster.start_wasmctl(&["get", "widgets", "--watch"]);
    assert!(watch.next_line().starts_with("NAME") && watch.next_line().contains("blue    2"));
    apply(3).ok();
    let line = watch.next_line();
    assert!(line.starts_with("one   blue   3"), "{line}");
    let refused = apply(11).fails_with(1);
    assert!(refused.contains("spec.replicas: Invalid value: 11"), "{refused}");
    assert_eq!(cluster.wasmctl(&["delete", "-f", file]).ok(), "widget.shop.example.com/one deleted\n");
}

#[test]
fn a_component_without_a_cluster_reaches_what_its_user_says() {
    let folder = tempfile::tempdir().unwrap();
    // A page to fetch, from whoever answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    });
    let front = example("front.wasm");
    let serve = |egress: &[&str]| {
        let url = format!("BACKEND_URL=http://{address}/");
        let mut serving = Command::new(wasmctl_path());
        serving.args(["run", front.to_str().unwrap(), "--addr", "127.0.0.1:0", "--env", &url]).args(egress);
        let mut serving = serving.current_dir(&folder).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(serving.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let at = line.split('/').nth(2).expect("it says where").to_owned();
        let answer = try_get(at, "any", "/").unwrap().1;
        serving.kill().unwrap();
        serving.wait().unwrap();
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        (answer, rest)
    };
    assert_eq!(serve(&["--egress", "127.0.0.0/8"]).0, "The back end says: hello\n");
    let (answer, said) = serve(&[]);
    assert!(answer.ends_with("does not answer: ErrorCode::HttpRequestDenied\n"), "{answer}");
    assert!(said.contains("was denied: ") && said.contains("with --egress"), "{said}");
    let wrong = wasmctl(&["run", front.to_str().unwrap(), "--egress", "http://a"]).fails_with(2);
    assert!(wrong.contains("--egress: \"http://a\" is none of HOST"), "{wrong}");
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
    let data_dir = dir.path().join("data");
    for verb in ["up", "server", "host"] {
        let arguments = [
            verb,
            "--advertise",
            "127.0.0.1",
            "--data-dir",
            data_dir.to_str().unwrap(),
            "--kubeconfig",
            "./kubeconfig",
        ];
        let error = wasmctl(&arguments).fails_with(2);
        assert!(error.contains("--kubeconfig says which cluster a verb asks"), "{error}");
    }
    assert!(!data_dir.exists());
}

/// As with `wasmctl completion bash | head -1`.
#[test]
fn a_reader_that_goes_away_is_no_failure_to_tell_of() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(wasmctl_path());
    let running = command.args(["completion", "bash"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let printed = running.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&printed.stderr), "");
}
