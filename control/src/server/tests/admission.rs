//! What creates and updates pass besides their kinds' own rules: priorities, runtime classes, kinds that nobody acts on.

use expect_test::{Expect, expect};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::harness::{Server, pod};

const PODS: &str = "/api/v1/namespaces/default/pods";
const PRIORITIES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
const RUNTIMES: &str = "/apis/node.k8s.io/v1/runtimeclasses";
const STATEFUL_SETS: &str = "/apis/apps/v1/namespaces/default/statefulsets";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

fn priority_class(name: &str, value: i64, rest: Value) -> Value {
    let mut class = json!({ "metadata": { "name": name }, "value": value });
    class.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    class
}

fn pod_with(name: &str, spec: Value) -> Value {
    let mut pod = pod(name);
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

fn template(restart_policy: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "a" } },
        "spec": { "restartPolicy": restart_policy, "containers": [{ "name": "main", "image": "example.org/a:1" }] },
    })
}

/// What became of a pod's fields, or why it was refused.
async fn check_pod(server: &Server, spec: Value, fields: &[&str], expected: Expect) {
    let (code, pod) = server.json(&format!("POST {PODS}?dryRun=All"), pod_with("p", spec)).await;
    let shown = match pod.get("message") {
        Some(message) => format!("{code} {}", message.as_str().unwrap()),
        None => fields.iter().map(|field| format!("{field}={} ", pod["spec"][field])).collect(),
    };
    expected.assert_eq(shown.trim_end());
}

