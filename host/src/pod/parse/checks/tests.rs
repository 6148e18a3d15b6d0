#![allow(clippy::too_many_lines, reason = "these are tables of tests")]

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

fn check(container: Value, expected: Expect) {
    let mut container = container;
    container["name"] = "c".into();
    container["ports"] = json!([{"name": "web", "containerPort": 8080}]);
    let shown = match checks(&container) {
        Err(refusal) => format!("{}: {}", refusal.reason, refusal.message),
        Ok(None) => "none".to_owned(),
        Ok(Some(checks)) => {
            let probes = ProbeKind::ALL.into_iter().filter_map(|kind| Some((kind, checks.probe(kind)?)));
            let probes = probes.map(|(kind, probe)| {
                format!(
                    "{kind:?} {:?} delay {} period {} timeout {} success {} failure {} grace {:?}",
                    probe.action,
                    probe.initial_delay.as_secs(),
                    probe.period.as_secs(),
                    probe.timeout.as_secs(),
                    probe.success_threshold,
                    probe.failure_threshold,
                    probe.grace.map(|grace| grace.as_secs())
                )
            });
            let hooks = [("postStart", &checks.post_start), ("preStop", &checks.pre_stop)];
            let hooks = hooks.into_iter().filter_map(|(name, hook)| Some(format!("{name} {:?}", hook.as_ref()?)));
            probes.chain(hooks).collect::<Vec<_>>().join("\n")
        }
    };
    expected.assert_eq(&shown);
}

#[test]
fn probes_have_kubernetes_defaults_and_ports_by_name() {
    check(json!({}), expect!["none"]);
    check(json!({"livenessProbe": null, "lifecycle": {}}), expect!["none"]);
    check(
        json!({
            "startupProbe": {"grpc": {"port": 9, "service": "shop"}, "failureThreshold": 30, "periodSeconds": 0},
            "readinessProbe": {"httpGet": {"path": "ready?full=1", "port": "web", "httpHeaders": [{"name": "Host", "value": "shop"}]}, "successThreshold": 2},
            "livenessProbe": {"tcpSocket": {"port": 80}, "initialDelaySeconds": 5, "periodSeconds": 3, "timeoutSeconds": 2, "failureThreshold": 1, "terminationGracePeriodSeconds": 7},
        }),
        expect![[r#"
            Startup Grpc { port: 9, service: "shop" } delay 0 period 10 timeout 1 success 1 failure 30 grace None
            Readiness HttpGet(HttpGet { port: 8080, path: "/ready?full=1", headers: [("Host", "shop")] }) delay 0 period 10 timeout 1 success 2 failure 3 grace None
            Liveness TcpSocket { port: 80 } delay 5 period 3 timeout 2 success 1 failure 1 grace Some(7)"#]],
    );
    check(
        json!({"lifecycle": {"postStart": {"exec": {"command": ["warm", "up"]}}, "preStop": {"sleep": {"seconds": 5}}}}),
        expect![[r#"
            postStart Exec { words: ["warm", "up"] }
            preStop Sleep(5s)"#]],
    );
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let get = |more: Value| {
        let mut get = json!({"port": 8080, "path": "/"});
        get.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"livenessProbe": {"httpGet": get}})
    };
    check(
        get(json!({"scheme": "HTTPS"})),
        expect![[
            r#"CreateContainerConfigError: container "c": livenessProbe.httpGet.scheme: "HTTPS": components answer plain HTTP, in process; use HTTP"#
        ]],
    );
    check(
        get(json!({"host": "10.0.0.1"})),
        expect![[
            r#"CreateContainerConfigError: container "c": livenessProbe.httpGet.host: "10.0.0.1": only the pod itself is asked, not other hosts; leave it out, and name a virtual host by a Host header in httpHeaders"#
        ]],
    );
    check(
        get(json!({"path": "/a b"})),
        expect![[
            r#"CreateContainerConfigError: container "c": livenessProbe.httpGet.path: "/a b" is no path of a URL; escape what is not plain"#
        ]],
    );
    check(
        get(json!({"port": "admin"})),
        expect![[
            r#"CreateContainerConfigError: container "c": livenessProbe.httpGet.port: "admin" is neither a port nor the name of one of the container's ports"#
        ]],
    );
    check(
        get(json!({"port": 65536})),
        expect![[
            r#"CreateContainerConfigError: container "c": livenessProbe.httpGet.port: 65536 is neither a port nor the name of one of the container's ports"#
        ]],
    );
    check(
        get(json!({"httpHeaders": [{"name": "X", "value": "a\nb"}]})),
        expect![[
            r#"CreateContainerConfigError: container "c": livenessProbe.httpGet.httpHeaders: "X" can't be sent as a header"#
        ]],
    );
    check(
        json!({"readinessProbe": {"tcpSocket": {"port": 1, "host": "db"}}}),
        expect![[
            r#"CreateContainerConfigError: container "c": readinessProbe.tcpSocket.host: "db": only the pod itself is asked, not other hosts; leave it out, and name a virtual host by a Host header in httpHeaders"#
        ]],
    );
    check(
        json!({"readinessProbe": {"exec": {"command": []}}}),
        expect![[
            r#"CreateContainerConfigError: container "c": readinessProbe.exec.command: it is empty; name a program"#
        ]],
    );
    check(
        json!({"startupProbe": {}}),
        expect![[
            r#"CreateContainerConfigError: container "c": startupProbe: this host knows httpGet, tcpSocket, grpc, exec and, for hooks, sleep; use one of them"#
        ]],
    );
    check(
        json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 1}}}}),
        expect![[
            r#"CreateContainerConfigError: container "c": lifecycle: a hook is an httpGet, an exec or a sleep, as with Kubernetes; use one of them"#
        ]],
    );
    check(
        json!({"lifecycle": {"stopSignal": "SIGUSR1"}}),
        expect![[
            r#"CreateContainerConfigError: container "c": lifecycle.stopSignal: components take no signals; leave it out"#
        ]],
    );
}
