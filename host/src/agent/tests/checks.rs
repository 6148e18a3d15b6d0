//! Probes and hooks, with the agent, the runtime and a component.

use super::*;

const HELLO: &str = "examples/hello/hello.wat";

fn checked(name: &str, checks: Value) -> Value {
    let mut object = pod(name, "Always", &format!("registry.coracle.internal/c@{DIGEST}"));
    let container = object["spec"]["containers"][0].as_object_mut().unwrap();
    container.extend(checks.as_object().unwrap().clone());
    object
}

impl Harness {
    /// Waits for the first line that contains this.
    async fn until(&mut self, wanted: &str) -> String {
        let mut lines = Vec::new();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let line = tokio::time::timeout_at(deadline, self.next()).await;
            let Ok(line) = line else { panic!("no {wanted:?} in {lines:#?}") };
            if line.contains(wanted) {
                return line;
            }
            lines.push(line);
        }
    }

    /// Takes the pod on, and gives the next status in which its container runs.
    async fn run(&mut self, object: &Value) -> Value {
        self.send(InformerEvent::Restarted(vec![object.clone()]));
        self.until_status(|container| container["state"]["running"].is_object()).await
    }

    async fn until_status(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let item = tokio::time::timeout(Duration::from_secs(30), self.items.recv()).await.unwrap().unwrap();
            let status = &item["object"]["status"];
            if item["verb"] == "updateStatus" && is_it(&status["containerStatuses"][0]) {
                return status.clone();
            }
        }
    }
}

