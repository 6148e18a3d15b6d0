//! Stateful sets, daemon sets, the revisions of both, and templates on their own.

use coracle_api::kinds;
use coracle_api::table;
use expect_test::expect;

use crate::{defaults, tables, updates, validation};

const STATEFUL: &str = "
    {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {serviceName: db, selector: {matchLabels: {app: db}},
     template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: 'x:1'}]}}}}";
const DAEMON: &str = "
    {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d}, spec: {selector: {matchLabels: {app: d}},
     template: {metadata: {labels: {app: d}}, spec: {containers: [{name: c, image: 'x:1'}]}}}}";

#[test]
fn stateful_sets_mean() {
    defaults::check(
        STATEFUL,
        expect![[r#"
        apiVersion: apps/v1
        kind: StatefulSet
        metadata:
          name: db
          namespace: default
        spec:
          persistentVolumeClaimRetentionPolicy:
            whenDeleted: Retain
            whenScaled: Retain
          podManagementPolicy: OrderedReady
          replicas: 1
          revisionHistoryLimit: 10
          selector:
            matchLabels:
              app: db
          serviceName: db
          template:
            metadata:
              labels:
                app: db
            spec:
              containers:
              - image: x:1
                imagePullPolicy: IfNotPresent
                name: c
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              terminationGracePeriodSeconds: 30
          updateStrategy:
            rollingUpdate:
              partition: 0
            type: RollingUpdate
        status:
          availableReplicas: 0
          replicas: 0
    "#]],
    );
    defaults::check(
        "
        {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {updateStrategy: {type: OnDelete},
         persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}, template: {spec: {containers: []}},
         volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce]}}]}}
        ",
        expect![[r#"
            apiVersion: apps/v1
            kind: StatefulSet
            metadata:
              name: db
              namespace: default
            spec:
              persistentVolumeClaimRetentionPolicy:
                whenDeleted: Delete
                whenScaled: Retain
              podManagementPolicy: OrderedReady
              replicas: 1
              revisionHistoryLimit: 10
              template:
                spec:
                  containers: []
                  dnsPolicy: ClusterFirst
                  restartPolicy: Always
                  schedulerName: default-scheduler
                  securityContext: {}
                  terminationGracePeriodSeconds: 30
              updateStrategy:
                type: OnDelete
              volumeClaimTemplates:
              - apiVersion: v1
                kind: PersistentVolumeClaim
                metadata:
                  name: data
                spec:
                  accessModes:
                  - ReadWriteOnce
                  volumeMode: Filesystem
                status:
                  phase: Pending
            status:
              availableReplicas: 0
              replicas: 0
        "#]],
    );
}

