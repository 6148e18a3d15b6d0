use expect_test::expect;
use serde_json::json;

use super::*;
use crate::controllers::Key;
use crate::controllers::harness::Cluster;

fn definition(plural: &str, kind: &str, short_name: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.example.com") },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "versions": [{ "name": "v1", "served": true, "storage": true }],
            "names": { "plural": plural, "kind": kind, "shortNames": [short_name] },
        },
    })
}

fn shown(cluster: &Cluster, plural: &str) -> String {
    let definition = cluster.value(&format!("customresourcedefinitions.apiextensions.k8s.io/{plural}.example.com"));
    let conditions = definition["status"]["conditions"].as_array().unwrap().iter();
    let conditions =
        conditions.map(|condition| format!("\n{} {} {}", condition["type"], condition["status"], condition["message"]));
    format!("{}{}", definition["status"]["acceptedNames"], conditions.collect::<String>())
}

#[test]
fn free_names_are_accepted() {
    let mut cluster = Cluster::with([definition("boats", "Boat", "bo")]);
    cluster.run(&Key::CustomResourceNames);
    expect![[r#"
        {"kind":"Boat","listKind":"BoatList","plural":"boats","shortNames":["bo"],"singular":"boat"}
        "NamesAccepted" "True" "no conflicts found"
        "Established" "True" "the initial names have been accepted""#]]
    .assert_eq(&shown(&cluster, "boats"));
    assert_eq!(cluster.ask(&Key::CustomResourceNames), "", "nothing is left to do");
}

#[test]
fn the_older_definition_keeps_its_names() {
    let mut cluster = Cluster::with([definition("yachts", "Yacht", "bo")]);
    cluster.pass(1);
    cluster.create(definition("boats", "Boat", "bo"));
    cluster.settle();
    expect![[r#"
        {"kind":"Boat","listKind":"BoatList","plural":"boats","singular":"boat"}
        "NamesAccepted" "False" "\"bo\" is already in use"
        "Established" "False" "not all names are accepted""#]]
    .assert_eq(&shown(&cluster, "boats"));
    cluster.edit("customresourcedefinitions.apiextensions.k8s.io/yachts.example.com", |definition| {
        definition["spec"]["names"]["shortNames"] = json!(["ya"]);
    });
    cluster.settle();
    expect![[r#"
        {"kind":"Boat","listKind":"BoatList","plural":"boats","shortNames":["bo"],"singular":"boat"}
        "NamesAccepted" "True" "no conflicts found"
        "Established" "True" "the initial names have been accepted""#]]
    .assert_eq(&shown(&cluster, "boats"));
}

#[test]
fn an_established_kind_stays_so_when_it_asks_for_what_is_taken() {
    let mut cluster = Cluster::with([definition("yachts", "Yacht", "ya"), definition("boats", "Boat", "bo")]);
    cluster.run(&Key::CustomResourceNames);
    cluster.edit("customresourcedefinitions.apiextensions.k8s.io/boats.example.com", |definition| {
        definition["spec"]["names"]["shortNames"] = json!(["ya"]);
    });
    cluster.settle();
    expect![[r#"
        {"kind":"Boat","listKind":"BoatList","plural":"boats","shortNames":["bo"],"singular":"boat"}
        "NamesAccepted" "False" "\"ya\" is already in use"
        "Established" "True" "the initial names have been accepted""#]]
    .assert_eq(&shown(&cluster, "boats"));
}
