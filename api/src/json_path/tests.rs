use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

fn check(path: &str, expected: Expect) {
    let object = json!({
        "metadata": { "name": "x", "annotations": { "a.example.org/b": "dotted" } },
        "spec": { "replicas": 3, "ports": [80, 443, 8080], "list": [{ "n": 1 }, { "n": 5, "ok": true }] },
        "status": { "conditions": [{ "type": "Synced", "status": "False" }, { "type": "Ready", "status": "True" }] },
    });
    let shown = match JsonPath::parse(path) {
        Ok(path) => path.first(&object).map_or_else(|| "-".to_owned(), Value::to_string),
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn paths_find_values() {
    check(".spec.replicas", expect!["3"]);
    check(".spec.absent", expect!["-"]);
    check(".spec.replicas.deeper", expect!["-"]);
    check(".spec.ports[1]", expect!["443"]);
    check(".spec.ports[-1]", expect!["8080"]);
    check(".spec.ports[7]", expect!["-"]);
    check(".spec.ports[*]", expect!["80"]);
    check(".spec.ports[1:]", expect!["443"]);
    check(".spec['replicas']", expect!["3"]);
    check(r".metadata.annotations.a\.example\.org/b", expect![[r#""dotted""#]]);
    check(".metadata.annotations['a.example.org/b']", expect![[r#""dotted""#]]);
    check(r#".status.conditions[?(@.type=="Ready")].status"#, expect![[r#""True""#]]);
    check(".status.conditions[?(@.type == 'Synced')].status", expect![[r#""False""#]]);
    check(".status.conditions[?(@.type=='None')].status", expect!["-"]);
    check(".spec.list[?(@.n>=2)].n", expect!["5"]);
    check(".spec.list[?(@.ok)].n", expect!["5"]);
    check(".spec.list[?(@.ok==true)].n", expect!["5"]);
}

#[test]
fn other_paths_are_refused() {
    check("spec", expect!["error: must be a simple json path starting with ."]);
    check("..name", expect!["error: recursive descent (..) is not supported; name the fields"]);
    check(".spec.ports[", expect!["error: unterminated array"]);
    check(".spec.ports[x]", expect!["error: invalid array index x"]);
    check(".spec.list[?(n>2)]", expect![[r#"error: filter "n>2" does not start with @"#]]);
    check(".spec.list[?(@.n>x)]", expect![[r#"error: "x" in filter "@.n>x" is no string, number or boolean"#]]);
    check(".a[0]b", expect![[r#"error: unexpected "b": a dot or a bracket is missing"#]]);
}

#[test]
fn plain_paths_are_told_apart() {
    let fields = |path: &str| JsonPath::parse(path).unwrap().fields().map(|fields| fields.join("/"));
    assert_eq!(fields(".spec.replicas").as_deref(), Some("spec/replicas"));
    assert_eq!(fields(".spec.ports[0]"), None);
}