#[test]
fn daemon_sets_mean() {
    defaults::check(
        DAEMON,
        expect![[r#"
        apiVersion: apps/v1
        kind: DaemonSet
        metadata:
          name: d
          namespace: default
        spec:
          revisionHistoryLimit: 10
          selector:
            matchLabels:
              app: d
          template:
            metadata:
              labels:
                app: d
            spec:
              containers:
              - image: x:1
                imagePullPolicy: IfNotPresent
                name: c
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              terminationGracePeriodSeconds: 30
          updateStrategy:
            rollingUpdate:
              maxSurge: 0
              maxUnavailable: 1
            type: RollingUpdate
        status:
          currentNumberScheduled: 0
          desiredNumberScheduled: 0
          numberMisscheduled: 0
          numberReady: 0
    "#]],
    );
    defaults::check(
        "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d}, spec: {updateStrategy: {type: OnDelete}, template: {spec: {containers: []}}}}",
        expect![[r#"
            apiVersion: apps/v1
            kind: DaemonSet
            metadata:
              name: d
              namespace: default
            spec:
              revisionHistoryLimit: 10
              template:
                spec:
                  containers: []
                  dnsPolicy: ClusterFirst
                  restartPolicy: Always
                  schedulerName: default-scheduler
                  securityContext: {}
                  terminationGracePeriodSeconds: 30
              updateStrategy:
                type: OnDelete
            status:
              currentNumberScheduled: 0
              desiredNumberScheduled: 0
              numberMisscheduled: 0
              numberReady: 0
        "#]],
    );
}

#[test]
fn templates_and_revisions_mean() {
    defaults::check(
        "{apiVersion: v1, kind: PodTemplate, metadata: {name: t}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: 'x:1'}]}}}",
        expect![[r#"
            apiVersion: v1
            kind: PodTemplate
            metadata:
              generation: 1
              name: t
              namespace: default
            template:
              metadata:
                labels:
                  a: b
              spec:
                containers:
                - image: x:1
                  imagePullPolicy: IfNotPresent
                  name: c
                  resources: {}
                  terminationMessagePath: /dev/termination-log
                  terminationMessagePolicy: File
                dnsPolicy: ClusterFirst
                restartPolicy: Always
                schedulerName: default-scheduler
                securityContext: {}
                terminationGracePeriodSeconds: 30
        "#]],
    );
    defaults::check(
        "{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: r}, revision: 1, data: {spec: {}}}",
        expect![[r#"
            apiVersion: apps/v1
            data:
              spec: {}
            kind: ControllerRevision
            metadata:
              name: r
              namespace: default
            revision: 1
        "#]],
    );
}

#[test]
fn stateful_sets_are_refused() {
    validation::check(STATEFUL, expect![""]);
    validation::check(
        "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a.b}, spec: {selector: {}}}",
        expect![[r#"
            metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for statefulset
            spec.template.spec.containers: Required value"#]],
    );
    validation::check(
        "
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: db}
        spec:
          replicas: -1
          minReadySeconds: -1
          revisionHistoryLimit: -1
          ordinals: {start: -1}
          podManagementPolicy: Random
          updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: -1, maxUnavailable: 101%}}
          persistentVolumeClaimRetentionPolicy: {whenScaled: Keep}
          selector: {matchLabels: {app: db}}
          template: {metadata: {labels: {app: x}}, spec: {restartPolicy: Never, activeDeadlineSeconds: 5, containers: [{name: c, image: x}]}}
        ",
        expect![[r#"
            spec.podManagementPolicy: Invalid value: "Random": must be 'OrderedReady' or 'Parallel'
            spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0
            spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%
            spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Retain", "Delete"
            spec.replicas: Invalid value: -1: must be greater than or equal to 0
            spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0
            spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0
            spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0
            spec.template.metadata.labels: Invalid value: map[string]string{"app":"x"}: `selector` does not match template `labels`
            spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"
            spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported"#]],
    );
    let with = |strategy: &str| STATEFUL.replace("serviceName: db", &format!("updateStrategy: {strategy}"));
    validation::check(
        &with("{type: OnDelete, rollingUpdate: {partition: 1}}"),
        expect![[
            r#"spec.updateStrategy.rollingUpdate: Invalid value: {"partition":1}: only allowed for updateStrategy 'RollingUpdate'"#
        ]],
    );
    validation::check(
        &with("{type: Recreate}"),
        expect![[
            r#"spec.updateStrategy: Invalid value: map[string]string{"type":"Recreate"}: must be 'RollingUpdate' or 'OnDelete'"#
        ]],
    );
    validation::check(
        &with("{rollingUpdate: {maxUnavailable: 0}}"),
        expect!["spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"],
    );
}

#[test]
fn containers_of_a_stateful_set_mount_its_claims() {
    let with = |claims: &str| {
        STATEFUL
            .replace("serviceName: db", &format!("volumeClaimTemplates: {claims}"))
            .replace("image: 'x:1'", "image: 'x:1', volumeMounts: [{name: data, mountPath: /data}]")
    };
    validation::check(&with("[{metadata: {name: data}}]"), expect![""]);
    validation::check(
        &with("[{metadata: {name: other}}]"),
        expect![[r#"spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data""#]],
    );
}

#[test]
fn daemon_sets_are_refused() {
    validation::check(DAEMON, expect![""]);
    validation::check(
        "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d}, spec: {}}",
        expect![[r#"
        spec.selector: Required value
        spec.template.metadata.labels: Invalid value: map[string]string(nil): `selector` does not match template `labels`
        spec.template.spec.containers: Required value"#]],
    );
    validation::check(
        "
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: d}
        spec:
          minReadySeconds: -1
          revisionHistoryLimit: -1
          updateStrategy: {rollingUpdate: {maxUnavailable: 101%, maxSurge: x}}
          selector: {}
          template: {spec: {restartPolicy: OnFailure, activeDeadlineSeconds: 5, containers: [{name: c, image: x}]}}
        ",
        expect![[r#"
            spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for daemonset
            spec.template.spec.restartPolicy: Unsupported value: "OnFailure": supported values: "Always"
            spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported
            spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0
            spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "x": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')
            spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%
            spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0"#]],
    );
    let with =
        |strategy: &str| DAEMON.replace("spec: {selector", &format!("spec: {{updateStrategy: {strategy}, selector"));
    validation::check(
        &with("{rollingUpdate: {maxSurge: 1}}"),
        expect![
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"
        ],
    );
    validation::check(
        &with("{rollingUpdate: {maxUnavailable: 0}}"),
        expect!["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
    );
    validation::check(
        &with("{type: Recreate}"),
        expect![[
            r#"spec.updateStrategy: Unsupported value: map[string]string{"type":"Recreate"}: supported values: "RollingUpdate", "OnDelete""#
        ]],
    );
}

#[test]
fn templates_and_revisions_are_refused() {
    validation::check(
        "{apiVersion: v1, kind: PodTemplate, metadata: {name: t}, template: {metadata: {labels: {'a b': c}}, spec: {}}}",
        expect![[r#"
            template.metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            template.spec.containers: Required value"#]],
    );
    validation::check(
        "{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: r}, revision: -1}",
        expect![[r#"
            data: Required value: data is mandatory
            revision: Invalid value: -1: must be greater than or equal to 0"#]],
    );
}

#[test]
fn what_may_change() {
    updates::check(
        STATEFUL,
        "{spec: {replicas: 3, minReadySeconds: 1, revisionHistoryLimit: 2, ordinals: {start: 1}}}",
        expect![""],
    );
    updates::check(
        STATEFUL,
        "{spec: {serviceName: other}}",
        expect![
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        ],
    );
    updates::check(
        STATEFUL,
        "{spec: {podManagementPolicy: Parallel, replicas: -1}}",
        expect![[r#"
        spec.replicas: Invalid value: -1: must be greater than or equal to 0
        spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"#]],
    );
    updates::check(DAEMON, "{spec: {template: {metadata: {labels: {tier: node}}}}}", expect![""]);
    updates::check(
        DAEMON,
        "{spec: {selector: {matchLabels: {tier: node}}, template: {metadata: {labels: {tier: node}}}}}",
        expect![[
            r#"spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"app":"d", "tier":"node"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable"#
        ]],
    );
    const REVISION: &str =
        "{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: r}, revision: 1, data: {a: b}}";
    updates::check(REVISION, "{revision: 2}", expect![""]);
    updates::check(
        REVISION,
        "{data: {a: c}}",
        expect![[r#"data: Invalid value: map[string]string{"a":"c"}: field is immutable"#]],
    );
}

#[test]
fn rows() {
    tables::check(
        &STATEFUL.replace("serviceName: db", "replicas: 3"),
        expect![[r#"Name="db" Ready="0/3" Age="<unknown>" Containers="c" Images="x:1""#]],
    );
    tables::check(
        "
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: d}
        spec:
          selector: {matchLabels: {app: d}}
          template: {spec: {nodeSelector: {disk: ssd, arch: wasm}, containers: [{name: a, image: x}, {name: b, image: y}]}}
        status: {desiredNumberScheduled: 5, currentNumberScheduled: 4, numberReady: 3, updatedNumberScheduled: 2, numberAvailable: 1}
        ",
        expect![[r#"Name="d" Desired=5 Current=4 Ready=3 Up-to-date=2 Available=1 Node Selector="arch=wasm,disk=ssd" Age="<unknown>" Containers="a,b" Images="x" Selector="app=d""#]],
    );
    tables::check(
        "
        apiVersion: apps/v1
        kind: ControllerRevision
        metadata: {name: db-1, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true}]}
        revision: 7
        ",
        expect![[r#"Name="db-1" Controller="statefulset.apps/db" Revision=7 Age="<unknown>""#]],
    );
    tables::check(
        "{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: r}}",
        expect![[r#"Name="r" Controller="<none>" Revision=0 Age="<unknown>""#]],
    );
    tables::check(
        "{apiVersion: v1, kind: PodTemplate, metadata: {name: t}, template: {metadata: {labels: {b: c, a: b}}, spec: {containers: [{name: c, image: x}]}}}",
        expect![[r#"Name="t" Containers="c" Images="x" Pod Labels="a=b,b=c""#]],
    );
    let columns = table::column_definitions(&kinds::POD_TEMPLATE);
    let shown = columns.as_array().unwrap().iter().map(|column| format!("{} {}", column["name"], column["priority"]));
    expect![[r#""Name" 0 "Containers" 0 "Images" 0 "Pod Labels" 0"#]].assert_eq(&shown.collect::<Vec<_>>().join(" "));
}

#[test]
fn replication_controllers_select_what_their_template_says() {
    let check =
        |spec: &str| format!("{{apiVersion: v1, kind: ReplicationController, metadata: {{name: r}}, spec: {spec}}}");
    const TEMPLATE: &str = "template: {metadata: {labels: {app: r}}, spec: {containers: [{name: c, image: 'x:1'}]}}";
    defaults::check(
        &check(&format!("{{{TEMPLATE}}}")),
        expect![[r#"
        apiVersion: v1
        kind: ReplicationController
        metadata:
          labels:
            app: r
          name: r
          namespace: default
        spec:
          replicas: 1
          selector:
            app: r
          template:
            metadata:
              labels:
                app: r
            spec:
              containers:
              - image: x:1
                imagePullPolicy: IfNotPresent
                name: c
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              terminationGracePeriodSeconds: 30
        status:
          replicas: 0
    "#]],
    );
    validation::check(&check(&format!("{{{TEMPLATE}}}")), expect![""]);
    validation::check(
        &check(
            "{replicas: -1, minReadySeconds: -1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}",
        ),
        expect![[r#"
            spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0
            spec.selector: Required value
            spec.replicas: Invalid value: -1: must be greater than or equal to 0
            spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#]],
    );
    validation::check(
        &check(&format!("{{selector: {{app: s}}, {TEMPLATE}}}")),
        expect![[
            r#"spec.template.metadata.labels: Invalid value: map[string]string{"app":"r"}: `selector` does not match template `labels`"#
        ]],
    );
    updates::check(
        &check(&format!("{{{TEMPLATE}}}")),
        "{spec: {selector: {app: r, tier: a}, template: {metadata: {labels: {tier: a}}}}}",
        expect![""],
    );
}
