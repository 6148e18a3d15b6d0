use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::run::{Ending, Hook};
use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn spec(policy: &str) -> Spec {
    parse::spec(&json!({
        "metadata": {"name": "web-1", "namespace": "default", "uid": "u1"},
        "spec": {"restartPolicy": policy, "containers": [{"name": "web", "image": "r/web:1"}]}
    }))
}

fn exit(code: i32, started: i64, finished: i64) -> Termination {
    Termination {
        exit_code: code,
        reason: "Error".to_owned(),
        message: String::new(),
        started_at: at(started),
        finished_at: at(finished),
        container_id: "wasmtime://1".to_owned(),
    }
}

fn failed(reason: &str, is_transient: bool) -> Stage {
    Stage::Failed(Failure { reason: reason.to_owned(), message: "why".to_owned(), at: at(100), is_transient })
}

fn running() -> Stage {
    Stage::Running(Run::new(None, at(100)))
}

fn show(actions: &Actions) -> String {
    let wake =
        actions.wake_at.map(|at| format!(" wake@{:.2}", at.as_millisecond() as f64 / 1000.0)).unwrap_or_default();
    format!("{:?}{wake}", actions.commands)
}

fn check(spec: &Spec, change: impl FnOnce(&mut Observed), now: Timestamp, expected: Expect) {
    let mut observed = Observed::new(&spec.template, at(100));
    change(&mut observed);
    expected.assert_eq(&show(&step(spec, &observed, now)));
}

#[test]
fn a_new_container_starts_and_is_left_alone_while_it_does() {
    check(&spec("Always"), |_| {}, at(100), expect!["[Start(0)]"]);
    check(&spec("Always"), |observed| observed.containers[0].stage = Stage::Starting, at(100), expect!["[]"]);
    check(&spec("Always"), |observed| observed.containers[0].stage = running(), at(100), expect!["[]"]);
}

#[test]
fn failures_back_off_from_one_second_unless_they_are_for_good() {
    let at_failure = |failures: u32, is_transient: bool| {
        move |observed: &mut Observed| {
            observed.containers[0].stage = failed("ErrImagePull", is_transient);
            observed.containers[0].failures = failures;
        }
    };
    let spec = spec("Always");
    check(&spec, at_failure(1, true), at(100), expect!["[] wake@101.00"]);
    check(&spec, at_failure(1, true), at(101), expect!["[Start(0)]"]);
    check(&spec, at_failure(5, true), at(101), expect!["[] wake@116.00"]);
    check(&spec, at_failure(40, true), at(101), expect!["[] wake@400.00"]);
    check(&spec, at_failure(1, false), at(9_999), expect!["[]"]);
}

#[test]
fn an_ended_container_follows_the_restart_policy() {
    for (policy, code, expected) in [
        ("Always", 0, expect!["[Start(0)]"]),
        ("Always", 1, expect!["[Start(0)]"]),
        ("OnFailure", 0, expect!["[]"]),
        ("OnFailure", 1, expect!["[Start(0)]"]),
        ("Never", 0, expect!["[]"]),
        ("Never", 1, expect!["[]"]),
    ] {
        check(
            &spec(policy),
            |observed| observed.containers[0].stage = Stage::Exited(exit(code, 90, 100)),
            at(100),
            expected,
        );
    }
}

#[test]
fn crashes_back_off_and_a_long_run_forgives_them() {
    let crashed = |crashes: u32, started: i64| {
        move |observed: &mut Observed| {
            observed.containers[0].stage = Stage::Exited(exit(1, started, 1000));
            observed.containers[0].crashes = crashes;
        }
    };
    let spec = spec("Always");
    check(&spec, crashed(1, 999), at(1000), expect!["[] wake@1010.00"]);
    check(&spec, crashed(2, 999), at(1000), expect!["[] wake@1020.00"]);
    check(&spec, crashed(6, 999), at(1000), expect!["[] wake@1300.00"]);
    check(&spec, crashed(6, 999), at(1300), expect!["[Start(0)]"]);
    check(&spec, crashed(6, 400), at(1000), expect!["[Start(0)]"]);
}

