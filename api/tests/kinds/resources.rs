//! The kinds about what may be used: limit ranges, quotas, volumes, claims and their classes; and endpoints.

use coracle_api::table::{self, Include};
use coracle_api::{kinds, patch, yaml};
use expect_test::{Expect, expect};

use crate::{kind_of, object, prepared};

/// What a manifest becomes, and that it becomes nothing else a second time.
fn defaults(manifest: &str, expected: Expect) {
    let prepared = prepared(manifest);
    expected.assert_eq(&yaml::to_yaml(&prepared));
    let mut again = prepared.clone();
    kind_of(&again).default(&mut again);
    assert_eq!(again, prepared, "defaulting is idempotent");
}

/// Every error of a manifest, one a line.
fn errors(manifest: &str, expected: Expect) {
    let object = prepared(manifest);
    let mut errors = Vec::new();
    kind_of(&object).validate(&object, &mut errors);
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

/// The errors of replacing a manifest by itself with some fields merged over it.
fn update(manifest: &str, change: &str, expected: Expect) {
    let mut old = prepared(manifest);
    patch::merge_patch(&mut old, &object(manifest));
    let mut new = old.clone();
    patch::merge_patch(&mut new, &object(change));
    kind_of(&new).default(&mut new);
    let mut errors = Vec::new();
    kind_of(&new).validate_update(&new, &old, &mut errors);
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

/// The cells of a manifest's row.
fn cells(manifest: &str, expected: Expect) {
    let object = object(manifest);
    let now = "2026-11-21T01:49:51Z".parse().unwrap();
    expected.assert_eq(&table::row(kind_of(&object), &object, Include::None, now)["cells"].to_string());
}

const VOLUME: &str =
    "{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {accessModes: [ReadWriteOnce],
    capacity: {storage: 1024Mi}, csi: {driver: example.com, volumeHandle: h}}}";
const CLAIM: &str =
    "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c}, spec: {accessModes: [ReadWriteOnce],
    resources: {requests: {storage: 1Gi}}}}";
const CLASS: &str =
    "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}, provisioner: example.com/disk}";
const INGRESS_CLASS: &str = "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: public},
    spec: {controller: example.com/ingress}}";

fn volume(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: v}}, spec: {spec}}}")
}

fn claim(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: c}}, spec: {spec}}}")
}

fn quota(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: q}}, spec: {spec}}}")
}

fn limit_range(limits: &str) -> String {
    format!("{{apiVersion: v1, kind: LimitRange, metadata: {{name: l}}, spec: {{limits: {limits}}}}}")
}

fn endpoints(subsets: &str) -> String {
    format!("{{apiVersion: v1, kind: Endpoints, metadata: {{name: e}}, subsets: {subsets}}}")
}

