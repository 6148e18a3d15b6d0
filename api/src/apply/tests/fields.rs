//! Which fields a configuration speaks of, which a write changed, and how both are written down.

use super::*;

fn check_set(value: Value, expected: &Expect) {
    let text = match FieldSet::from_value(&value) {
        Ok(set) => {
            assert_eq!(FieldSet::from_value(&set.clone().into_value()).unwrap(), set);
            format!("{} {}", set.paths().join(" "), set.into_value())
        }
        Err(problem) => problem,
    };
    expected.assert_eq(&text);
}

#[test]
fn sets_have_a_json_form() {
    check_set(
        json!({"f:spec": {"f:replicas": {}, "f:ports": {".": {}, "k:{\"protocol\": \"TCP\", \"port\":80}": {".": {}, "f:name": {}}}}}),
        &expect![[
            r#".spec.ports .spec.replicas .spec.ports[port=80,protocol="TCP"] .spec.ports[port=80,protocol="TCP"].name {"f:spec":{"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"f:replicas":{}}}"#
        ]],
    );
    check_set(
        json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"a\"": {}}, "f:labels": {"f:a/b.c": {}}}}),
        &expect![[
            r#".metadata.finalizers .metadata.finalizers[="a"] .metadata.labels.a/b.c {"f:metadata":{"f:finalizers":{".":{},"v:\"a\"":{}},"f:labels":{"f:a/b.c":{}}}}"#
        ]],
    );
    check_set(json!({"i:3": {}, "v: 5": {}}), &expect![[r#"[3] [=5] {"i:3":{},"v:5":{}}"#]]);
    check_set(json!({}), &expect![" {}"]);
    check_set(json!([]), &expect!["must be an object"]);
    check_set(json!({"f:a": 1}), &expect!["must be an object"]);
    check_set(json!({"a": {}}), &expect![[r#""a" is no path element: expected f:NAME, k:KEYS, v:VALUE or i:INDEX"#]]);
    check_set(
        json!({"k:1": {}}),
        &expect![[r#""k:1" is no path element: expected f:NAME, k:KEYS, v:VALUE or i:INDEX"#]],
    );
    check_set(
        json!({"v:x": {}}),
        &expect![[r#""v:x" is no path element: expected f:NAME, k:KEYS, v:VALUE or i:INDEX"#]],
    );
    check_set(
        json!({"i:-1": {}}),
        &expect![[r#""i:-1" is no path element: expected f:NAME, k:KEYS, v:VALUE or i:INDEX"#]],
    );
}

fn check_extracted(definition: &str, config: &str, expected: &Expect) {
    let config = parse(config);
    let definition = schema::definition(&format!("io.k8s.api.{definition}")).unwrap();
    check(definition, &config).unwrap();
    expected.assert_eq(&extract(definition, &config, Part::AllButStatus).paths().join(" "));
}

#[test]
fn configurations_speak_of_fields() {
    let pod = "core.v1.Pod";
    check_extracted(
        pod,
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns, uid: u, labels: {a: b}}, status: {phase: Running}}",
        &expect![".metadata.labels.a"],
    );
    // Structs go field by field, unless they are atomic; an empty one, or null, is spoken of itself.
    check_extracted(
        pod,
        "spec: {securityContext: {runAsUser: 1}, dnsConfig: {}, hostname: null, affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}}",
        &expect![
            ".spec.dnsConfig .spec.hostname .spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution .spec.securityContext.runAsUser"
        ],
    );
    // Maps go key by key, unless they are atomic.
    check_extracted(
        pod,
        "{metadata: {annotations: {a: b}}, spec: {nodeSelector: {c: d}, overhead: {cpu: 1}}}",
        &expect![".metadata.annotations.a .spec.nodeSelector .spec.overhead.cpu"],
    );
    // Lists: by key, by several keys and a default, by value, atomic.
    check_extracted(
        pod,
        "{metadata: {finalizers: [x, w]}, spec: {tolerations: [{key: a}], containers: [{name: c, args: [z], ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP, name: u}], env: [{name: E, valueFrom: {configMapKeyRef: {name: m, key: k}}}]}]}}",
        &expect![[
            r#".metadata.finalizers[="w"] .metadata.finalizers[="x"] .spec.tolerations .spec.containers[name="c"] .spec.containers[name="c"].args .spec.containers[name="c"].name .spec.containers[name="c"].env[name="E"] .spec.containers[name="c"].env[name="E"].name .spec.containers[name="c"].env[name="E"].valueFrom.configMapKeyRef .spec.containers[name="c"].ports[containerPort=80,protocol="TCP"] .spec.containers[name="c"].ports[containerPort=80,protocol="UDP"] .spec.containers[name="c"].ports[containerPort=80,protocol="TCP"].containerPort .spec.containers[name="c"].ports[containerPort=80,protocol="UDP"].containerPort .spec.containers[name="c"].ports[containerPort=80,protocol="UDP"].name .spec.containers[name="c"].ports[containerPort=80,protocol="UDP"].protocol"#
        ]],
    );
    check_extracted(
        pod,
        "spec: {imagePullSecrets: [{}, {name: s}]}",
        &expect![[r#".spec.imagePullSecrets[name=""] .spec.imagePullSecrets[name="s"]"#]],
    );
    check_extracted(
        "core.v1.Service",
        "spec: {selector: {a: b}, ports: [{port: 1}, {port: 1, protocol: UDP}]}",
        &expect![[
            r#".spec.selector .spec.ports[port=1,protocol="TCP"] .spec.ports[port=1,protocol="UDP"] .spec.ports[port=1,protocol="TCP"].port .spec.ports[port=1,protocol="UDP"].port .spec.ports[port=1,protocol="UDP"].protocol"#
        ]],
    );
    // What no schema describes goes key by key; lists in it are atomic.
    check_extracted(
        "apps.v1.ControllerRevision",
        "data: {a: {b: [1, {c: d}]}, e: {}}",
        &expect![".data.a .data.e .data.a.b"],
    );
}

fn check_refused(definition: &str, config: &str, expected: &Expect) {
    let definition = schema::definition(&format!("io.k8s.api.{definition}")).unwrap();
    expected.assert_eq(&check(definition, &parse(config)).unwrap_err().to_string());
}

#[test]
fn configurations_without_a_clear_meaning_are_refused() {
    check_refused(
        "apps.v1.Deployment",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: ns}, spec: {foo: 1}}",
        &expect![
            "failed to create typed patch object (ns/d; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema"
        ],
    );
    check_refused(
        "core.v1.Pod",
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {hostname: 1, containers: [{name: c, imag: x}]}}",
        &expect![[r#"
            failed to create typed patch object (/p; /v1, Kind=Pod): errors:
              .spec.containers[0].imag: field not declared in schema
              .spec.hostname: json: cannot unmarshal number into Go struct field PodSpec.spec.hostname of type string"#]],
    );
    check_refused(
        "core.v1.Pod",
        "{apiVersion: v1, kind: Pod, spec: {containers: [{name: c}, {image: x}, {name: c, ports: [{containerPort: 1}, {containerPort: 1, protocol: TCP}]}]}}",
        &expect![[r#"
            failed to create typed patch object (/; /v1, Kind=Pod): errors:
              .spec.containers: element 1: associative list with keys has an element that omits key field "name" (and doesn't have default value)
              .spec.containers[name="c"].ports: duplicate entries for key [containerPort=1,protocol="TCP"]
              .spec.containers: duplicate entries for key [name="c"]"#]],
    );
    check_refused(
        "core.v1.Pod",
        "{apiVersion: v1, kind: Pod, metadata: {finalizers: [a, b, a]}}",
        &expect![[
            r#"failed to create typed patch object (/; /v1, Kind=Pod): .metadata.finalizers: duplicate entries for key [="a"]"#
        ]],
    );
}

fn check_changes(old: &str, new: &str, expected: &Expect) {
    let definition = schema::definition("io.k8s.api.core.v1.Pod").unwrap();
    let Comparison { added, modified, removed } = changes(definition, &parse(old), &parse(new), Part::AllButStatus);
    let text = [("added", added), ("modified", modified), ("removed", removed)]
        .into_iter()
        .filter(|(_, set)| !set.is_empty())
        .map(|(word, set)| format!("{word} {}\n", set.paths().join(" ")));
    expected.assert_eq(&text.collect::<String>());
}

#[test]
fn writes_change_fields() {
    let old = "{metadata: {labels: {a: b}}, spec: {hostname: h, containers: [{name: c, image: i, args: [x]}]}}";
    check_changes(old, old, &expect![[""]]);
    check_changes(
        "{}",
        old,
        &expect![[r#"
        added .metadata.labels .metadata.labels.a .spec.containers .spec.hostname .spec.containers[name="c"] .spec.containers[name="c"].args .spec.containers[name="c"].image .spec.containers[name="c"].name
    "#]],
    );
    check_changes(
        old,
        "{}",
        &expect![[r#"
        removed .metadata.labels .metadata.labels.a .spec.containers .spec.hostname .spec.containers[name="c"] .spec.containers[name="c"].args .spec.containers[name="c"].image .spec.containers[name="c"].name
    "#]],
    );
    check_changes(
        old,
        "{metadata: {labels: {a: c, d: e}}, spec: {hostname: null, containers: [{name: c, args: [x, w]}, {name: d}]}}",
        &expect![[r#"
            added .metadata.labels.d .spec.containers[name="d"] .spec.containers[name="d"].name
            modified .metadata.labels.a .spec.hostname .spec.containers[name="c"].args
            removed .spec.containers[name="c"].image
        "#]],
    );
    // Null is absence, in either object.
    check_changes("spec: {hostname: null}", "{}", &expect![[""]]);
    check_changes("{}", "spec: {hostname: null}", &expect![[""]]);
    check_changes(
        "spec: {hostname: null}",
        "spec: {hostname: h}",
        &expect![[r#"
        added .spec.hostname
    "#]],
    );
    // The order of a list whose items have keys is nobody's.
    check_changes(
        "spec: {containers: [{name: a}, {name: b}]}",
        "spec: {containers: [{name: b}, {name: a}]}",
        &expect![[""]],
    );
    check_changes(
        "spec: {tolerations: [{key: a}, {key: b}]}",
        "spec: {tolerations: [{key: b}, {key: a}]}",
        &expect![[r#"
            modified .spec.tolerations
        "#]],
    );
    // Old objects may hold what a configuration may not.
    check_changes(
        "spec: {containers: [{name: a, env: [{name: E, value: x}, {name: E, value: w}]}]}",
        "spec: {containers: [{name: a, env: [{name: E, value: w}]}]}",
        &expect![[r#"
            modified .spec.containers[name="a"].env[name="E"].value
        "#]],
    );
    check_changes(
        "spec: {containers: [{image: a}]}",
        "spec: {containers: [{image: b}]}",
        &expect![[r#"
        modified .spec.containers
    "#]],
    );
    check_changes(
        "{metadata: {name: a, resourceVersion: '1'}, status: {phase: Running}}",
        "{metadata: {name: a, resourceVersion: '2'}}",
        &expect![[""]],
    );
}