/// A container that has been ending since 100 s.
fn ending(change: impl FnOnce(&mut Ending)) -> Stage {
    let mut ending = Ending::new(Cause::Deleted, None, at(100));
    change(&mut ending);
    Stage::Running(Run { ending: Some(ending), ..Run::new(None, at(1)) })
}

#[test]
fn deletion_drains_handlers_then_stops_then_finishes() {
    let mut deleted = spec("Always");
    deleted.deletion = Some(SignedDuration::from_secs(30));
    let handler = |stage: Stage| {
        |observed: &mut Observed| {
            observed.containers[0].is_handler = true;
            observed.containers[0].stage = stage;
        }
    };
    let drained = |ending: &mut Ending| ending.drained_at = Some(at(100));
    let asked = |ending: &mut Ending| (ending.drained_at, ending.stop_by) = (Some(at(100)), Some(at(130)));
    check(&deleted, handler(running()), at(100), expect!["[End(0, Deleted)]"]);
    check(&deleted, handler(ending(|_| {})), at(100), expect!["[Drain(0)] wake@100.25"]);
    check(&deleted, handler(ending(drained)), at(100), expect!["[] wake@100.25"]);
    check(&deleted, handler(ending(drained)), at(101), expect!["[Stop(0, 29s)]"]);
    check(&deleted, handler(ending(asked)), at(101), expect!["[]"]);
    // A command has no routes to be taken out of.
    check(&deleted, |observed| observed.containers[0].stage = ending(|_| {}), at(100), expect!["[Stop(0, 30s)]"]);
    check(&deleted, |observed| observed.containers[0].stage = Stage::Starting, at(100), expect!["[]"]);
    check(
        &deleted,
        |observed| observed.containers[0].stage = Stage::Exited(exit(0, 1, 2)),
        at(100),
        expect!["[Finish]"],
    );
    check(
        &deleted,
        |observed| observed.containers[0].stage = failed("ErrImagePull", true),
        at(100),
        expect!["[Finish]"],
    );
    // Deleted once more, with less grace; then with none.
    deleted.deletion = Some(SignedDuration::from_secs(10));
    check(&deleted, handler(ending(asked)), at(101), expect!["[Stop(0, 9s)]"]);
    deleted.deletion = Some(SignedDuration::ZERO);
    check(&deleted, handler(ending(|_| {})), at(100), expect!["[Stop(0, 0s)]"]);
    check(&deleted, handler(ending(asked)), at(101), expect!["[Stop(0, 0s)]"]);
}

#[test]
fn a_pre_stop_hook_comes_first_and_takes_from_the_grace() {
    let mut deleted = spec("Always");
    deleted.deletion = Some(SignedDuration::from_secs(30));
    let hook = |pre_stop: Hook| {
        move |observed: &mut Observed| {
            observed.containers[0].is_handler = true;
            observed.containers[0].stage = ending(|ending| ending.pre_stop = pre_stop);
        }
    };
    let over_and_drained = |observed: &mut Observed| {
        observed.containers[0].stage = ending(|ending| ending.drained_at = Some(at(120)));
    };
    check(&deleted, hook(Hook::Due), at(100), expect!["[PreStop(0, 30s)]"]);
    check(&deleted, hook(Hook::UnderWay), at(110), expect!["[] wake@130.00"]);
    check(&deleted, hook(Hook::Over), at(110), expect!["[Drain(0)] wake@110.25"]);
    check(&deleted, hook(Hook::UnderWay), at(130), expect!["[Drain(0)] wake@130.25"]);
    check(&deleted, over_and_drained, at(121), expect!["[Stop(0, 9s)]"]);
    // What a hook leaves is never less than a little.
    check(&deleted, over_and_drained, at(131), expect!["[Stop(0, 2s)]"]);
    deleted.deletion = Some(SignedDuration::ZERO);
    check(&deleted, hook(Hook::Due), at(100), expect!["[Stop(0, 0s)]"]);
}

