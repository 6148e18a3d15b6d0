//! Mistakes are reported in Kubernetes' words.

use expect_test::{Expect, expect};

use crate::{kind_of, prepared};

/// Every error of a manifest, one a line.
pub(crate) fn check(manifest: &str, expected: Expect) {
    let object = prepared(manifest);
    let mut errors = Vec::new();
    kind_of(&object).validate(&object, &mut errors);
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

fn check_pod(spec: &str, expected: Expect) {
    check(&format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {spec}}}"), expected);
}

fn check_container(rest: &str, expected: Expect) {
    check_pod(&format!("{{containers: [{{name: a, image: x, {rest}}}]}}"), expected);
}

#[test]
fn volumes() {
    check_pod(
        "
        {containers: [{name: a, image: x, volumeMounts: [
            {name: ok, mountPath: /a, subPath: ../x}, {name: ok, mountPath: /b, subPath: /x, subPathExpr: $(A)},
            {name: ok, mountPath: /c, mountPropagation: Odd, recursiveReadOnly: Enabled}, {name: two, mountPath: /d}]}],
        volumes: [
            {name: ok}, {name: two, emptyDir: {sizeLimit: -1}, hostPath: {path: /}, csi: {driver: d}},
            {name: h, hostPath: {path: /a/../b, type: Odd}}, {name: i, hostPath: {type: File}},
            {name: c, configMap: {defaultMode: 512, items: [{key: a, path: ..a, mode: -1}, {path: /b}, {key: c, path: a/../b}, {key: d}]}},
            {name: s, secret: {items: [{key: a, path: a}]}},
            {name: p, projected: {defaultMode: 1000, sources: [{secret: {items: [{key: a, path: a}]}}, {configMap: {name: c, items: [{key: a, path: a}]}},
                {serviceAccountToken: {path: a, expirationSeconds: 1}, secret: {name: t}}, {serviceAccountToken: {path: a, expirationSeconds: 99}}]}},
            {name: d, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: status.podIP}}, {fieldRef: {fieldPath: metadata.labels}}, {path: b},
                {path: c, resourceFieldRef: {resource: limits.cpu}}, {path: d, resourceFieldRef: {containerName: a, resource: limits.pods}},
                {path: e, resourceFieldRef: {containerName: a, resource: limits.memory, divisor: 3}}, {path: f, resourceFieldRef: {containerName: a, resource: requests.cpu, divisor: 1m}},
                {path: g, fieldRef: {fieldPath: metadata.annotations}, resourceFieldRef: {containerName: a, resource: limits.cpu}}]}}]}
        ",
        expect![[r#"
            spec.volumes[1].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity
            spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type
            spec.volumes[1].csi: Forbidden: may not specify more than 1 volume type
            spec.volumes[2].hostPath.path: Invalid value: "/a/../b": must not contain '..'
            spec.volumes[2].hostPath.type: Unsupported value: "Odd": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"
            spec.volumes[3].hostPath.path: Required value
            spec.volumes[4].configMap.name: Required value
            spec.volumes[4].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive
            spec.volumes[4].configMap.items[0].path: Invalid value: "..a": must not start with '..'
            spec.volumes[4].configMap.items[0].mode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive
            spec.volumes[4].configMap.items[1].key: Required value
            spec.volumes[4].configMap.items[1].path: Invalid value: "/b": must be a relative path
            spec.volumes[4].configMap.items[2].path: Invalid value: "a/../b": must not contain '..'
            spec.volumes[4].configMap.items[3].path: Required value
            spec.volumes[5].secret.secretName: Required value
            spec.volumes[6].projected.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), both inclusive
            spec.volumes[6].projected.sources[0].secret.name: Required value
            spec.volumes[6].projected: Invalid value: "c": conflicting duplicate paths
            spec.volumes[6].projected.sources[2].serviceAccountToken: Forbidden: may not specify more than 1 volume type
            spec.volumes[6].projected.sources[3].serviceAccountToken.expirationSeconds: Invalid value: 99: may not specify a duration less than 10 minutes
            spec.volumes[6].projected: Invalid value: "a": conflicting duplicate paths
            spec.volumes[7].downwardAPI.fieldRef.fieldPath: Unsupported value: "status.podIP": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"
            spec.volumes[7].downwardAPI.path: Required value
            spec.volumes[7].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required
            spec.volumes[7].downwardAPI.resourceFieldRef.containerName: Required value
            spec.volumes[7].downwardAPI.resourceFieldRef.resource: Unsupported value: "limits.pods": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"
            spec.volumes[7].downwardAPI.resourceFieldRef.divisor: Invalid value: "limits.memory": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource
            spec.volumes[7].downwardAPI: Invalid value: "resource": fieldRef and resourceFieldRef can not be specified simultaneously
            spec.containers[0].volumeMounts.subPath: Invalid value: "../x": must not contain '..'
            spec.containers[0].volumeMounts.subPath: Invalid value: "/x": must be a relative path
            spec.containers[0].volumeMounts[1].subPathExpr: Invalid value: "$(A)": subPathExpr and subPath are mutually exclusive
            spec.containers[0].volumeMounts[2].mountPropagation: Unsupported value: "Odd": supported values: "Bidirectional", "HostToContainer", "None"
            spec.containers[0].volumeMounts[2].recursiveReadOnly: Forbidden: may only be specified when readOnly is true
            spec.containers[0].volumeMounts[3].name: Not found: "two""#]],
    );
}

