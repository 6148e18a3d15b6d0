//! What is served, in both forms; health, version and figures.

use axum::body::Body;
use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::Server;

fn resources(list: &Value) -> String {
    let resources = list["resources"].as_array().unwrap().iter();
    let lines = resources.map(|resource| {
        let verbs: Vec<&str> =
            resource["verbs"].as_array().unwrap().iter().map(|verb| verb.as_str().unwrap()).collect();
        let scope = if resource["namespaced"] == true { "namespaced" } else { "cluster" };
        let (name, kind) = (resource["name"].as_str().unwrap(), resource["kind"].as_str().unwrap());
        format!("{name} {kind} {scope} {} {}\n", resource["shortNames"], verbs.join(","))
    });
    lines.collect()
}

#[tokio::test]
async fn the_old_form_lists_groups_and_their_versions() {
    let server = Server::start().await;
    expect![[r#"200 {"kind":"APIVersions","serverAddressByClientCIDRs":[],"versions":["v1"]}"#]]
        .assert_eq(&server.shown("GET /api", Value::Null).await);
    expect![[r#"200 {"apiVersion":"v1","groups":[{"name":"admissionregistration.k8s.io","preferredVersion":{"groupVersion":"admissionregistration.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"admissionregistration.k8s.io/v1","version":"v1"}]},{"name":"apps","preferredVersion":{"groupVersion":"apps/v1","version":"v1"},"versions":[{"groupVersion":"apps/v1","version":"v1"}]},{"name":"autoscaling","preferredVersion":{"groupVersion":"autoscaling/v2","version":"v2"},"versions":[{"groupVersion":"autoscaling/v2","version":"v2"}]},{"name":"batch","preferredVersion":{"groupVersion":"batch/v1","version":"v1"},"versions":[{"groupVersion":"batch/v1","version":"v1"}]},{"name":"certificates.k8s.io","preferredVersion":{"groupVersion":"certificates.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"certificates.k8s.io/v1","version":"v1"}]},{"name":"coordination.k8s.io","preferredVersion":{"groupVersion":"coordination.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"coordination.k8s.io/v1","version":"v1"}]},{"name":"discovery.k8s.io","preferredVersion":{"groupVersion":"discovery.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"discovery.k8s.io/v1","version":"v1"}]},{"name":"networking.k8s.io","preferredVersion":{"groupVersion":"networking.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"networking.k8s.io/v1","version":"v1"}]},{"name":"node.k8s.io","preferredVersion":{"groupVersion":"node.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"node.k8s.io/v1","version":"v1"}]},{"name":"policy","preferredVersion":{"groupVersion":"policy/v1","version":"v1"},"versions":[{"groupVersion":"policy/v1","version":"v1"}]},{"name":"scheduling.k8s.io","preferredVersion":{"groupVersion":"scheduling.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"scheduling.k8s.io/v1","version":"v1"}]},{"name":"rbac.authorization.k8s.io","preferredVersion":{"groupVersion":"rbac.authorization.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"rbac.authorization.k8s.io/v1","version":"v1"}]},{"name":"storage.k8s.io","preferredVersion":{"groupVersion":"storage.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"storage.k8s.io/v1","version":"v1"}]},{"name":"apiextensions.k8s.io","preferredVersion":{"groupVersion":"apiextensions.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"apiextensions.k8s.io/v1","version":"v1"}]},{"name":"coracle.dev","preferredVersion":{"groupVersion":"coracle.dev/v1","version":"v1"},"versions":[{"groupVersion":"coracle.dev/v1","version":"v1"}]},{"name":"authentication.k8s.io","preferredVersion":{"groupVersion":"authentication.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"authentication.k8s.io/v1","version":"v1"}]},{"name":"authorization.k8s.io","preferredVersion":{"groupVersion":"authorization.k8s.io/v1","version":"v1"},"versions":[{"groupVersion":"authorization.k8s.io/v1","version":"v1"}]},{"name":"metrics.k8s.io","preferredVersion":{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"},"versions":[{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}]}],"kind":"APIGroupList"}"#]].assert_eq(&server.shown("GET /apis", Value::Null).await);
    expect![[r#"200 {"apiVersion":"v1","kind":"APIGroup","name":"apps","preferredVersion":{"groupVersion":"apps/v1","version":"v1"},"versions":[{"groupVersion":"apps/v1","version":"v1"}]}"#]].assert_eq(&server.shown("GET /apis/apps", Value::Null).await);
    expect!["404 the server could not find the requested resource"]
        .assert_eq(&server.outcome("GET /apis/apps/v2", Value::Null).await);
    expect!["404 the server could not find the requested resource"]
        .assert_eq(&server.outcome("GET /apis/nothing", Value::Null).await);
    expect!["405 the server does not allow this method on the requested resource"]
        .assert_eq(&server.outcome("POST /apis", Value::Null).await);
}

#[tokio::test]
async fn the_old_form_lists_the_resources_of_a_version() {
    let server = Server::start().await;
    let (_, core) = server.json("GET /api/v1", Value::Null).await;
    expect![[r#"
        configmaps ConfigMap namespaced ["cm"] create,delete,deletecollection,get,list,patch,update,watch
        endpoints Endpoints namespaced ["ep"] create,delete,deletecollection,get,list,patch,update,watch
        events Event namespaced ["ev"] create,delete,deletecollection,get,list,patch,update,watch
        limitranges LimitRange namespaced ["limits"] create,delete,deletecollection,get,list,patch,update,watch
        namespaces Namespace cluster ["ns"] create,delete,get,list,patch,update,watch
        namespaces/finalize Namespace cluster null update
        namespaces/status Namespace cluster null get,patch,update
        nodes Node cluster ["no"] create,delete,deletecollection,get,list,patch,update,watch
        nodes/status Node cluster null get,patch,update
        persistentvolumeclaims PersistentVolumeClaim namespaced ["pvc"] create,delete,deletecollection,get,list,patch,update,watch
        persistentvolumeclaims/status PersistentVolumeClaim namespaced null get,patch,update
        persistentvolumes PersistentVolume cluster ["pv"] create,delete,deletecollection,get,list,patch,update,watch
        persistentvolumes/status PersistentVolume cluster null get,patch,update
        pods Pod namespaced ["po"] create,delete,deletecollection,get,list,patch,update,watch
        pods/attach PodAttachOptions namespaced null create,get
        pods/binding Binding namespaced null create
        pods/eviction Eviction namespaced null create
        pods/exec PodExecOptions namespaced null create,get
        pods/log Pod namespaced null get
        pods/portforward PodPortForwardOptions namespaced null create,get
        pods/status Pod namespaced null get,patch,update
        podtemplates PodTemplate namespaced null create,delete,deletecollection,get,list,patch,update,watch
        replicationcontrollers ReplicationController namespaced ["rc"] create,delete,deletecollection,get,list,patch,update,watch
        replicationcontrollers/scale Scale namespaced null get,patch,update
        replicationcontrollers/status ReplicationController namespaced null get,patch,update
        resourcequotas ResourceQuota namespaced ["quota"] create,delete,deletecollection,get,list,patch,update,watch
        resourcequotas/status ResourceQuota namespaced null get,patch,update
        secrets Secret namespaced null create,delete,deletecollection,get,list,patch,update,watch
        serviceaccounts ServiceAccount namespaced ["sa"] create,delete,deletecollection,get,list,patch,update,watch
        serviceaccounts/token TokenRequest namespaced null create
        services Service namespaced ["svc"] create,delete,deletecollection,get,list,patch,update,watch
        services/status Service namespaced null get,patch,update
    "#]]
    .assert_eq(&resources(&core));
    let (_, apps) = server.json("GET /apis/apps/v1", Value::Null).await;
    expect![[r#"
        controllerrevisions ControllerRevision namespaced null create,delete,deletecollection,get,list,patch,update,watch
        daemonsets DaemonSet namespaced ["ds"] create,delete,deletecollection,get,list,patch,update,watch
        daemonsets/status DaemonSet namespaced null get,patch,update
        deployments Deployment namespaced ["deploy"] create,delete,deletecollection,get,list,patch,update,watch
        deployments/scale Scale namespaced null get,patch,update
        deployments/status Deployment namespaced null get,patch,update
        replicasets ReplicaSet namespaced ["rs"] create,delete,deletecollection,get,list,patch,update,watch
        replicasets/scale Scale namespaced null get,patch,update
        replicasets/status ReplicaSet namespaced null get,patch,update
        statefulsets StatefulSet namespaced ["sts"] create,delete,deletecollection,get,list,patch,update,watch
        statefulsets/scale Scale namespaced null get,patch,update
        statefulsets/status StatefulSet namespaced null get,patch,update
    "#]]
    .assert_eq(&resources(&apps));
    let (_, ours) = server.json("GET /apis/coracle.dev/v1", Value::Null).await;
    expect![[r#"
        jointokens JoinToken cluster null create,delete,deletecollection,get,list,patch,update,watch
        batches Batch cluster null create
        secretkeyrotations SecretKeyRotation cluster null create
        clustersnapshots ClusterSnapshot cluster null create
    "#]]
    .assert_eq(&resources(&ours));
}

#[tokio::test]
async fn what_is_not_served_is_not_found_by_any_verb() {
    let server = Server::start().await;
    let review = "POST /apis/authentication.k8s.io/v1/tokenrequests";
    expect!["404 the server could not find the requested resource"]
        .assert_eq(&server.outcome(review, Value::Null).await);
}

#[tokio::test]
async fn the_aggregated_form_lists_all_at_once() {
    let server = Server::start().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let response = server.send("GET /api", &[("accept", accept)], "").await;
    expect!["application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"]
        .assert_eq(response.headers()["content-type"].to_str().unwrap());
    let (_, text) = server.text("GET /apis", &[("accept", accept)], "").await;
    let groups: Value = serde_json::from_str(&text).unwrap();
    let apps = groups["items"].as_array().unwrap().iter().find(|group| group["metadata"]["name"] == "apps").unwrap();
    expect![[r#"{"metadata":{"creationTimestamp":null,"name":"apps"},"versions":[{"freshness":"Current","resources":[{"resource":"controllerrevisions","responseKind":{"group":"apps","kind":"ControllerRevision","version":"v1"},"scope":"Namespaced","singularResource":"controllerrevision","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]},{"categories":["all"],"resource":"daemonsets","responseKind":{"group":"apps","kind":"DaemonSet","version":"v1"},"scope":"Namespaced","shortNames":["ds"],"singularResource":"daemonset","subresources":[{"responseKind":{"group":"apps","kind":"DaemonSet","version":"v1"},"subresource":"status","verbs":["get","patch","update"]}],"verbs":["create","delete","deletecollection","get","list","patch","update","watch"]},{"categories":["all"],"resource":"deployments","responseKind":{"group":"apps","kind":"Deployment","version":"v1"},"scope":"Namespaced","shortNames":["deploy"],"singularResource":"deployment","subresources":[{"responseKind":{"group":"autoscaling","kind":"Scale","version":"v1"},"subresource":"scale","verbs":["get","patch","update"]},{"responseKind":{"group":"apps","kind":"Deployment","version":"v1"},"subresource":"status","verbs":["get","patch","update"]}],"verbs":["create","delete","deletecollection","get","list","patch","update","watch"]},{"categories":["all"],"resource":"replicasets","responseKind":{"group":"apps","kind":"ReplicaSet","version":"v1"},"scope":"Namespaced","shortNames":["rs"],"singularResource":"replicaset","subresources":[{"responseKind":{"group":"autoscaling","kind":"Scale","version":"v1"},"subresource":"scale","verbs":["get","patch","update"]},{"responseKind":{"group":"apps","kind":"ReplicaSet","version":"v1"},"subresource":"status","verbs":["get","patch","update"]}],"verbs":["create","delete","deletecollection","get","list","patch","update","watch"]},{"categories":["all"],"resource":"statefulsets","responseKind":{"group":"apps","kind":"StatefulSet","version":"v1"},"scope":"Namespaced","shortNames":["sts"],"singularResource":"statefulset","subresources":[{"responseKind":{"group":"autoscaling","kind":"Scale","version":"v1"},"subresource":"scale","verbs":["get","patch","update"]},{"responseKind":{"group":"apps","kind":"StatefulSet","version":"v1"},"subresource":"status","verbs":["get","patch","update"]}],"verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}],"version":"v1"}]}"#]].assert_eq(&apps.to_string());
}

#[tokio::test]
async fn checks_of_health_are_named_and_told() {
    let server = Server::start().await;
    for (path, report) in [
        ("/readyz?verbose", "[+]ping ok\n[+]store ok\nreadyz check passed\n"),
        ("/livez?verbose", "[+]ping ok\nlivez check passed\n"),
        ("/readyz/store", "ok"),
    ] {
        assert_eq!(server.text(&format!("GET {path}"), &[], "").await, (200, report.to_owned()));
    }
    assert_eq!(server.text("GET /livez/store", &[], "").await.0, 404);
}

#[tokio::test]
async fn fixed_paths_answer() {
    let server = Server::start().await;
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(server.text(&format!("GET {path}"), &[], "").await, (200, "ok".to_owned()));
    }
    let (_, version) = server.json("GET /version", Value::Null).await;
    assert!(version["gitVersion"].as_str().unwrap().starts_with("v1.36.0+coracle"), "{version}");
    expect![[r#"200 {"paths":["/.well-known/openid-configuration","/api","/api/v1","/apis","/apis/admissionregistration.k8s.io/v1","/apis/apiextensions.k8s.io/v1","/apis/apps/v1","/apis/authentication.k8s.io/v1","/apis/authorization.k8s.io/v1","/apis/autoscaling/v2","/apis/batch/v1","/apis/certificates.k8s.io/v1","/apis/coordination.k8s.io/v1","/apis/coracle.dev/v1","/apis/discovery.k8s.io/v1","/apis/metrics.k8s.io/v1beta1","/apis/networking.k8s.io/v1","/apis/node.k8s.io/v1","/apis/policy/v1","/apis/rbac.authorization.k8s.io/v1","/apis/scheduling.k8s.io/v1","/apis/storage.k8s.io/v1","/healthz","/livez","/metrics","/openapi/v2","/openapi/v3","/openid/v1/jwks","/readyz","/version"]}"#]].assert_eq(&server.shown("GET /", Value::Null).await);
    let (code, figures) = server.text("GET /metrics", &[], "").await;
    assert_eq!(code, 200);
    assert!(figures.contains("apiserver_request_total{verb=\"path\",resource=\"\",code=\"200\"} 5"), "{figures}");
    assert!(figures.contains("coracle_store_keys 2"), "{figures}");
}

#[tokio::test]
async fn schemas_are_served() {
    let server = Server::start().await;
    let (_, index) = server.json("GET /openapi/v3", Value::Null).await;
    let paths = index["paths"].as_object().unwrap();
    assert!(!paths.is_empty());
    for path in paths.values() {
        let url = path["serverRelativeURL"].as_str().unwrap();
        let (code, document) = server.json(&format!("GET {url}"), Value::Null).await;
        assert_eq!((code, document["openapi"].as_str().is_some()), (200, true), "{url}");
    }
    assert_eq!(server.json("GET /openapi/v3/apis/nothing/v1", Value::Null).await.0, 404);
    let response = server.send("GET /openapi/v3/api/v1", &[], "").await;
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    let response = server.send("GET /openapi/v3/api/v1", &[("if-none-match", &tag)], "").await;
    assert_eq!(response.status(), 304);
}

/// Without it kubectl refuses to read files of kind List.
#[tokio::test]
async fn the_second_openapi_document_defines_nothing() {
    let server = Server::start().await;
    let (code, document) = server.json("GET /openapi/v2", Value::Null).await;
    assert_eq!((code, &document["swagger"], &document["paths"]), (200, &json!("2.0"), &json!({})));
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let (code, document) = server.text("GET /openapi/v2", &[("accept", accept)], Body::empty()).await;
    expect![[r#"200 "\n\u{3}2.0\u{12}\u{10}\n\u{7}Coracle\u{12}\u{5}0.1.0B\0""#]]
        .assert_eq(&format!("{code} {document:?}"));
}
