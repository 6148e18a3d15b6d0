use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::encode;

fn check(object: &Value, expected: &Expect) {
    let encoded = encode(object);
    let text = std::str::from_utf8(&encoded.json).unwrap();
    let (before, after) = text.split_at(encoded.splice_offset as usize);
    let spliced = format!("{before}\"resourceVersion\":\"7\",{after}");
    let read: Value = serde_json::from_str(&spliced).unwrap();
    assert_eq!(crate::object::resource_version(&read), Some(7));
    expected.assert_eq(&format!("{text} @{}", encoded.splice_offset));
}

#[test]
fn leads_with_what_a_reader_looks_for_and_leaves_the_revision_out() {
    check(
        &json!({"data": {"a": "\"metadata\":{"}, "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": "c", "resourceVersion": "3", "uid": "u"}}),
        &expect![[
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","uid":"u"},"data":{"a":"\"metadata\":{"}} @50"#
        ]],
    );
}

#[test]
fn leaves_something_behind_the_splice() {
    check(
        &json!({"kind": "X", "metadata": {"resourceVersion": "3"}}),
        &expect![[r#"{"kind":"X","metadata":{"creationTimestamp":null}} @24"#]],
    );
    check(&json!({}), &expect![[r#"{"metadata":{"creationTimestamp":null}} @13"#]]);
}