#[test]
fn metadata() {
    check(
        "{apiVersion: v1, kind: ConfigMap, metadata: {}}",
        expect!["metadata.name: Required value: name or generateName is required"],
    );
    check(
        "
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: My_Map
          generateName: Web-
          namespace: Nope.x
          labels: {'a b': ok, ok: 'not ok!'}
          annotations: {UPPER/Case: fine, '/x': bad}
          finalizers: [mine, example.com/ok, orphan, foregroundDeletion]
          ownerReferences:
          - {apiVersion: '', kind: '', name: '', uid: ''}
          - {apiVersion: v1, kind: Event, name: e, uid: u}
          - {apiVersion: v1, kind: Pod, name: p, uid: u, controller: true}
          - {apiVersion: v1, kind: Pod, name: q, uid: v, controller: true}
        ",
        expect![[r#"
            metadata.generateName: Invalid value: "Web-": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            metadata.name: Invalid value: "My_Map": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            metadata.namespace: Invalid value: "Nope.x": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            metadata.labels: Invalid value: "not ok!": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            metadata.annotations: Invalid value: "/x": prefix part must be non-empty
            metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty
            metadata.ownerReferences.kind: Invalid value: "": must not be empty
            metadata.ownerReferences.name: Invalid value: "": must not be empty
            metadata.ownerReferences.uid: Invalid value: "": must not be empty
            metadata.ownerReferences: Invalid value: "Event/e": /v1, Kind=Event is disallowed from being an owner
            metadata.ownerReferences: Invalid value: [{"apiVersion":"","kind":"","name":"","uid":""},{"apiVersion":"v1","kind":"Event","name":"e","uid":"u"},{"apiVersion":"v1","controller":true,"kind":"Pod","name":"p","uid":"u"},{"apiVersion":"v1","controller":true,"kind":"Pod","name":"q","uid":"v"}]: Only one reference can have Controller set to true. Found "true" in references for Pod/p and Pod/q
            metadata.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified
            metadata.finalizers: Invalid value: []string{"mine", "example.com/ok", "orphan", "foregroundDeletion"}: finalizer orphan and foregroundDeletion cannot be both set"#]],
    );
    check(
        "{apiVersion: v1, kind: Node, metadata: {name: node-1, namespace: default}}",
        expect!["metadata.namespace: Forbidden: not allowed on this type"],
    );
    check(
        "{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}",
        expect![[
            r#"metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"#
        ]],
    );
    check(
        "{apiVersion: v1, kind: Service, metadata: {name: 1a}, spec: {ports: [{port: 80}]}}",
        expect![[
            r#"metadata.name: Invalid value: "1a": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"#
        ]],
    );
    check(
        &format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c, annotations: {{a: {}}}}}}}",
            "x".repeat(262_144)
        ),
        expect!["metadata.annotations: Too long: may not be more than 262144 bytes"],
    );
}