fn checked_spec(policy: &str) -> Spec {
    let get = json!({"port": 8080, "path": "/"});
    parse::spec(&json!({
        "metadata": {"name": "web-1", "namespace": "default", "uid": "u1"},
        "spec": {"restartPolicy": policy, "containers": [{
            "name": "web", "image": "r/web:1",
            "readinessProbe": {"httpGet": get},
            "livenessProbe": {"httpGet": get, "terminationGracePeriodSeconds": 3},
            "lifecycle": {"postStart": {"httpGet": get}},
        }]}
    }))
}

#[test]
fn a_container_that_cannot_go_on_is_ended_for_it() {
    let spec = checked_spec("OnFailure");
    let checks = spec.template.containers[0].checks.as_deref();
    let with = |change: fn(&mut ContainerObserved)| {
        move |observed: &mut Observed| {
            observed.containers[0].started(checks, "r/web@sha256:1".to_owned(), true, at(100));
            change(&mut observed.containers[0]);
        }
    };
    let health = |failed| Health { is_started: true, is_ready: true, failed };
    check(&spec, with(|_| {}), at(100), expect!["[PostStart(0)]"]);
    check(&spec, with(|container| container.hook_called(HookKind::PostStart)), at(100), expect!["[]"]);
    check(&spec, with(|container| container.hook_ended(HookKind::PostStart, true)), at(100), expect!["[]"]);
    check(
        &spec,
        with(|container| container.hook_ended(HookKind::PostStart, false)),
        at(100),
        expect!["[End(0, PostStart)]"],
    );
    let failed = move |container: &mut ContainerObserved| {
        container.hook_ended(HookKind::PostStart, true);
        container.probed(health(Some(ProbeKind::Liveness)));
    };
    let mut observed = Observed::new(&spec.template, at(100));
    let container = &mut observed.containers[0];
    container.started(checks, "r/web@sha256:1".to_owned(), true, at(100));
    failed(container);
    expect!["[End(0, Probe(Liveness))]"].assert_eq(&show(&step(&spec, &observed, at(100))));
    // It has the grace of its probe, and has failed even if it ends well.
    let container = &mut observed.containers[0];
    container.ending(Cause::Probe(ProbeKind::Liveness), checks, at(100));
    container.drained(at(100));
    assert!(!container.is_ready());
    expect!["[Stop(0, 2s)]"].assert_eq(&show(&step(&spec, &observed, at(101))));
    let container = &mut observed.containers[0];
    container.stopping(SignedDuration::from_secs(2), at(101));
    container.exited(exit(0, 100, 101), "web");
    let Stage::Exited(exit) = &container.stage else { panic!("it has ended") };
    expect!["143 Error Container web failed liveness probe"]
        .assert_eq(&format!("{} {} {}", exit.exit_code, exit.reason, exit.message));
    expect!["[Start(0)]"].assert_eq(&show(&step(&spec, &observed, at(101))));
}

#[test]
fn a_container_is_ready_when_its_hook_and_its_probes_say_so() {
    let spec = checked_spec("Always");
    let checks = spec.template.containers[0].checks.as_deref();
    let mut container = ContainerObserved::new(&spec.template.containers[0]);
    container.started(checks, String::new(), true, at(100));
    assert!(!container.is_ready());
    assert!(container.probed(Health { is_started: true, is_ready: true, failed: None }));
    assert!(!container.is_ready());
    container.hook_ended(HookKind::PostStart, true);
    assert!(container.is_ready());
    assert!(!container.probed(Health { is_started: true, is_ready: true, failed: None }));
    container.started(None, String::new(), true, at(100));
    assert!(container.is_ready());
}

