//! What `kubectl get pods` says about a pod.

use coracle_api::kinds;
use coracle_api::table::{self, Include};
use expect_test::{Expect, expect};

use crate::object;

/// Ready, Status and Restarts of a pod with two containers, two minutes after the last thing that happened to it.
fn check(rest: &str, expected: Expect) {
    let spec =
        "spec: {containers: [{name: a}, {name: b}], initContainers: [{name: i}, {name: s, restartPolicy: Always}]}";
    let no_init = "spec: {containers: [{name: a}, {name: b}]}";
    let spec = if rest.contains("initContainerStatuses") { spec } else { no_init };
    let metadata = if rest.contains("DELETING") {
        "metadata: {name: p, deletionTimestamp: '2026-11-21T01:49:00Z'}"
    } else {
        "metadata: {name: p}"
    };
    let pod = object(&format!("{metadata}\n{spec}\nstatus:\n  {}", rest.replace("DELETING", "").trim()));
    let row = table::row(&kinds::POD, &pod, Include::None, "2026-11-21T01:49:51Z".parse().unwrap());
    let cells: Vec<String> = row["cells"].as_array().unwrap()[1..4].iter().map(ToString::to_string).collect();
    expected.assert_eq(&cells.join(" "));
}

#[test]
fn phases() {
    check("phase: Pending", expect![[r#""0/2" "Pending" 0"#]]);
    check("{phase: Failed, reason: Evicted}", expect![[r#""0/2" "Evicted" 0"#]]);
    check(
        "{phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]}",
        expect![[r#""0/2" "SchedulingGated" 0"#]],
    );
}

#[test]
fn containers() {
    check(
        "{phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ContainerCreating}}}, {name: b, state: {waiting: {}}}]}",
        expect![[r#""0/2" "ContainerCreating" 0"#]],
    );
    check(
        "{phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: a, ready: true, state: {running: {}}}, {name: b, ready: true, state: {running: {}}}]}",
        expect![[r#""2/2" "Running" 0"#]],
    );
    check(
        "
        {phase: Running, containerStatuses: [
            {name: a, ready: false, restartCount: 4, state: {waiting: {reason: CrashLoopBackOff}},
             lastState: {terminated: {exitCode: 1, finishedAt: '2026-11-21T01:47:51Z'}}},
            {name: b, ready: true, restartCount: 1, state: {running: {}},
             lastState: {terminated: {exitCode: 1, finishedAt: '2026-11-21T01:40:00Z'}}}]}
        ",
        expect![[r#""1/2" "CrashLoopBackOff" "5 (2m ago)""#]],
    );
    check(
        "{phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}]}",
        expect![[r#""0/2" "Completed" 0"#]],
    );
    check(
        "{phase: Running, containerStatuses: [{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}, {name: b, ready: true, state: {running: {}}}]}",
        expect![[r#""1/2" "NotReady" 0"#]],
    );
    check(
        "{phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}, {name: b, ready: true, state: {running: {}}}]}",
        expect![[r#""1/2" "Running" 0"#]],
    );
    check(
        "{phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 137, reason: OOMKilled}}}]}",
        expect![[r#""0/2" "OOMKilled" 0"#]],
    );
    check(
        "{phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]}",
        expect![[r#""0/2" "ExitCode:3" 0"#]],
    );
    check(
        "{phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3, signal: 9}}}]}",
        expect![[r#""0/2" "Signal:9" 0"#]],
    );
}

#[test]
fn init_containers() {
    check(
        "{phase: Pending, initContainerStatuses: [{name: i, state: {running: {}}}]}",
        expect![[r#""0/3" "Init:0/2" 0"#]],
    );
    check(
        "{phase: Pending, initContainerStatuses: [{name: i, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}}]}",
        expect![[r#""0/3" "Init:CrashLoopBackOff" 2"#]],
    );
    check(
        "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 2}}}]}",
        expect![[r#""0/3" "Init:ExitCode:2" 0"#]],
    );
    check(
        "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 0}}}, {name: s, started: false, state: {running: {}}}]}",
        expect![[r#""0/3" "Init:1/2" 0"#]],
    );
    check(
        "{phase: Running, initContainerStatuses: [{name: i, restartCount: 5, state: {terminated: {exitCode: 0}}}, {name: s, restartCount: 1, started: true, ready: true, state: {running: {}}}], containerStatuses: [{name: a, ready: true, state: {running: {}}}]}",
        expect![[r#""2/3" "Running" 1"#]],
    );
}

#[test]
fn deletion() {
    check(
        "DELETING {phase: Running, containerStatuses: [{name: a, ready: true, state: {running: {}}}]}",
        expect![[r#""1/2" "Terminating" 0"#]],
    );
    check("DELETING {phase: Running, reason: NodeLost}", expect![[r#""0/2" "Unknown" 0"#]]);
    check(
        "DELETING {phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}]}",
        expect![[r#""0/2" "Completed" 0"#]],
    );
}

#[test]
fn wide() {
    let cells = |pod: &str| {
        let row = table::row(&kinds::POD, &object(pod), Include::None, "2026-11-21T01:49:51Z".parse().unwrap());
        row["cells"].as_array().unwrap()[5..].iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    expect![[r#""<none>" "<none>" "<none>" "<none>""#]].assert_eq(&cells("{metadata: {name: p}}"));
    expect![[r#""10.0.0.1" "<none>" "m" "1/2""#]].assert_eq(&cells(
        "{metadata: {name: p}, spec: {nodeName: n, readinessGates: [{conditionType: a}, {conditionType: b}]}, status: {podIPs: [{ip: 10.0.0.1}], nominatedNodeName: m, conditions: [{type: a, status: 'True'}]}}",
    ));
}
