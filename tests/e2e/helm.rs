//! The real helm, version 4: it applies on the server's side and waits by watching.

use coracle_tests::{Cluster, Printed, eventually, peer, root, run};

/// `CHART` stands for a chart of `tests/charts`.
fn helm(cluster: &Cluster, chart: &str, words: &str) -> Printed {
    let chart = root().join("tests/charts").join(chart);
    let words = words.split(' ').map(|word| if word == "CHART" { chart.to_str().unwrap() } else { word });
    run(cluster.client(peer("HELM")).args(words))
}

fn replicas(cluster: &Cluster) -> String {
    cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.replicas} {.status.readyReplicas}"]).ok()
}

#[test]
fn a_release_comes_changes_and_goes() {
    let cluster = Cluster::start();
    let file = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["push", file.to_str().unwrap(), "hello:1"]).ok();
    let check = |words: &str, expected: &[&str]| {
        let printed = helm(&cluster, "shop", words).ok();
        expected.iter().for_each(|expected| assert!(printed.contains(expected), "helm {words}: {printed}"));
    };

    check("install shop CHART --wait --timeout 60s", &["STATUS: deployed", "shop greets in default: v1.36"]);
    assert_eq!(replicas(&cluster), "2 2");
    eventually("the release answers", || (cluster.get("shop.localhost", "/").0 == 200).then_some(()));
    check("list", &["shop-0.1.0", "deployed"]);
    check("status shop", &["==> v1/Deployment", "2/2", "==> v1/PodDisruptionBudget"]);
    let hook = ["get", "configmap", "shop-hook", "-o", "jsonpath={.data.revision}"];
    assert_eq!(cluster.kubectl(&hook).ok(), "1");

    check("upgrade shop CHART --set replicas=3,greeting=hi,autoscaler=false --wait --timeout 60s", &["REVISION: 2"]);
    assert_eq!((replicas(&cluster).as_str(), cluster.kubectl(&hook).ok().as_str()), ("3 3", "2"));
    assert!(cluster.kubectl(&["get", "horizontalpodautoscalers", "-o", "name"]).ok().is_empty());
    // Somebody else's field is theirs: helm says so, and takes it only when told to.
    let theirs = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\ndata: {greeting: mine}\n";
    let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-"];
    cluster.kubectl_with(theirs, &apply).ok();
    let refused = helm(&cluster, "shop", "upgrade shop CHART --set greeting=yours --timeout 60s").fails_with(1);
    assert!(refused.contains("conflict with \"other\"") && refused.contains(".data.greeting"), "{refused}");
    check("upgrade shop CHART --set greeting=yours --force-conflicts --wait --timeout 60s", &["STATUS: deployed"]);

    check("rollback shop 2 --force-conflicts --wait --timeout 60s", &["Rollback was a success"]);
    assert_eq!(replicas(&cluster), "3 3");
    check("history shop", &["superseded", "failed", "Rollback to 2"]);
    check("get values shop --revision 2", &["greeting: hi"]);
    check("upgrade --install shop CHART --dry-run=server", &["kind: Ingress"]);

    check("uninstall shop --wait --timeout 60s", &["release \"shop\" uninstalled"]);
    let left = ["get", "deployments,services,ingresses,secrets,roles,poddisruptionbudgets", "-o", "name"];
    assert_eq!(cluster.kubectl(&left).ok(), "service/kubernetes\n");
}

/// Helm makes the kinds of a chart's `crds/` first, and leaves them when the release goes.
#[test]
fn a_chart_brings_its_kinds_along() {
    let cluster = Cluster::start();
    let release = |words: &str| helm(&cluster, "widgets", words).ok();
    let widget = || cluster.kubectl(&["get", "widget", "w", "-o", "jsonpath={.spec.replicas} {.spec.color}"]);
    assert!(release("install w CHART --wait --timeout 60s").contains("STATUS: deployed"));
    assert_eq!(widget().ok(), "2 blue");
    let refused = helm(&cluster, "widgets", "upgrade w CHART --set replicas=11").fails_with(1);
    assert!(refused.contains("spec.replicas: Invalid value: 11"), "{refused}");
    release("upgrade w CHART --set replicas=3 --wait --timeout 60s");
    assert_eq!(widget().ok(), "3 blue");
    release("rollback w 1 --wait --timeout 60s");
    assert_eq!(widget().ok(), "2 blue");
    release("uninstall w --wait --timeout 60s");
    assert!(widget().fails_with(1).contains("widgets.shop.example.com \"w\" not found"));
    assert!(cluster.kubectl(&["get", "crds", "-o", "name"]).ok().contains("widgets.shop.example.com"));
}