#[test]
fn an_object_that_is_gone_ends_its_containers_at_once() {
    let orphan = |stage: Stage| {
        move |observed: &mut Observed| {
            observed.is_orphan = true;
            observed.containers[0].is_handler = true;
            observed.containers[0].stage = stage;
        }
    };
    check(&spec("Always"), orphan(running()), at(100), expect!["[End(0, Deleted)]"]);
    check(&spec("Always"), orphan(ending(|_| {})), at(100), expect!["[Stop(0, 0s)]"]);
    check(&spec("Always"), orphan(Stage::Exited(exit(1, 1, 2))), at(100), expect!["[Finish]"]);
}

#[test]
fn another_image_replaces_what_runs() {
    let from_old = |stage: Stage| {
        move |observed: &mut Observed| {
            observed.containers[0].image = "r/web:0".to_owned();
            observed.containers[0].stage = stage;
        }
    };
    check(&spec("Always"), from_old(running()), at(100), expect!["[End(0, Replaced)]"]);
    check(&spec("Always"), from_old(ending(|_| {})), at(100), expect!["[Stop(0, 30s)]"]);
    check(&spec("Always"), from_old(Stage::Exited(exit(1, 99, 100))), at(100), expect!["[Start(0)]"]);
    check(&spec("Always"), from_old(failed("InvalidImage", false)), at(100), expect!["[Start(0)]"]);
}

#[test]
fn a_restart_is_counted_once_and_remembers_the_last_end() {
    let spec = spec("Always");
    let mut container = ContainerObserved::new(&spec.template.containers[0]);
    container.begin(&spec.template.containers[0], Vec::new());
    container.started(None, "r/web@sha256:1".to_owned(), false, at(10));
    container.exited(exit(3, 10, 11), "web");
    container.begin(&spec.template.containers[0], Vec::new());
    assert_eq!((container.restarts, container.crashes, container.last_exit.as_ref().unwrap().exit_code), (1, 1, 3));
    container.failed(
        Failure { reason: "RunContainerError".to_owned(), message: "trap".to_owned(), at: at(12), is_transient: true },
        RestartPolicy::Never,
        "wasmtime://2".to_owned(),
    );
    assert!(matches!(&container.stage, Stage::Exited(exit) if exit.exit_code == 128 && exit.reason == "StartError"));
}

fn check_refusal(pod_spec: Value, annotations: Value, expected: Expect) {
    let pod = json!({"metadata": {"name": "p", "annotations": annotations}, "spec": pod_spec});
    let spec = parse::spec(&pod);
    let refusal = &spec.template.containers[0].refusal;
    expected.assert_eq(
        &refusal.as_ref().map_or("fine".to_owned(), |refusal| format!("{}: {}", refusal.reason, refusal.message)),
    );
}

