use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, node, pod, running};

const KEY: &str = "services/default/web";

fn key() -> Key {
    Key::Endpoints(KEY.into())
}

fn service(spec: Value) -> Value {
    let metadata = json!({"name": "web", "namespace": "default", "labels": {"team": "a"}});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

fn two_ports() -> Value {
    service(json!({
        "clusterIP": "10.96.0.1",
        "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "admin", "port": 81, "targetPort": 9000}],
    }))
}

fn check(cluster: &Cluster, expected: Expect) {
    expected.assert_eq(&cluster.ask(&key()));
}

#[test]
fn addresses_that_share_their_ports_are_a_subset() {
    let mut unnamed = running(pod("web-c"), "n", "10.0.0.3", true);
    unnamed["spec"]["containers"][0]["ports"] = json!([]);
    let pods = [
        running(pod("web-a"), "n", "10.0.0.10", true),
        running(pod("web-b"), "n", "10.0.0.9", true),
        unnamed,
        running(pod("web-d"), "n", "10.0.0.4", false),
        pod("web-without-address"),
    ];
    let mut cluster = Cluster::with(pods.into_iter().chain([node("n"), two_ports()]));
    check(
        &cluster,
        expect![[r#"
        create endpoints/default/web {"metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"2026-11-21T04:00:00Z"},"labels":{"endpoints.kubernetes.io/managed-by":"endpoint-controller","team":"a"}},"subsets":[{"addresses":[{"ip":"10.0.0.3","nodeName":"n","targetRef":{"kind":"Pod","name":"web-c","namespace":"default","uid":"uid-3"}}],"ports":[{"name":"admin","port":9000,"protocol":"TCP"}]},{"addresses":[{"ip":"10.0.0.9","nodeName":"n","targetRef":{"kind":"Pod","name":"web-b","namespace":"default","uid":"uid-2"}},{"ip":"10.0.0.10","nodeName":"n","targetRef":{"kind":"Pod","name":"web-a","namespace":"default","uid":"uid-1"}}],"notReadyAddresses":[{"ip":"10.0.0.4","nodeName":"n","targetRef":{"kind":"Pod","name":"web-d","namespace":"default","uid":"uid-4"}}],"ports":[{"name":"http","port":8080,"protocol":"TCP"},{"name":"admin","port":9000,"protocol":"TCP"}]}]}
    "#]],
    );
    cluster.run(&key());
    check(&cluster, expect![""]);
    cluster.delete("pods/default/web-a", None, false);
    cluster.edit("pods/default/web-d", |pod| pod["status"]["conditions"][0]["status"] = "True".into());
    check(
        &cluster,
        expect![[r#"
        update endpoints/default/web {"subsets":[{"addresses":[{"ip":"10.0.0.3","nodeName":"n","targetRef":{"kind":"Pod","name":"web-c","namespace":"default","uid":"uid-3"}}],"ports":[{"name":"admin","port":9000,"protocol":"TCP"}]},{"addresses":[{"ip":"10.0.0.4","nodeName":"n","targetRef":{"kind":"Pod","name":"web-d","namespace":"default","uid":"uid-4"}},{"ip":"10.0.0.9","nodeName":"n","targetRef":{"kind":"Pod","name":"web-b","namespace":"default","uid":"uid-2"}}],"ports":[{"name":"http","port":8080,"protocol":"TCP"},{"name":"admin","port":9000,"protocol":"TCP"}]}]}
    "#]],
    );
}

#[test]
fn services_without_ports_or_pods() {
    let headless = service(json!({"clusterIP": "None", "selector": {"app": "web"}, "publishNotReadyAddresses": true}));
    let pods = [running(pod("web-a"), "n", "10.0.0.1", false)];
    check(
        &Cluster::with(pods.into_iter().chain([node("n"), headless])),
        expect![[r#"
        create endpoints/default/web {"metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"2026-11-21T04:00:00Z"},"labels":{"endpoints.kubernetes.io/managed-by":"endpoint-controller","service.kubernetes.io/headless":"","team":"a"}},"subsets":[{"addresses":[{"ip":"10.0.0.1","nodeName":"n","targetRef":{"kind":"Pod","name":"web-a","namespace":"default","uid":"uid-1"}}]}]}
    "#]],
    );
    check(
        &Cluster::with([two_ports()]),
        expect![[r#"
        create endpoints/default/web {"metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"2026-11-21T04:00:00Z"},"labels":{"endpoints.kubernetes.io/managed-by":"endpoint-controller","team":"a"}}}
    "#]],
    );
    check(&Cluster::with([service(json!({"ports": [{"port": 80}]}))]), expect![""]);
}

#[test]
fn a_service_takes_its_endpoints_with_it() {
    let mut cluster = Cluster::with([two_ports()]);
    cluster.run(&key());
    cluster.settle();
    cluster.remove(KEY);
    check(&cluster, expect!["delete endpoints/default/web\n"]);
}

#[test]
fn many_addresses_are_cut_off_and_written_seldom() {
    let pods = (0..1_100).map(|index| {
        running(pod(&format!("web-{index:04}")), "n", &format!("10.0.{}.{}", index / 256, index % 256), index != 3)
    });
    let mut cluster = Cluster::with(pods.chain([node("n"), two_ports()]));
    cluster.run(&key());
    let endpoints = cluster.value("endpoints/default/web");
    let count = |list: &str| endpoints["subsets"][0][list].as_array().map_or(0, Vec::len);
    let cut = &endpoints["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"];
    assert_eq!((count("addresses"), count("notReadyAddresses"), cut.as_str()), (1_000, 0, Some("truncated")));
    cluster.remove("pods/default/web-0000");
    check(&cluster, expect!["wake in 1 s\n"]);
    cluster.pass(1);
    check(&cluster, expect![""]);
}

#[test]
fn what_somebody_made_for_a_service_is_mirrored() {
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "default", "uid": "endpoints", "labels": {"made": "by-hand"}},
        "subsets": [
            {"addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}], "notReadyAddresses": [{"ip": "192.0.2.2"}], "ports": ports},
        ],
    });
    let mut cluster = Cluster::with([service(json!({"ports": [{"name": "http", "port": 80}]})), endpoints]);
    let slices = Key::EndpointSlices(KEY.into());
    expect![[r#"
        create endpointslices.discovery.k8s.io/default/web-lkhdr {"addressType":"IPv4","endpoints":[{"addresses":["192.0.2.1"],"conditions":{"ready":true}},{"addresses":["192.0.2.2"],"conditions":{"ready":false}}],"metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":"endpointslicemirroring-controller.k8s.io","kubernetes.io/service-name":"web","made":"by-hand"}},"ports":[{"name":"http","port":80,"protocol":"TCP"}]}
        create endpointslices.discovery.k8s.io/default/web-7xz2d {"addressType":"IPv6","endpoints":[{"addresses":["2001:db8::1"],"conditions":{"ready":true}}],"metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":"endpointslicemirroring-controller.k8s.io","kubernetes.io/service-name":"web","made":"by-hand"}},"ports":[{"name":"http","port":80,"protocol":"TCP"}]}
    "#]].assert_eq(&cluster.ask(&slices));
    cluster.run(&slices);
    cluster.settle();
    cluster.edit("endpoints/default/web", |object| object["subsets"][0]["notReadyAddresses"] = json!([]));
    expect![[r#"
        update endpointslices.discovery.k8s.io/default/web-lkhdr {"endpoints":[{"addresses":["192.0.2.1"],"conditions":{"ready":true}}]}
    "#]].assert_eq(&cluster.ask(&slices));
    cluster.edit("endpoints/default/web", |object| {
        object["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"] = "true".into();
    });
    expect![""].assert_eq(&cluster.ask(&slices));
}