#[test]
fn pods() {
    check("{apiVersion: v1, kind: Pod, metadata: {name: p}}", expect!["spec.containers: Required value"]);
    check_pod("{containers: [{name: a, image: x}]}", expect![""]);
    check_pod(
        "{containers: [{}, {name: A, image: ' x'}, {name: a, image: x}, {name: a, image: x}]}",
        expect![[r#"
        spec.containers[0].name: Required value
        spec.containers[0].image: Required value
        spec.containers[1].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
        spec.containers[1].image: Invalid value: " x": must not have leading or trailing whitespace
        spec.containers[3].name: Duplicate value: "a""#]],
    );
    check_pod(
        "
        {containers: [{name: a, image: x}], restartPolicy: Sometimes, dnsPolicy: Mine, nodeSelector: {'a b': c}, serviceAccountName: A_b,
         nodeName: N, activeDeadlineSeconds: 0, hostname: a.b, subdomain: B, imagePullSecrets: [{}], readinessGates: [{conditionType: 'a b'}],
         runtimeClassName: W}
        ",
        expect![[r#"
            spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"
            spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"
            spec.nodeSelector: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.imagePullSecrets[0].name: Required value
            spec.readinessGates[0].conditionType: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.serviceAccountName: Invalid value: "A_b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive
            spec.hostname: Invalid value: "a.b": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.subdomain: Invalid value: "B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.runtimeClassName: Invalid value: "W": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#]],
    );
    check_pod(
        "
        {containers: [{name: a, image: x}], tolerations: [{}, {key: a, operator: Exists, value: b}, {key: a, operator: Gt},
         {operator: Exists, tolerationSeconds: 3}, {key: a, effect: Never}, {key: a, value: 'b c'}]}
        ",
        expect![[r#"
            spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"
            spec.tolerations[1].operator: Invalid value: map[string]string{"key":"a", "operator":"Exists", "value":"b"}: value must be empty when `operator` is 'Exists'
            spec.tolerations[2].operator: Unsupported value: "Gt": supported values: "Equal", "Exists"
            spec.tolerations[3].effect: Invalid value: "": effect must be 'NoExecute' when `tolerationSeconds` is set
            spec.tolerations[4].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"
            spec.tolerations[5].operator: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#]],
    );
}

#[test]
fn containers() {
    check_container(
        "ports: [{containerPort: 80, name: http}, {containerPort: 70000, name: http}, {}, {containerPort: 1, hostPort: -1, protocol: ICMP, name: Bad--Name}]",
        expect![[r#"
            spec.containers[0].ports[1].name: Duplicate value: "http"
            spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive
            spec.containers[0].ports[2].containerPort: Required value
            spec.containers[0].ports[3].name: Invalid value: "Bad--Name": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
            spec.containers[0].ports[3].name: Invalid value: "Bad--Name": must not contain consecutive hyphens
            spec.containers[0].ports[3].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive
            spec.containers[0].ports[3].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP""#]],
    );
    check_container(
        "
        env: [{}, {name: 'a=b'}, {name: A, valueFrom: {}}, {name: B, value: x, valueFrom: {secretKeyRef: {name: s, key: k}}},
              {name: C, valueFrom: {fieldRef: {fieldPath: spec.volumes}}}, {name: D, valueFrom: {configMapKeyRef: {key: 'a b'}}},
              {name: E, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}},
              {name: F, valueFrom: {fieldRef: {fieldPath: metadata.name}, secretKeyRef: {name: s, key: k}}}],
        envFrom: [{}, {configMapRef: {}}, {configMapRef: {name: a}, secretRef: {name: b}}]
        ",
        expect![[r#"
            spec.containers[0].env[0].name: Required value
            spec.containers[0].env[1].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='
            spec.containers[0].env[2].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`
            spec.containers[0].env[3].valueFrom: Invalid value: "": may not be specified when `value` is not empty
            spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.volumes": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"
            spec.containers[0].env[5].valueFrom.configMapKeyRef.name: Required value
            spec.containers[0].env[5].valueFrom.configMapKeyRef.key: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')
            spec.containers[0].env[7].valueFrom: Invalid value: "": may not have more than one field specified at a time
            spec.containers[0].envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`
            spec.containers[0].envFrom[1].configMapRef.name: Required value
            spec.containers[0].envFrom[2]: Invalid value: "": may not have more than one field specified at a time"#]],
    );
    check_container(
        "imagePullPolicy: Often, terminationMessagePolicy: Loud",
        expect![[r#"
        spec.containers[0].terminationMessagePolicy: Unsupported value: "Loud": supported values: "FallbackToLogsOnError", "File"
        spec.containers[0].imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never""#]],
    );
    check_container(
        "volumeMounts: [{}, {name: nope, mountPath: /a}, {name: nope, mountPath: /a}]",
        expect![[r#"
        spec.containers[0].volumeMounts[0].name: Required value
        spec.containers[0].volumeMounts[0].mountPath: Required value
        spec.containers[0].volumeMounts[1].name: Not found: "nope"
        spec.containers[0].volumeMounts[2].name: Not found: "nope"
        spec.containers[0].volumeMounts[2].mountPath: Invalid value: "/a": must be unique"#]],
    );
    check_container(
        "readinessProbe: {}, livenessProbe: {httpGet: {port: 0}, tcpSocket: {port: http}, successThreshold: 2, periodSeconds: -1}",
        expect![[r#"
            spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive
            spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type
            spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0
            spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1
            spec.containers[0].readinessProbe: Required value: must specify a handler type"#]],
    );
    check_container(
        "startupProbe: {exec: {}, terminationGracePeriodSeconds: 0}, readinessProbe: {grpc: {port: 0}, successThreshold: 3, terminationGracePeriodSeconds: 1}, livenessProbe: {httpGet: {port: 'a b', scheme: FTP, httpHeaders: [{name: 'a b', value: c}]}}",
        expect![[r#"
            spec.containers[0].livenessProbe.httpGet.port: Invalid value: "a b": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
            spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"
            spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')
            spec.containers[0].readinessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive
            spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes
            spec.containers[0].startupProbe.exec.command: Required value
            spec.containers[0].startupProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0"#]],
    );
    check_container(
        "lifecycle: {postStart: {}, preStop: {sleep: {seconds: 31}, exec: {command: [a]}}}, livenessProbe: {sleep: {seconds: 1}}",
        expect![[r#"
            spec.containers[0].lifecycle.postStart: Required value: must specify a handler type
            spec.containers[0].lifecycle.preStop.sleep: Forbidden: may not specify more than 1 handler type
            spec.containers[0].livenessProbe: Required value: must specify a handler type"#]],
    );
    check_container(
        "lifecycle: {preStop: {sleep: {seconds: 31}}, postStart: {sleep: {seconds: 30}}}",
        expect![
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)"
        ],
    );
    check_pod(
        "{containers: [{name: a, image: x}], initContainers: [{name: a, image: x}], volumes: [{name: v}, {name: v}, {}]}",
        expect![[r#"
        spec.volumes[1].name: Duplicate value: "v"
        spec.volumes[2].name: Required value
        spec.initContainers[0].name: Duplicate value: "a""#]],
    );
}

#[test]
fn resources() {
    check_container(
        "resources: {limits: {cpu: 1, memory: 1Gi, horses: 1, example.com/gpu: 2}, requests: {cpu: 1500m, memory: lots, example.com/gpu: 1, example.com/tpu: 1.5}}",
        expect![[r#"
            spec.containers[0].resources.limits[horses]: Invalid value: "horses": must be a standard resource type or fully qualified
            spec.containers[0].resources.limits[horses]: Invalid value: "horses": must be a standard resource for containers
            spec.containers[0].resources.requests: Invalid value: "1500m": must be less than or equal to cpu limit of 1
            spec.containers[0].resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2
            spec.containers[0].resources.requests[example.com/tpu]: Invalid value: "1500m": must be an integer
            spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources
            spec.containers[0].resources.requests[horses]: Invalid value: "horses": must be a standard resource type or fully qualified
            spec.containers[0].resources.requests[horses]: Invalid value: "horses": must be a standard resource for containers
            spec.containers[0].resources.requests[memory]: Invalid value: "lots": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"#]],
    );
    check_container(
        "resources: {requests: {cpu: -1}}",
        expect![[
            r#"spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0"#
        ]],
    );
}

#[test]
fn deployments() {
    let check = |spec: &str, expected| {
        check(&format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {spec}}}"), expected);
    };
    const TEMPLATE: &str = "template: {metadata: {labels: {app: d}}, spec: {containers: [{name: c, image: x}]}}";
    let rest = format!("selector: {{matchLabels: {{app: d}}}}, {TEMPLATE}");
    check(&format!("{{{rest}}}"), expect![""]);
    check(
        "{}",
        expect![[r#"
        spec.selector: Required value
        spec.template.metadata.labels: Invalid value: map[string]string(nil): `selector` does not match template `labels`
        spec.template.spec.containers: Required value"#]],
    );
    check(
        &format!("{{replicas: -1, minReadySeconds: -2, revisionHistoryLimit: -1, selector: {{}}, {TEMPLATE}}}"),
        expect![[r#"
        spec.replicas: Invalid value: -1: must be greater than or equal to 0
        spec.minReadySeconds: Invalid value: -2: must be greater than or equal to 0
        spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for deployment
        spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0"#]],
    );
    check(
        &format!("{{selector: {{matchLabels: {{app: e}}}}, {TEMPLATE}}}"),
        expect![[
            r#"spec.template.metadata.labels: Invalid value: map[string]string{"app":"d"}: `selector` does not match template `labels`"#
        ]],
    );
    check(
        &format!(
            "{{selector: {{matchExpressions: [{{key: a b, operator: In}}, {{key: a, operator: Exists, values: [b]}}, {{key: a, operator: Gt}}]}}, {TEMPLATE}}}"
        ),
        expect![[r#"
            spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'
            spec.selector.matchExpressions[0].key: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'
            spec.selector.matchExpressions[2].operator: Invalid value: "Gt": not a valid selector operator
            spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), MatchExpressions:[]v1.LabelSelectorRequirement{v1.LabelSelectorRequirement{Key:"a b", Operator:"In", Values:[]string(nil)}, v1.LabelSelectorRequirement{Key:"a", Operator:"Exists", Values:[]string{"b"}}, v1.LabelSelectorRequirement{Key:"a", Operator:"Gt", Values:[]string(nil)}}}: invalid label selector"#]],
    );
    check(
        &format!("{{{rest}, progressDeadlineSeconds: 5, minReadySeconds: 5}}"),
        expect!["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
    );
    for (strategy, expected) in [
        (
            "{type: Fast}",
            expect![[
                r#"spec.strategy.type: Unsupported value: "Fast": supported values: "Recreate", "RollingUpdate""#
            ]],
        ),
        (
            "{type: Recreate, rollingUpdate: {maxSurge: 1}}",
            expect!["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
        (
            "{rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}",
            expect![[
                r#"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0"#
            ]],
        ),
        (
            "{rollingUpdate: {maxSurge: 101%, maxUnavailable: 101%}}",
            expect![[
                r#"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%"#
            ]],
        ),
        (
            "{rollingUpdate: {maxSurge: a lot, maxUnavailable: -1}}",
            expect![[r#"
            spec.strategy.rollingUpdate.maxUnavailable: Invalid value: -1: must be greater than or equal to 0
            spec.strategy.rollingUpdate.maxSurge: Invalid value: "a lot": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"#]],
        ),
    ] {
        check(&format!("{{{rest}, strategy: {strategy}}}"), expected);
    }
    check(
        "{selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {restartPolicy: Never, activeDeadlineSeconds: 3, containers: []}}}",
        expect![[r#"
            spec.template.spec.containers: Required value
            spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"
            spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"#]],
    );
}

#[test]
fn services() {
    for (spec, expected) in [
        ("{}", expect!["spec.ports: Required value"]),
        ("{clusterIP: None}", expect![""]),
        (
            "{type: Magic, sessionAffinity: Sticky, selector: {a: 'b c'}, ports: [{port: 80}]}",
            expect![[r#"
            spec.selector: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            spec.sessionAffinity: Unsupported value: "Sticky": supported values: "ClientIP", "None"
            spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#]],
        ),
        (
            "{ports: [{port: 0}, {port: 80, name: A, targetPort: 99999}, {port: 80, name: b, protocol: X, targetPort: Bad_}, {port: 80, name: b}]}",
            expect![[r#"
            spec.ports[0].name: Required value
            spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive
            spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive
            spec.ports[1].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.ports[1].targetPort: Invalid value: 99999: must be between 1 and 65535, inclusive
            spec.ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"
            spec.ports[2].targetPort: Invalid value: "Bad_": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
            spec.ports[3].name: Duplicate value: "b"
            spec.ports[3]: Duplicate value: {"port":80,"protocol":"TCP"}"#]],
        ),
        (
            "{ports: [{port: 80, name: a}, {port: 80, name: b}]}",
            expect![[r#"spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}"#]],
        ),
        (
            "{ports: [{port: 80, nodePort: 30080}]}",
            expect!["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        (
            "{type: ExternalName, clusterIP: 10.0.0.1}",
            expect![[r#"
            spec.externalName: Required value
            spec.clusterIPs: Forbidden: may not be set for ExternalName services"#]],
        ),
        (
            "{type: NodePort, clusterIP: None, ports: [{port: 80}]}",
            expect![[r#"spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services"#]],
        ),
        (
            "{clusterIP: ten, externalIPs: [x], ports: [{port: 80}]}",
            expect![[r#"
            spec.clusterIPs[0]: Invalid value: "ten": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            spec.externalIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#]],
        ),
    ] {
        check(&format!("{{apiVersion: v1, kind: Service, metadata: {{name: s}}, spec: {spec}}}"), expected);
    }
}

#[test]
fn ingresses() {
    for (spec, expected) in [
        ("{}", expect!["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
        ("{defaultBackend: {service: {name: web, port: {number: 80}}}}", expect![""]),
        ("{ingressClassName: A, tls: [{hosts: [A], secretName: B}], rules: [{host: 10.0.0.1}, {host: '*.example.com'}, {host: 'a.*.com', http: {}}]}", expect![[r#"
            spec.ingressClassName: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.tls[0].hosts[0]: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.tls[0].secretName: Invalid value: "B": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address
            spec.rules[2].host: Invalid value: "a.*.com": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.rules[2].http.paths: Required value"#]]),
        (
            "
            {rules: [{http: {paths: [
                {path: /, backend: {service: {name: web, port: {number: 80}}}},
                {path: a, pathType: Prefix, backend: {}},
                {path: /a//b/.., pathType: Exact, backend: {service: {port: {}}}},
                {path: a, pathType: ImplementationSpecific, backend: {service: {name: web, port: {name: a, number: 1}}, resource: {}}},
                {path: /, pathType: Regex, backend: {service: {name: 1, port: {name: a, number: 1}}}},
                {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 70000}}}},
                {path: /, pathType: Prefix, backend: {resource: {kind: Bucket}}}]}}]}
            ",
            expect![[r#"
                spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified
                spec.rules[0].http.paths[1].path: Invalid value: "a": must be an absolute path
                spec.rules[0].http.paths[1].backend: Invalid value: "": resource or service backend is required
                spec.rules[0].http.paths[2].path: Invalid value: "/a//b/..": must not contain '//'
                spec.rules[0].http.paths[2].path: Invalid value: "/a//b/..": cannot end with '/..'
                spec.rules[0].http.paths[2].backend.service.name: Required value
                spec.rules[0].http.paths[2].backend: Required value: port name or number is required
                spec.rules[0].http.paths[3].path: Invalid value: "a": must be an absolute path
                spec.rules[0].http.paths[3].backend: Invalid value: "": cannot set both resource and service backends
                spec.rules[0].http.paths[4].pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"
                spec.rules[0].http.paths[4].backend.service.name: Required value
                spec.rules[0].http.paths[4].backend: Invalid value: "": cannot set both port name & port number
                spec.rules[0].http.paths[5].backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive
                spec.rules[0].http.paths[6].backend.resource.name: Required value: name is required"#]],
        ),
    ] {
        check(&format!("{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i}}, spec: {spec}}}"), expected);
    }
}

#[test]
fn config_maps_and_secrets() {
    check(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {'a b': c, ..: d, e: f}, binaryData: {e: Zg==, g: '?'}}",
        expect![[r#"
        data[..]: Invalid value: "..": must not be '..'
        data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')
        data[e]: Invalid value: "e": duplicate of key present in binaryData
        binaryData[g]: Invalid value: "?": illegal base64 data"#]],
    );
    let large = "x".repeat(1024 * 1024);
    check(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}, data: {{a: {large}}}}}"), expect![""]);
    check(
        &format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}, data: {{a: {large}y}}}}"),
        expect!["[]: Too long: may not be more than 1048576 bytes"],
    );
    for (secret, expected) in [
        ("data: {a: '?'}", expect![[r#"data[a]: Invalid value: "<secret contents redacted>": illegal base64 data"#]]),
        ("stringData: {a: ok}", expect![""]),
        (
            "type: kubernetes.io/tls",
            expect![[r#"
            data[tls.crt]: Required value
            data[tls.key]: Required value"#]],
        ),
        (
            "type: kubernetes.io/basic-auth",
            expect![[r#"
            data[username]: Required value
            data[password]: Required value"#]],
        ),
        ("type: kubernetes.io/dockerconfigjson", expect!["data[.dockerconfigjson]: Required value"]),
        (
            "type: kubernetes.io/service-account-token",
            expect!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
    ] {
        check(&format!("{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, {secret}}}"), expected);
    }
}

#[test]
fn endpoint_slices() {
    let check = |rest: &str, expected| {
        check(
            &format!("{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: e}}, {rest}}}"),
            expected,
        );
    };
    check("endpoints: []", expect!["addressType: Required value"]);
    check(
        "addressType: IPv5",
        expect![[r#"addressType: Unsupported value: "IPv5": supported values: "FQDN", "IPv4", "IPv6""#]],
    );
    check(
        "addressType: IPv4, endpoints: [{}, {addresses: [a], hostname: B, nodeName: C}], ports: [{name: a}, {name: a, protocol: X}, {name: B}]",
        expect![[r#"
            endpoints[0].addresses: Required value: must contain at least 1 address
            endpoints[1].addresses[0]: Invalid value: "a": must be a valid IPv4 address
            endpoints[1].nodeName: Invalid value: "C": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            endpoints[1].hostname: Invalid value: "B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            ports[1].name: Duplicate value: "a"
            ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"
            ports[2].name: Invalid value: "B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"#]],
    );
    check(
        "addressType: IPv6, endpoints: [{addresses: [10.0.0.1]}]",
        expect![[r#"endpoints[0].addresses[0]: Invalid value: "10.0.0.1": must be a valid IPv6 address"#]],
    );
    check(
        &format!("addressType: IPv4, endpoints: [{}]", "{},".repeat(1001)),
        expect!["endpoints: Too many: 1001: must have at most 1000 items"],
    );
}

#[test]
fn join_tokens() {
    let token = |spec: &str| {
        format!("{{apiVersion: coracle.dev/v1, kind: JoinToken, metadata: {{name: t}}, spec: {{{spec}}}}}")
    };
    let hash = "0123456789abcdef".repeat(4);
    check(
        &token(&format!("role: host, expirationTimestamp: '2026-11-22T01:49:51Z', secretHash: '{hash}'")),
        expect![""],
    );
    check(
        &token(""),
        expect![[r#"
        spec.role: Required value
        spec.expirationTimestamp: Required value
        spec.secretHash: Required value"#]],
    );
    check(
        &token(&format!(
            "role: host, expirationTimestamp: '2026-11-22T01:49:51Z', secretHash: '{hash}', joiner: {{name: h}}"
        )),
        expect!["spec.joiner.secretHash: Required value"],
    );
    check(
        &token("role: guest, expirationTimestamp: '2026-11-22T01:49:51Z', secretHash: abc"),
        expect![[r#"
        spec.role: Unsupported value: "guest": supported values: "host", "server"
        spec.secretHash: Invalid value: "abc": must be 64 lower-case hexadecimal digits"#]],
    );
}

#[test]
fn the_rest() {
    check(
        "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: l}, spec: {leaseDurationSeconds: 0, leaseTransitions: -1}}",
        expect![[r#"
        spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0
        spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"#]],
    );
    check(
        "{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {namespace: other}}",
        expect![[r#"involvedObject.namespace: Invalid value: "other": does not match event.namespace"#]],
    );
    check("{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {kind: Node, name: n}}", expect![""]);
    check(
        "{apiVersion: v1, kind: Node, metadata: {name: node-1}, spec: {taints: [{key: a b, value: 'c d', effect: X}, {key: a, effect: NoSchedule}, {key: a, effect: NoSchedule}]}}",
        expect![[r#"
            spec.taints[0].key: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.taints[0].value: Invalid value: "c d": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            spec.taints[0].effect: Unsupported value: "X": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"
            spec.taints[2]: Duplicate value: "a:NoSchedule""#]],
    );
}

#[test]
fn roles() {
    let check = |kind: &str, rest: &str, expected| {
        check(
            &format!("{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: 'a:b'}}, {rest}}}"),
            expected,
        );
    };
    check("Role", "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]", expect![""]);
    check(
        "Role",
        "rules: [{}, {nonResourceURLs: [/metrics], resources: [pods], verbs: [get]}]",
        expect![[r#"
        rules[0].verbs: Required value: verbs must contain at least one value
        rules[0].apiGroups: Required value: resource rules must supply at least one api group
        rules[0].resources: Required value: resource rules must supply at least one resource
        rules[1].nonResourceURLs: Invalid value: []string{"/metrics"}: namespaced rules cannot apply to non-resource URLs
        rules[1].nonResourceURLs: Invalid value: []string{"/metrics"}: rules cannot apply to both regular resources and non-resource URLs"#]],
    );
    check("ClusterRole", "rules: [{nonResourceURLs: [/metrics], verbs: [get]}]", expect![""]);
    check(
        "ClusterRole",
        "aggregationRule: {}",
        expect![
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"
        ],
    );
    check(
        "ClusterRole",
        "aggregationRule: {clusterRoleSelectors: [{matchExpressions: [{key: a, operator: X}]}]}",
        expect![[
            r#"aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator: Invalid value: "X": not a valid selector operator"#
        ]],
    );
}

#[test]
fn names_that_can_stand_in_a_path() {
    let check = |name: &str, expected| {
        check(
            &format!("{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {name}}}}}"),
            expected,
        );
    };
    check("System:Mine", expect![""]);
    check(
        "a/b%c",
        expect![[r#"
        metadata.name: Invalid value: "a/b%c": may not contain '/'
        metadata.name: Invalid value: "a/b%c": may not contain '%'"#]],
    );
    check("..", expect![[r#"metadata.name: Invalid value: "..": may not be '..'"#]]);
}

#[test]
fn role_bindings() {
    let check = |kind: &str, rest: &str, expected| {
        check(
            &format!("{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: b}}, {rest}}}"),
            expected,
        );
    };
    check("RoleBinding", "roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: jane}]", expect![""]);
    check(
        "RoleBinding",
        "roleRef: {apiGroup: x, kind: Pod}, subjects: [{}, {kind: Horse, name: h}]",
        expect![[r#"
        roleRef.apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"
        roleRef.kind: Unsupported value: "Pod": supported values: "Role", "ClusterRole"
        roleRef.name: Required value
        subjects[0].name: Required value
        subjects[0].kind: Unsupported value: "": supported values: "ServiceAccount", "User", "Group"
        subjects[1].kind: Unsupported value: "Horse": supported values: "ServiceAccount", "User", "Group""#]],
    );
    check(
        "ClusterRoleBinding",
        "roleRef: {kind: Role, name: a/b}, subjects: [{kind: ServiceAccount, name: A, apiGroup: x}, {kind: Group, apiGroup: x, name: g}]",
        expect![[r#"
            roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"
            roleRef.name: Invalid value: "a/b": may not contain '/'
            subjects[0].name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            subjects[0].apiGroup: Unsupported value: "x": supported values: ""
            subjects[0].namespace: Required value
            subjects[1].apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io""#]],
    );
}

#[test]
fn certificate_signing_requests() {
    let check = |rest: &str, expected| {
        check(
            &format!(
                "{{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {{name: c}}, spec: {rest}}}"
            ),
            expected,
        );
    };
    check(
        "{}",
        expect![[r#"
        spec.request: Invalid value: "": PEM block type must be CERTIFICATE REQUEST
        spec.usages: Required value: usages must be provided
        spec.signerName: Required value"#]],
    );
    check(
        "{request: eA==, signerName: x, usages: [client auth, client auth, horse riding], expirationSeconds: 599}",
        expect![[r#"
            spec.request: Invalid value: "eA==": PEM block type must be CERTIFICATE REQUEST
            spec.usages[1]: Duplicate value: "client auth"
            spec.usages[2]: Unsupported value: "horse riding": supported values: "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping"
            spec.signerName: Invalid value: "x": must be a fully qualified domain and path of the form 'example.com/signer-name'
            spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)"#]],
    );
    for signer in ["kubernetes.io/legacy-unknown", "local/x", "example.com/a/b"] {
        let mut errors = Vec::new();
        let object = prepared(&format!(
            "{{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {{name: c}}, spec: {{request: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K, usages: [any], signerName: {signer}}}}}"
        ));
        kind_of(&object).validate(&object, &mut errors);
        assert_eq!(errors.len(), 1, "{signer}: {errors:?}");
    }
}