#[test]
fn a_time_for_requests_is_a_time() {
    let containers = json!([{"name": "c", "image": "i"}]);
    check_refusal(json!({"containers": containers}), json!({"coracle.dev/request-timeout": "1m 30s"}), expect!["fine"]);
    check_refusal(
        json!({"containers": containers}),
        json!({"coracle.dev/request-timeout": "25h"}),
        expect![[
            r#"InvalidAnnotation: metadata.annotations[coracle.dev/request-timeout]: "25h" is not a time up to 24h, for example "500ms" or "1m 30s""#
        ]],
    );
    check_refusal(
        json!({"containers": containers}),
        json!({"coracle.dev/request-timeout": "-1s"}),
        expect![[
            r#"InvalidAnnotation: metadata.annotations[coracle.dev/request-timeout]: "-1s" is not a time up to 24h, for example "500ms" or "1m 30s""#
        ]],
    );
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let containers = json!([{"name": "c", "image": "i"}]);
    check_refusal(json!({"containers": containers}), json!({}), expect!["fine"]);
    check_refusal(
        json!({"containers": containers, "volumes": []}),
        json!({"coracle.dev/concurrency": "7"}),
        expect!["fine"],
    );
    check_refusal(
        json!({"containers": containers}),
        json!({"coracle.dev/concurrency": "many"}),
        expect![[
            r#"InvalidAnnotation: metadata.annotations[coracle.dev/concurrency]: "many" is not a whole number from 1 to 100000"#
        ]],
    );
    check_refusal(
        json!({"containers": containers}),
        json!({"coracle.dev/instance-reuse": "0"}),
        expect![[
            r#"InvalidAnnotation: metadata.annotations[coracle.dev/instance-reuse]: "0" is not a whole number from 1 to 1000000000"#
        ]],
    );
    check_refusal(
        json!({"containers": containers, "volumes": [{"name": "data", "nfs": {"server": "s"}}]}),
        json!({}),
        expect![[
            r#"CreateContainerConfigError: spec.volumes: "data": nfs is not supported by this host; use emptyDir for what may go with the pod, or hostPath where the host's owner allows it"#
        ]],
    );
    check_refusal(
        json!({"containers": [{"name": "c", "image": "i", "livenessProbe": {"httpGet": {"port": "web"}}}]}),
        json!({}),
        expect![[
            r#"CreateContainerConfigError: container "c": livenessProbe.httpGet.port: "web" is neither a port nor the name of one of the container's ports"#
        ]],
    );
    check_refusal(
        json!({"containers": containers, "initContainers": [{"name": "first"}, {"name": "side", "restartPolicy": "Always"}]}),
        json!({}),
        expect![[
            r#"CreateContainerConfigError: spec.initContainers: "side": restartPolicy Always is not supported by this host; make it one of spec.containers"#
        ]],
    );
    check_refusal(
        json!({"containers": containers}),
        json!({"coracle.dev/libraries": "x"}),
        expect![[
            r#"CreateContainerConfigError: metadata.annotations[coracle.dev/libraries]: Invalid value: "x": no container of this pod is named "x"; name containers, separated by commas"#
        ]],
    );
    check_refusal(
        json!({"containers": containers, "runtimeClassName": "oci"}),
        json!({}),
        expect![[
            r#"CreateContainerConfigError: spec.runtimeClassName: "oci": this host runs WebAssembly components only; use "wasm" or leave it out"#
        ]],
    );
}

fn check_adopted(policy: &str, status: Value, expected: Expect) {
    let pod = json!({
        "metadata": {"name": "web-1", "namespace": "default", "uid": "u1"},
        "spec": {"restartPolicy": policy, "containers": [{"name": "web", "image": "r/web:1"}]},
        "status": status
    });
    let spec = parse::spec(&pod);
    let observed = parse::adopt(&pod, &spec, at(1000));
    let container = &observed.containers[0];
    let stage = match &container.stage {
        Stage::Exited(exit) => format!("exited {} {}", exit.exit_code, exit.reason),
        stage => format!("{stage:?}"),
    };
    let actions = show(&step(&spec, &observed, at(1000)));
    let summary = format!(
        "{stage}, restarts {}, ip {:?}, ready {:?}: {actions}",
        container.restarts, observed.ip, observed.ready.0
    );
    expected.assert_eq(&summary);
}

#[test]
fn a_restarted_host_takes_up_where_its_predecessor_left() {
    let status = |state: Value| {
        json!({"podIP": "127.64.0.9", "startTime": "1970-01-01T00:00:05Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:06Z"}],
            "containerStatuses": [{"name": "web", "restartCount": 4, "state": state}]})
    };
    let ran = json!({"running": {"startedAt": "1970-01-01T00:00:06Z"}});
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": "1970-01-01T00:00:06Z", "finishedAt": "1970-01-01T00:00:07Z"}});
    check_adopted(
        "Always",
        status(ran.clone()),
        expect!["New, restarts 4, ip Some(127.64.0.9), ready true: [Start(0)]"],
    );
    check_adopted(
        "Never",
        status(ran),
        expect!["exited 137 ContainerStatusUnknown, restarts 4, ip Some(127.64.0.9), ready true: []"],
    );
    check_adopted(
        "OnFailure",
        status(ended.clone()),
        expect!["exited 0 Completed, restarts 4, ip Some(127.64.0.9), ready true: []"],
    );
    check_adopted(
        "Always",
        status(ended),
        expect!["exited 0 Completed, restarts 4, ip Some(127.64.0.9), ready true: [Start(0)]"],
    );
    check_adopted("Always", json!({}), expect!["New, restarts 0, ip None, ready false: [Start(0)]"]);
}

