use expect_test::{Expect, expect};

use super::*;
use crate::pod::{Cause, Failure, Health, HookKind, PodFailure, parse};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn exit(code: i32) -> Termination {
    Termination {
        exit_code: code,
        reason: "Error".to_owned(),
        message: "it said no".to_owned(),
        started_at: at(60),
        finished_at: at(61),
        container_id: "wasmtime://1".to_owned(),
    }
}

fn check(policy: &str, change: impl FnOnce(&mut Observed), expected: Expect) {
    let spec = parse::spec(&json!({
        "metadata": {"name": "web-1", "namespace": "team", "uid": "u1"},
        "spec": {"restartPolicy": policy, "containers": [{"name": "web", "image": "r/web:1"}]}
    }));
    let mut observed = Observed::new(&spec.template, at(50));
    change(&mut observed);
    observed.note_ready(&spec.template, false, at(62));
    let status = pod_status(&spec, &observed, "127.0.0.1", at(62));
    let ready = status["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == "Ready").unwrap();
    let container = &status["containerStatuses"][0];
    let lines = [
        format!("{} ready={} {} {}", status["phase"], ready["status"], ready["lastTransitionTime"], ready["reason"]),
        format!("restarts={} ready={} state={}", container["restartCount"], container["ready"], container["state"]),
        format!("last={}", container["lastState"]),
    ];
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn each_stage_has_its_status() {
    check(
        "Always",
        |_| {},
        expect![[r#"
            "Pending" ready="False" "1970-01-01T00:00:50Z" "ContainersNotReady"
            restarts=0 ready=false state={"waiting":{"reason":"ContainerCreating"}}
            last={}"#]],
    );
    check(
        "Always",
        |observed| observed.containers[0].started(None, "r/web@sha256:1".to_owned(), true, at(61)),
        expect![[r#"
            "Running" ready="True" "1970-01-01T00:01:02Z" null
            restarts=0 ready=true state={"running":{"startedAt":"1970-01-01T00:01:01Z"}}
            last={}"#]],
    );
    check(
        "Always",
        |observed| {
            observed.containers[0].stage = Stage::Exited(exit(1));
            observed.containers[0].crashes = 2;
            observed.containers[0].restarts = 2;
        },
        expect![[r#"
            "Running" ready="False" "1970-01-01T00:00:50Z" "ContainersNotReady"
            restarts=2 ready=false state={"waiting":{"message":"back-off 20s restarting failed container=web pod=web-1_team(u1)","reason":"CrashLoopBackOff"}}
            last={"terminated":{"containerID":"wasmtime://1","exitCode":1,"finishedAt":"1970-01-01T00:01:01Z","message":"it said no","reason":"Error","startedAt":"1970-01-01T00:01:00Z"}}"#]],
    );
}

#[test]
fn a_container_is_created_until_its_hook_is_over_and_started_when_its_probe_says_so() {
    let checked = |hook_is_over: bool, is_started: bool| {
        let spec = parse::spec(&json!({
            "metadata": {"name": "web-1", "namespace": "team", "uid": "u1"},
            "spec": {"containers": [{
                "name": "web", "image": "r/web:1",
                "startupProbe": {"tcpSocket": {"port": 80}}, "lifecycle": {"postStart": {"sleep": {"seconds": 1}}},
            }]}
        }));
        let mut observed = Observed::new(&spec.template, at(50));
        let container = &mut observed.containers[0];
        container.started(spec.template.containers[0].checks.as_deref(), String::new(), true, at(61));
        if hook_is_over {
            container.hook_ended(HookKind::PostStart, true);
        }
        if is_started {
            container.probed(Health { is_started, is_ready: true, failed: None });
        }
        observed.note_ready(&spec.template, false, at(62));
        let status = pod_status(&spec, &observed, "127.0.0.1", at(62));
        let container = &status["containerStatuses"][0];
        format!(
            "{} {} started={} ready={}",
            status["phase"], container["state"], container["started"], container["ready"]
        )
    };
    expect![[r#"
        "Pending" {"waiting":{"reason":"ContainerCreating"}} started=false ready=false
        "Running" {"running":{"startedAt":"1970-01-01T00:01:01Z"}} started=false ready=false
        "Running" {"running":{"startedAt":"1970-01-01T00:01:01Z"}} started=true ready=true"#]]
    .assert_eq(&[checked(false, false), checked(true, false), checked(true, true)].join("\n"));
}

#[test]
fn ended_pods_succeed_or_fail() {
    check(
        "Never",
        |observed| observed.containers[0].stage = Stage::Exited(exit(7)),
        expect![[r#"
            "Failed" ready="False" "1970-01-01T00:00:50Z" "PodFailed"
            restarts=0 ready=false state={"terminated":{"containerID":"wasmtime://1","exitCode":7,"finishedAt":"1970-01-01T00:01:01Z","message":"it said no","reason":"Error","startedAt":"1970-01-01T00:01:00Z"}}
            last={}"#]],
    );
    check(
        "OnFailure",
        |observed| observed.containers[0].stage = Stage::Exited(Termination { message: String::new(), ..exit(0) }),
        expect![[r#"
            "Succeeded" ready="False" "1970-01-01T00:00:50Z" "PodCompleted"
            restarts=0 ready=false state={"terminated":{"containerID":"wasmtime://1","exitCode":0,"finishedAt":"1970-01-01T00:01:01Z","reason":"Error","startedAt":"1970-01-01T00:01:00Z"}}
            last={}"#]],
    );
}

#[test]
fn a_pod_that_its_host_ends_has_failed_when_nothing_runs_any_more() {
    let status = |change: fn(&mut ContainerObserved)| {
        let spec = parse::spec(&json!({"spec": {"containers": [{"name": "web", "image": "r/web:1"}]}}));
        let mut observed = Observed::new(&spec.template, at(50));
        observed.failure = Some(PodFailure::DeadlineExceeded);
        change(&mut observed.containers[0]);
        let status = pod_status(&spec, &observed, "127.0.0.1", at(62));
        let state = &status["containerStatuses"][0]["state"];
        format!("{} {} {} {state}", status["phase"], status["reason"], status["message"])
    };
    let running = |web: &mut ContainerObserved| web.started(None, "r/web@sha256:1".to_owned(), true, at(60));
    expect![[r#""Running" null null {"running":{"startedAt":"1970-01-01T00:01:00Z"}}"#]].assert_eq(&status(running));
    let exited = |web: &mut ContainerObserved| {
        web.started(None, "r/web@sha256:1".to_owned(), true, at(60));
        web.ending(Cause::PodFailed, None, at(61));
        web.exited(Termination { message: String::new(), ..exit(0) }, "web");
    };
    expect![[r#""Failed" "DeadlineExceeded" "Pod was active on the node longer than the specified deadline" {"terminated":{"containerID":"wasmtime://1","exitCode":143,"finishedAt":"1970-01-01T00:01:01Z","reason":"Error","startedAt":"1970-01-01T00:01:00Z"}}"#]]
        .assert_eq(&status(exited));
}

#[test]
fn a_failing_pull_backs_off() {
    let failed = |failures: u32| {
        move |observed: &mut Observed| {
            let failure = Failure {
                reason: "ErrImagePull".to_owned(),
                message: "not found".to_owned(),
                at: at(60),
                is_transient: true,
            };
            observed.containers[0].stage = Stage::Failed(failure);
            observed.containers[0].failures = failures;
        }
    };
    check(
        "Always",
        failed(1),
        expect![[r#"
            "Pending" ready="False" "1970-01-01T00:00:50Z" "ContainersNotReady"
            restarts=0 ready=false state={"waiting":{"message":"not found","reason":"ErrImagePull"}}
            last={}"#]],
    );
    check(
        "Always",
        failed(2),
        expect![[r#"
            "Pending" ready="False" "1970-01-01T00:00:50Z" "ContainersNotReady"
            restarts=0 ready=false state={"waiting":{"message":"Back-off pulling image \"r/web:1\": ErrImagePull: not found","reason":"ImagePullBackOff"}}
            last={}"#]],
    );
}

#[test]
fn a_library_runs_while_the_others_do() {
    let status = |change: fn(&mut Observed)| {
        let spec = parse::spec(&json!({
            "metadata": {"name": "job-1", "namespace": "team", "uid": "u1", "annotations": {"coracle.dev/libraries": "lib"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "job", "image": "r/job:1"}, {"name": "lib", "image": "r/lib:1"}]}
        }));
        let mut observed = Observed::new(&spec.template, at(50));
        change(&mut observed);
        observed.note_ready(&spec.template, false, at(62));
        let status = pod_status(&spec, &observed, "127.0.0.1", at(62));
        let library = &status["containerStatuses"][1];
        format!("{} ready={} {}", status["phase"], library["ready"], library["state"])
    };
    let here =
        |observed: &mut Observed| observed.containers[1].started(None, "r/lib@sha256:1".to_owned(), false, at(60));
    let ended = |observed: &mut Observed| {
        observed.containers[1].started(None, "r/lib@sha256:1".to_owned(), false, at(60));
        observed.containers[0].stage = Stage::Exited(exit(0));
    };
    expect![[r#"
        "Pending" ready=false {"waiting":{"reason":"ContainerCreating"}}
        "Pending" ready=true {"running":{"startedAt":"1970-01-01T00:01:00Z"}}
        "Succeeded" ready=false {"terminated":{"containerID":"wasmtime://fd01a8b9d3fbd68f80c769ff4e13bb73c6c957a051cb94ba9b8b1ac11956dcbb","exitCode":0,"finishedAt":"1970-01-01T00:01:01Z","reason":"Completed","startedAt":"1970-01-01T00:01:00Z"}}"#]].assert_eq(&[status(|_| {}), status(here), status(ended)].join("\n"));
}

#[test]
fn what_runs_first_holds_up_what_comes_after() {
    let status = |policy: &str, change: fn(&mut Observed)| {
        let spec = parse::spec(&json!({
            "metadata": {"name": "p", "namespace": "team", "uid": "u1"},
            "spec": {"restartPolicy": policy, "containers": [{"name": "web", "image": "w"}],
                "initContainers": [{"name": "one", "image": "o"}, {"name": "two", "image": "t"}]}
        }));
        let mut observed = Observed::new(&spec.template, at(50));
        change(&mut observed);
        observed.note_ready(&spec.template, false, at(62));
        let status = pod_status(&spec, &observed, "127.0.0.1", at(62));
        let containers = |list: &str| {
            let shown = status[list].as_array().unwrap().iter().map(|container| {
                let (state, detail) = container["state"].as_object().unwrap().iter().next().unwrap();
                let reason = detail["reason"].as_str().unwrap_or_default();
                format!("{} {state} {reason} ready={}", container["name"].as_str().unwrap(), container["ready"])
            });
            shown.collect::<Vec<_>>().join(", ")
        };
        let initialized = &status["conditions"][0];
        format!(
            "{} {} {} {} {}\n  {}\n  {}",
            status["phase"],
            initialized["type"],
            initialized["status"],
            initialized["lastTransitionTime"],
            initialized["message"],
            containers("initContainerStatuses"),
            containers("containerStatuses"),
        )
    };
    let first_failed = |observed: &mut Observed| {
        observed.containers[0].stage = Stage::Exited(exit(1));
        observed.containers[0].crashes = 2;
    };
    let second_runs = |observed: &mut Observed| {
        observed.containers[0].stage = Stage::Exited(exit(0));
        observed.containers[1].started(None, String::new(), false, at(61));
    };
    let all_done = |observed: &mut Observed| {
        observed.containers[0].stage = Stage::Exited(exit(0));
        observed.containers[1].stage = Stage::Exited(exit(0));
        observed.containers[2].started(None, String::new(), true, at(61));
    };
    expect![[r#"
        "Pending" "Initialized" "False" "1970-01-01T00:00:50Z" "containers with incomplete status: [one two]"
          one waiting ContainerCreating ready=false, two waiting PodInitializing ready=false
          web waiting PodInitializing ready=false
        "Pending" "Initialized" "False" "1970-01-01T00:00:50Z" "containers with incomplete status: [one two]"
          one waiting CrashLoopBackOff ready=false, two waiting PodInitializing ready=false
          web waiting PodInitializing ready=false
        "Failed" "Initialized" "False" "1970-01-01T00:00:50Z" "containers with incomplete status: [one two]"
          one terminated Error ready=false, two waiting PodInitializing ready=false
          web waiting PodInitializing ready=false
        "Pending" "Initialized" "False" "1970-01-01T00:00:50Z" "containers with incomplete status: [two]"
          one terminated Error ready=true, two running  ready=false
          web waiting PodInitializing ready=false
        "Running" "Initialized" "True" "1970-01-01T00:01:01Z" null
          one terminated Error ready=true, two terminated Error ready=true
          web running  ready=true"#]]
    .assert_eq(
        &[
            status("Always", |_| {}),
            status("Always", first_failed),
            status("Never", first_failed),
            status("Always", second_runs),
            status("Always", all_done),
        ]
        .join("\n"),
    );
}