#[test]
fn what_says_nothing() {
    defaults(
        VOLUME,
        expect![[r#"
        apiVersion: v1
        kind: PersistentVolume
        metadata:
          name: v
        spec:
          accessModes:
          - ReadWriteOnce
          capacity:
            storage: 1Gi
          csi:
            driver: example.com
            volumeHandle: h
          persistentVolumeReclaimPolicy: Retain
          volumeMode: Filesystem
        status:
          phase: Pending
    "#]],
    );
    defaults(
        &claim(
            "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}, dataSourceRef: {kind: PersistentVolumeClaim, name: old}}",
        ),
        expect![[r#"
            apiVersion: v1
            kind: PersistentVolumeClaim
            metadata:
              name: c
              namespace: default
            spec:
              accessModes:
              - ReadWriteOnce
              dataSource:
                kind: PersistentVolumeClaim
                name: old
              dataSourceRef:
                kind: PersistentVolumeClaim
                name: old
              resources:
                requests:
                  storage: 1Gi
              volumeMode: Filesystem
            status:
              phase: Pending
        "#]],
    );
    defaults(
        &limit_range(
            "[{type: Container, max: {cpu: 2000m, memory: 1Gi}, min: {cpu: 0.1}, defaultRequest: {memory: 1Mi}}, {type: Pod, max: {cpu: 4}}]",
        ),
        expect![[r#"
            apiVersion: v1
            kind: LimitRange
            metadata:
              name: l
              namespace: default
            spec:
              limits:
              - default:
                  cpu: "2"
                  memory: 1Gi
                defaultRequest:
                  cpu: "2"
                  memory: 1Mi
                max:
                  cpu: "2"
                  memory: 1Gi
                min:
                  cpu: 100m
                type: Container
              - max:
                  cpu: "4"
                type: Pod
        "#]],
    );
    defaults(
        &quota("{hard: {pods: 10, requests.cpu: 1000m}}"),
        expect![[r#"
        apiVersion: v1
        kind: ResourceQuota
        metadata:
          name: q
          namespace: default
        spec:
          hard:
            pods: "10"
            requests.cpu: "1"
        status: {}
    "#]],
    );
    defaults(
        CLASS,
        expect![[r#"
        apiVersion: storage.k8s.io/v1
        kind: StorageClass
        metadata:
          name: fast
        provisioner: example.com/disk
        reclaimPolicy: Delete
        volumeBindingMode: Immediate
    "#]],
    );
    defaults(
        "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: public}, spec: {controller: example.com/x, parameters: {kind: Settings, name: s}}}",
        expect![[r#"
            apiVersion: networking.k8s.io/v1
            kind: IngressClass
            metadata:
              name: public
            spec:
              controller: example.com/x
              parameters:
                kind: Settings
                name: s
                scope: Cluster
        "#]],
    );
    defaults(
        &endpoints("[{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]"),
        expect![[r#"
        apiVersion: v1
        kind: Endpoints
        metadata:
          name: e
          namespace: default
        subsets:
        - addresses:
          - ip: "10.0.0.1"
          ports:
          - port: 80
            protocol: TCP
    "#]],
    );
}

#[test]
fn wrong_volumes() {
    errors(VOLUME, expect![""]);
    errors(
        &volume("{}"),
        expect![[r#"
        spec.accessModes: Required value
        spec.capacity: Required value
        spec.capacity: Unsupported value: null: supported values: "storage"
        spec: Required value: must specify a volume type"#]],
    );
    errors(
        &volume(
            "{accessModes: [ReadWriteOncePod, ReadOnlyMany, Mine], capacity: {storage: 0, cpu: 1}, persistentVolumeReclaimPolicy: Recycle, hostPath: {path: /., type: Odd}, nfs: {}, nodeAffinity: {}, storageClassName: A, volumeMode: Raw, volumeAttributesClassName: ''}",
        ),
        expect![[r#"
            spec.accessModes: Unsupported value: "Mine": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"
            spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes
            spec.capacity: Unsupported value: map[string]string{"cpu":"1", "storage":"0"}: supported values: "storage"
            spec.capacity[storage]: Invalid value: "0": must be greater than zero
            spec.nodeAffinity.required: Required value: must specify required node constraints
            spec.nfs: Forbidden: may not specify more than 1 volume type
            spec.hostPath.type: Unsupported value: "Odd": supported values: "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"
            spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'
            spec.storageClassName: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.volumeMode: Unsupported value: "Raw": supported values: "Block", "Filesystem"
            spec.volumeAttributesClassName: Required value: an empty string is disallowed
            spec.csi: Required value: has to be specified when using volumeAttributesClassName"#]],
    );
    errors(
        &volume("{accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, local: {path: /a/../b}}"),
        expect![[r#"
        spec.local.path: Invalid value: "/a/../b": must not contain '..'
        spec.nodeAffinity: Required value: Local volume requires node affinity"#]],
    );
    errors(
        &volume(
            "{accessModes: [ReadWriteOnce], capacity: {storage: lots}, nfs: {path: a}, nodeAffinity: {required: {}}}",
        ),
        expect![[r#"
            spec.capacity[storage]: Invalid value: "lots": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
            spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term
            spec.nfs.server: Required value
            spec.nfs.path: Invalid value: "a": must be an absolute path"#]],
    );
}

#[test]
fn wrong_claims() {
    errors(CLAIM, expect![""]);
    errors(
        &claim("{}"),
        expect![[r#"
        spec.accessModes: Required value: at least 1 access mode is required
        spec.resources[storage]: Required value"#]],
    );
    errors(
        &claim(
            "{accessModes: [Mine], resources: {requests: {storage: -1}}, selector: {matchExpressions: [{key: a, operator: Is}]}, storageClassName: A, volumeMode: Raw, dataSource: {kind: Snapshot}, volumeAttributesClassName: B}",
        ),
        expect![[r#"
            spec.accessModes: Unsupported value: "Mine": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"
            spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator
            spec.resources[storage]: Invalid value: "-1": must be greater than zero
            spec.storageClassName: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.volumeMode: Unsupported value: "Raw": supported values: "Block", "Filesystem"
            spec.dataSource.name: Required value
            spec.dataSource: Invalid value: "Snapshot": must be 'PersistentVolumeClaim' when referencing the default apiGroup
            spec.dataSourceRef.name: Required value
            spec.dataSourceRef: Invalid value: "Snapshot": must be 'PersistentVolumeClaim' when referencing the default apiGroup
            spec.volumeAttributesClassName: Invalid value: "B": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#]],
    );
    errors(
        &claim(
            "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1}}, dataSource: {kind: PersistentVolumeClaim, name: a}, dataSourceRef: {kind: PersistentVolumeClaim, name: b}}",
        ),
        expect![[r#"spec: Invalid value: "spec.dataSource": must match dataSourceRef"#]],
    );
    errors(
        &claim(
            "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1}}, dataSource: {kind: PersistentVolumeClaim, name: a}, dataSourceRef: {kind: PersistentVolumeClaim, name: a, namespace: other}}",
        ),
        expect![[
            r#"spec: Invalid value: "spec.dataSource": may not be specified when dataSourceRef.namespace is specified"#
        ]],
    );
}

#[test]
fn wrong_limit_ranges() {
    errors(
        &limit_range("[{type: Container, max: {cpu: 2}, min: {cpu: 1}, maxLimitRequestRatio: {cpu: 2}}]"),
        expect![""],
    );
    errors(
        &limit_range(
            "[{type: Pod, default: {cpu: 1}, defaultRequest: {cpu: 1}}, {type: Pod}, {type: Box}, {type: ''}, {type: PersistentVolumeClaim}]",
        ),
        expect![[r#"
            spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'
            spec.limits[0].defaultRequest: Forbidden: may not be specified when `type` is 'Pod'
            spec.limits[1].type: Duplicate value: "Pod"
            spec.limits[2].type: Invalid value: "Box": must be a standard limit type or fully qualified
            spec.limits[3].type: Invalid value: "": name part must be non-empty
            spec.limits[3].type: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.limits[4].limits: Required value: either minimum or maximum storage value is required, but neither was provided"#]],
    );
    errors(
        &limit_range(
            "[{type: Container, min: {cpu: 3, pods: 1, memory: much}, max: {cpu: 1, horses: 1}, default: {cpu: 2}, defaultRequest: {cpu: 2500m}, maxLimitRequestRatio: {cpu: 500m}}]",
        ),
        expect![[r#"
            spec.limits[0].max[horses]: Invalid value: "horses": must be a standard resource type or fully qualified
            spec.limits[0].max[horses]: Invalid value: "horses": must be a standard resource for containers
            spec.limits[0].min[memory]: Invalid value: "much": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
            spec.limits[0].min[pods]: Invalid value: "pods": must be a standard resource for containers
            spec.limits[0].default[horses]: Invalid value: "horses": must be a standard resource type or fully qualified
            spec.limits[0].default[horses]: Invalid value: "horses": must be a standard resource for containers
            spec.limits[0].defaultRequest[memory]: Invalid value: "much": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
            spec.limits[0].defaultRequest[horses]: Invalid value: "horses": must be a standard resource type or fully qualified
            spec.limits[0].defaultRequest[horses]: Invalid value: "horses": must be a standard resource for containers
            spec.limits[0].defaultRequest[pods]: Invalid value: "pods": must be a standard resource for containers
            spec.limits[0].min[cpu]: Invalid value: "3": min value 3 is greater than max value 1
            spec.limits[0].defaultRequest[cpu]: Invalid value: "2500m": min value 3 is greater than default request value 2500m
            spec.limits[0].defaultRequest[cpu]: Invalid value: "2500m": default request value 2500m is greater than max value 1
            spec.limits[0].defaultRequest[cpu]: Invalid value: "2500m": default request value 2500m is greater than default limit value 2
            spec.limits[0].default[cpu]: Invalid value: "3": min value 3 is greater than default value 2
            spec.limits[0].default[cpu]: Invalid value: "1": default value 2 is greater than max value 1
            spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1
            spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is greater than max/min = 0.333333"#]],
    );
    errors(
        &limit_range(
            "[{type: Container, min: {cpu: 1}, max: {cpu: 2}, maxLimitRequestRatio: {cpu: 3}, default: {example.com/gpu: 2}, defaultRequest: {example.com/gpu: 1}}]",
        ),
        expect![[r#"
            spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000
            spec.limits[0].defaultRequest[example.com/gpu]: Invalid value: "1": default value 2 must equal to defaultRequest value 1 in example.com/gpu"#]],
    );
}

#[test]
fn wrong_quotas() {
    errors(
        &quota(
            "{hard: {pods: 1, count/deployments.apps: 2, requests.nvidia.com/gpu: 1, fast.storageclass.storage.k8s.io/requests.storage: 1Gi, requests.hugepages-2Mi: 0}}",
        ),
        expect![""],
    );
    errors(
        &quota("{hard: {pods: 1500m, services: -1, horses: 1, storage: 1, cpu: some, 'a b/c': 1}}"),
        expect![[r#"
        spec.hard[cpu]: Invalid value: "some": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
        spec.hard[a b/c]: Invalid value: "a b/c": prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        spec.hard[horses]: Invalid value: "horses": must be a standard resource type or fully qualified
        spec.hard[horses]: Invalid value: "horses": must be a standard resource for quota
        spec.hard[pods]: Invalid value: "1500m": must be an integer
        spec.hard[services]: Invalid value: "-1": must be greater than or equal to 0
        spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota"#]],
    );
    errors(
        &quota("{hard: {services: 1, memory: 1, count/pods: 1}, scopes: [BestEffort, NotBestEffort, Sunday]}"),
        expect![[r#"
            spec.scopes: Invalid value: []string{"BestEffort", "NotBestEffort", "Sunday"}: unsupported scope applied to resource
            spec.scopes: Invalid value: []string{"BestEffort", "NotBestEffort", "Sunday"}: unsupported scope applied to resource
            spec.scopes: Invalid value: []string{"BestEffort", "NotBestEffort", "Sunday"}: unsupported scope applied to resource
            spec.scopes: Invalid value: []string{"BestEffort", "NotBestEffort", "Sunday"}: unsupported scope
            spec.scopes: Invalid value: []string{"BestEffort", "NotBestEffort", "Sunday"}: conflicting scopes"#]],
    );
    errors(
        &quota(
            "{hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In}, {scopeName: Terminating, operator: In, values: [a]}, {scopeName: NotTerminating, operator: Exists, values: [a]}, {scopeName: Sunday, operator: Is}]}}",
        ),
        expect![[r#"
            spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector
            spec.scopeSelector.matchExpressions.operator: Invalid value: "In": must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity
            spec.scopeSelector.matchExpressions.values: Invalid value: []string{"a"}: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector
            spec.scopeSelector.matchExpressions.scopeName: Invalid value: "Sunday": unsupported scope
            spec.scopeSelector.matchExpressions.operator: Invalid value: "Is": not a valid selector operator
            spec.scopeSelector.matchExpressions: Invalid value: []: conflicting scopes"#]],
    );
    errors(
        &quota(
            "{hard: {persistentvolumeclaims: 1, pods: 1}, scopeSelector: {matchExpressions: [{scopeName: VolumeAttributesClass, operator: In, values: [gold]}]}}",
        ),
        expect![[
            r#"spec.scopeSelector.matchExpressions: Invalid value: {"matchExpressions":[{"operator":"In","scopeName":"VolumeAttributesClass","values":["gold"]}]}: unsupported scope applied to resource"#
        ]],
    );
}

#[test]
fn wrong_endpoints_and_classes() {
    errors(
        &endpoints(
            "[{}, {addresses: [{ip: 127.0.0.1}, {ip: 169.254.1.1}, {ip: '::'}, {ip: 'ff02::1'}, {ip: 224.0.0.9}, {ip: x, hostname: a.b, nodeName: N}], ports: [{port: 80}, {name: B, port: 0, protocol: ICMP, appProtocol: 'a b'}]}]",
        ),
        expect![[r#"
            subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`
            subsets[1].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)
            subsets[1].addresses[1].ip: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)
            subsets[1].addresses[2].ip: Invalid value: "::": may not be unspecified (::)
            subsets[1].addresses[3].ip: Invalid value: "ff02::1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)
            subsets[1].addresses[4].ip: Invalid value: "224.0.0.9": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)
            subsets[1].addresses[5].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            subsets[1].addresses[5].hostname: Invalid value: "a.b": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            subsets[1].ports[0].name: Required value
            subsets[1].ports[1].name: Invalid value: "B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            subsets[1].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive
            subsets[1].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"
            subsets[1].ports[1].appProtocol: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#]],
    );
    errors(&endpoints("[{notReadyAddresses: [{ip: 10.0.0.1}, {ip: 127.128.0.1}], ports: [{port: 80}]}]"), expect![""]);
    errors(
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}, reclaimPolicy: Recycle, volumeBindingMode: Later, parameters: {'': x}}",
        expect![[r#"
            provisioner: Required value
            parameters: Invalid value: "": field can not be empty.
            reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"
            volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer""#]],
    );
    errors(
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}, provisioner: 'a b', allowedTopologies: [{matchLabelExpressions: [{key: zone}, {key: zone, values: [a, a]}]}]}",
        expect![[r#"
            provisioner: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            allowedTopologies[0].matchLabelExpressions[0].values: Required value
            allowedTopologies[0].matchLabelExpressions[1].values[1]: Duplicate value: "a"
            allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "zone""#]],
    );
    let class = |spec: &str| {
        format!("{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: c}}, spec: {spec}}}")
    };
    errors(INGRESS_CLASS, expect![""]);
    errors(&class("{}"), expect!["spec.controller: Required value"]);
    errors(
        &class("{controller: nobody, parameters: {kind: a/b, name: .., apiGroup: A}}"),
        expect![[r#"
        spec.controller: Invalid value: "nobody": must be a domain-prefixed path (such as "acme.io/foo")
        spec.parameters.apiGroup: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        spec.parameters.kind: Invalid value: "a/b": may not contain '/'
        spec.parameters.name: Invalid value: "..": may not be '..'"#]],
    );
    errors(
        &class("{controller: 'A.example/a b', parameters: {scope: Namespace}}"),
        expect![[r#"
        spec.controller: Invalid value: "A.example": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        spec.controller: Invalid value: "a b": Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')
        spec.parameters.kind: Required value: kind is required
        spec.parameters.name: Required value: name is required
        spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"#]],
    );
    errors(
        &class("{controller: a.example/b, parameters: {kind: K, name: settings, namespace: x}}"),
        expect!["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
    );
    errors(
        &class("{controller: a.example/b, parameters: {kind: K, name: settings, scope: World}}"),
        expect![[r#"spec.parameters.scope: Unsupported value: "World": supported values: "Cluster", "Namespace""#]],
    );
}

#[test]
fn what_may_change() {
    update(VOLUME, "{spec: {capacity: {storage: 2Gi}, csi: {controllerExpandSecretRef: {name: s}}}}", expect![""]);
    update(
        VOLUME,
        "{spec: {csi: {volumeHandle: other}, volumeMode: Block}}",
        expect![[r#"
        spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation
        changed: spec.csi
        volumeMode: Invalid value: "Block": field is immutable"#]],
    );
    update(
        &volume(
            "{accessModes: [ReadWriteOnce], capacity: {storage: 1}, csi: {driver: d, volumeHandle: h}, volumeAttributesClassName: gold, nodeAffinity: {required: {nodeSelectorTerms: [{}]}}}",
        ),
        "{spec: {volumeAttributesClassName: null, nodeAffinity: null}}",
        expect![[r#"
            nodeAffinity: Invalid value: null: field is immutable, except for updating from beta label to GA
            spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"#]],
    );
    update(CLAIM, "{spec: {volumeName: v, storageClassName: fast, volumeAttributesClassName: gold}}", expect![""]);
    update(
        CLAIM,
        "{spec: {resources: {requests: {storage: 2Gi}}, accessModes: [ReadOnlyMany], volumeMode: Block}}",
        expect![[r#"
            spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
            changed: spec.accessModes, spec.resources, spec.volumeMode
            volumeMode: Invalid value: "Block": field is immutable"#]],
    );
    const BOUND: &str = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c}, status: {phase: Bound, capacity: {storage: 1Gi}},
        spec: {accessModes: [ReadWriteOnce], volumeName: v, storageClassName: fast, volumeAttributesClassName: gold, resources: {requests: {storage: 2Gi}}}}";
    update(BOUND, "{spec: {resources: {requests: {storage: 3Gi}}}}", expect![""]);
    update(
        BOUND,
        "{spec: {resources: {requests: {storage: 1Gi}}, volumeAttributesClassName: ''}}",
        expect![[r#"
        spec.resources.requests.storage: Forbidden: field can not be less than status.capacity
        spec.volumeAttributesClassName: Forbidden: update from non-nil value to an empty string is forbidden"#]],
    );
    update(
        BOUND,
        "{spec: {volumeName: w, storageClassName: slow}}",
        expect![[r#"
        spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
        changed: spec.storageClassName, spec.volumeName"#]],
    );
    update(
        &quota("{hard: {pods: 1}, scopes: [Terminating]}"),
        "{spec: {hard: {pods: 2}, scopes: [NotTerminating]}}",
        expect![[r#"spec.scopes: Invalid value: []string{"NotTerminating"}: field is immutable"#]],
    );
    update(
        CLASS,
        "{parameters: {a: b}, provisioner: other, reclaimPolicy: Retain, volumeBindingMode: WaitForFirstConsumer, allowVolumeExpansion: true}",
        expect![[r#"
            parameters: Forbidden: updates to parameters are forbidden.
            provisioner: Forbidden: updates to provisioner are forbidden.
            reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.
            volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable"#]],
    );
    update(
        INGRESS_CLASS,
        "{spec: {controller: example.com/other}}",
        expect![[r#"spec.controller: Invalid value: "example.com/other": field is immutable"#]],
    );
}

#[test]
fn rows() {
    cells(
        &VOLUME.replace(
            "metadata: {name: v}",
            "metadata: {name: v, annotations: {volume.beta.kubernetes.io/storage-class: old}}",
        ),
        expect![[r#"["v","1Gi","RWO","","","","old","","<unknown>","<unset>"]"#]],
    );
    cells(
        "{apiVersion: v1, kind: PersistentVolume, metadata: {name: v, deletionTimestamp: '2026-11-21T01:49:00Z'}, spec: {capacity: {storage: 5Gi}, accessModes: [ReadWriteMany, ReadWriteOnce], persistentVolumeReclaimPolicy: Retain, claimRef: {namespace: shop, name: data}, storageClassName: fast, volumeMode: Filesystem}, status: {phase: Bound, reason: Why}}",
        expect![[r#"["v","5Gi","RWO,RWX","Retain","Terminating","shop/data","fast","Why","<unknown>","Filesystem"]"#]],
    );
    cells(CLAIM, expect![[r#"["c","","","","","","<unknown>","<unset>"]"#]]);
    cells(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c}, spec: {volumeName: v, storageClassName: fast, volumeMode: Block}, status: {phase: Bound, accessModes: [ReadWriteOncePod], capacity: {storage: 5Gi}}}",
        expect![[r#"["c","Bound","v","5Gi","RWOP","fast","<unknown>","Block"]"#]],
    );
    cells(
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, creationTimestamp: '2026-11-21T01:49:00Z'}, status: {hard: {services: 5, pods: 10, limits.cpu: 2, limits.memory: 1Gi}, used: {pods: 2, limits.cpu: 500m}}}",
        expect![[r#"["q","51s","pods: 2/10, services: 0/5","limits.cpu: 500m/2, limits.memory: 0/1Gi"]"#]],
    );
    cells(
        &endpoints(
            "[{addresses: [{ip: 10.0.0.1}, {ip: 'fd00::1'}], notReadyAddresses: [{ip: 10.0.0.9}], ports: [{port: 80}, {port: 81}]}]",
        ),
        expect![[r#"["e","10.0.0.1:80,[fd00::1]:80,10.0.0.1:81 + 1 more...","<unknown>"]"#]],
    );
    cells(&endpoints("[{addresses: [{ip: 10.0.0.1}]}]"), expect![[r#"["e","10.0.0.1","<unknown>"]"#]]);
    cells(&endpoints("[]"), expect![[r#"["e","<none>","<unknown>"]"#]]);
    cells(
        "{apiVersion: v1, kind: LimitRange, metadata: {name: l, creationTimestamp: '2026-11-21T01:49:00Z'}}",
        expect![[r#"["l","2026-11-21T01:49:00Z"]"#]],
    );
    cells(CLASS, expect![[r#"["fast","example.com/disk","Delete","Immediate",false,"<unknown>"]"#]]);
    cells(
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: p, allowVolumeExpansion: true}",
        expect![[r#"["fast (default)","p","Delete","Immediate",true,"<unknown>"]"#]],
    );
    cells(INGRESS_CLASS, expect![[r#"["public","example.com/ingress","<none>","<unknown>"]"#]]);
    cells(
        "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: c}, spec: {parameters: {apiGroup: a.example, kind: Settings, name: s}}}",
        expect![[r#"["c","","Settings.a.example/s","<unknown>"]"#]],
    );
}

#[test]
fn names() {
    let found = ["pv", "pvc", "limits", "quota", "ep", "sc", "ingressclasses.networking.k8s.io"];
    let found = found.map(|name| format!("{name}: {}", kinds::by_any_name(name).unwrap().resource()));
    expect![[r#"
        pv: persistentvolumes
        pvc: persistentvolumeclaims
        limits: limitranges
        quota: resourcequotas
        ep: endpoints
        sc: storageclasses.storage.k8s.io
        ingressclasses.networking.k8s.io: ingressclasses.networking.k8s.io"#]]
    .assert_eq(&found.join("\n"));
}
