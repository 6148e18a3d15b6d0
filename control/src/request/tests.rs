use expect_test::{Expect, expect};

use super::{Target, Usage, parse_path};
use crate::custom_kinds::Index;

fn check(path: &str, expected: Expect) {
    let shown = match parse_path(path, &Index::default()) {
        Target::Objects(address) => format!(
            "{} namespace={:?} name={:?} subresource={:?}",
            address.kind.resource(),
            address.namespace,
            address.name,
            address.subresource
        ),
        other => format!("{other:?}"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn paths_name_things() {
    check("/", expect!["Root"]);
    check("/api", expect!["CoreVersions"]);
    check("/apis/", expect!["Groups"]);
    check("/api/v1", expect![[r#"Resources { group: "", version: "v1" }"#]]);
    check("/apis/apps/v1", expect![[r#"Resources { group: "apps", version: "v1" }"#]]);
    check("/openapi/v3/apis/apps/v1", expect![[r#"OpenApi { group: "apps", version: "v1" }"#]]);
    check("/api/v1/pods", expect!["pods namespace=None name=None subresource=None"]);
    check("/api/v1/namespaces/default/pods", expect![[r#"pods namespace=Some("default") name=None subresource=None"#]]);
    check(
        "/api/v1/namespaces/default/pods/p%2D1/log",
        expect![[r#"pods namespace=Some("default") name=Some("p-1") subresource=Some("log")"#]],
    );
    check("/api/v1/namespaces", expect!["namespaces namespace=None name=None subresource=None"]);
    check(
        "/api/v1/namespaces/default",
        expect![[r#"namespaces namespace=None name=Some("default") subresource=None"#]],
    );
    check(
        "/api/v1/namespaces/default/status",
        expect![[r#"namespaces namespace=None name=Some("default") subresource=Some("status")"#]],
    );
    check(
        "/api/v1/namespaces/default/finalize",
        expect![[r#"namespaces namespace=None name=Some("default") subresource=Some("finalize")"#]],
    );
    check("/api/v1/nodes/n1", expect![[r#"nodes namespace=None name=Some("n1") subresource=None"#]]);
    check("/api/v1/namespaces/default/nodes/n1", expect!["Unknown"]);
    check("/api/v1/pods/p1", expect!["Unknown"]);
    check(
        "/apis/apps/v1/namespaces/default/deployments/d/scale",
        expect![[r#"deployments.apps namespace=Some("default") name=Some("d") subresource=Some("scale")"#]],
    );
    check("/apis/apps/v1/namespaces/default/deployments/d/scale/more", expect!["Unknown"]);
    check("/apis/apps/v2/deployments", expect!["Unknown"]);
    check("/apis/coracle.dev/v1/batches", expect!["Virtual { found: Batch, namespace: None }"]);
    check("/apis/coracle.dev/v1/batches/x", expect!["Unknown"]);
    check(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        expect!["Virtual { found: SelfSubjectAccessReview, namespace: None }"],
    );
    check("/api/v1/namespaces//pods", expect!["Unknown"]);
    check("/%ff", expect!["Unknown"]);
}

#[test]
fn usage_is_of_pods_and_nodes() {
    let parse = |path: &str| match parse_path(&format!("/apis/metrics.k8s.io/v1beta1/{path}"), &Index::default()) {
        Target::Usage(Usage { kind, namespace, name }) => format!("{} {namespace:?} {name:?}", kind.plural),
        other => format!("{other:?}"),
    };
    for (path, expected) in [
        ("nodes", "nodes None None"),
        ("nodes/n", "nodes None Some(\"n\")"),
        ("pods", "pods None None"),
        ("namespaces/a/pods", "pods Some(\"a\") None"),
        ("namespaces/a/pods/p", "pods Some(\"a\") Some(\"p\")"),
        ("pods/p", "Unknown"),
        ("namespaces/a/nodes", "Unknown"),
        ("namespaces/a/pods/p/log", "Unknown"),
    ] {
        assert_eq!(parse(path), expected, "{path}");
    }
}
