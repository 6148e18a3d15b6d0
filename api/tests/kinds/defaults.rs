//! What objects mean where they say nothing.

use coracle_api::yaml;
use expect_test::{Expect, expect};

use crate::{kind_of, object, prepared};

pub(crate) fn check(manifest: &str, expected: Expect) {
    let prepared = prepared(manifest);
    expected.assert_eq(&yaml::to_yaml(&prepared));
    let mut again = prepared.clone();
    kind_of(&again).default(&mut again);
    assert_eq!(again, prepared, "defaulting is idempotent");
}

#[test]
fn a_pod() {
    check(
        "
        apiVersion: v1
        kind: Pod
        metadata: {name: web}
        spec:
          containers:
          - name: a
            image: registry.coracle.internal/web
            ports: [{containerPort: 8080}]
            resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5}}
            env:
            - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1000m}}}
            readinessProbe: {httpGet: {port: 8080}}
            livenessProbe: {grpc: {port: 9}, periodSeconds: 3, timeoutSeconds: 0}
          - {name: b, image: 'x:1', imagePullPolicy: Never}
          initContainers: [{name: i, image: x@sha256:0}]
          volumes:
          - {name: tmp}
          - {name: config, configMap: {name: c}}
          - name: all
            projected:
              sources:
              - downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.labels}}, {path: b, resourceFieldRef: {containerName: a, resource: limits.cpu}}]}
              - serviceAccountToken: {path: token}
        status: {phase: Running}
        ",
        expect![[r#"
            apiVersion: v1
            kind: Pod
            metadata:
              name: web
              namespace: default
            spec:
              containers:
              - env:
                - name: NAME
                  valueFrom:
                    fieldRef:
                      apiVersion: v1
                      fieldPath: metadata.name
                - name: CPU
                  valueFrom:
                    resourceFieldRef:
                      divisor: "1"
                      resource: limits.cpu
                image: registry.coracle.internal/web
                imagePullPolicy: Always
                livenessProbe:
                  failureThreshold: 3
                  grpc:
                    port: 9
                    service: ""
                  periodSeconds: 3
                  successThreshold: 1
                  timeoutSeconds: 1
                name: a
                ports:
                - containerPort: 8080
                  protocol: TCP
                readinessProbe:
                  failureThreshold: 3
                  httpGet:
                    path: /
                    port: 8080
                    scheme: HTTP
                  periodSeconds: 10
                  successThreshold: 1
                  timeoutSeconds: 1
                resources:
                  limits:
                    cpu: "1"
                    memory: 1Gi
                  requests:
                    cpu: 500m
                    memory: 1Gi
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              - image: x:1
                imagePullPolicy: Never
                name: b
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              enableServiceLinks: true
              initContainers:
              - image: x@sha256:0
                imagePullPolicy: IfNotPresent
                name: i
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              serviceAccount: default
              serviceAccountName: default
              terminationGracePeriodSeconds: 30
              volumes:
              - emptyDir: {}
                name: tmp
              - configMap:
                  defaultMode: 420
                  name: c
                name: config
              - name: all
                projected:
                  defaultMode: 420
                  sources:
                  - downwardAPI:
                      items:
                      - fieldRef:
                          apiVersion: v1
                          fieldPath: metadata.labels
                        path: a
                      - path: b
                        resourceFieldRef:
                          containerName: a
                          divisor: "0"
                          resource: limits.cpu
                  - serviceAccountToken:
                      expirationSeconds: 3600
                      path: token
            status:
              phase: Pending
              qosClass: Burstable
        "#]],
    );
}

#[test]
fn an_account_has_two_names() {
    check(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {serviceAccount: bot, hostNetwork: true, containers: [{name: a, image: x, ports: [{containerPort: 1}]}]}}",
        expect![[r#"
            apiVersion: v1
            kind: Pod
            metadata:
              name: p
              namespace: default
            spec:
              containers:
              - image: x
                imagePullPolicy: Always
                name: a
                ports:
                - containerPort: 1
                  hostPort: 1
                  protocol: TCP
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              enableServiceLinks: true
              hostNetwork: true
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              serviceAccount: bot
              serviceAccountName: bot
              terminationGracePeriodSeconds: 30
            status:
              phase: Pending
              qosClass: BestEffort
        "#]],
    );
}

#[test]
fn quality_of_service() {
    let class = |containers: &str| {
        let pod = prepared(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: {containers}}}}}"
        ));
        pod["status"]["qosClass"].as_str().unwrap().to_owned()
    };
    let classes = [
        class("[{name: a}]"),
        class("[{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]"),
        class("[{name: a, resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}}]"),
        class("[{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}, {name: b}]"),
        class("[{name: a, resources: {requests: {memory: 1Gi}}}]"),
        class("[{name: a, resources: {requests: {memory: 0}}}]"),
    ];
    expect!["BestEffort Guaranteed Burstable Burstable Burstable BestEffort"].assert_eq(&classes.join(" "));
}

