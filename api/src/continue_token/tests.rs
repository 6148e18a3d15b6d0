use expect_test::{Expect, expect};

use super::*;

fn check(json: &str, expected: &Expect) {
    let text = match ContinueToken::decode(&URL_SAFE.encode(json)) {
        Ok(token) => format!("{token:?}"),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&text);
}

#[test]
fn tokens_are_those_of_kubernetes() {
    let token = ContinueToken { revision: Some(7), last: "a/b".to_owned() };
    expect!["eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6Nywic3RhcnQiOiJhL2JcdTAwMDAifQ"].assert_eq(&token.encode());
    assert_eq!(ContinueToken::decode(&token.encode()), Ok(token));
    let newest = ContinueToken { revision: None, last: String::new() };
    assert_eq!(ContinueToken::decode(&newest.encode()), Ok(newest));
}

#[test]
fn other_texts_are_refused() {
    check(
        r#"{"v": "meta.k8s.io/v1", "rv": 1, "start": "a\u0000"}"#,
        &expect![[r#"ContinueToken { revision: Some(1), last: "a" }"#]],
    );
    check(
        r#"{"v": "meta.k8s.io/v1", "rv": -5, "start": "\u0000"}"#,
        &expect![[r#"ContinueToken { revision: None, last: "" }"#]],
    );
    check(
        r#"{"v": "meta.k8s.io/v2", "rv": 1, "start": "a\u0000"}"#,
        &expect!["server does not recognize this encoded version: meta.k8s.io/v2"],
    );
    check(r#"{"v": "meta.k8s.io/v1", "rv": 1, "start": "a"}"#, &expect!["continue key is not valid"]);
    check(
        r#"{"v": "meta.k8s.io/v1", "rv": 1.5, "start": "a\u0000"}"#,
        &expect!["continue key is not valid: invalid type: floating point `1.5`, expected i64 at line 1 column 33"],
    );
    check("{", &expect!["continue key is not valid: EOF while parsing an object at line 1 column 1"]);
    expect!["continue key is not valid: Invalid padding"]
        .assert_eq(&ContinueToken::decode("zz").unwrap_err().to_string());
}
