//! Limit ranges and default classes, as whoever creates pods, claims and ingresses meets them.

use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::Server;

const NAMESPACE: &str = "/api/v1/namespaces/default";

async fn with_limits(limits: Value) -> Server {
    let server = Server::start().await;
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": limits}});
    let (code, body) = server.json(&format!("POST {NAMESPACE}/limitranges"), range).await;
    assert_eq!(code, 201, "{body}");
    server
}

fn pod(containers: &[Value]) -> Value {
    let named = containers.iter().enumerate().map(
        |(index, resources)| json!({"name": format!("c{index}"), "image": "example.org/a:1", "resources": resources}),
    );
    json!({"metadata": {"name": "p"}, "spec": {"containers": named.collect::<Vec<_>>()}})
}

/// What becomes of pods with these containers, one a line.
async fn outcomes(server: &Server, pods: &[&[Value]]) -> String {
    let mut lines = Vec::new();
    for containers in pods {
        lines.push(server.outcome(&format!("POST {NAMESPACE}/pods?dryRun=All"), pod(containers)).await);
    }
    lines.join("\n")
}

#[tokio::test]
async fn containers_get_what_they_lack() {
    let limits =
        json!([{"type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}}]);
    let server = with_limits(limits).await;
    let asked = [json!({}), json!({"requests": {"cpu": "200m"}}), json!({"limits": {"cpu": "1", "memory": "1Gi"}})];
    let (_, created) = server.json(&format!("POST {NAMESPACE}/pods"), pod(&asked)).await;
    let containers = created["spec"]["containers"].as_array().unwrap().iter();
    let mut shown: Vec<String> = containers.map(|container| container["resources"].to_string()).collect();
    shown.push(format!("{} {}", created["metadata"]["annotations"], created["status"]["qosClass"]));
    expect![[r#"
        {"limits":{"cpu":"500m","memory":"1Gi"},"requests":{"cpu":"100m","memory":"1Gi"}}
        {"limits":{"cpu":"500m","memory":"1Gi"},"requests":{"cpu":"200m","memory":"1Gi"}}
        {"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Gi"}}
        {"kubernetes.io/limit-ranger":"LimitRanger plugin set: cpu, memory request for container c0; cpu, memory limit for container c0; memory request for container c1; cpu, memory limit for container c1"} "Burstable""#]].assert_eq(&shown.join("\n"));
    let (_, bare) = server
        .json(&format!("POST {NAMESPACE}/pods"), {
            let mut bare = pod(&[json!({"limits": {"cpu": "1", "memory": "1Gi"}})]);
            bare["metadata"]["name"] = "full".into();
            bare
        })
        .await;
    expect![[r#"null "Guaranteed""#]]
        .assert_eq(&format!("{} {}", bare["metadata"]["annotations"], bare["status"]["qosClass"]));
}

#[tokio::test]
async fn containers_keep_within_bounds() {
    let limits = json!([{"type": "Container", "min": {"cpu": "100m"}, "max": {"memory": "1Gi"}, "maxLimitRequestRatio": {"cpu": "2"},
        "default": {"cpu": "100m"}, "defaultRequest": {"memory": "1Mi"}}]);
    let server = with_limits(limits).await;
    let both = |cpu: &str, memory: &str| json!({"cpu": cpu, "memory": memory});
    expect![[r#"
        201
        403 pods "p" is forbidden: minimum cpu usage per Container is 100m, but request is 50m
        403 pods "p" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi
        403 pods "p" is forbidden: [cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000, minimum cpu usage per Container is 100m, but request is 50m, maximum memory usage per Container is 1Gi, but limit is 3Gi]
        403 pods "p" is forbidden: [minimum cpu usage per Container is 100m, but request is 0, cpu max limit to request ratio per Container is 2, but no request is specified or request is 0]"#]].assert_eq(
        &outcomes(
            &server,
            &[
                &[json!({})],
                &[json!({"requests": {"cpu": "50m"}})],
                &[json!({"requests": both("100m", "1Mi"), "limits": both("100m", "2Gi")})],
                &[
                    json!({"requests": both("100m", "1Mi"), "limits": both("300m", "1Gi")}),
                    json!({"limits": both("50m", "3Gi")}),
                ],
                &[json!({"requests": {"cpu": "0"}})],
            ],
        )
        .await,
    );
}

#[tokio::test]
async fn pods_keep_within_bounds_together() {
    let limits = json!([{"type": "Pod", "min": {"cpu": "200m"}, "max": {"cpu": "1", "memory": "1Gi"}, "maxLimitRequestRatio": {"cpu": "2"}}]);
    let server = with_limits(limits).await;
    let full =
        |request: &str, limit: &str| json!({"requests": {"cpu": request}, "limits": {"cpu": limit, "memory": "256Mi"}});
    expect![[r#"
        403 pods "p" is forbidden: [minimum cpu usage per Pod is 200m.  No request is specified, maximum cpu usage per Pod is 1.  No limit is specified, maximum memory usage per Pod is 1Gi.  No limit is specified, cpu max limit to request ratio per Pod is 2, but no request is specified or request is 0]
        201
        403 pods "p" is forbidden: maximum cpu usage per Pod is 1, but limit is 1200m
        403 pods "p" is forbidden: cpu max limit to request ratio per Pod is 2, but provided ratio is 4.000000
        403 pods "p" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 1280Mi"#]].assert_eq(
        &outcomes(
            &server,
            &[
                &[json!({})],
                &[full("100m", "200m"), full("100m", "200m")],
                &[full("600m", "600m"), full("600m", "600m")],
                &[full("100m", "400m"), full("100m", "400m")],
                &[full("200m", "200m"), json!({"limits": {"memory": "1Gi"}})],
            ],
        )
        .await,
    );
}

#[tokio::test]
async fn claims_keep_within_bounds() {
    let server =
        with_limits(json!([{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}}]))
            .await;
    let mut lines = Vec::new();
    let claim = |size: &str| json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}});
    for size in ["1Mi", "6Gi", "5Gi"] {
        lines.push(server.outcome(&format!("POST {NAMESPACE}/persistentvolumeclaims"), claim(size)).await);
    }
    let status = json!({"status": {"phase": "Bound"}});
    server.json(&format!("PATCH {NAMESPACE}/persistentvolumeclaims/c/status"), status).await;
    lines.push(
        server
            .outcome(
                &format!("PATCH {NAMESPACE}/persistentvolumeclaims/c"),
                json!({"spec": {"resources": {"requests": {"storage": "6Gi"}}}}),
            )
            .await,
    );
    expect![[r#"
        403 persistentvolumeclaims "c" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi
        403 persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi
        201
        403 persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"#]].assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn the_newest_default_class_is_taken() {
    let server = Server::start().await;
    let claim = |name: &str| json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let ingress = |name: &str| json!({"metadata": {"name": name}, "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    let claims = format!("POST {NAMESPACE}/persistentvolumeclaims");
    let ingresses = "POST /apis/networking.k8s.io/v1/namespaces/default/ingresses";
    let mut shown = Vec::new();
    let (_, created) = server.json(&claims, claim("before")).await;
    shown.push(created["spec"]["storageClassName"].to_string());
    for (name, is_default) in [("slow", "true"), ("fast", "true"), ("cheap", "false")] {
        let annotations = json!({"storageclass.kubernetes.io/is-default-class": is_default});
        let class = json!({"metadata": {"name": name, "annotations": annotations}, "provisioner": "p"});
        server.json("POST /apis/storage.k8s.io/v1/storageclasses", class).await;
        let annotations = json!({"ingressclass.kubernetes.io/is-default-class": is_default});
        let class =
            json!({"metadata": {"name": name, "annotations": annotations}, "spec": {"controller": "a.example/b"}});
        server.json("POST /apis/networking.k8s.io/v1/ingressclasses", class).await;
    }
    let mut stated = claim("stated");
    stated["spec"]["storageClassName"] = "".into();
    for claim in [claim("after"), stated] {
        shown.push(server.json(&claims, claim).await.1["spec"]["storageClassName"].to_string());
    }
    let mut stated = ingress("stated");
    stated["spec"]["ingressClassName"] = "coracle".into();
    let mut annotated = ingress("annotated");
    annotated["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": "coracle"});
    for ingress in [ingress("after"), stated, annotated] {
        shown.push(server.json(ingresses, ingress).await.1["spec"]["ingressClassName"].to_string());
    }
    expect![[r#"null "fast" "" "fast" "coracle" null"#]].assert_eq(&shown.join(" "));
}
