//! What can't be honoured is said, by field.

use coracle_api::kinds::pod::unsupported_fields;
use expect_test::{Expect, expect};

use crate::{kind_of, prepared};

fn check(manifest: &str, expected: Expect) {
    let object = prepared(manifest);
    let errors = unsupported_fields(kind_of(&object), &object);
    expected.assert_eq(&errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn pods() {
    check(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: x, securityContext: {}}]}}",
        expect![""],
    );
    check(
        "
        apiVersion: v1
        kind: Pod
        metadata: {name: p}
        spec:
          hostNetwork: true
          hostPID: false
          volumes: [{name: a}]
          initContainers: [{name: i, image: x}]
          affinity: {nodeAffinity: {}}
          containers:
          - {name: a, image: x, ports: [{containerPort: 1, hostPort: 1}], readinessProbe: {httpGet: {port: 1}}, lifecycle: {preStop: {sleep: {seconds: 1}}}}
          - {name: b, image: x, securityContext: {privileged: true, capabilities: {add: [NET_ADMIN]}}}
        ",
        expect![[r#"
            spec.volumes: Forbidden: volumes are not supported by this version of Coracle
            spec.initContainers: Forbidden: init containers are not supported by this version of Coracle
            spec.affinity: Forbidden: affinity is not supported by this version of Coracle
            spec.hostNetwork: Forbidden: the host's network is not supported by this version of Coracle
            spec.containers[0].lifecycle: Forbidden: lifecycle hooks are not supported by this version of Coracle
            spec.containers[0].readinessProbe: Forbidden: probes are not supported by this version of Coracle
            spec.containers[0].ports[0].hostPort: Forbidden: host ports are not supported by this version of Coracle
            spec.containers[1].securityContext.privileged: Forbidden: privileged containers are not supported by this version of Coracle
            spec.containers[1].securityContext.capabilities.add: Forbidden: added capabilities are not supported by this version of Coracle"#]],
    );
}

#[test]
fn templates() {
    check(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {spec: {volumes: [{name: a}], containers: [{name: c}]}}}}",
        expect!["spec.template.spec.volumes: Forbidden: volumes are not supported by this version of Coracle"],
    );
    check(
        "{apiVersion: v1, kind: PodTemplate, metadata: {name: t}, template: {spec: {volumes: [{name: a}], containers: [{name: c}]}}}",
        expect!["template.spec.volumes: Forbidden: volumes are not supported by this version of Coracle"],
    );
    check(
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {jobTemplate: {spec: {template: {spec: {hostNetwork: true, containers: [{name: c}]}}}}}}",
        expect![
            "spec.jobTemplate.spec.template.spec.hostNetwork: Forbidden: the host's network is not supported by this version of Coracle"
        ],
    );
    check("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, spec: {volumes: [{name: a}]}}", expect![[""]]);
}
