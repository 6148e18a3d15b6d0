//! What may change about an object, and what may not.

use expect_test::{Expect, expect};

use crate::{kind_of, object, prepared};

/// The errors of replacing a manifest by itself with some fields merged over it.
pub(crate) fn check(manifest: &str, change: &str, expected: Expect) {
    let old = prepared(manifest);
    let mut new = old.clone();
    coracle_api::patch::merge_patch(&mut new, &object(change));
    let kind = kind_of(&new);
    kind.default(&mut new);
    let mut errors = Vec::new();
    kind.validate_update(&new, &old, &mut errors);
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn metadata() {
    const MAP: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, uid: u1}}";
    check(MAP, "{metadata: {labels: {a: b}}}", expect![""]);
    check(MAP, "{metadata: {uid: null}}", expect![""]);
    check(
        MAP,
        "{metadata: {uid: u2, name: d, namespace: e, labels: {a: b c}}}",
        expect![[r#"
        metadata.name: Invalid value: "d": field is immutable
        metadata.namespace: Invalid value: "e": field is immutable
        metadata.uid: Invalid value: "u2": field is immutable
        metadata.labels: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#]],
    );
    check(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, deletionTimestamp: '2026-11-21T01:49:00Z', finalizers: [a.b/c]}}",
        "{metadata: {finalizers: [a.b/c, a.b/d]}}",
        expect![[
            r#"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.b/d"}"#
        ]],
    );
}