/// A pod of one container and a library.
fn linked(policy: &str, library_image: &str) -> Spec {
    let pod = json!({
        "metadata": {"name": "web-1", "namespace": "default", "uid": "u1", "annotations": {"coracle.dev/libraries": "lib"}},
        "spec": {"restartPolicy": policy, "containers": [
            {"name": "web", "image": "r/web:1", "resources": {"limits": {"memory": "10Mi", "cpu": "1"}}},
            {"name": "lib", "image": library_image, "resources": {"limits": {"memory": "4Mi"}, "requests": {"cpu": "100m"}}},
        ]}
    });
    parse::spec(&pod)
}

#[test]
fn libraries_come_first_and_their_containers_follow_them() {
    let fetched = |id: &str| {
        let id = id.to_owned();
        move |observed: &mut Observed| {
            observed.containers[1].image = "r/lib:1".to_owned();
            observed.containers[1].started(None, id, false, at(100));
        }
    };
    let with_running = |id: &'static str| {
        move |observed: &mut Observed| {
            observed.containers[0].image = "r/web:1".to_owned();
            observed.containers[0].linked = vec!["r/lib@sha256:1".to_owned()];
            observed.containers[0].stage = running();
            fetched(id)(observed);
        }
    };
    let spec = linked("Always", "r/lib:1");
    check(&spec, |_| {}, at(100), expect!["[Start(1)]"]);
    check(&spec, |observed| observed.containers[1].stage = Stage::Starting, at(100), expect!["[]"]);
    check(
        &spec,
        |observed| observed.containers[1].stage = failed("ErrImagePull", true),
        at(100),
        expect!["[] wake@101.00"],
    );
    check(&spec, fetched("r/lib@sha256:1"), at(100), expect!["[Start(0)]"]);
    check(&spec, with_running("r/lib@sha256:1"), at(100), expect!["[]"]);
    // Another image of the library: it comes, and then its containers start again.
    check(&linked("Always", "r/lib:2"), with_running("r/lib@sha256:1"), at(100), expect!["[Start(1)]"]);
    check(&spec, with_running("r/lib@sha256:2"), at(100), expect!["[End(0, Replaced)]"]);
    let failed_with_old = |observed: &mut Observed| {
        with_running("r/lib@sha256:2")(observed);
        observed.containers[0].stage = failed("CreateContainerError", false);
    };
    check(&spec, failed_with_old, at(100), expect!["[Start(0)]"]);
    // It has no end of its own.
    let ended = |observed: &mut Observed| {
        with_running("r/lib@sha256:1")(observed);
        observed.containers[0].stage = Stage::Exited(exit(0, 99, 100));
    };
    check(&linked("Never", "r/lib:1"), ended, at(100), expect!["[]"]);
    check(
        &linked("Never", "r/lib:1"),
        |observed| observed.containers[0].stage = Stage::Exited(exit(0, 99, 100)),
        at(100),
        expect!["[]"],
    );
    let mut deleted = linked("Always", "r/lib:1");
    deleted.deletion = Some(SignedDuration::from_secs(30));
    check(&deleted, ended, at(100), expect!["[Finish]"]);
}

#[test]
fn what_libraries_ask_for_goes_to_the_containers_that_they_run_in() {
    let mut pod = json!({
        "metadata": {"name": "p", "annotations": {"coracle.dev/libraries": "b, a"}},
        "spec": {"containers": [
            {"name": "one", "image": "i"},
            {"name": "a", "image": "i", "resources": {"limits": {"memory": "4Mi", "cpu": "200m"}}},
            {"name": "two", "image": "i"},
            {"name": "b", "image": "i", "resources": {"limits": {"memory": "2Mi"}, "requests": {"cpu": "50m"}}},
        ]}
    });
    let template = parse::spec(&pod).template;
    assert_eq!(template.libraries, [3, 1]);
    expect!["LibraryShare { memory_bytes_max: 3145728, cpu_millis: 125, cpu_millis_max: 100 }"]
        .assert_eq(&format!("{:?}", template.library_share()));
    pod["metadata"]["annotations"]["coracle.dev/libraries"] = "".into();
    assert_eq!(parse::spec(&pod).template.library_share(), template::LibraryShare::default());
}