#[tokio::test]
async fn pods_have_the_priority_of_their_class() {
    const FIELDS: &[&str] = &["priorityClassName", "priority", "preemptionPolicy"];
    let server = Server::start().await;
    check_pod(
        &server,
        json!({}),
        FIELDS,
        expect![[r#"priorityClassName=null priority=0 preemptionPolicy="PreemptLowerPriority""#]],
    )
    .await;
    check_pod(
        &server,
        json!({ "priorityClassName": "high" }),
        FIELDS,
        expect![[r#"403 pods "p" is forbidden: no PriorityClass with name high was found"#]],
    )
    .await;
    let high = priority_class("high", 1000, json!({ "preemptionPolicy": "Never" }));
    expect!["201"].assert_eq(&server.outcome(&format!("POST {PRIORITIES}"), high).await);
    check_pod(
        &server,
        json!({ "priorityClassName": "high" }),
        FIELDS,
        expect![[r#"priorityClassName="high" priority=1000 preemptionPolicy="Never""#]],
    )
    .await;
    check_pod(
        &server,
        json!({ "priorityClassName": "high", "priority": 1000 }),
        FIELDS,
        expect![[r#"priorityClassName="high" priority=1000 preemptionPolicy="Never""#]],
    )
    .await;
    check_pod(&server, json!({ "priorityClassName": "high", "priority": 7 }), FIELDS, expect![[r#"403 pods "p" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name"#]]).await;
    let preempting = json!({ "priorityClassName": "high", "preemptionPolicy": "PreemptLowerPriority" });
    check_pod(&server, preempting, FIELDS, expect![[r#"403 pods "p" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name"#]]).await;
    check_pod(&server, json!({ "priority": 7 }), FIELDS, expect![[r#"403 pods "p" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name"#]]).await;
}

#[tokio::test]
async fn one_class_is_the_default() {
    let server = Server::start().await;
    let is_default = json!({ "globalDefault": true });
    let post = format!("POST {PRIORITIES}");
    expect!["201"].assert_eq(&server.outcome(&post, priority_class("usual", 5, is_default.clone())).await);
    check_pod(
        &server,
        json!({}),
        &["priorityClassName", "priority"],
        expect![[r#"priorityClassName="usual" priority=5"#]],
    )
    .await;
    expect![[r#"403 priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as default. Only one default can exist"#]].assert_eq(&server.outcome(&post, priority_class("other", 6, is_default.clone())).await);
    expect!["201"].assert_eq(&server.outcome(&post, priority_class("other", 6, json!({}))).await);
    expect![[r#"403 priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as default. Only one default can exist"#]].assert_eq(&server.outcome(&format!("PATCH {PRIORITIES}/other"), is_default.clone()).await);
    expect!["200"].assert_eq(&server.outcome(&format!("PATCH {PRIORITIES}/usual"), is_default).await);
}

#[tokio::test]
async fn a_pod_keeps_its_priority() {
    let server = Server::start().await;
    server.json(&format!("POST {PODS}"), pod("p")).await;
    let late = priority_class("late", 5, json!({ "globalDefault": true }));
    server.json(&format!("POST {PRIORITIES}"), late).await;
    let (_, mut stored) = server.json(&format!("GET {PODS}/p"), Value::Null).await;
    stored["metadata"]["labels"]["new"] = "yes".into();
    for field in ["priority", "preemptionPolicy"] {
        stored["spec"].as_object_mut().unwrap().remove(field);
    }
    let (code, updated) = server.json(&format!("PUT {PODS}/p"), stored).await;
    expect![[r#"200 0 "PreemptLowerPriority""#]]
        .assert_eq(&format!("{code} {} {}", updated["spec"]["priority"], updated["spec"]["preemptionPolicy"]));
}

#[tokio::test]
async fn pods_run_as_their_runtime_class_says() {
    const FIELDS: &[&str] = &["overhead", "nodeSelector", "tolerations"];
    let server = Server::start().await;
    check_pod(
        &server,
        json!({ "runtimeClassName": "wasm" }),
        FIELDS,
        expect!["overhead=null nodeSelector=null tolerations=null"],
    )
    .await;
    check_pod(
        &server,
        json!({ "runtimeClassName": "fast" }),
        FIELDS,
        expect![[r#"403 pods "p" is forbidden: pod rejected: RuntimeClass "fast" not found"#]],
    )
    .await;
    check_pod(&server, json!({ "overhead": { "cpu": "1" } }), FIELDS, expect![[r#"403 pods "p" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"#]]).await;
    let toleration = json!({ "key": "fast", "operator": "Exists" });
    let class = json!({
        "metadata": { "name": "fast" }, "handler": "wasm", "overhead": { "podFixed": { "cpu": "100m" } },
        "scheduling": { "nodeSelector": { "disk": "ssd" }, "tolerations": [toleration] },
    });
    expect!["201"].assert_eq(&server.outcome(&format!("POST {RUNTIMES}"), class).await);
    check_pod(
        &server,
        json!({ "runtimeClassName": "fast" }),
        FIELDS,
        expect![[
            r#"overhead={"cpu":"100m"} nodeSelector={"disk":"ssd"} tolerations=[{"key":"fast","operator":"Exists"}]"#
        ]],
    )
    .await;
    let own = json!({
        "runtimeClassName": "fast", "overhead": { "cpu": "100m" }, "nodeSelector": { "zone": "a" }, "tolerations": [toleration],
    });
    check_pod(&server, own, FIELDS, expect![[r#"overhead={"cpu":"100m"} nodeSelector={"disk":"ssd","zone":"a"} tolerations=[{"key":"fast","operator":"Exists"}]"#]]).await;
    let conflict = json!({ "runtimeClassName": "fast", "nodeSelector": { "disk": "tape" } });
    check_pod(&server, conflict, FIELDS, expect![[r#"403 pods "p" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[disk] = ssd; pod.spec.nodeSelector[disk] = tape"#]]).await;
    check_pod(
        &server,
        json!({ "runtimeClassName": "fast", "overhead": { "cpu": "1" } }),
        FIELDS,
        expect![[
            r#"403 pods "p" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"#
        ]],
    )
    .await;
}

#[tokio::test]
async fn who_creates_what_nobody_acts_on_is_told() {
    let server = Server::start().await;
    let set = json!({
        "metadata": { "name": "db" },
        "spec": { "selector": { "matchLabels": { "app": "a" } }, "template": template("Always") },
    });
    let headers = [("content-type", "application/json")];
    let response = server.send(&format!("POST {STATEFUL_SETS}"), &headers, set.to_string()).await;
    assert_eq!(response.status(), 201);
    expect![[r#"299 - "StatefulSet is stored, but this version of Coracle has no controller that acts on it""#]]
        .assert_eq(response.headers()["warning"].to_str().unwrap());
    let mut told = String::new();
    for spec_type in ["NodePort", "LoadBalancer", "ClusterIP"] {
        let service =
            json!({ "metadata": { "generateName": "s-" }, "spec": { "type": spec_type, "ports": [{ "port": 80 }] } });
        let response = server.send("POST /api/v1/namespaces/default/services", &headers, service.to_string()).await;
        let warning = response.headers().get("warning").map(|warning| warning.to_str().unwrap().to_owned());
        told += &format!("{} {}\n", response.status().as_u16(), warning.unwrap_or_default());
    }
    expect![[r#"
        201 299 - "spec.type: no port of the hosts is opened for services here: an Ingress makes one reachable from outside"
        201 299 - "spec.type: nothing here gives services a load balancer: an Ingress makes one reachable from outside"
        201 
    "#]].assert_eq(&told);
    let (_, scale) =
        server.json(&format!("PATCH {STATEFUL_SETS}/db/scale"), json!({ "spec": { "replicas": 3 } })).await;
    expect![[r#"{"replicas":3} {"replicas":0,"selector":"app=a"}"#]]
        .assert_eq(&format!("{} {}", scale["spec"], scale["status"]));
    let (_, scaled) = server.json(&format!("GET {STATEFUL_SETS}/db"), Value::Null).await;
    assert_eq!(scaled["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_scale_is_read_and_checked_as_one() {
    let server = Server::start().await;
    let set = json!({
        "metadata": { "name": "db" },
        "spec": { "selector": { "matchLabels": { "app": "a" } }, "template": template("Always"), "replicas": 2 },
    });
    server.json(&format!("POST {STATEFUL_SETS}"), set).await;
    let path = format!("{STATEFUL_SETS}/db/scale");
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let response = server.send(&format!("GET {path}"), &table, String::new()).await;
    let table: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let columns: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    expect![[r#"["Name", "Desired", "Available", "Age"] ["db",2,0]"#]]
        .assert_eq(&format!("{columns:?} {}", json!(table["rows"][0]["cells"].as_array().unwrap()[..3])));
    let mut told = String::new();
    for (ask, body) in [
        ("PATCH", json!({ "spec": { "replicas": -1 } })),
        ("PATCH", json!({ "spec": { "replicaz": 1 } })),
        ("PATCH", json!({ "kind": "Pod" })),
        ("PATCH", json!({ "metadata": { "uid": "x" } })),
        ("PUT", json!({ "kind": "StatefulSet", "metadata": { "name": "db" }, "spec": { "replicas": 1 } })),
        ("PUT", json!({ "apiVersion": "apps/v1", "metadata": { "name": "db" }, "spec": { "replicas": 1 } })),
        ("PUT", json!({ "metadata": { "name": "db" }, "spec": { "replicas": 1, "replica": 2 } })),
    ] {
        let (code, answer) = server.json(&format!("{ask} {path}?fieldValidation=Strict"), body).await;
        told += &format!("{code} {}\n", answer["message"].as_str().unwrap_or_default());
    }
    expect![[r#"
        422 Scale.autoscaling "db" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0
        422  "" is invalid: patch: Invalid value: "{\"spec\":{\"replicaz\":1}}": strict decoding error: unknown field "spec.replicaz"
        400 the kind in the data (Pod) does not match the expected kind (Scale)
        409 Operation cannot be fulfilled on scales.autoscaling "db": Precondition failed: UID in precondition: x, UID in object meta: uid-3
        400 the kind in the data (StatefulSet) does not match the expected kind (Scale)
        400 the API version in the data (apps/v1) does not match the expected API version (autoscaling/v1)
        400 Scale in version "v1" cannot be handled as a Scale: strict decoding error: unknown field "spec.replica"
    "#]]
    .assert_eq(&told);
}

#[tokio::test]
async fn a_job_selects_its_own_pods() {
    let server = Server::start().await;
    let job = json!({ "metadata": { "name": "pi" }, "spec": { "template": template("Never") } });
    let (code, created) = server.json(&format!("POST {JOBS}"), job).await;
    expect![[r#"201 {"matchLabels":{"batch.kubernetes.io/controller-uid":"uid-3"}} {"app":"a","batch.kubernetes.io/controller-uid":"uid-3","batch.kubernetes.io/job-name":"pi","controller-uid":"uid-3","job-name":"pi"} {"app":"a","batch.kubernetes.io/controller-uid":"uid-3","batch.kubernetes.io/job-name":"pi","controller-uid":"uid-3","job-name":"pi"}"#]].assert_eq(&format!(
        "{code} {} {} {}",
        created["spec"]["selector"], created["spec"]["template"]["metadata"]["labels"], created["metadata"]["labels"]
    ));
    let names = async |selector: &str| {
        let (code, list) = server.json(&format!("GET {JOBS}?fieldSelector={selector}"), Value::Null).await;
        format!("{code} {} {}", list["items"].as_array().map_or(0, Vec::len), list["message"])
    };
    expect!["200 1 null"].assert_eq(&names("status.successful=0").await);
    expect!["200 0 null"].assert_eq(&names("status.successful=1").await);
    expect![[r#"400 0 "\"status.active\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\", \"status.successful\"""#]].assert_eq(&names("status.active=1").await);
}