#[test]
fn pods() {
    const POD: &str = "
        {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {activeDeadlineSeconds: 5, tolerations: [{key: a, operator: Exists}],
         containers: [{name: a, image: x}]}}";
    check(POD, "{metadata: {labels: {a: b}}}", expect![""]);
    check(
        POD,
        "{spec: {containers: [{name: a, image: y, imagePullPolicy: Always, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, resources: {}}]}}",
        expect!["spec.containers[0].image: Required value"],
    );
    check(
        POD,
        "{spec: {containers: [{name: a, image: x, ports: [{containerPort: 1}]}], nodeName: n}}",
        expect![[r#"
        spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)
        changed: spec.containers[0].ports, spec.nodeName"#]],
    );
    check(
        POD,
        "{spec: {containers: []}}",
        expect![[r#"
        spec.containers: Required value
        spec.containers: Forbidden: pod updates may not add or remove containers"#]],
    );
    check(POD, "{spec: {activeDeadlineSeconds: 4}}", expect![""]);
    check(
        POD,
        "{spec: {activeDeadlineSeconds: 6}}",
        expect!["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"],
    );
    check(
        POD,
        "{spec: {activeDeadlineSeconds: null}}",
        expect![
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"
        ],
    );
    check(POD, "{spec: {tolerations: [{key: a, operator: Exists}, {key: b, operator: Exists}]}}", expect![""]);
    check(
        POD,
        "{spec: {tolerations: []}}",
        expect!["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    );
    check(
        POD,
        "{spec: {terminationGracePeriodSeconds: 1}}",
        expect![[r#"
        spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)
        changed: spec.terminationGracePeriodSeconds"#]],
    );
}

#[test]
fn selectors() {
    check(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d1}, spec: {selector: {matchLabels: {app: d1}}, template: {metadata: {labels: {app: d1}}, spec: {containers: [{name: c, image: x}]}}}}",
        "{spec: {replicas: -1, selector: {matchLabels: {a: b}}}}",
        expect![[r#"
            spec.replicas: Invalid value: -1: must be greater than or equal to 0
            spec.template.metadata.labels: Invalid value: map[string]string{"app":"d1"}: `selector` does not match template `labels`
            spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"a":"b", "app":"d1"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable"#]],
    );
}

#[test]
fn sealed_data() {
    const SEALED: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, immutable: true, data: {a: b}}";
    check(SEALED, "{metadata: {labels: {a: b}}}", expect![""]);
    check(
        SEALED,
        "{data: {a: c}, binaryData: {b: Yg==}, immutable: null}",
        expect![[r#"
        immutable: Forbidden: field is immutable when `immutable` is set
        data: Forbidden: field is immutable when `immutable` is set
        binaryData: Forbidden: field is immutable when `immutable` is set"#]],
    );
    const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: s}, immutable: true, data: {a: Yg==}}";
    check(
        SECRET,
        "{type: Other, data: {a: Yw==}}",
        expect![[r#"
        type: Invalid value: "Other": field is immutable
        data: Forbidden: field is immutable when `immutable` is set"#]],
    );
    check(SECRET, "{stringData: {a: b}}", expect![""]);
}

#[test]
fn the_rest() {
    check(
        "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: 10.0.0.1, ports: [{port: 1}]}}",
        "{spec: {clusterIP: 10.0.0.2, clusterIPs: null}}",
        expect![[r#"spec.clusterIPs[0]: Invalid value: []string{"10.0.0.2"}: may not change once set"#]],
    );
    check(
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e}, addressType: IPv4}",
        "{addressType: IPv6}",
        expect![[r#"addressType: Invalid value: "IPv6": field is immutable"#]],
    );
}

#[test]
fn what_a_binding_binds_stays() {
    const BINDING: &str = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b}, roleRef: {kind: Role, name: r}}";
    check(BINDING, "{subjects: [{kind: User, name: jane}]}", expect![""]);
    check(
        BINDING,
        "{roleRef: {kind: ClusterRole}}",
        expect![[
            r#"roleRef: Invalid value: rbac.RoleRef{APIGroup:"rbac.authorization.k8s.io", Kind:"ClusterRole", Name:"r"}: cannot change roleRef"#
        ]],
    );
}

#[test]
fn a_signing_request_stays_as_it_was_made() {
    check(
        "{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: c}, spec: {request: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K, signerName: a.b/c, usages: [any]}}",
        "{spec: {signerName: a.b/d}}",
        expect![[
            r#"spec: Invalid value: {"request":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K","signerName":"a.b/d","usages":["any"]}: field is immutable"#
        ]],
    );
}

#[test]
fn conditions_of_a_signing_request_are_not_taken_back() {
    let check = |old: &str, new: &str, expected: Expect| {
        let [old, new] = [old, new].map(|status| object(&format!("status: {status}")));
        let mut errors = Vec::new();
        coracle_api::kinds::certificate_signing_request::validate_conditions(&new, &old, &mut errors);
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        expected.assert_eq(&lines.join("\n"));
    };
    check("{}", "{conditions: [{type: Approved, status: 'True'}, {type: Mine, status: 'False'}]}", expect![""]);
    check(
        "{}",
        "{conditions: [{type: Approved, status: 'False'}, {status: 'True'}, {status: X}]}",
        expect![[r#"
        status.conditions[0].status: Unsupported value: "False": supported values: "True"
        status.conditions[1].type: Required value
        status.conditions[2].type: Required value
        status.conditions[2].status: Unsupported value: "X": supported values: "False", "True", "Unknown"
        status.conditions[2].type: Duplicate value: """#]],
    );
    check(
        "{conditions: [{type: Approved, status: 'True'}], certificate: eA==}",
        "{conditions: [{type: Denied, status: 'True'}], certificate: eQ==}",
        expect![[r#"
            status.conditions: Forbidden: updates may not remove a condition of type "Approved"
            status.certificate: Forbidden: updates may not set certificate content if existing certificate content is set"#]],
    );
    check(
        "{}",
        "{conditions: [{type: Approved, status: 'True'}, {type: Denied, status: 'True'}]}",
        expect![[
            r#"status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive"#
        ]],
    );
}

#[test]
fn join_tokens() {
    const TOKEN: &str = "{apiVersion: coracle.dev/v1, kind: JoinToken, metadata: {name: t}, spec: {role: host, expirationTimestamp: '2026-11-22T01:49:51Z', secretHash: a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3}}";
    const BOUND: &str =
        "{spec: {joiner: {name: h, secretHash: a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3}}}";
    check(TOKEN, BOUND, expect![""]);
    check(
        TOKEN,
        "{spec: {role: server}}",
        expect![[
            r#"spec: Invalid value: map[string]string{"expirationTimestamp":"2026-11-22T01:49:51Z", "role":"server", "secretHash":"a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3"}: field is immutable"#
        ]],
    );
}
