use coracle_api::kinds;
use expect_test::expect;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::controllers::Key;
use crate::controllers::harness::{Cluster, node, pod, running};

const KEY: &str = "services/default/web";

fn key() -> Key {
    Key::EndpointSlices(KEY.into())
}

fn service(target: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "uid": "service", "labels": {"team": "a"}},
        "spec": {"clusterIP": "10.96.0.1", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": target}]},
    })
}

#[test]
fn ready_and_other_pods_behind_a_named_port() {
    let pods = [
        running(pod("web-a"), "n", "10.0.0.1", true),
        running(pod("web-b"), "n", "10.0.0.2", false),
        pod("web-without-address"),
    ];
    let cluster = Cluster::with(pods.into_iter().chain([node("n"), service("http".into())]));
    expect![[r#"
        create endpointslices.discovery.k8s.io/default/web-cjpkt {"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"n","targetRef":{"kind":"Pod","name":"web-a","namespace":"default","uid":"uid-1"}},{"addresses":["10.0.0.2"],"conditions":{"ready":false,"serving":false,"terminating":false},"nodeName":"n","targetRef":{"kind":"Pod","name":"web-b","namespace":"default","uid":"uid-2"}}],"metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"web","team":"a"}},"ports":[{"name":"","port":8080,"protocol":"TCP"}]}
    "#]].assert_eq(&cluster.ask(&key()));
}

#[test]
fn no_pods_make_an_empty_slice_and_no_selector_none() {
    let cluster = Cluster::with([service(8080.into())]);
    expect![[r#"
        create endpointslices.discovery.k8s.io/default/web-cjpkt {"addressType":"IPv4","endpoints":[],"metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"web","team":"a"}},"ports":[]}
    "#]].assert_eq(&cluster.ask(&key()));
    let mut manual = service(8080.into());
    manual["spec"].as_object_mut().unwrap().remove("selector");
    assert_eq!(Cluster::with([manual]).ask(&key()), "");
}

#[test]
fn only_what_changed_is_rewritten() {
    let pods = (0..250).map(|index| running(pod(&format!("web-{index:03}")), "n", &format!("10.0.1.{index}"), true));
    let mut cluster = Cluster::with(pods.chain([node("n"), service(8080.into())]));
    cluster.run(&key());
    cluster.settle();
    assert_eq!(cluster.keys(&kinds::ENDPOINT_SLICE).len(), 3);
    assert_eq!(cluster.ask(&key()), "");
    cluster.edit("pods/default/web-120", |pod| pod["status"]["conditions"][0]["status"] = "False".into());
    assert_eq!(cluster.ask(&key()).lines().count(), 1);
}

fn listed(cluster: &Cluster) -> Vec<String> {
    let slices = cluster.keys(&kinds::ENDPOINT_SLICE).into_iter().map(|key| cluster.value(&key));
    let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
    let mut names: Vec<String> = endpoints
        .map(|endpoint| {
            format!("{} {}", endpoint["targetRef"]["name"].as_str().unwrap(), endpoint["conditions"]["ready"])
        })
        .collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn slices_list_every_pod_once(steps in prop::collection::vec((0usize..150, 0u8..3), 1..150)) {
        let mut cluster = Cluster::with([node("n"), service("http".into())]);
        for (index, action) in steps {
            let (name, key) = (format!("web-{index}"), format!("pods/default/web-{index}"));
            match (action, cluster.world.get(&key).is_some()) {
                (0, true) => cluster.remove(&key),
                (1, true) => cluster.edit(&key, |pod| pod["status"]["conditions"][0]["status"] = "False".into()),
                _ => cluster.create(running(pod(&name), "n", &format!("10.0.1.{index}"), true)),
            }
            if index % 5 == 0 {
                cluster.settle();
            }
        }
        cluster.settle();
        let mut expected: Vec<String> = cluster.world.range("pods/").map(|pod| format!("{} {}", pod.meta.name, pod.pod().unwrap().ready)).collect();
        expected.sort();
        prop_assert_eq!(listed(&cluster), expected);
    }
}
