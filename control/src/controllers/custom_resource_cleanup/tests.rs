use expect_test::expect;
use serde_json::json;

use crate::controllers::Key;
use crate::controllers::harness::Cluster;

const KEY: &str = "customresourcedefinitions.apiextensions.k8s.io/boats.example.com";

#[test]
fn the_objects_go_first() {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "boats.example.com", "finalizers": ["customresourcecleanup.apiextensions.k8s.io"] },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "boats", "kind": "Boat" },
            "versions": [{ "name": "v1", "served": true, "storage": true }],
        },
    });
    let mut cluster = Cluster::with([definition]);
    cluster.run(&Key::CustomResourceNames);
    cluster.settle();
    let boat =
        json!({ "apiVersion": "example.com/v1", "kind": "Boat", "metadata": { "name": "b", "namespace": "default" } });
    cluster.create(boat);
    assert_eq!(cluster.ask(&Key::CustomResourceCleanup(KEY.into())), "", "nobody deleted it");
    cluster.delete(KEY, None, false);
    expect![[r#"
        status customresourcedefinitions.apiextensions.k8s.io/boats.example.com {"conditions":[{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"no conflicts found","reason":"NoConflicts","status":"True","type":"NamesAccepted"},{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"the initial names have been accepted","reason":"InitialNamesAccepted","status":"True","type":"Established"},{"lastTransitionTime":"2026-11-21T04:00:00Z","message":"CustomResource deletion is in progress","reason":"InstanceDeletionInProgress","status":"True","type":"Terminating"}]}
        delete boats.example.com/default/b
    "#]].assert_eq(&cluster.ask(&Key::CustomResourceCleanup(KEY.into())));
    cluster.settle();
    assert!(cluster.world.get(KEY).is_none());
    assert_eq!(cluster.world.range("boats.example.com/").count(), 0);
}
