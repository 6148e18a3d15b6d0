//! Tables are those of a real API server: its answers lie in `golden/`.

use coracle_api::kind::Kind;
use coracle_api::kinds;
use coracle_api::table::{self, Include};
use expect_test::{Expect, expect};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{kind_of, object};

fn golden(kind: &Kind) -> Value {
    let path = format!("{}/tests/golden/table-{}.json", env!("CARGO_MANIFEST_DIR"), kind.plural);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// When the goldens were taken.
fn now() -> Timestamp {
    "2026-11-21T01:49:51Z".parse().unwrap()
}

/// The kinds of which no API server's Table was taken.
const UNSEEN: &[&Kind] = &[
    &kinds::CERTIFICATE_SIGNING_REQUEST,
    &kinds::CUSTOM_RESOURCE_DEFINITION,
    &kinds::JOIN_TOKEN,
    &kinds::POD_TEMPLATE,
    &kinds::REPLICATION_CONTROLLER,
    &kinds::VALIDATING_ADMISSION_POLICY,
    &kinds::VALIDATING_ADMISSION_POLICY_BINDING,
];

fn seen() -> impl Iterator<Item = &'static Kind> {
    kinds::ALL.iter().copied().filter(|kind| !UNSEEN.contains(kind))
}

#[test]
fn columns_equal_the_goldens() {
    for kind in seen() {
        let (ours, theirs) = (table::column_definitions(kind), golden(kind)["columnDefinitions"].clone());
        assert_eq!(pretty(&ours), pretty(&theirs), "{}", kind.plural);
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// The rest of the objects whose rows the goldens show, without their metadata.
const CONTENT: &[(&str, &str, &str)] = &[
    ("configmaps", "c1", "data: {a: b}"),
    ("namespaces", "", "status: {phase: Active}"),
    ("roles", "", "rules: []"),
    ("clusterroles", "", "rules: []"),
    (
        "clusterrolebindings",
        "cluster-admin",
        "{roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: Group, name: 'system:masters'}]}",
    ),
    (
        "clusterrolebindings",
        "system:kube-dns",
        "{roleRef: {kind: ClusterRole, name: 'system:kube-dns'}, subjects: [{kind: ServiceAccount, name: kube-dns, namespace: kube-system}]}",
    ),
    ("clusterrolebindings", "system:node", "roleRef: {kind: ClusterRole, name: 'system:node'}"),
    (
        "clusterrolebindings",
        "system:public-info-viewer",
        "{roleRef: {kind: ClusterRole, name: 'system:public-info-viewer'}, subjects: [{kind: Group, name: 'system:authenticated'}, {kind: Group, name: 'system:unauthenticated'}]}",
    ),
    (
        "rolebindings",
        "system:controller:bootstrap-signer",
        "{roleRef: {kind: Role, name: 'system:controller:bootstrap-signer'}, subjects: [{kind: ServiceAccount, name: bootstrap-signer, namespace: kube-system}]}",
    ),
    (
        "rolebindings",
        "system::extension-apiserver-authentication-reader",
        "{roleRef: {kind: Role, name: extension-apiserver-authentication-reader}, subjects: [{kind: User, name: 'system:kube-controller-manager'}, {kind: User, name: 'system:kube-scheduler'}]}",
    ),
    (
        "deployments",
        "d1",
        "spec: {replicas: 2, selector: {matchLabels: {app: d1}}, template: {spec: {containers: [{name: c, image: x}]}}}",
    ),
    ("priorityclasses", "system-cluster-critical", "value: 2000000000"),
    ("priorityclasses", "system-node-critical", "{value: 2000001000, globalDefault: false}"),
    (
        "services",
        "kubernetes",
        "spec: {type: ClusterIP, clusterIP: 10.0.0.1, ports: [{name: https, port: 443, protocol: TCP, targetPort: 26443}]}",
    ),
    ("endpoints", "kubernetes", "subsets: [{addresses: [{ip: 192.0.2.2}], ports: [{name: https, port: 26443}]}]"),
    (
        "endpointslices",
        "kubernetes",
        "{addressType: IPv4, ports: [{name: https, port: 26443, protocol: TCP}], endpoints: [{addresses: [192.0.2.2]}]}",
    ),
];

#[test]
fn rows_equal_the_goldens() {
    for kind in seen() {
        let golden = golden(kind);
        let rows = golden["rows"].as_array().into_iter().flatten();
        let objects: Vec<Value> = rows
            .map(|row| {
                let name = row["object"]["metadata"]["name"].as_str().unwrap();
                let content =
                    CONTENT.iter().find(|(plural, of, _)| *plural == kind.plural && (*of == name || of.is_empty()));
                let (_, _, content) = content.unwrap_or_else(|| panic!("no content for {} {name}", kind.plural));
                let mut object = object(content);
                object["metadata"] = row["object"]["metadata"].clone();
                object
            })
            .collect();
        let mut table = table::render(kind, &objects, Include::Metadata, now());
        table["metadata"] = golden["metadata"].clone();
        let mut golden = golden;
        if golden["rows"].is_null() {
            golden["rows"] = json!([]);
        }
        assert_eq!(pretty(&table), pretty(&golden), "{}", kind.plural);
    }
}

#[test]
fn a_row_includes_what_was_asked_for() {
    let object = object("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}");
    let row = |include| table::row(&kinds::CONFIG_MAP, &object, include, now()).to_string();
    expect![[r#"
        {"cells":["c",1,"<unknown>"],"object":null}
        {"cells":["c",1,"<unknown>"],"object":{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"c"}}}
        {"cells":["c",1,"<unknown>"],"object":{"apiVersion":"v1","data":{"a":"b"},"kind":"ConfigMap","metadata":{"name":"c"}}}"#]].assert_eq(
        &[Include::None, Include::Metadata, Include::Object].map(row).join("\n"),
    );
}

#[test]
fn pods_that_ended_are_marked() {
    let phases = ["Running", "Succeeded", "Failed"].map(|phase| {
        let pod = json!({"metadata": {"name": "p"}, "status": {"phase": phase}});
        table::row(&kinds::POD, &pod, Include::None, now())["conditions"].to_string()
    });
    expect![[r#"
        null
        [{"message":"The pod has completed successfully.","reason":"Succeeded","status":"True","type":"Completed"}]
        [{"message":"The pod failed.","reason":"Failed","status":"True","type":"Completed"}]"#]]
    .assert_eq(&phases.join("\n"));
}

/// The cells of a manifest's row, `name=cell` each.
fn cells(manifest: &str) -> String {
    let object = object(manifest);
    let kind = kind_of(&object);
    let row = table::row(kind, &object, Include::None, now());
    let cells = row["cells"].as_array().unwrap().iter();
    let named = kind.columns.iter().zip(cells).map(|(column, cell)| format!("{}={cell}", column.name));
    named.collect::<Vec<_>>().join(" ")
}

pub(crate) fn check(manifest: &str, expected: Expect) {
    expected.assert_eq(&cells(manifest));
}

#[test]
fn nodes() {
    check(
        "{apiVersion: v1, kind: Node, metadata: {name: node-1}}",
        expect![[
            r#"Name="node-1" Status="Unknown" Roles="<none>" Age="<unknown>" Version="" Internal-IP="<none>" External-IP="<none>" OS-Image="<unknown>" Kernel-Version="<unknown>" Container-Runtime="<unknown>""#
        ]],
    );
    check(
        r#"
        apiVersion: v1
        kind: Node
        metadata:
          name: quiet-otter-1
          creationTimestamp: "2026-11-21T01:40:51Z"
          labels: {node-role.kubernetes.io/worker: "", node-role.kubernetes.io/control-plane: "", kubernetes.io/role: edge}
        spec: {unschedulable: true}
        status:
          conditions: [{type: DiskPressure, status: "False"}, {type: Ready, status: "True"}]
          addresses: [{type: Hostname, address: h}, {type: InternalIP, address: 10.0.0.7}]
          nodeInfo: {kubeletVersion: v1.36.0, osImage: Debian, kernelVersion: "6.1", containerRuntimeVersion: "wasmtime://48"}
        "#,
        expect![[
            r#"Name="quiet-otter-1" Status="Ready,SchedulingDisabled" Roles="control-plane,edge,worker" Age="9m" Version="v1.36.0" Internal-IP="10.0.0.7" External-IP="<none>" OS-Image="Debian" Kernel-Version="6.1" Container-Runtime="wasmtime://48""#
        ]],
    );
    check(
        r#"{apiVersion: v1, kind: Node, metadata: {name: node-1}, status: {conditions: [{type: Ready, status: Unknown}]}}"#,
        expect![[
            r#"Name="node-1" Status="NotReady" Roles="<none>" Age="<unknown>" Version="" Internal-IP="<none>" External-IP="<none>" OS-Image="<unknown>" Kernel-Version="<unknown>" Container-Runtime="<unknown>""#
        ]],
    );
}

#[test]
fn workloads() {
    check(
        "
        apiVersion: apps/v1
        kind: ReplicaSet
        metadata: {name: web-7c9d4}
        spec:
          replicas: 3
          selector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: [b, a]}, {key: old, operator: DoesNotExist}]}
          template: {spec: {containers: [{name: a, image: x}, {name: b, image: y}]}}
        status: {replicas: 2, readyReplicas: 1}
        ",
        expect![[r#"Name="web-7c9d4" Desired=3 Current=2 Ready=1 Age="<unknown>" Containers="a,b" Images="x" Selector="app=web,!old,tier in (a,b)""#]],
    );
    check(
        "
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec: {replicas: 3, selector: {matchLabels: {b: c, a: b}}, template: {spec: {containers: [{name: a, image: x}]}}}
        status: {replicas: 4, readyReplicas: 3, updatedReplicas: 2, availableReplicas: 1}
        ",
        expect![[r#"Name="web" Ready="3/3" Up-to-date=2 Available=1 Age="<unknown>" Containers="a" Images="x" Selector="a=b,b=c""#]],
    );
}

#[test]
fn replication_controllers() {
    check(
        "
        apiVersion: v1
        kind: ReplicationController
        metadata: {name: web}
        spec: {replicas: 3, selector: {tier: front, app: web}, template: {spec: {containers: [{name: a, image: x}]}}}
        status: {replicas: 2, readyReplicas: 1}
        ",
        expect![[
            r#"Name="web" Desired=3 Current=2 Ready=1 Age="<unknown>" Containers="a" Images="x" Selector="app=web,tier=front""#
        ]],
    );
}

#[test]
fn services() {
    for (spec, expected) in [
        (
            "{type: ClusterIP, clusterIP: None, selector: {b: c, a: b}}",
            expect![[
                r#"Name="s" Type="ClusterIP" Cluster-IP="None" External-IP="<none>" Port(s)="<none>" Age="<unknown>" Selector="a=b,b=c""#
            ]],
        ),
        (
            "{type: NodePort, ports: [{port: 80, nodePort: 30080, protocol: TCP}, {port: 53, protocol: UDP}]}",
            expect![[
                r#"Name="s" Type="NodePort" Cluster-IP="<none>" External-IP="<none>" Port(s)="80:30080/TCP,53/UDP" Age="<unknown>" Selector="<none>""#
            ]],
        ),
        (
            "{type: LoadBalancer, ports: [{port: 80}]}",
            expect![[
                r#"Name="s" Type="LoadBalancer" Cluster-IP="<none>" External-IP="<pending>" Port(s)="80/TCP" Age="<unknown>" Selector="<none>""#
            ]],
        ),
        (
            "{type: ExternalName, externalName: example.com}",
            expect![[
                r#"Name="s" Type="ExternalName" Cluster-IP="<none>" External-IP="example.com" Port(s)="<none>" Age="<unknown>" Selector="<none>""#
            ]],
        ),
        (
            "{type: ClusterIP, externalIPs: [1.2.3.4, 5.6.7.8]}",
            expect![[
                r#"Name="s" Type="ClusterIP" Cluster-IP="<none>" External-IP="1.2.3.4,5.6.7.8" Port(s)="<none>" Age="<unknown>" Selector="<none>""#
            ]],
        ),
    ] {
        check(&format!("{{apiVersion: v1, kind: Service, metadata: {{name: s}}, spec: {spec}}}"), expected);
    }
    check(
        "
        apiVersion: v1
        kind: Service
        metadata: {name: s}
        spec: {type: LoadBalancer, externalIPs: [1.2.3.4]}
        status: {loadBalancer: {ingress: [{ip: 9.9.9.9}, {hostname: a.example}]}}
        ",
        expect![[
            r#"Name="s" Type="LoadBalancer" Cluster-IP="<none>" External-IP="9.9.9.9,a.example,1.2.3.4" Port(s)="<none>" Age="<unknown>" Selector="<none>""#
        ]],
    );
}

#[test]
fn endpoint_slices_and_ingresses() {
    check(
        "
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: {name: s}
        addressType: IPv4
        ports: [{name: any}, {}]
        endpoints: [{addresses: [10.0.0.1, 10.0.0.2]}, {addresses: [10.0.0.3]}, {addresses: [10.0.0.4]}, {addresses: [10.0.0.5]}]
        ",
        expect![[r#"Name="s" AddressType="IPv4" Ports="any,*" Endpoints="10.0.0.1,10.0.0.2,10.0.0.3 + 2 more..." Age="<unknown>""#]],
    );
    check(
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s}, addressType: IPv4}",
        expect![[r#"Name="s" AddressType="IPv4" Ports="<unset>" Endpoints="<unset>" Age="<unknown>""#]],
    );
    check(
        "
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: i}
        spec:
          ingressClassName: coracle
          tls: [{hosts: [a.example]}]
          rules: [{host: a.example}, {host: b.example}, {host: c.example}, {host: d.example}, {}]
        status: {loadBalancer: {ingress: [{ip: 127.0.0.1}]}}
        ",
        expect![[
            r#"Name="i" Class="coracle" Hosts="a.example,b.example,c.example + 2 more..." Address="127.0.0.1" Ports="80, 443" Age="<unknown>""#
        ]],
    );
    check(
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i}, spec: {rules: [{}]}}",
        expect![[r#"Name="i" Class="<none>" Hosts="*" Address="" Ports="80" Age="<unknown>""#]],
    );
}

#[test]
fn the_rest() {
    for (manifest, expected) in [
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b, c: d}, binaryData: {e: Zg==}}",
            expect![[r#"Name="c" Data=3 Age="<unknown>""#]],
        ),
        (
            "{apiVersion: v1, kind: Secret, metadata: {name: s}, type: Opaque, data: {a: Yg==}}",
            expect![[r#"Name="s" Type="Opaque" Data=1 Age="<unknown>""#]],
        ),
        (
            "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}",
            expect![[r#"Name="a" Secrets=0 Age="<unknown>""#]],
        ),
        (
            "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: l}, spec: {holderIdentity: m2}}",
            expect![[r#"Name="l" Holder="m2" Age="<unknown>""#]],
        ),
        (
            "{apiVersion: v1, kind: Namespace, metadata: {name: shop}, status: {phase: Terminating}}",
            expect![[r#"Name="shop" Status="Terminating" Age="<unknown>""#]],
        ),
    ] {
        check(manifest, expected);
    }
}

#[test]
fn events() {
    check(
        r#"
        apiVersion: v1
        kind: Event
        metadata: {name: web.1}
        involvedObject: {kind: Pod, name: web, fieldPath: "spec.containers{web}"}
        type: Normal
        reason: Pulled
        message: " Pulled it \n"
        source: {component: coracle-host, host: quiet-otter-1}
        firstTimestamp: "2026-11-21T01:39:51Z"
        lastTimestamp: "2026-11-21T01:49:41Z"
        count: 7
        "#,
        expect![[
            r#"Last Seen="10s" Type="Normal" Reason="Pulled" Object="pod/web" Subobject="spec.containers{web}" Source="coracle-host, quiet-otter-1" Message="Pulled it" First Seen="10m" Count=7 Name="web.1""#
        ]],
    );
    check(
        r#"
        apiVersion: v1
        kind: Event
        metadata: {name: web.2}
        involvedObject: {kind: ReplicaSet, name: web}
        eventTime: "2026-11-21T01:49:21.123456Z"
        reportingComponent: coracle-control
        series: {count: 3, lastObservedTime: "2026-11-21T01:49:50.5Z"}
        "#,
        expect![[
            r#"Last Seen="1s" Type="" Reason="" Object="replicaset/web" Subobject="" Source="coracle-control" Message="" First Seen="30s" Count=3 Name="web.2""#
        ]],
    );
    check(
        "{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {kind: Node}}",
        expect![[
            r#"Last Seen="<unknown>" Type="" Reason="" Object="node" Subobject="" Source="" Message="" First Seen="<unknown>" Count=1 Name="e""#
        ]],
    );
}

#[test]
fn certificate_signing_requests() {
    check(
        "{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: c}}",
        expect![[
            r#"Name="c" Age="<unknown>" SignerName="<none>" Requestor="" RequestedDuration="<none>" Condition="Pending""#
        ]],
    );
    check(
        "
        apiVersion: certificates.k8s.io/v1
        kind: CertificateSigningRequest
        metadata: {name: jane}
        spec: {signerName: kubernetes.io/kube-apiserver-client, username: admin, expirationSeconds: 86400}
        status: {conditions: [{type: Approved}, {type: Failed}], certificate: eA==}
        ",
        expect![[
            r#"Name="jane" Age="<unknown>" SignerName="kubernetes.io/kube-apiserver-client" Requestor="admin" RequestedDuration="24h" Condition="Approved,Failed,Issued""#
        ]],
    );
}

#[test]
fn join_tokens() {
    let token = |expiration: &str| {
        format!(
            "{{apiVersion: coracle.dev/v1, kind: JoinToken, metadata: {{name: t}}, spec: {{role: host, expirationTimestamp: {expiration}}}}}"
        )
    };
    check(
        &token("\"2026-11-22T01:49:51Z\""),
        expect![[r#"Name="t" Role="host" Used By="<none>" Expires="24h" Age="<unknown>""#]],
    );
    check(
        &token("\"2026-11-22T01:49:51Z\", joiner: {name: h1}"),
        expect![[r#"Name="t" Role="host" Used By="h1" Expires="24h" Age="<unknown>""#]],
    );
    check(
        &token("\"2026-11-21T01:49:51Z\""),
        expect![[r#"Name="t" Role="host" Used By="<none>" Expires="expired" Age="<unknown>""#]],
    );
}
