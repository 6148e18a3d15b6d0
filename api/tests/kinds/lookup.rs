//! Kinds are found by every name that clients and people use.

use coracle_api::kind::Subresource;
use coracle_api::kinds;
use expect_test::expect;

#[test]
fn people_name_kinds_in_many_ways() {
    let names = [
        "po",
        "pod",
        "Pods",
        "Deployment",
        "deploy",
        "deployments.apps",
        "deployments.v1.apps",
        "deployments.v2.apps",
        "rs",
        "svc",
        "ns",
        "no",
        "cm",
        "sa",
        "ev",
        "ing",
        "secret",
        "lease",
        "endpointslices",
        "sts",
        "ds",
        "job",
        "cj",
        "hpa",
        "pdb",
        "pc",
        "podtemplate",
        "pods.apps",
        "horses",
        "",
    ];
    let found = names
        .map(|name| format!("{name}: {}", kinds::by_any_name(name).map_or_else(|| "-".into(), |kind| kind.resource())));
    expect![[r#"
        po: pods
        pod: pods
        Pods: pods
        Deployment: deployments.apps
        deploy: deployments.apps
        deployments.apps: deployments.apps
        deployments.v1.apps: deployments.apps
        deployments.v2.apps: -
        rs: replicasets.apps
        svc: services
        ns: namespaces
        no: nodes
        cm: configmaps
        sa: serviceaccounts
        ev: events
        ing: ingresses.networking.k8s.io
        secret: secrets
        lease: leases.coordination.k8s.io
        endpointslices: endpointslices.discovery.k8s.io
        sts: statefulsets.apps
        ds: daemonsets.apps
        job: jobs.batch
        cj: cronjobs.batch
        hpa: horizontalpodautoscalers.autoscaling
        pdb: poddisruptionbudgets.policy
        pc: priorityclasses.scheduling.k8s.io
        podtemplate: podtemplates
        pods.apps: -
        horses: -
        : -"#]]
    .assert_eq(&found.join("\n"));
}

#[test]
fn machines_name_kinds_exactly() {
    for kind in kinds::ALL {
        assert_eq!(kinds::by_resource(kind.group, kind.version, kind.plural), Some(*kind));
        assert_eq!(kinds::by_api_version(&kind.api_version(), kind.kind), Some(*kind));
        assert_eq!(kinds::by_kind(Some(kind.group), kind.kind), Some(*kind));
    }
    assert_eq!(kinds::by_api_version("apps/v1beta1", "Deployment"), None);
    assert_eq!(kinds::by_api_version("v1", "Deployment"), None);
}

#[test]
fn the_table_of_kinds() {
    let lines: Vec<String> = kinds::ALL
        .iter()
        .map(|kind| {
            let subresources: Vec<&str> = kind.subresources.iter().map(|subresource| subresource.as_str()).collect();
            format!(
                "{} {} {} {} [{}] [{}]",
                kind.resource(),
                kind.api_version(),
                kind.kind,
                kind.key(Some("ns"), "name"),
                kind.short_names.join(","),
                subresources.join(",")
            )
        })
        .collect();
    expect![[r#"
        configmaps v1 ConfigMap configmaps/ns/name [cm] []
        endpoints v1 Endpoints endpoints/ns/name [ep] []
        events v1 Event events/ns/name [ev] []
        limitranges v1 LimitRange limitranges/ns/name [limits] []
        namespaces v1 Namespace namespaces/name [ns] [status]
        nodes v1 Node nodes/name [no] [status]
        persistentvolumeclaims v1 PersistentVolumeClaim persistentvolumeclaims/ns/name [pvc] [status]
        persistentvolumes v1 PersistentVolume persistentvolumes/name [pv] [status]
        pods v1 Pod pods/ns/name [po] [status,log,binding,eviction,attach,exec,portforward]
        podtemplates v1 PodTemplate podtemplates/ns/name [] []
        replicationcontrollers v1 ReplicationController replicationcontrollers/ns/name [rc] [status,scale]
        resourcequotas v1 ResourceQuota resourcequotas/ns/name [quota] [status]
        secrets v1 Secret secrets/ns/name [] []
        serviceaccounts v1 ServiceAccount serviceaccounts/ns/name [sa] [token]
        services v1 Service services/ns/name [svc] [status]
        validatingadmissionpolicies.admissionregistration.k8s.io admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy validatingadmissionpolicies.admissionregistration.k8s.io/name [] [status]
        validatingadmissionpolicybindings.admissionregistration.k8s.io admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings.admissionregistration.k8s.io/name [] []
        controllerrevisions.apps apps/v1 ControllerRevision controllerrevisions.apps/ns/name [] []
        daemonsets.apps apps/v1 DaemonSet daemonsets.apps/ns/name [ds] [status]
        deployments.apps apps/v1 Deployment deployments.apps/ns/name [deploy] [status,scale]
        replicasets.apps apps/v1 ReplicaSet replicasets.apps/ns/name [rs] [status,scale]
        statefulsets.apps apps/v1 StatefulSet statefulsets.apps/ns/name [sts] [status,scale]
        horizontalpodautoscalers.autoscaling autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers.autoscaling/ns/name [hpa] [status]
        cronjobs.batch batch/v1 CronJob cronjobs.batch/ns/name [cj] [status]
        jobs.batch batch/v1 Job jobs.batch/ns/name [] [status]
        certificatesigningrequests.certificates.k8s.io certificates.k8s.io/v1 CertificateSigningRequest certificatesigningrequests.certificates.k8s.io/name [csr] [status,approval]
        leases.coordination.k8s.io coordination.k8s.io/v1 Lease leases.coordination.k8s.io/ns/name [] []
        endpointslices.discovery.k8s.io discovery.k8s.io/v1 EndpointSlice endpointslices.discovery.k8s.io/ns/name [] []
        ingressclasses.networking.k8s.io networking.k8s.io/v1 IngressClass ingressclasses.networking.k8s.io/name [] []
        ingresses.networking.k8s.io networking.k8s.io/v1 Ingress ingresses.networking.k8s.io/ns/name [ing] [status]
        runtimeclasses.node.k8s.io node.k8s.io/v1 RuntimeClass runtimeclasses.node.k8s.io/name [] []
        poddisruptionbudgets.policy policy/v1 PodDisruptionBudget poddisruptionbudgets.policy/ns/name [pdb] [status]
        priorityclasses.scheduling.k8s.io scheduling.k8s.io/v1 PriorityClass priorityclasses.scheduling.k8s.io/name [pc] []
        clusterrolebindings.rbac.authorization.k8s.io rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings.rbac.authorization.k8s.io/name [] []
        clusterroles.rbac.authorization.k8s.io rbac.authorization.k8s.io/v1 ClusterRole clusterroles.rbac.authorization.k8s.io/name [] []
        rolebindings.rbac.authorization.k8s.io rbac.authorization.k8s.io/v1 RoleBinding rolebindings.rbac.authorization.k8s.io/ns/name [] []
        roles.rbac.authorization.k8s.io rbac.authorization.k8s.io/v1 Role roles.rbac.authorization.k8s.io/ns/name [] []
        storageclasses.storage.k8s.io storage.k8s.io/v1 StorageClass storageclasses.storage.k8s.io/name [sc] []
        customresourcedefinitions.apiextensions.k8s.io apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions.apiextensions.k8s.io/name [crd,crds] [status]
        jointokens.coracle.dev coracle.dev/v1 JoinToken jointokens.coracle.dev/name [] []"#]]
    .assert_eq(&lines.join("\n"));
    let all: Vec<&str> =
        kinds::ALL.iter().filter(|kind| kind.categories.contains(&"all")).map(|kind| kind.plural).collect();
    expect!["pods replicationcontrollers services daemonsets deployments replicasets statefulsets horizontalpodautoscalers cronjobs jobs"]
        .assert_eq(&all.join(" "));
}

#[test]
fn keys_and_prefixes() {
    let pod = &kinds::POD;
    expect!["pods/ pods/default/ nodes/ nodes/"].assert_eq(&format!(
        "{} {} {} {}",
        pod.prefix(None),
        pod.prefix(Some("default")),
        kinds::NODE.prefix(None),
        kinds::NODE.prefix(Some("default")),
    ));
    assert!(pod.has(Subresource::Log) && !pod.has(Subresource::Scale));
}

#[test]
fn every_definition_is_in_the_schema() {
    for kind in kinds::ALL {
        assert!(coracle_api::schema::definition(kind.definition).is_some(), "{}", kind.definition);
    }
}

#[test]
fn tags_follow_what_watchers_ask_for() {
    let tags = |manifest: &str| {
        let object = crate::object(manifest);
        (crate::kind_of(&object).tags)(&object).join(" ")
    };
    expect!["spec.nodeName=n1"].assert_eq(&tags("{apiVersion: v1, kind: Pod, spec: {nodeName: n1}}"));
    expect!["spec.nodeName="].assert_eq(&tags("{apiVersion: v1, kind: Pod, spec: {}}"));
    expect!["globalDefault=true"]
        .assert_eq(&tags("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, globalDefault: true}"));
    expect!["involvedObject.name=web involvedObject.uid=u1"]
        .assert_eq(&tags("{apiVersion: v1, kind: Event, involvedObject: {name: web, uid: u1, kind: Pod}}"));
}

#[test]
fn who_asks_for_what_nobody_does_is_told() {
    let names: Vec<&str> = kinds::ALL.iter().filter(|kind| kind.awaits_controller).map(|kind| kind.kind).collect();
    expect!["PersistentVolumeClaim PersistentVolume DaemonSet StatefulSet HorizontalPodAutoscaler CronJob Job"]
        .assert_eq(&names.join(" "));
}