#[test]
fn what_runs_first_runs_in_order_to_its_end() {
    let spec = |policy: &str| {
        parse::spec(&json!({
            "metadata": {"name": "p", "namespace": "default", "uid": "u1"},
            "spec": {"restartPolicy": policy, "containers": [{"name": "web", "image": "w"}],
                "initContainers": [{"name": "one", "image": "o"}, {"name": "two", "image": "t"}]}
        }))
    };
    let ended = |codes: &'static [i32]| {
        move |observed: &mut Observed| {
            for (container, code) in observed.containers.iter_mut().zip(codes) {
                container.stage = Stage::Exited(exit(*code, 99, 100));
            }
        }
    };
    check(&spec("Always"), |_| {}, at(100), expect!["[Start(0)]"]);
    check(&spec("Always"), |observed| observed.containers[0].stage = running(), at(100), expect!["[]"]);
    check(&spec("Always"), ended(&[0]), at(100), expect!["[Start(1)]"]);
    check(&spec("Always"), ended(&[0, 0]), at(100), expect!["[Start(2)]"]);
    // A failure is tried again unless nothing may be; success never is.
    check(&spec("Always"), ended(&[0, 1]), at(100), expect!["[Start(1)]"]);
    check(&spec("OnFailure"), ended(&[0, 1]), at(100), expect!["[Start(1)]"]);
    check(&spec("Never"), ended(&[0, 1]), at(100), expect!["[]"]);
    let crashed = |observed: &mut Observed| {
        ended(&[1])(observed);
        observed.containers[0].crashes = 1;
    };
    check(&spec("Always"), crashed, at(100), expect!["[] wake@110.00"]);
    check(&spec("Always"), ended(&[0, 0, 1]), at(100), expect!["[Start(2)]"]);
}

#[test]
fn a_pod_past_its_deadline_fails_and_its_containers_end() {
    let spec = parse::spec(&json!({
        "metadata": {"name": "web-1", "namespace": "default", "uid": "u1"},
        "spec": {"activeDeadlineSeconds": 30, "containers": [{"name": "web", "image": "r/web:1"}, {"name": "side", "image": "r/side:1"}]}
    }));
    let run = |observed: &mut Observed| {
        observed.containers[0].stage = running();
        observed.containers[1].stage = Stage::Exited(exit(1, 101, 102));
    };
    check(&spec, run, at(129), expect!["[Start(1)] wake@130.00"]);
    check(&spec, run, at(130), expect!["[Fail(DeadlineExceeded)]"]);
    let fail = |failure: PodFailure| {
        move |observed: &mut Observed| {
            run(observed);
            observed.failure = Some(failure);
        }
    };
    check(&spec, fail(PodFailure::DeadlineExceeded), at(130), expect!["[End(0, PodFailed)]"]);
    let ending = |failure: PodFailure| {
        move |observed: &mut Observed| {
            fail(failure)(observed);
            observed.containers[0].ending(Cause::PodFailed, None, at(130));
        }
    };
    check(&spec, ending(PodFailure::DeadlineExceeded), at(130), expect!["[Stop(0, 30s)]"]);
    check(&spec, ending(PodFailure::Evicted("full".to_owned())), at(130), expect!["[Stop(0, 1s)]"]);
    let ended = |observed: &mut Observed| {
        ending(PodFailure::DeadlineExceeded)(observed);
        observed.containers[0].exited(exit(143, 100, 131), "web");
    };
    check(&spec, ended, at(200), expect!["[]"]);
}
