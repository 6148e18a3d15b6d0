//! What a server says that it serves, as a client reads it: the aggregated form of discovery, `apidiscovery.k8s.io/v2`.
//!
//! Deliberately absent: what may be done with a resource, and its subresources; and resources that have no name for one object.

use serde_json::Value;

use crate::kind::Kind;
use crate::object;

/// How the form is asked for, at `/api` and at `/apis`; the type of the answer as well.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The kinds of an `APIGroupDiscoveryList`, in the order in which a name is looked up: a group's preferred version is its first.
///
/// Names live as long as the process, as those of built-in kinds do; so it is for programs that ask once.
pub fn kinds(list: &Value) -> Vec<Kind> {
    let groups = object::list_at(list, &["items"]).iter();
    let versions = groups.flat_map(|group| {
        let name = object::name(group);
        object::list_at(group, &["versions"]).iter().map(move |version| (name, version))
    });
    let resources = versions.flat_map(|(group, version)| {
        let resources = object::list_at(version, &["resources"]).iter();
        resources.filter_map(move |resource| kind(group, version["version"].as_str()?, resource))
    });
    resources.collect()
}

fn kind(group: &str, version: &str, resource: &Value) -> Option<Kind> {
    let singular = object::str_at(resource, &["singularResource"]).filter(|name| !name.is_empty())?;
    Some(Kind {
        group: leak(group),
        version: leak(version),
        kind: leak(object::str_at(resource, &["responseKind", "kind"])?),
        plural: leak(object::str_at(resource, &["resource"])?),
        singular: leak(singular),
        short_names: leak_all(resource, "shortNames"),
        categories: leak_all(resource, "categories"),
        namespaced: resource["scope"] == "Namespaced",
        ..Kind::PLAIN
    })
}

fn leak(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

fn leak_all(resource: &Value, field: &str) -> &'static [&'static str] {
    Vec::leak(object::list_at(resource, &[field]).iter().filter_map(Value::as_str).map(leak).collect())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_what_their_discovery_says() {
        let review = json!({ "resource": "widgetreviews", "responseKind": { "kind": "WidgetReview" }, "scope": "Cluster", "singularResource": "" });
        let widget = json!({
            "resource": "widgets", "responseKind": { "group": "shop.example.com", "version": "v2", "kind": "Widget" }, "scope": "Namespaced",
            "singularResource": "widget", "shortNames": ["wg"], "categories": ["all"], "verbs": ["get", "list"],
        });
        let mut shop = widget.clone();
        shop["scope"] = "Cluster".into();
        let list = json!({ "items": [
            { "metadata": { "name": "shop.example.com" }, "versions": [
                { "version": "v2", "resources": [widget, review] }, { "version": "v1", "resources": [shop] },
            ] },
            { "metadata": {}, "versions": [{ "version": "v1", "resources": [
                { "resource": "pods", "responseKind": { "kind": "Pod" }, "scope": "Namespaced", "singularResource": "pod" },
            ] }] },
        ] });
        let line = |kind: &Kind| {
            let (namespaced, names) = (kind.namespaced, [kind.plural, kind.singular]);
            format!(
                "{} {} {names:?} {:?} {:?} {namespaced}\n",
                kind.api_version(),
                kind.kind,
                kind.short_names,
                kind.categories
            )
        };
        expect![[r#"
            shop.example.com/v2 Widget ["widgets", "widget"] ["wg"] ["all"] true
            shop.example.com/v1 Widget ["widgets", "widget"] ["wg"] ["all"] false
            v1 Pod ["pods", "pod"] [] [] true
        "#]]
        .assert_eq(&kinds(&list).iter().map(line).collect::<String>());
    }
}