#[test]
fn workloads() {
    check(
        "
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: d1}
        spec:
          selector: {matchLabels: {app: d1}}
          template: {metadata: {labels: {app: d1}}, spec: {containers: [{name: c, image: x, ports: [{containerPort: 80}]}]}}
        ",
        expect![[r#"
            apiVersion: apps/v1
            kind: Deployment
            metadata:
              name: d1
              namespace: default
            spec:
              progressDeadlineSeconds: 600
              replicas: 1
              revisionHistoryLimit: 10
              selector:
                matchLabels:
                  app: d1
              strategy:
                rollingUpdate:
                  maxSurge: 25%
                  maxUnavailable: 25%
                type: RollingUpdate
              template:
                metadata:
                  labels:
                    app: d1
                spec:
                  containers:
                  - image: x
                    imagePullPolicy: Always
                    name: c
                    ports:
                    - containerPort: 80
                      protocol: TCP
                    resources: {}
                    terminationMessagePath: /dev/termination-log
                    terminationMessagePolicy: File
                  dnsPolicy: ClusterFirst
                  restartPolicy: Always
                  schedulerName: default-scheduler
                  securityContext: {}
                  terminationGracePeriodSeconds: 30
            status: {}
        "#]],
    );
    check(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 0, strategy: {type: Recreate}, template: {}}}",
        expect![[r#"
            apiVersion: apps/v1
            kind: Deployment
            metadata:
              name: d
              namespace: default
            spec:
              progressDeadlineSeconds: 600
              replicas: 0
              revisionHistoryLimit: 10
              strategy:
                type: Recreate
              template:
                spec:
                  dnsPolicy: ClusterFirst
                  restartPolicy: Always
                  schedulerName: default-scheduler
                  securityContext: {}
                  terminationGracePeriodSeconds: 30
            status: {}
        "#]],
    );
    check(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {strategy: {rollingUpdate: {maxSurge: 1}}}}",
        expect![[r#"
            apiVersion: apps/v1
            kind: Deployment
            metadata:
              name: d
              namespace: default
            spec:
              progressDeadlineSeconds: 600
              replicas: 1
              revisionHistoryLimit: 10
              strategy:
                rollingUpdate:
                  maxSurge: 1
                  maxUnavailable: 25%
                type: RollingUpdate
              template:
                spec:
                  dnsPolicy: ClusterFirst
                  restartPolicy: Always
                  schedulerName: default-scheduler
                  securityContext: {}
                  terminationGracePeriodSeconds: 30
            status: {}
        "#]],
    );
    check(
        "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r}, spec: {selector: {matchLabels: {a: b}}}}",
        expect![[r#"
        apiVersion: apps/v1
        kind: ReplicaSet
        metadata:
          name: r
          namespace: default
        spec:
          replicas: 1
          selector:
            matchLabels:
              a: b
          template:
            spec:
              dnsPolicy: ClusterFirst
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              terminationGracePeriodSeconds: 30
        status:
          replicas: 0
    "#]],
    );
}

#[test]
fn services() {
    for (spec, expected) in [
        (
            "{selector: {app: web}, ports: [{port: 80}, {name: b, port: 81, targetPort: http, protocol: UDP}]}",
            expect![[r#"
            apiVersion: v1
            kind: Service
            metadata:
              name: s
              namespace: default
            spec:
              internalTrafficPolicy: Cluster
              ipFamilies:
              - IPv4
              ipFamilyPolicy: SingleStack
              ports:
              - port: 80
                protocol: TCP
                targetPort: 80
              - name: b
                port: 81
                protocol: UDP
                targetPort: http
              selector:
                app: web
              sessionAffinity: None
              type: ClusterIP
            status:
              loadBalancer: {}
        "#]],
        ),
        (
            "{clusterIP: None, sessionAffinity: ClientIP}",
            expect![[r#"
            apiVersion: v1
            kind: Service
            metadata:
              name: s
              namespace: default
            spec:
              clusterIP: None
              clusterIPs:
              - None
              internalTrafficPolicy: Cluster
              ipFamilies:
              - IPv4
              ipFamilyPolicy: SingleStack
              sessionAffinity: ClientIP
              sessionAffinityConfig:
                clientIP:
                  timeoutSeconds: 10800
              type: ClusterIP
            status:
              loadBalancer: {}
        "#]],
        ),
        (
            "{type: LoadBalancer, ports: [{port: 80, targetPort: 0}]}",
            expect![[r#"
            apiVersion: v1
            kind: Service
            metadata:
              name: s
              namespace: default
            spec:
              allocateLoadBalancerNodePorts: true
              externalTrafficPolicy: Cluster
              internalTrafficPolicy: Cluster
              ipFamilies:
              - IPv4
              ipFamilyPolicy: SingleStack
              ports:
              - port: 80
                protocol: TCP
                targetPort: 80
              sessionAffinity: None
              type: LoadBalancer
            status:
              loadBalancer: {}
        "#]],
        ),
        (
            "{type: ExternalName, externalName: example.com}",
            expect![[r#"
            apiVersion: v1
            kind: Service
            metadata:
              name: s
              namespace: default
            spec:
              externalName: example.com
              sessionAffinity: None
              type: ExternalName
            status:
              loadBalancer: {}
        "#]],
        ),
    ] {
        check(&format!("{{apiVersion: v1, kind: Service, metadata: {{name: s}}, spec: {spec}}}"), expected);
    }
}

#[test]
fn the_rest() {
    check(
        "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}",
        expect![[r#"
        apiVersion: v1
        kind: Namespace
        metadata:
          labels:
            kubernetes.io/metadata.name: shop
          name: shop
        spec:
          finalizers:
          - kubernetes
        status:
          phase: Active
    "#]],
    );
    check(
        "{apiVersion: v1, kind: Node, metadata: {name: node-1}, status: {conditions: []}}",
        expect![[r#"
        apiVersion: v1
        kind: Node
        metadata:
          name: node-1
        spec: {}
        status:
          conditions: []
    "#]],
    );
    check(
        "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: YQ==}, stringData: {b: hello}}",
        expect![[r#"
        apiVersion: v1
        data:
          a: YQ==
          b: aGVsbG8=
        kind: Secret
        metadata:
          name: s
          namespace: default
        type: Opaque
    "#]],
    );
    check(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}",
        expect![[r#"
        apiVersion: v1
        data:
          a: b
        kind: ConfigMap
        metadata:
          name: c
          namespace: default
    "#]],
    );
    check(
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i}}",
        expect![[r#"
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: i
          namespace: default
        spec: {}
        status:
          loadBalancer: {}
    "#]],
    );
    check(
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e}, addressType: IPv4, ports: [{port: 80}]}",
        expect![[r#"
        addressType: IPv4
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata:
          name: e
          namespace: default
        ports:
        - name: ""
          port: 80
          protocol: TCP
    "#]],
    );
}

#[test]
fn a_namespace_that_goes_keeps_no_finalizer() {
    let mut namespace = object(
        "{apiVersion: v1, kind: Namespace, metadata: {name: shop, deletionTimestamp: '2026-11-21T01:49:00Z'}, spec: {}, status: {phase: Terminating}}",
    );
    kind_of(&namespace).default(&mut namespace);
    expect![[r#"
        apiVersion: v1
        kind: Namespace
        metadata:
          deletionTimestamp: "2026-11-21T01:49:00Z"
          labels:
            kubernetes.io/metadata.name: shop
          name: shop
        spec: {}
        status:
          phase: Terminating
    "#]]
    .assert_eq(&yaml::to_yaml(&namespace));
}

#[test]
fn access() {
    check(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: u}, {kind: Group, name: g}, {kind: ServiceAccount, name: s}]}",
        expect![[r#"
            apiVersion: rbac.authorization.k8s.io/v1
            kind: RoleBinding
            metadata:
              name: b
              namespace: default
            roleRef:
              apiGroup: rbac.authorization.k8s.io
              kind: Role
              name: r
            subjects:
            - apiGroup: rbac.authorization.k8s.io
              kind: User
              name: u
            - apiGroup: rbac.authorization.k8s.io
              kind: Group
              name: g
            - kind: ServiceAccount
              name: s
        "#]],
    );
    check(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}}",
        expect![[r#"
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRoleBinding
            metadata:
              name: b
            roleRef:
              apiGroup: rbac.authorization.k8s.io
              kind: ClusterRole
              name: r
        "#]],
    );
}

#[test]
fn a_join_token() {
    check(
        "{apiVersion: coracle.dev/v1, kind: JoinToken, metadata: {name: t}, spec: {role: host, expirationTimestamp: '2026-11-22T01:49:51Z'}}",
        expect![[r#"
            apiVersion: coracle.dev/v1
            kind: JoinToken
            metadata:
              name: t
            spec:
              expirationTimestamp: "2026-11-22T01:49:51Z"
              role: host
        "#]],
    );
}
