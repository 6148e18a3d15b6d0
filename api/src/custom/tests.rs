use expect_test::expect;
use serde_json::json;

use super::*;
use crate::table;

fn definition() -> Value {
    let schema = json!({
        "type": "object",
        "properties": { "spec": { "type": "object", "properties": { "size": { "type": "integer", "default": 1 } } } },
    });
    let version = |name: &str| {
        json!({
            "name": name, "served": true, "storage": name == "v1", "schema": { "openAPIV3Schema": schema },
            "subresources": { "status": {}, "scale": { "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size" } },
            "additionalPrinterColumns": [
                { "name": "Size", "type": "integer", "jsonPath": ".spec.size" },
                { "name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status" },
                { "name": "Since", "type": "date", "jsonPath": ".status.since", "priority": 1 },
            ],
        })
    };
    json!({
        "metadata": { "name": "boats.example.org" },
        "spec": { "group": "example.org", "scope": "Namespaced", "versions": [version("v1beta1"), version("v1")] },
        "status": {
            "acceptedNames": { "plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList", "shortNames": ["bo"] },
            "conditions": [{ "type": "Established", "status": "True" }],
        },
    })
}

#[test]
fn a_kind_is_made_once() {
    let (once, twice) = (kinds_of(&definition()), kinds_of(&definition()));
    assert!(once.iter().zip(&twice).all(|(once, twice)| std::ptr::eq(*once, *twice)));
    assert!(!std::ptr::eq(once[0], once[1]));
    expect![[r#"boats.example.org org.example.v1.Boat ["bo"] [Status, Scale]"#]].assert_eq(&format!(
        "{} {} {:?} {:?}",
        once[1].resource(),
        once[1].definition,
        once[1].short_names,
        once[1].subresources
    ));
    let mut unknown = definition();
    unknown["status"]["conditions"] = json!([]);
    assert!(kinds_of(&unknown).is_empty());
}

#[test]
fn columns_show_what_is_at_a_path() {
    let kind = kinds_of(&definition())[1];
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    let shown = |object: Value| {
        let cells: Vec<String> = kind.columns.iter().map(|column| column.cell(&object, now).to_string()).collect();
        cells.join(" ")
    };
    let columns = table::column_definitions(kind);
    let names: Vec<&str> = columns.as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    expect!["Name Size Ready Since"].assert_eq(&names.join(" "));
    let conditions = json!([{ "type": "Ready", "status": "True" }]);
    let status = json!({ "conditions": conditions, "since": "2026-11-21T09:00:00Z" });
    expect![[r#""b" 3 "True" "60m""#]]
        .assert_eq(&shown(json!({ "metadata": { "name": "b" }, "spec": { "size": 3 }, "status": status })));
    expect![[r#""b" null null "<invalid>""#]]
        .assert_eq(&shown(json!({ "metadata": { "name": "b" }, "spec": { "size": "3" }, "status": { "since": "?" } })));
}

#[test]
fn versions_show_what_is_stored() {
    let versions = CustomKind::versions_of(&definition());
    let stored = json!({ "apiVersion": "example.org/v1", "kind": "Boat", "metadata": { "name": "b" }, "spec": {} });
    let mut shown = stored.clone();
    versions[0].present(&mut shown);
    expect![[r#"{"apiVersion":"example.org/v1beta1","kind":"Boat","metadata":{"name":"b"},"spec":{"size":1}}"#]]
        .assert_eq(&shown.to_string());
    versions[0].store(&mut shown);
    expect![[r#"{"apiVersion":"example.org/v1","kind":"Boat","metadata":{"name":"b"},"spec":{"size":1}}"#]]
        .assert_eq(&shown.to_string());
}

#[test]
fn metadata_has_its_own_schema() {
    let version = CustomKind::versions_of(&definition()).remove(1);
    let mut object =
        json!({ "metadata": { "name": "b", "nane": "c", "labels": { "a": "b" } }, "spec": { "sice": 1 }, "spek": {} });
    expect![[r#"Ok(["metadata.nane", "spec.sice", "spek"]) {"metadata":{"labels":{"a":"b"},"name":"b"},"spec":{}}"#]]
        .assert_eq(&format!("{:?} {object}", version.prune(&mut object)));
    let mut object = json!({ "metadata": { "labels": "none" } });
    expect![[r#"Err("json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels of type map[string]string")"#]].assert_eq(&format!("{:?}", version.prune(&mut object)));
    expect![[r#"Err("json: cannot unmarshal number into Go struct field ObjectMeta.metadata of type v1.ObjectMeta")"#]]
        .assert_eq(&format!("{:?}", version.prune(&mut json!({ "metadata": 7 }))));
}

#[test]
fn newer_and_stabler_versions_come_first() {
    let mut versions =
        ["foo1", "v1", "v11alpha2", "v3beta1", "v10", "v12alpha1", "foo10", "v11beta2", "v2", "v10beta3"];
    versions.sort_by_key(|version| precedence(version));
    expect!["v10 v2 v1 v11beta2 v10beta3 v3beta1 v12alpha1 v11alpha2 foo1 foo10"].assert_eq(&versions.join(" "));
}