fn show(status: &Value) -> String {
    let container = &status["containerStatuses"][0];
    let ready = status["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == "Ready").unwrap();
    format!(
        "{} ready {} started {}, pod {}",
        status["phase"], container["ready"], container["started"], ready["status"]
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_ready_when_its_probe_says_so() {
    let mut host = Harness::new(HELLO).await;
    let get = |port: u16| json!({"readinessProbe": {"httpGet": {"path": "/", "port": port}}});
    // What is probed at once is told together with its start.
    let status = host.run(&checked("web-1", get(8080))).await;
    expect![[r#""Running" ready true started true, pod "True""#]].assert_eq(&show(&status));
    let status = host.run(&checked("web-2", get(81))).await;
    expect![[r#""Running" ready false started true, pod "False""#]].assert_eq(&show(&status));
    host.send(InformerEvent::Applied(checked("web-3", get(81))));
    expect![[
        r#"event Unhealthy Readiness probe failed: Get "http://127.64.0.3:81/": dial tcp 127.64.0.3:81: connect: connection refused"#
    ]]
    .assert_eq(&host.until("127.64.0.3:81").await);
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn startup_holds_up_readiness() {
    let mut host = Harness::new(HELLO).await;
    let object = checked(
        "web-1",
        json!({"startupProbe": {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 1}, "readinessProbe": {"tcpSocket": {"port": 8080}}}),
    );
    let status = host.run(&object).await;
    expect![[r#""Running" ready false started false, pod "False""#]].assert_eq(&show(&status));
    let status = host.until_status(|container| container["ready"] == true).await;
    expect![[r#""Running" ready true started true, pod "True""#]].assert_eq(&show(&status));
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_liveness_probe_restarts_the_container() {
    let mut host = Harness::new(HELLO).await;
    let object = checked(
        "web-1",
        json!({"livenessProbe": {"httpGet": {"path": "/", "port": 81}, "periodSeconds": 1, "failureThreshold": 1}}),
    );
    host.send(InformerEvent::Restarted(vec![object]));
    let first = host.until("Unhealthy").await;
    expect![[r#"event Unhealthy Liveness probe failed: Get "http://127.64.0.1:81/": dial tcp 127.64.0.1:81: connect: connection refused"#]].assert_eq(&first);
    expect!["event Killing Container c failed liveness probe, will be restarted"]
        .assert_eq(&host.until("Killing").await);
    let again = host.until_status(|container| container["restartCount"] == 1 && container["ready"] == true).await;
    let last = &again["containerStatuses"][0]["lastState"]["terminated"];
    expect![[r#"143 "Error" "Container c failed liveness probe""#]]
        .assert_eq(&format!("{} {} {}", last["exitCode"], last["reason"], last["message"]));
    // The second time it is held back.
    host.until("Back-off restarting failed container").await;
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_called_and_their_failures_told() {
    let mut host = Harness::new(HELLO).await;
    let get = |port: u16| json!({"httpGet": {"path": "/", "port": port}});
    let mut good = checked("web-1", json!({"lifecycle": {"postStart": get(8080), "preStop": get(81)}}));
    let status = host.run(&good).await;
    expect![[r#""Running" ready true started true, pod "True""#]].assert_eq(&show(&status));
    good["metadata"]["deletionTimestamp"] = "2026-11-21T03:40:11Z".into();
    good["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    host.send(InformerEvent::Applied(good.clone()));
    expect![[r#"event FailedPreStopHook PreStopHook failed: Get "http://127.64.0.1:81/": dial tcp 127.64.0.1:81: connect: connection refused"#]].assert_eq(&host.until("FailedPreStopHook").await);
    host.until("delete web-1").await;
    host.send(InformerEvent::Deleted(good));

    host.send(InformerEvent::Applied(checked("web-2", json!({"lifecycle": {"postStart": get(81)}}))));
    expect![[r#"event FailedPostStartHook PostStartHook failed: Get "http://127.64.0.2:81/": dial tcp 127.64.0.2:81: connect: connection refused"#]].assert_eq(&host.until("FailedPostStartHook").await);
    expect!["event Killing FailedPostStartHook"].assert_eq(&host.until("Killing").await);
    let again = host.until_status(|container| container["lastState"]["terminated"].is_object()).await;
    let last = &again["containerStatuses"][0]["lastState"]["terminated"];
    expect![[r#"143 "Error" "FailedPostStartHook""#]]
        .assert_eq(&format!("{} {} {}", last["exitCode"], last["reason"], last["message"]));
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pre_stop_hook_ends_with_the_grace() {
    let mut host = Harness::new(HELLO).await;
    let mut object = checked("web-1", json!({"lifecycle": {"preStop": {"sleep": {"seconds": 3600}}}}));
    host.run(&object).await;
    object["metadata"]["deletionTimestamp"] = "2026-11-21T03:40:11Z".into();
    object["metadata"]["deletionGracePeriodSeconds"] = 3600.into();
    host.send(InformerEvent::Applied(object.clone()));
    host.until("Killing").await;
    // It answers until its hook is over.
    assert!(host.handlers.find("uid-web-1", 8080).is_some());
    object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    host.send(InformerEvent::Applied(object));
    host.until("delete web-1").await;
    assert!(host.handlers.find("uid-web-1", 8080).is_none());
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_component_cannot_have_is_refused_by_name() {
    let exec = json!({"exec": {"command": ["check"]}});
    let mut host = Harness::new(HELLO).await;
    host.send(InformerEvent::Restarted(vec![checked("web-1", json!({"livenessProbe": exec}))]));
    expect![[r#"event Failed Error: CreateContainerConfigError: container "c": livenessProbe.exec: a component that answers requests has no program to run; use httpGet, which calls it in process"#]].assert_eq(&host.until("event Failed").await);
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_does_not_listen_is_not_ready() {
    let mut host = Harness::new("tests/guests/command-loops.wat").await;
    let probe = json!({"readinessProbe": {"httpGet": {"path": "/", "port": 80}}});
    host.send(InformerEvent::Restarted(vec![checked("loop-1", probe)]));
    let told = host.until("Unhealthy").await;
    assert!(
        told.contains("Readiness probe failed: Get \"http://127.") && told.ends_with("connection refused"),
        "{told}"
    );
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_probed_by_another_run_of_its_program() {
    let mut host = Harness::new("tests/guests/command-loops.wat").await;
    let probe = json!({"readinessProbe": {"exec": {"command": ["check", "self"]}}});
    host.send(InformerEvent::Restarted(vec![checked("loop-1", probe)]));
    expect![[r#"event Unhealthy Readiness probe failed: command timed out: "check self" timed out after 1s"#]]
        .assert_eq(&host.until("Unhealthy").await);
    host.end().await;
}
