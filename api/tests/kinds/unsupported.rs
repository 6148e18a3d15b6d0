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
          volumes:
          - {name: a}
          - {name: b, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
          - {name: c, persistentVolumeClaim: {claimName: c}}
          - {name: d, nfs: {server: s, path: /}}
          - {name: e, image: {reference: x}}
          - {name: f, projected: {sources: [{clusterTrustBundle: {path: x}}, {serviceAccountToken: {path: y}}]}}
          initContainers: [{name: i, image: x}, {name: s, image: x, restartPolicy: Always, startupProbe: {tcpSocket: {port: 1}}, ports: [{containerPort: 1, hostPort: 1}]}]
          affinity: {nodeAffinity: {}}
          containers:
          - {name: a, image: x, ports: [{containerPort: 1, hostPort: 1}], readinessProbe: {httpGet: {port: 1, host: db, scheme: HTTPS}}, livenessProbe: {tcpSocket: {port: 1}}, lifecycle: {stopSignal: SIGINT, postStart: {sleep: {seconds: 1}}, preStop: {tcpSocket: {port: 1, host: db}}}}
          - {name: b, image: x, volumeMounts: [{name: a, mountPath: /a, mountPropagation: Bidirectional}], securityContext: {privileged: true, capabilities: {add: [NET_ADMIN]}}}
        ",
        expect![[r#"
            spec.volumes[1].emptyDir.medium: Forbidden: the medium "Memory" is not supported by this version of Coracle; leave it out: the files are on the host's disk
            spec.volumes[2].persistentVolumeClaim: Forbidden: volumes of this type are not supported by this version of Coracle; use emptyDir for what may go with the pod, or hostPath where the host's owner allows it
            spec.volumes[3].nfs: Forbidden: volumes of this type are not supported by this version of Coracle; use emptyDir for what may go with the pod, or hostPath where the host's owner allows it
            spec.volumes[4].image: Forbidden: volumes of this type are not supported by this version of Coracle; put the files into a ConfigMap, or into the component
            spec.volumes[5].projected.sources[0].clusterTrustBundle: Forbidden: this source is not supported by this version of Coracle; put it into a Secret
            spec.affinity: Forbidden: affinity is not supported by this version of Coracle
            spec.hostNetwork: Forbidden: the host's network is not supported by this version of Coracle
            spec.containers[0].ports[0].hostPort: Forbidden: host ports are not supported by this version of Coracle
            spec.containers[0].readinessProbe.httpGet.host: Forbidden: other hosts than the pod itself are not supported by this version of Coracle
            spec.containers[0].readinessProbe.httpGet.scheme: Forbidden: TLS to the pod itself is not supported by this version of Coracle
            spec.containers[0].lifecycle.preStop.tcpSocket.host: Forbidden: other hosts than the pod itself are not supported by this version of Coracle
            spec.containers[0].lifecycle.preStop.tcpSocket: Forbidden: sockets as hooks are not supported by this version of Coracle
            spec.containers[0].lifecycle.stopSignal: Forbidden: signals are not supported by this version of Coracle
            spec.containers[1].volumeMounts[0].mountPropagation: Forbidden: propagated mounts are not supported by this version of Coracle
            spec.containers[1].securityContext.privileged: Forbidden: privileged containers are not supported by this version of Coracle
            spec.containers[1].securityContext.capabilities.add: Forbidden: added capabilities are not supported by this version of Coracle
            spec.initContainers[1].ports[0].hostPort: Forbidden: host ports are not supported by this version of Coracle
            spec.initContainers[1].restartPolicy: Forbidden: init containers that are restarted or stay are not supported by this version of Coracle
            spec.initContainers[1].startupProbe: Forbidden: probes and hooks of init containers are not supported by this version of Coracle"#]],
    );
}

#[test]
fn templates() {
    check(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {spec: {volumes: [{name: a, csi: {driver: d}}], containers: [{name: c}]}}}}",
        expect![
            "spec.template.spec.volumes[0].csi: Forbidden: volumes of this type are not supported by this version of Coracle; use emptyDir for what may go with the pod, or hostPath where the host's owner allows it"
        ],
    );
    check(
        "{apiVersion: v1, kind: PodTemplate, metadata: {name: t}, template: {spec: {volumes: [{name: a, csi: {driver: d}}], containers: [{name: c}]}}}",
        expect![
            "template.spec.volumes[0].csi: Forbidden: volumes of this type are not supported by this version of Coracle; use emptyDir for what may go with the pod, or hostPath where the host's owner allows it"
        ],
    );
    check(
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {jobTemplate: {spec: {template: {spec: {hostNetwork: true, containers: [{name: c}]}}}}}}",
        expect![
            "spec.jobTemplate.spec.template.spec.hostNetwork: Forbidden: the host's network is not supported by this version of Coracle"
        ],
    );
    check("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, spec: {volumes: [{name: a}]}}", expect![[""]]);
}
