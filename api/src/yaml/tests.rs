use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{parse_all, to_yaml};

fn check(text: &str, expected: &Expect) {
    let result = match parse_all(text) {
        Ok(values) => values.iter().map(|value| format!("{value}\n")).collect(),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&result);
}

#[test]
fn reads_files() {
    check(
        "# head\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n",
        &expect![[r#"
        {"a":1}
        {"b":2}
    "#]],
    );
    check(
        "{\"a\": 1}\n{\"b\": 2}",
        &expect![[r#"
        {"a":1}
        {"b":2}
    "#]],
    );
    check(
        "{a: 1}",
        &expect![[r#"
        {"a":1}
    "#]],
    );
    check("", &expect![[""]]);
    check(
        "a: 1\na: 2\n",
        &expect![[r#"
        document 1: duplicate field "a"
    "#]],
    );
    check(
        "{\"a\": {\"b\": 1, \"b\": 2}}",
        &expect![[r#"
        document 1: duplicate field "a.b"
    "#]],
    );
    check(
        "a: 1\n---\n- x\n",
        &expect![[r#"
        document 2: expected an object, found a list
    "#]],
    );
    check(
        "a: 1\n\tb: 2\n",
        &expect![[r#"
        while scanning a plain scalar, found a tab at line 1, column 4
    "#]],
    );
    check(
        "{\"a\": 1,}x",
        &expect![[r#"
        trailing comma at line 1 column 9
    "#]],
    );
}

#[test]
fn prints_as_kubectl_does() {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "data": {"yes": "yes", "number": "1", "null": "null", "empty": "", "lines": "a\nb\n", "space": " x", "colon": "a: b",
            "hash": "a #b", "date": "2026-11-21T01:49:05Z", "long": "word ".repeat(40)},
        "list": [{"a": 1, "b": {}}, [], null, 1.5, true],
    });
    expect![[r#"
        apiVersion: v1
        data:
          colon: "a: b"
          date: "2026-11-21T01:49:05Z"
          empty: ""
          hash: "a #b"
          lines: |
            a
            b
          long: "word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word "
          "null": "null"
          number: "1"
          space: " x"
          "yes": "yes"
        kind: ConfigMap
        list:
        - a: 1
          b: {}
        - []
        - null
        - 1.5
        - true
    "#]].assert_eq(&to_yaml(&object));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~\n\té]{0,12}".prop_map(Value::from),
        "(yes|no|on|off|~|null|true|0x1|0o7|1e3|\\.5|-|\\?|:|<<|=|\\*a|&a|!t|[0-9]{1,3}:[0-9]{2})"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z:. -]{0,6}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(value in json_value()) {
        let object = json!({"kind": value});
        let text = to_yaml(&object);
        prop_assert_eq!(parse_all(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?, vec![object]);
    }
}
