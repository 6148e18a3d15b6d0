//! Jobs and cron jobs.

use coracle_api::selector::FieldSelector;
use expect_test::expect;

use crate::{defaults, object, tables, updates, validation};

const JOB: &str = "
    {apiVersion: batch/v1, kind: Job, metadata: {name: pi, uid: u1}, spec: {
     template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'x:1'}]}}}}";
const CRON_JOB: &str = "
    {apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {schedule: '0 3 * * *',
     jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'x:1'}]}}}}}}";

fn job(spec: &str) -> String {
    JOB.replace("spec: {\n", &format!("spec: {{{spec},\n"))
}

fn indexed_job(spec: &str) -> String {
    job(&format!("completionMode: Indexed, completions: 5, {spec}"))
}

fn cron_job(spec: &str) -> String {
    CRON_JOB.replace("schedule: '0 3 * * *'", spec)
}

#[test]
fn jobs_mean() {
    defaults::check(
        JOB,
        expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          labels:
            batch.kubernetes.io/controller-uid: u1
            batch.kubernetes.io/job-name: pi
            controller-uid: u1
            job-name: pi
          name: pi
          namespace: default
          uid: u1
        spec:
          backoffLimit: 6
          completionMode: NonIndexed
          completions: 1
          manualSelector: false
          parallelism: 1
          podReplacementPolicy: TerminatingOrFailed
          selector:
            matchLabels:
              batch.kubernetes.io/controller-uid: u1
          suspend: false
          template:
            metadata:
              labels:
                batch.kubernetes.io/controller-uid: u1
                batch.kubernetes.io/job-name: pi
                controller-uid: u1
                job-name: pi
            spec:
              containers:
              - image: x:1
                imagePullPolicy: IfNotPresent
                name: c
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              restartPolicy: Never
              schedulerName: default-scheduler
              securityContext: {}
              terminationGracePeriodSeconds: 30
        status: {}
    "#]],
    );
    defaults::check(
        "
        apiVersion: batch/v1
        kind: Job
        metadata: {name: pi, uid: u1, labels: {mine: 'yes'}}
        spec:
          parallelism: 2
          completionMode: Indexed
          backoffLimitPerIndex: 1
          manualSelector: true
          selector: {matchLabels: {app: pi}}
          podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}
          template: {metadata: {labels: {app: pi}}, spec: {restartPolicy: Never, containers: []}}
        ",
        expect![[r#"
            apiVersion: batch/v1
            kind: Job
            metadata:
              labels:
                mine: "yes"
              name: pi
              namespace: default
              uid: u1
            spec:
              backoffLimit: 2147483647
              backoffLimitPerIndex: 1
              completionMode: Indexed
              manualSelector: true
              parallelism: 2
              podFailurePolicy:
                rules:
                - action: Ignore
                  onPodConditions:
                  - status: "True"
                    type: DisruptionTarget
              podReplacementPolicy: Failed
              selector:
                matchLabels:
                  app: pi
              suspend: false
              template:
                metadata:
                  labels:
                    app: pi
                spec:
                  containers: []
                  dnsPolicy: ClusterFirst
                  restartPolicy: Never
                  schedulerName: default-scheduler
                  securityContext: {}
                  terminationGracePeriodSeconds: 30
            status: {}
        "#]],
    );
}

#[test]
fn cron_jobs_mean() {
    defaults::check(
        CRON_JOB,
        expect![[r#"
        apiVersion: batch/v1
        kind: CronJob
        metadata:
          name: nightly
          namespace: default
        spec:
          concurrencyPolicy: Allow
          failedJobsHistoryLimit: 1
          jobTemplate:
            spec:
              template:
                spec:
                  containers:
                  - image: x:1
                    imagePullPolicy: IfNotPresent
                    name: c
                    resources: {}
                    terminationMessagePath: /dev/termination-log
                    terminationMessagePolicy: File
                  dnsPolicy: ClusterFirst
                  restartPolicy: Never
                  schedulerName: default-scheduler
                  securityContext: {}
                  terminationGracePeriodSeconds: 30
          schedule: 0 3 * * *
          successfulJobsHistoryLimit: 3
          suspend: false
        status: {}
    "#]],
    );
}

#[test]
fn jobs_are_refused() {
    validation::check(JOB, expect![""]);
    validation::check(
        "{apiVersion: batch/v1, kind: Job, metadata: {name: pi, uid: u1}}",
        expect![[r#"
        spec.template.spec.containers: Required value
        spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#]],
    );
    validation::check(
        &job(
            "parallelism: -1, completions: -1, activeDeadlineSeconds: -1, backoffLimit: -1, ttlSecondsAfterFinished: -1, \
             maxFailedIndexes: -1, completionMode: Odd, managedBy: me, podReplacementPolicy: Never",
        ),
        expect![[r#"
            spec.parallelism: Invalid value: -1: must be greater than or equal to 0
            spec.completions: Invalid value: -1: must be greater than or equal to 0
            spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0
            spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0
            spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0
            spec.maxFailedIndexes: Invalid value: -1: must be greater than or equal to 0
            spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified
            spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")
            spec.completionMode: Unsupported value: "Odd": supported values: "NonIndexed", "Indexed"
            spec.podReplacementPolicy: Unsupported value: "Never": supported values: "Failed", "TerminatingOrFailed""#]],
    );
    validation::check(
        &job("backoffLimitPerIndex: 1, maxFailedIndexes: 1, managedBy: Acme/x, successPolicy: {rules: []}"),
        expect![[r#"
            spec.managedBy: Invalid value: "Acme": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode
            spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode
            spec.successPolicy: Invalid value: {"rules":[]}: requires indexed completion mode"#]],
    );
    validation::check(
        &JOB.replace("restartPolicy: Never", "restartPolicy: Sometimes"),
        expect![[r#"
        spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"
        spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "OnFailure", "Never""#]],
    );
    validation::check(
        &job("manualSelector: true, selector: {matchLabels: {a: b}}"),
        expect![
            "spec.template.metadata.labels: Invalid value: map[string]string(nil): `selector` does not match template `labels`"
        ],
    );
}

#[test]
fn a_job_selects_its_own_pods() {
    validation::check(
        &job("selector: {matchLabels: {app: pi}}"),
        expect![[r#"
        spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"app":"pi", "batch.kubernetes.io/controller-uid":"u1"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: `selector` not auto-generated
        spec.template.metadata.labels: Invalid value: map[string]string{"batch.kubernetes.io/controller-uid":"u1", "batch.kubernetes.io/job-name":"pi", "controller-uid":"u1", "job-name":"pi"}: `selector` does not match template `labels`"#]],
    );
    validation::check(
        &JOB.replace("template: {", "template: {metadata: {labels: {job-name: other, controller-uid: u2}}, "),
        expect![[r#"
            spec.template.metadata.labels[controller-uid]: Invalid value: map[string]string{"batch.kubernetes.io/controller-uid":"u1", "batch.kubernetes.io/job-name":"pi", "controller-uid":"u2", "job-name":"other"}: must be 'u1'
            spec.template.metadata.labels[job-name]: Invalid value: map[string]string{"batch.kubernetes.io/controller-uid":"u1", "batch.kubernetes.io/job-name":"pi", "controller-uid":"u2", "job-name":"other"}: must be 'pi'"#]],
    );
}

#[test]
fn indexed_jobs_are_refused() {
    validation::check(&job("completionMode: Indexed"), expect![""]);
    validation::check(
        &job("completionMode: Indexed, parallelism: 100001"),
        expect![[r#"
        spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed
        spec.completions: Required value: when completion mode is Indexed"#]],
    );
    validation::check(
        &job("completionMode: Indexed, completions: 100001, parallelism: 10001, backoffLimitPerIndex: 1"),
        expect![[r#"
            spec.maxFailedIndexes: Required value: must be specified when completions is above 100000
            spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"#]],
    );
    validation::check(
        &indexed_job("backoffLimitPerIndex: 1, maxFailedIndexes: 6"),
        expect!["spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"],
    );
    let long = "x".repeat(62);
    validation::check(
        &indexed_job("parallelism: 1").replace("name: pi", &format!("name: {long}")),
        expect![[
            r#"metadata.name: Invalid value: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": will not able to create pod with invalid DNS label: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-4"#
        ]],
    );
}

#[test]
fn policies_of_jobs_are_refused() {
    validation::check(
        &job("podFailurePolicy: {rules: [
              {action: Count, onExitCodes: {operator: In, values: [0, 3, 1, 3], containerName: z}},
              {action: FailIndex, onPodConditions: [{type: 'a b', status: Maybe}]},
              {onExitCodes: {values: []}, onPodConditions: [{type: Ready}]},
              {action: Retry}]}, podReplacementPolicy: TerminatingOrFailed")
        .replace("restartPolicy: Never", "restartPolicy: OnFailure"),
        expect![[r#"
            spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "z": must be one of the container or initContainer names in the pod template
            spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator
            spec.podFailurePolicy.rules[0].onExitCodes.values[3]: Duplicate value: 3
            spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [0,3,1,3]: must be ordered
            spec.podFailurePolicy.rules[1].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set
            spec.podFailurePolicy.rules[1].onPodConditions[0].type: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.podFailurePolicy.rules[1].onPodConditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"
            spec.podFailurePolicy.rules[2].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]
            spec.podFailurePolicy.rules[2].onExitCodes.operator: Required value: valid values: ["In" "NotIn"]
            spec.podFailurePolicy.rules[2].onExitCodes.values: Invalid value: []: at least one value is required
            spec.podFailurePolicy.rules[2]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported
            spec.podFailurePolicy.rules[3].action: Unsupported value: "Retry": supported values: "Count", "FailIndex", "FailJob", "Ignore"
            spec.podFailurePolicy.rules[3]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required
            spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"
            spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified"#]],
    );
    validation::check(
        &indexed_job("successPolicy: {rules: [{succeededIndexes: '0,2-4', succeededCount: 3}]}"),
        expect![""],
    );
    validation::check(
        &indexed_job(
            "successPolicy: {rules: [{}, {succeededCount: 6}, {succeededIndexes: '0,2-3', succeededCount: 4},
             {succeededIndexes: 3-1}, {succeededIndexes: '2,2'}, {succeededIndexes: 1-2-3}, {succeededIndexes: '5'}, {succeededIndexes: x}]}",
        ),
        expect![[r#"
            spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified
            spec.successPolicy.rules[1].succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)
            spec.successPolicy.rules[2].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of indexes in the specified succeededIndexes field)
            spec.successPolicy.rules[3].succeededIndexes: Invalid value: "3-1": error parsing succeededIndexes: non-increasing order, previous: 3, current: 1
            spec.successPolicy.rules[4].succeededIndexes: Invalid value: "2,2": error parsing succeededIndexes: non-increasing order, previous: 2, current: 2
            spec.successPolicy.rules[5].succeededIndexes: Invalid value: "1-2-3": error parsing succeededIndexes: the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by '-'
            spec.successPolicy.rules[6].succeededIndexes: Invalid value: "5": error parsing succeededIndexes: too large index: "5"
            spec.successPolicy.rules[7].succeededIndexes: Invalid value: "x": error parsing succeededIndexes: cannot convert string to integer for index: "x""#]],
    );
    validation::check(
        &indexed_job("successPolicy: {rules: []}"),
        expect![
            "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified"
        ],
    );
}

#[test]
fn cron_jobs_are_refused() {
    validation::check(CRON_JOB, expect![""]);
    validation::check(&cron_job("schedule: '@daily', timeZone: Europe/Rome"), expect![""]);
    validation::check(
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}}",
        expect![[r#"
        spec.schedule: Required value
        spec.jobTemplate.spec.template.spec.containers: Required value
        spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#]],
    );
    validation::check(
        &cron_job(
            "schedule: 61 * * * *, timeZone: Europe/Atlantis, concurrencyPolicy: Queue, startingDeadlineSeconds: -1, \
             successfulJobsHistoryLimit: -1, failedJobsHistoryLimit: -1",
        ),
        expect![[r#"
            spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61
            spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0
            spec.timeZone: Invalid value: "Europe/Atlantis": unknown time zone Europe/Atlantis
            spec.concurrencyPolicy: Unsupported value: "Queue": supported values: "Allow", "Forbid", "Replace"
            spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0
            spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"#]],
    );
    validation::check(
        &cron_job("schedule: TZ=Europe/Rome 0 3 * * *, timeZone: local"),
        expect![[r#"
        spec.schedule: Invalid value: "TZ=Europe/Rome 0 3 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead
        spec.timeZone: Invalid value: "local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"#]],
    );
    let in_zone = |zone: &str| cron_job(&format!("schedule: '@daily', timeZone: {zone}"));
    validation::check(
        &in_zone("''"),
        expect![[r#"spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string"#]],
    );
    validation::check(
        &in_zone("europe/rome"),
        expect![[r#"spec.timeZone: Invalid value: "europe/rome": unknown time zone europe/rome"#]],
    );
    validation::check(
        &in_zone("/etc/passwd"),
        expect![[r#"spec.timeZone: Invalid value: "/etc/passwd": unknown time zone /etc/passwd"#]],
    );
    let template = "jobTemplate: {spec: {selector: {matchLabels: {a: b}}, manualSelector: true, ";
    validation::check(
        &CRON_JOB.replace("jobTemplate: {spec: {", template),
        expect![[r#"
        spec.jobTemplate.spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"a":"b"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: `selector` will be auto-generated
        spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false""#]],
    );
    validation::check(&CRON_JOB.replace("nightly", &"n".repeat(52)), expect![""]);
    validation::check(
        &CRON_JOB.replace("nightly", &"n".repeat(53)),
        expect![[
            r#"metadata.name: Invalid value: "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn": must be no more than 52 characters"#
        ]],
    );
}

#[test]
fn what_may_change() {
    updates::check(JOB, "{spec: {parallelism: 3, suspend: true, ttlSecondsAfterFinished: 5}}", expect![""]);
    updates::check(JOB, "{spec: {completions: 2}}", expect!["spec.completions: Invalid value: 2: field is immutable"]);
    updates::check(JOB, "{spec: {selector: null}}", expect![""]);
    updates::check(
        JOB,
        "{spec: {completionMode: Indexed, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}}}}",
        expect![[r#"
            spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"a":"b", "batch.kubernetes.io/controller-uid":"u1"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: `selector` not auto-generated
            spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"a":"b", "batch.kubernetes.io/controller-uid":"u1"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable
            spec.template: Invalid value: {"metadata":{"labels":{"a":"b","batch.kubernetes.io/controller-uid":"u1","batch.kubernetes.io/job-name":"pi","controller-uid":"u1","job-name":"pi"}},"spec":{"containers":[{"image":"x:1","imagePullPolicy":"IfNotPresent","name":"c","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Never","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}: field is immutable
            spec.completionMode: Invalid value: "Indexed": field is immutable"#]],
    );
    updates::check(
        &indexed_job("parallelism: 5"),
        "{spec: {completions: 7}}",
        expect!["spec.completions: Invalid value: 7: can only be modified in tandem with spec.parallelism"],
    );
    updates::check(&indexed_job("parallelism: 5"), "{spec: {completions: 7, parallelism: 7}}", expect![""]);
    let moved = "{spec: {template: {spec: {nodeSelector: {disk: ssd}, tolerations: [{operator: Exists}], affinity: {nodeAffinity: {}}}}}}";
    updates::check(&job("suspend: true"), moved, expect![""]);
    updates::check(
        &job("suspend: true"),
        "{spec: {template: {spec: {dnsPolicy: Default}}}}",
        expect![[
            r#"spec.template: Invalid value: {"metadata":{"labels":{"batch.kubernetes.io/controller-uid":"u1","batch.kubernetes.io/job-name":"pi","controller-uid":"u1","job-name":"pi"}},"spec":{"containers":[{"image":"x:1","imagePullPolicy":"IfNotPresent","name":"c","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"Default","restartPolicy":"Never","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}: field is immutable"#
        ]],
    );
    updates::check(CRON_JOB, "{spec: {schedule: '@hourly', suspend: true}}", expect![""]);
}

#[test]
fn rows() {
    let row = |spec: &str, status: &str| {
        format!(
            "{}\nstatus: {{{status}}}",
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {SPEC}".replace("SPEC", spec)
        )
    };
    tables::check(
        &row(
            "completions: 3, selector: {matchLabels: {a: b}}, template: {spec: {containers: [{name: c, image: x}]}}",
            "succeeded: 1, startTime: '2026-11-21T01:40:00Z'",
        ),
        expect![[
            r#"Name="j" Completions="1/3" Duration="9m51s" Age="<unknown>" Containers="c" Images="x" Selector="a=b""#
        ]],
    );
    tables::check(
        &row("parallelism: 4", "startTime: '2026-11-21T01:40:00Z', completionTime: '2026-11-21T01:40:47Z'"),
        expect![[
            r#"Name="j" Completions="0/1 of 4" Duration="47s" Age="<unknown>" Containers="" Images="" Selector="<none>""#
        ]],
    );
    tables::check(
        &row("parallelism: 1", ""),
        expect![[
            r#"Name="j" Completions="0/1" Duration="" Age="<unknown>" Containers="" Images="" Selector="<none>""#
        ]],
    );
    tables::check(
        CRON_JOB,
        expect![[
            r#"Name="nightly" Schedule="0 3 * * *" Suspend="<unset>" Active=0 Last Schedule="<none>" Age="<unknown>" Containers="c" Images="x:1" Selector="<none>""#
        ]],
    );
    tables::check(
        "
        {apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {schedule: '@daily', suspend: true},
         status: {active: [{name: a}, {name: b}], lastScheduleTime: '2026-11-21T01:48:51Z'}}
        ",
        expect![[
            r#"Name="c" Schedule="@daily" Suspend="True" Active=2 Last Schedule="60s" Age="<unknown>" Containers="" Images="" Selector="<none>""#
        ]],
    );
}

#[test]
fn jobs_are_selected_by_how_many_pods_succeeded() {
    let matches = |selector: &str, status: &str| {
        let job = object(&format!("{{status: {status}}}"));
        FieldSelector::parse(selector).unwrap().matches(&job)
    };
    assert!(matches("status.successful=0", "{}"));
    assert!(matches("status.successful=2", "{succeeded: 2}"));
    assert!(matches("status.successful!=0", "{succeeded: 2}"));
    assert!(!matches("status.successful=0", "{succeeded: 2}"));
}
