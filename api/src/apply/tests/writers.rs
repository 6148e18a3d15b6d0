//! Who owns what after which writes, and who stands in whose way.

use super::*;

#[test]
fn what_is_no_longer_applied_goes() {
    Bench::pod()
        .apply("a", "{metadata: {labels: {x: '1', w: '2'}}, spec: {hostname: h, nodeSelector: {k: v}}}")
        .apply("a", "{metadata: {labels: {w: '2'}}, spec: {hostname: h}}")
        .check(expect![[r#"
            {"metadata":{"labels":{"w":"2"}},"spec":{"hostname":"h"}}
            a Apply: .metadata.labels.w .spec.hostname
        "#]])
        .apply("a", "{}")
        .check(expect![[r#"
            {}
        "#]]);
}

/// Nobody owns the name: it stays when its owner stops to speak of anything beside it.
#[test]
fn the_name_stays_when_the_labels_go() {
    Bench::pod()
        .apply("a", "{metadata: {name: web, namespace: d, labels: {x: '1'}}, spec: {hostname: h}}")
        .apply("a", "{metadata: {name: web}, spec: {hostname: h}}")
        .check(expect![[r#"
            {"metadata":{"name":"web","namespace":"d"},"spec":{"hostname":"h"}}
            a Apply: .spec.hostname
        "#]])
        .apply("a", "{}")
        .check(expect![[r#"
            {"metadata":{"name":"web","namespace":"d"}}
        "#]]);
}

#[test]
fn what_another_owns_stays() {
    Bench::pod()
        .apply("a", "{metadata: {labels: {x: '1', w: '2'}}}")
        .apply("b", "{metadata: {labels: {x: '1', z: '3'}}}")
        .check(expect![[r#"
            {"metadata":{"labels":{"w":"2","x":"1","z":"3"}}}
            a Apply: .metadata.labels.w .metadata.labels.x
            b Apply: .metadata.labels.x .metadata.labels.z
        "#]])
        .apply("a", "{}")
        .check(expect![[r#"
            {"metadata":{"labels":{"x":"1","z":"3"}}}
            b Apply: .metadata.labels.x .metadata.labels.z
        "#]])
        .apply("b", "{}")
        .check(expect![[r#"
            {}
        "#]]);
}

#[test]
fn what_nobody_owns_stays_unless_its_item_goes() {
    // The policy of the container and `hostname` are nobody's, as defaults are.
    let mut bench = Bench::pod();
    bench.apply("a", "spec: {nodeName: m, containers: [{name: c, image: i}, {name: d}]}");
    bench.live["spec"]["containers"][0]["imagePullPolicy"] = "Always".into();
    bench.live["spec"]["hostname"] = "h".into();
    bench
        .apply("a", "spec: {containers: [{name: c}, {name: d}]}")
        .check(expect![[r#"
            {"spec":{"containers":[{"imagePullPolicy":"Always","name":"c"},{"name":"d"}],"hostname":"h"}}
            a Apply: .spec.containers[name="c"] .spec.containers[name="d"] .spec.containers[name="c"].name .spec.containers[name="d"].name
        "#]])
        .apply("a", "spec: {containers: [{name: d}]}")
        .check(expect![[r#"
            {"spec":{"containers":[{"name":"d"}],"hostname":"h"}}
            a Apply: .spec.containers[name="d"] .spec.containers[name="d"].name
        "#]]);
}

#[test]
fn an_item_goes_with_its_last_owner() {
    Bench::pod()
        .apply("a", "spec: {containers: [{name: c, image: i}]}")
        .apply("b", "spec: {containers: [{name: c, args: [x]}]}")
        .check(expect![[r#"
            {"spec":{"containers":[{"args":["x"],"image":"i","name":"c"}]}}
            a Apply: .spec.containers[name="c"] .spec.containers[name="c"].image .spec.containers[name="c"].name
            b Apply: .spec.containers[name="c"] .spec.containers[name="c"].args .spec.containers[name="c"].name
        "#]])
        .apply("a", "spec: {}")
        .check(expect![[r#"
            {"spec":{"containers":[{"args":["x"],"name":"c"}]}}
            b Apply: .spec.containers[name="c"] .spec.containers[name="c"].args .spec.containers[name="c"].name
            a Apply: .spec
        "#]])
        .apply("b", "spec: {}")
        .check(expect![[r#"
            {}
            a Apply: .spec
            b Apply: .spec
        "#]]);
    // A plain write of a field inside does not hold the item.
    Bench::pod()
        .apply("a", "spec: {containers: [{name: c}]}")
        .update("u", "spec: {containers: [{name: c, image: i}]}")
        .apply("a", "spec: {}")
        .check(expect![[r#"
            {}
            a Apply: .spec
        "#]]);
}

#[test]
fn ports_are_told_apart_by_protocol() {
    Bench::of("core.v1.Service")
        .apply("a", "spec: {ports: [{port: 53, name: tcp}, {port: 53, protocol: UDP, name: udp}]}")
        .update("defaults", "spec: {ports: [{port: 53, name: tcp, protocol: TCP, targetPort: 53}, {port: 53, protocol: UDP, name: udp}]}")
        .check(expect![[r#"
            {"spec":{"ports":[{"name":"tcp","port":53,"protocol":"TCP","targetPort":53},{"name":"udp","port":53,"protocol":"UDP"}]}}
            a Apply: .spec.ports[port=53,protocol="TCP"] .spec.ports[port=53,protocol="UDP"] .spec.ports[port=53,protocol="TCP"].name .spec.ports[port=53,protocol="TCP"].port .spec.ports[port=53,protocol="UDP"].name .spec.ports[port=53,protocol="UDP"].port .spec.ports[port=53,protocol="UDP"].protocol
            defaults Update: .spec.ports[port=53,protocol="TCP"].protocol .spec.ports[port=53,protocol="TCP"].targetPort
        "#]])
        .apply("a", "spec: {ports: [{port: 53, name: tcp}]}")
        .check(expect![[r#"
            {"spec":{"ports":[{"name":"tcp","port":53,"protocol":"TCP","targetPort":53}]}}
            a Apply: .spec.ports[port=53,protocol="TCP"] .spec.ports[port=53,protocol="TCP"].name .spec.ports[port=53,protocol="TCP"].port
            defaults Update: .spec.ports[port=53,protocol="TCP"].protocol .spec.ports[port=53,protocol="TCP"].targetPort
        "#]]);
}

#[test]
fn changing_what_another_owns_is_a_conflict() {
    Bench::of("apps.v1.Deployment")
        .update("kubectl", "spec: {replicas: 1, paused: true, template: {spec: {containers: [{name: c, image: i}]}}}")
        .refused("a", "spec: {replicas: 2}", expect![[r#"Apply failed with 1 conflict: conflict with "kubectl" using v1: .spec.replicas"#]])
        .apply("a", "spec: {replicas: 1}")
        .check(expect![[r#"
            {"spec":{"paused":true,"replicas":1,"template":{"spec":{"containers":[{"image":"i","name":"c"}]}}}}
            a Apply: .spec.replicas
            kubectl Update: .spec.paused .spec.replicas .spec.template.spec.containers .spec.template.spec.containers[name="c"] .spec.template.spec.containers[name="c"].image .spec.template.spec.containers[name="c"].name
        "#]])
        .refused(
            "b",
            "spec: {replicas: 2, paused: false, template: {spec: {containers: [{name: c, image: j}]}}}",
            expect![[r#"
                Apply failed with 4 conflicts: conflicts with "a":
                - .spec.replicas
                conflicts with "kubectl" using v1:
                - .spec.paused
                - .spec.replicas
                - .spec.template.spec.containers[name="c"].image"#]],
        )
        .refused("b", "spec: {replicas: null}", expect![[r#"
            Apply failed with 2 conflicts: conflicts with "a":
            - .spec.replicas
            conflicts with "kubectl" using v1:
            - .spec.replicas"#]])
        .force("b", "spec: {replicas: 2}")
        .check(expect![[r#"
            {"spec":{"paused":true,"replicas":2,"template":{"spec":{"containers":[{"image":"i","name":"c"}]}}}}
            b Apply: .spec.replicas
            kubectl Update: .spec.paused .spec.template.spec.containers .spec.template.spec.containers[name="c"] .spec.template.spec.containers[name="c"].image .spec.template.spec.containers[name="c"].name
        "#]])
        .refused("a", "spec: {replicas: 1}", expect![[r#"Apply failed with 1 conflict: conflict with "b": .spec.replicas"#]])
        .apply("a", "spec: {}")
        .check(expect![[r#"
            {"spec":{"paused":true,"replicas":2,"template":{"spec":{"containers":[{"image":"i","name":"c"}]}}}}
            b Apply: .spec.replicas
            a Apply: .spec
            kubectl Update: .spec.paused .spec.template.spec.containers .spec.template.spec.containers[name="c"] .spec.template.spec.containers[name="c"].image .spec.template.spec.containers[name="c"].name
        "#]]);
}

#[test]
fn values_that_are_equal_are_shared() {
    Bench::pod()
        .apply("a", "spec: {hostname: h, tolerations: [{key: x}]}")
        .apply("b", "spec: {hostname: h}")
        .refused(
            "b",
            "spec: {hostname: i, tolerations: [{key: w}]}",
            expect![[r#"
            Apply failed with 2 conflicts: conflicts with "a":
            - .spec.hostname
            - .spec.tolerations"#]],
        )
        .check(expect![[r#"
            {"spec":{"hostname":"h","tolerations":[{"key":"x"}]}}
            a Apply: .spec.hostname .spec.tolerations
            b Apply: .spec.hostname
        "#]]);
}

#[test]
fn plain_writes_take_over() {
    Bench::pod()
        .apply("a", "{metadata: {labels: {x: '1', w: '2'}}, spec: {hostname: h}}")
        .update("u", "{metadata: {labels: {x: '9', w: '2'}}, spec: {}}")
        .check(expect![[r#"
            {"metadata":{"labels":{"w":"2","x":"9"}},"spec":{}}
            a Apply: .metadata.labels.w
            u Update: .metadata.labels.x
        "#]])
        .refused(
            "a",
            "{metadata: {labels: {x: '1'}}}",
            expect![[r#"Apply failed with 1 conflict: conflict with "u" using v1: .metadata.labels.x"#]],
        )
        .apply("a", "{metadata: {labels: {x: '9'}}}")
        .check(expect![[r#"
            {"metadata":{"labels":{"x":"9"}},"spec":{}}
            a Apply: .metadata.labels.x
            u Update: .metadata.labels.x
        "#]]);
}

#[test]
fn objects_without_owners_are_their_past_s() {
    let mut bench = Bench::pod();
    bench.live = parse("{metadata: {labels: {x: '1'}}, spec: {hostname: h}}");
    bench
        .refused(
            "a",
            "spec: {hostname: i}",
            expect![[r#"Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .spec.hostname"#]],
        )
        .apply("a", "spec: {hostname: h}")
        .check(expect![[r#"
        {"metadata":{"labels":{"x":"1"}},"spec":{"hostname":"h"}}
        a Apply: .spec.hostname
        before-first-apply Update: .metadata.labels .metadata.labels.x .spec.hostname
    "#]]);
}

#[test]
fn kubectl_takes_over_what_it_applied_client_side() {
    let live = |replicas: i64| {
        let last = r#"{"spec":{"replicas":1,"paused":true}}"#;
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}},
            "spec": {"replicas": replicas, "paused": true}})
        .to_string()
    };
    Bench::of("apps.v1.Deployment")
        .update("kubectl-client-side-apply", &live(1))
        .refused("other", "spec: {replicas: 3, paused: true}", expect![[r#"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .spec.replicas"#]])
        .apply("kubectl", "spec: {replicas: 3, paused: true}")
        .check(expect![[r#"
            {"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"paused\":true,\"replicas\":3}}\n"}},"spec":{"paused":true,"replicas":3}}
            kubectl Apply: .spec.paused .spec.replicas
            kubectl-client-side-apply Update: .metadata.annotations .metadata.annotations.kubectl.kubernetes.io/last-applied-configuration .spec.paused
        "#]]);
    // What has changed since is no longer kubectl's.
    Bench::of("apps.v1.Deployment").update("kubectl-client-side-apply", &live(1)).update("scaler", &live(7)).refused(
        "kubectl",
        "spec: {replicas: 3, paused: false}",
        expect![[r#"Apply failed with 1 conflict: conflict with "scaler" using v1: .spec.replicas"#]],
    );
}

#[test]
fn status_is_applied_by_itself() {
    let mut bench = Bench::of("apps.v1.Deployment");
    bench.apply("a", "{spec: {replicas: 1}, status: {replicas: 5}}").part = Part::Status;
    bench
        .apply("a", "{metadata: {labels: {x: w}}, status: {conditions: [{type: Ready, status: 'True'}]}}")
        .update("u", "{spec: {replicas: 1}, status: {conditions: [{type: Ready, status: 'False'}]}}")
        .refused("a", "status: {conditions: [{type: Ready, status: 'True'}]}", expect![[r#"Apply failed with 1 conflict: conflict with "u" with subresource "status" using v1: .status.conditions[type="Ready"].status"#]])
        .check(expect![[r#"
            {"spec":{"replicas":1},"status":{"conditions":[{"status":"False","type":"Ready"}]}}
            a Apply: .spec.replicas
            a Apply: .status.conditions[type="Ready"] .status.conditions[type="Ready"].type
            u Update: .status.conditions[type="Ready"].status
        "#]]);
}

#[test]
fn old_writers_are_merged() {
    let mut bench = Bench::pod();
    let mut labels = json!({});
    for index in 0..14 {
        labels[format!("l{index}")] = "x".into();
        bench.update(&format!("u{index:02}"), &json!({"metadata": {"labels": labels}}).to_string());
    }
    bench.apply("a", "metadata: {labels: {l0: x}}").check(expect![[r#"
        {"metadata":{"labels":{"l0":"x","l1":"x","l10":"x","l11":"x","l12":"x","l13":"x","l2":"x","l3":"x","l4":"x","l5":"x","l6":"x","l7":"x","l8":"x","l9":"x"}}}
        a Apply: .metadata.labels.l0
        ancient-changes Update: .metadata.labels .metadata.labels.l0 .metadata.labels.l1 .metadata.labels.l2 .metadata.labels.l3
        u04 Update: .metadata.labels.l4
        u05 Update: .metadata.labels.l5
        u06 Update: .metadata.labels.l6
        u07 Update: .metadata.labels.l7
        u08 Update: .metadata.labels.l8
        u09 Update: .metadata.labels.l9
        u10 Update: .metadata.labels.l10
        u11 Update: .metadata.labels.l11
        u12 Update: .metadata.labels.l12
        u13 Update: .metadata.labels.l13
    "#]]);
}

#[test]
fn entries_are_kept_in_order() {
    let mut bench = Bench::pod();
    bench
        .update("z", "spec: {hostname: h}")
        .update("b", "spec: {hostname: h, nodeName: m}")
        .apply("y", "spec: {hostname: h}")
        .apply("x", "spec: {hostname: h}");
    let entries = object::list_at(&bench.live, &["metadata", "managedFields"]);
    let lines: Vec<String> = entries.iter().map(|entry| format!("{entry}\n")).collect();
    expect![[r#"
        {"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:hostname":{}}},"manager":"y","operation":"Apply","time":"1970-01-01T00:00:03Z"}
        {"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:hostname":{}}},"manager":"x","operation":"Apply","time":"1970-01-01T00:00:04Z"}
        {"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:hostname":{}}},"manager":"z","operation":"Update","time":"1970-01-01T00:00:01Z"}
        {"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:nodeName":{}}},"manager":"b","operation":"Update","time":"1970-01-01T00:00:02Z"}
    "#]].assert_eq(&lines.concat());
}

#[test]
fn malformed_entries_are_named() {
    let check = |entries: Value, expected: Expect| {
        let found = ManagedFields::of(&json!({"metadata": {"managedFields": entries}}));
        let text = match found {
            Ok(managed) => format!("{} entries", managed.entries.len()),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&text);
    };
    check(json!(null), expect!["0 entries"]);
    check(json!([]), expect!["0 entries"]);
    check(json!([{}]), expect!["0 entries"]);
    check(
        json!([{}, {}]),
        expect![[r#"metadata.managedFields[0].operation: Invalid value: "": must be `Apply` or `Update`"#]],
    );
    check(json!("x"), expect![[r#"metadata.managedFields: Invalid value: "x": must be a list"#]]);
    check(
        json!([{"manager": "a", "operation": "Apply"}]),
        expect![[r#"metadata.managedFields[0].fieldsType: Invalid value: "": must be `FieldsV1`"#]],
    );
    check(json!([{"manager": "a", "operation": "Apply", "fieldsType": "FieldsV1"}]), expect!["1 entries"]);
    check(
        json!([{"manager": "a", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"x": {}}}]),
        expect![[
            r#"metadata.managedFields[0].fieldsV1: Invalid value: {"x":{}}: "x" is no path element: expected f:NAME, k:KEYS, v:VALUE or i:INDEX"#
        ]],
    );
}
