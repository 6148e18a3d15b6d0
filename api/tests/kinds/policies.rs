//! Kinds that say how pods are treated: autoscalers, disruption budgets, priority and runtime classes.

use expect_test::expect;

use crate::{defaults, tables, updates, validation};

const BUDGET: &str = "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b}, spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}}";
const PRIORITY: &str = "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000}";
const RUNTIME: &str = "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: fast}, handler: wasm}";

fn autoscaler(spec: &str) -> String {
    format!(
        "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: web}}, spec: {{scaleTargetRef: \
         {{apiVersion: apps/v1, kind: Deployment, name: web}}, maxReplicas: 5, {spec}}}}}"
    )
}

fn budget(spec: &str) -> String {
    BUDGET.replace("minAvailable: 1", spec)
}

#[test]
fn autoscalers_mean() {
    defaults::check(
        &autoscaler("behavior: {scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 60}]}}"),
        expect![[r#"
            apiVersion: autoscaling/v2
            kind: HorizontalPodAutoscaler
            metadata:
              name: web
              namespace: default
            spec:
              behavior:
                scaleDown:
                  policies:
                  - periodSeconds: 15
                    type: Percent
                    value: 100
                  selectPolicy: Max
                scaleUp:
                  policies:
                  - periodSeconds: 60
                    type: Pods
                    value: 1
                  selectPolicy: Max
                  stabilizationWindowSeconds: 0
              maxReplicas: 5
              metrics:
              - resource:
                  name: cpu
                  target:
                    averageUtilization: 80
                    type: Utilization
                type: Resource
              minReplicas: 1
              scaleTargetRef:
                apiVersion: apps/v1
                kind: Deployment
                name: web
            status:
              desiredReplicas: 0
        "#]],
    );
}

#[test]
fn the_rest_means() {
    defaults::check(
        BUDGET,
        expect![[r#"
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata:
          name: b
          namespace: default
        spec:
          minAvailable: 1
          selector:
            matchLabels:
              a: b
        status:
          currentHealthy: 0
          desiredHealthy: 0
          disruptionsAllowed: 0
          expectedPods: 0
    "#]],
    );
    defaults::check(
        PRIORITY,
        expect![[r#"
        apiVersion: scheduling.k8s.io/v1
        kind: PriorityClass
        metadata:
          generation: 1
          name: high
        preemptionPolicy: PreemptLowerPriority
        value: 1000
    "#]],
    );
    defaults::check(
        "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: fast}, handler: wasm, overhead: {podFixed: {cpu: 1000m, memory: 1024Mi}}}",
        expect![[r#"
            apiVersion: node.k8s.io/v1
            handler: wasm
            kind: RuntimeClass
            metadata:
              name: fast
            overhead:
              podFixed:
                cpu: "1"
                memory: 1Gi
        "#]],
    );
}

#[test]
fn autoscalers_are_refused() {
    validation::check(&autoscaler("minReplicas: 5"), expect![""]);
    validation::check(
        "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {minReplicas: 0, scaleTargetRef: {name: a/b%}}}",
        expect![[r#"
            spec.minReplicas: Invalid value: 0: must be greater than or equal to 1
            spec.maxReplicas: Invalid value: 0: must be greater than 0
            spec.scaleTargetRef.kind: Required value
            spec.scaleTargetRef.name: Invalid value: "a/b%": may not contain '/'
            spec.scaleTargetRef.name: Invalid value: "a/b%": may not contain '%'"#]],
    );
    validation::check(
        &autoscaler("minReplicas: 6").replace("Deployment", ".."),
        expect![[r#"
        spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`
        spec.scaleTargetRef.kind: Invalid value: "..": may not be '..'"#]],
    );
    validation::check(
        &autoscaler(
            "behavior: {scaleUp: {stabilizationWindowSeconds: -1, selectPolicy: Most, policies: []},
              scaleDown: {stabilizationWindowSeconds: 3601, policies: [{type: Share, value: 0, periodSeconds: 1801}]}}",
        ),
        expect![[r#"
            spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero
            spec.behavior.scaleUp.selectPolicy: Unsupported value: "Most": supported values: "Disabled", "Max", "Min"
            spec.behavior.scaleUp.policies: Required value: must specify at least one Policy
            spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600
            spec.behavior.scaleDown.policies[0].type: Unsupported value: "Share": supported values: "Percent", "Pods"
            spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero
            spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800"#]],
    );
}

#[test]
fn metrics_are_refused() {
    let metrics = |metrics: &str| autoscaler(&format!("metrics: [{metrics}]"));
    validation::check(
        &metrics(
            "{type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}},
             {type: ContainerResource, containerResource: {name: cpu, container: c, target: {type: Utilization, averageUtilization: 50}}},
             {type: Pods, pods: {metric: {name: hits}, target: {type: AverageValue, averageValue: 100}}},
             {type: Object, object: {describedObject: {kind: Service, name: web}, metric: {name: hits}, target: {type: Value, value: 2k}}},
             {type: External, external: {metric: {name: depth}, target: {type: Value, value: 30}}}",
        ),
        expect![""],
    );
    validation::check(
        &metrics(
            "{}, {type: Mood}, {type: Pods}, {type: Pods, resource: {name: cpu, target: {type: Utilization, averageUtilization: 1}}}",
        ),
        expect![[r#"
            spec.metrics[0].type: Required value: must specify a metric source type
            spec.metrics[0].type: Unsupported value: "": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"
            spec.metrics[1].type: Unsupported value: "Mood": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"
            spec.metrics[2].pods: Required value: must populate information for the given metric source
            spec.metrics[3].pods: Required value: must populate information for the given metric source"#]],
    );
    validation::check(
        &metrics(
            "{type: Resource, resource: {target: {type: Ratio, averageUtilization: 0, averageValue: -1}}},
             {type: Resource, resource: {name: cpu, target: {type: Utilization}}},
             {type: ContainerResource, containerResource: {name: cpu, container: A, target: {}}},
             {type: ContainerResource, containerResource: {name: cpu, target: {type: Utilization, averageUtilization: 1}}},
             {type: Pods, pods: {target: {type: Value, value: x}}},
             {type: Object, object: {metric: {name: a/b}, target: {type: Value}}},
             {type: External, external: {metric: {name: depth}, target: {type: Value, value: 1, averageValue: 1}}},
             {type: External, external: {metric: {name: depth}, target: {type: Value}}}",
        ),
        expect![[r#"
            spec.metrics[0].resource.name: Required value: must specify a resource name
            spec.metrics[0].resource.target.type: Invalid value: "Ratio": must be either Utilization, Value, or AverageValue
            spec.metrics[0].resource.target.averageValue: Invalid value: "-1": must be positive
            spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0
            spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization
            spec.metrics[1].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization
            spec.metrics[2].containerResource.container: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.metrics[2].containerResource.target.type: Required value: must specify a metric target type
            spec.metrics[2].containerResource.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue
            spec.metrics[2].containerResource.target.averageUtilization: Required value: must set either a target raw value or a target utilization
            spec.metrics[3].containerResource.container: Required value: must specify a container
            spec.metrics[4].pods.metric.name: Required value: must specify a metric name
            spec.metrics[4].pods.target.value: Invalid value: "x": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
            spec.metrics[4].pods.target.averageValue: Required value: must specify a positive target averageValue
            spec.metrics[5].object.describedObject.kind: Required value
            spec.metrics[5].object.describedObject.name: Required value
            spec.metrics[5].object.metric.name: Invalid value: "a/b": may not contain '/'
            spec.metrics[5].object.target.averageValue: Required value: must set either a target value or averageValue
            spec.metrics[6].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target
            spec.metrics[7].external.target.averageValue: Required value: must set either a target value for metric or a per-pod target"#]],
    );
}

#[test]
fn budgets_are_refused() {
    validation::check(&budget("maxUnavailable: 0%"), expect![""]);
    validation::check(
        &budget("minAvailable: -1, maxUnavailable: 101%, unhealthyPodEvictionPolicy: Never"),
        expect![[r#"
            spec: Invalid value: {"maxUnavailable":"101%","minAvailable":-1,"selector":{"matchLabels":{"a":"b"}},"unhealthyPodEvictionPolicy":"Never"}: minAvailable and maxUnavailable cannot be both set
            spec.minAvailable: Invalid value: -1: must be greater than or equal to 0
            spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%
            spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget""#]],
    );
    validation::check(
        &budget("minAvailable: half"),
        expect![[
            r#"spec.minAvailable: Invalid value: "half": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"#
        ]],
    );
}

#[test]
fn priority_classes_are_refused() {
    validation::check(PRIORITY, expect![""]);
    validation::check(
        &PRIORITY.replace("1000", "1000000001"),
        expect!["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    );
    validation::check(
        &PRIORITY.replace("value", "preemptionPolicy: Always, value"),
        expect![[
            r#"preemptionPolicy: Unsupported value: "Always": supported values: "PreemptLowerPriority", "Never""#
        ]],
    );
    let class = |name: &str, rest: &str| PRIORITY.replace("high", name).replace("value: 1000", rest);
    validation::check(&class("system-node-critical", "value: 2000001000"), expect![""]);
    validation::check(
        &class("system-node-critical", "value: 1"),
        expect![
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: value of system-node-critical PriorityClass must be 2000001000"
        ],
    );
    validation::check(
        &class("system-cluster-critical", "value: 2000000000, globalDefault: true"),
        expect![
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: globalDefault of system-cluster-critical PriorityClass must be false"
        ],
    );
    validation::check(
        &class("system-mine", "value: 1"),
        expect![
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class"
        ],
    );
}

#[test]
fn runtime_classes_are_refused() {
    validation::check(RUNTIME, expect![""]);
    validation::check(
        "
        apiVersion: node.k8s.io/v1
        kind: RuntimeClass
        metadata: {name: fast}
        handler: Run_C
        overhead: {podFixed: {cpu: -1}}
        scheduling: {nodeSelector: {'a b': c}, tolerations: [{effect: Never}]}
        ",
        expect![[r#"
            handler: Invalid value: "Run_C": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0
            scheduling.nodeSelector: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            scheduling.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"
            scheduling.tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#]],
    );
}

#[test]
fn what_may_change() {
    updates::check(BUDGET, "{spec: {minAvailable: 2, selector: {matchLabels: {c: d}}}}", expect![""]);
    updates::check(
        &autoscaler("minReplicas: 1"),
        "{spec: {maxReplicas: 0}}",
        expect![[r#"
        spec.maxReplicas: Invalid value: 0: must be greater than 0
        spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`"#]],
    );
    updates::check(PRIORITY, "{globalDefault: true, description: x}", expect![""]);
    updates::check(
        PRIORITY,
        "{value: 1, preemptionPolicy: Never}",
        expect![[r#"
        value: Forbidden: may not be changed in an update.
        preemptionPolicy: Invalid value: "Never": field is immutable"#]],
    );
    updates::check(RUNTIME, "{handler: other}", expect![[r#"handler: Invalid value: "other": field is immutable"#]]);
}

#[test]
fn rows() {
    tables::check(
        "
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: web}
        spec:
          scaleTargetRef: {kind: Deployment, name: web}
          minReplicas: 2
          maxReplicas: 5
          metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
        status:
          currentReplicas: 3
          currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 40, averageValue: 200m}}}]
        ",
        expect![[r#"Name="web" Reference="Deployment/web" Targets="cpu: 40%/80%" MinPods="2" MaxPods=5 Replicas=3 Age="<unknown>""#]],
    );
    tables::check(
        &autoscaler(
            "metrics: [{type: Pods, pods: {metric: {name: hits}, target: {type: AverageValue, averageValue: 100}}},
             {type: External, external: {metric: {name: depth}, target: {type: AverageValue, averageValue: 30}}},
             {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}}]",
        ),
        expect![[
            r#"Name="web" Reference="Deployment/web" Targets="<unknown>/100, <unknown>/30 (avg) + 1 more..." MinPods="<unset>" MaxPods=5 Replicas=0 Age="<unknown>""#
        ]],
    );
    tables::check(
        &autoscaler(
            "metrics: [{type: Object, object: {describedObject: {kind: Service, name: web}, metric: {name: hits}, target: {type: Value, value: 2k}}},
             {type: ContainerResource, containerResource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}}]",
        ),
        expect![[r#"Name="web" Reference="Deployment/web" Targets="<unknown>/2k, memory: <unknown>/1Gi" MinPods="<unset>" MaxPods=5 Replicas=0 Age="<unknown>""#]],
    );
    tables::check(
        BUDGET,
        expect![[r#"Name="b" Min Available="1" Max Unavailable="N/A" Allowed Disruptions=0 Age="<unknown>""#]],
    );
    tables::check(
        &budget("maxUnavailable: 25%"),
        expect![[r#"Name="b" Min Available="N/A" Max Unavailable="25%" Allowed Disruptions=0 Age="<unknown>""#]],
    );
    tables::check(
        &PRIORITY.replace("value", "globalDefault: true, value"),
        expect![[r#"Name="high" Value=1000 Global-Default=true Age="<unknown>""#]],
    );
    tables::check(RUNTIME, expect![[r#"Name="fast" Handler="wasm" Age="<unknown>""#]]);
}
