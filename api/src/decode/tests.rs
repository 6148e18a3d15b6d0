use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn check(body: &str, content_type: ContentType, expected: &Expect) {
    let text = match decode(body.as_bytes(), content_type) {
        Ok(Decoded { value, duplicates }) => format!("{value} {duplicates:?}"),
        Err(error) => format!("{error}"),
    };
    expected.assert_eq(&text);
}

fn check_json(body: &str, expected: &Expect) {
    check(body, ContentType::Json, expected);
}

fn check_yaml(body: &str, expected: &Expect) {
    check(body, ContentType::Yaml, expected);
}

#[test]
fn reads_json() {
    check_json(
        r#" {"a": [1, -2, 1.5, 18446744073709551615, true, null, "é\u00e9"]} "#,
        &expect![[r#"{"a":[1,-2,1.5,18446744073709551615,true,null,"éé"]} []"#]],
    );
    check_json("{", &expect!["couldn't get version/kind; json parse error: unexpected end of JSON input"]);
    check_json("", &expect!["couldn't get version/kind; json parse error: unexpected end of JSON input"]);
    check_json(
        "{\"a\": 1,\n \"b\": tru}",
        &expect!["couldn't get version/kind; json parse error: expected ident at line 2 column 10"],
    );
    check_json(
        "{} {}",
        &expect!["couldn't get version/kind; json parse error: trailing characters at line 1 column 4"],
    );
    check_json("[1]", &expect!["couldn't get version/kind; json parse error: expected an object, found a list"]);
    check_json(
        "{\"a\": 1e999}",
        &expect!["couldn't get version/kind; json parse error: number out of range at line 1 column 11"],
    );
}

#[test]
fn numbers_keep_their_value() {
    let decoded = decode(br#"{"a": 922337203685477585477585477585477585475854775854775854775807}"#, ContentType::Json);
    let value = decoded.unwrap().value;
    assert_eq!(decode(value.to_string().as_bytes(), ContentType::Json).unwrap().value, value);
}

#[test]
fn notes_duplicate_keys() {
    check_json(
        r#"{"spec": {"replicas": 1, "replicas": 2}, "x": [{"y": 0}, {"y": 1, "y": 2}], "spec2": 1}"#,
        &expect![[r#"{"spec":{"replicas":2},"spec2":1,"x":[{"y":0},{"y":2}]} ["spec.replicas", "x[1].y"]"#]],
    );
    check_json(r#"{"a": {"b": 1, "b": 2}, "a": {"b": 3, "b": 4}}"#, &expect![[r#"{"a":{"b":4}} ["a.b", "a.b", "a"]"#]]);
    check_yaml("spec:\n  replicas: 1\n  replicas: 2\n", &expect![[r#"{"spec":{"replicas":2}} ["spec.replicas"]"#]]);
}

#[test]
fn reads_yaml() {
    check_yaml(
        "a: 1\nb: [yes, 'no', 0x10, 1e3, ~, 2001-01-01]\nc: |\n  x\n  y\n80: port\n",
        &expect![[r#"{"80":"port","a":1,"b":[true,"no",16,1000.0,null,"2001-01-01"],"c":"x\ny\n"} []"#]],
    );
    check_yaml(
        "base: &b {x: 1}\nother:\n  <<: *b\n  y: 2\n",
        &expect![[r#"{"base":{"x":1},"other":{"x":1,"y":2}} []"#]],
    );
    check_yaml("", &expect!["couldn't get version/kind; json parse error: expected an object, found null"]);
    check_yaml(
        "a: 1\n---\nb: 2\n",
        &expect![[r#"error converting YAML to JSON: line 3: a second document where one is expected"#]],
    );
    check_yaml(
        "a: [1\nb: 2",
        &expect!["error converting YAML to JSON: illegal placement of ':' indicator at line 2, column 2"],
    );
    check_yaml(
        "a: b: c",
        &expect!["error converting YAML to JSON: mapping values are not allowed in this context at line 1, column 5"],
    );
    check_yaml(
        "a: .nan",
        &expect![
            "error converting YAML to JSON: non-finite float `.nan` rejected by the configured policy at line 1, column 4"
        ],
    );
    check_yaml(
        "just text",
        &expect!["couldn't get version/kind; json parse error: expected an object, found a string"],
    );
}

#[test]
fn refuses_bombs() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(decode(nested(DEPTH_MAX - 1).as_bytes(), ContentType::Json).is_ok());
    assert_eq!(decode(nested(DEPTH_MAX).as_bytes(), ContentType::Json), Err(DecodeError::TooDeep));
    assert_eq!(decode(nested(1_000_000).as_bytes(), ContentType::Json), Err(DecodeError::TooDeep));
    assert!(decode(nested(1_000_000).as_bytes(), ContentType::Yaml).is_err());
    let mut aliases = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        aliases.push_str(&format!("a{level}: &a{level} [{}]\n", [previous.as_str(); 10].join(",")));
    }
    assert!(decode(aliases.as_bytes(), ContentType::Yaml).is_err());
}

#[test]
fn notes_only_so_many_duplicates() {
    let body = format!("{{{}\"a\": 1}}", "\"a\": 1, ".repeat(1000));
    assert_eq!(decode(body.as_bytes(), ContentType::Json).unwrap().duplicates.len(), 100);
}

#[test]
fn answers_as_kubernetes_does() {
    let check = |body: &[u8], expected: &Expect| {
        let error = decode(body, ContentType::Json).unwrap_err();
        expected.assert_eq(&error.to_status("ConfigMap", body).message);
    };
    check(
        b"{",
        &expect![
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({)"
        ],
    );
    check(
        b"",
        &expect![
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"
        ],
    );
    check(
        b"k8s\x00 and what follows is not JSON",
        &expect![
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: expected value at line 1 column 1 (6b38730020616e64207768617420666f6c6c6f7773206973206e6f74204a ...)"
        ],
    );
    let strict = strict_error(&["spec.foo".to_owned()], &["spec.replicas".to_owned()]).unwrap();
    expect![[r#"Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.foo", duplicate field "spec.replicas""#]].assert_eq(&unfit("apps/v1", "Deployment", "Deployment", &strict).message);
    assert_eq!(strict_error(&[], &[]), None);
}

#[test]
fn knows_its_media_types() {
    let parse = ContentType::parse;
    assert_eq!(parse("application/json; charset=utf-8"), Some(ContentType::Json));
    assert_eq!((parse(""), parse("Application/YAML")), (Some(ContentType::Json), Some(ContentType::Yaml)));
    assert_eq!(parse("application/vnd.kubernetes.protobuf"), Some(ContentType::Protobuf));
    assert_eq!(parse("text/plain"), None);
}

proptest! {
    #[test]
    fn decoding_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&body, ContentType::Json);
        let _ = decode(&body, ContentType::Yaml);
    }

    #[test]
    fn decoding_nearly_yaml_never_panics(body in "[a-c:{}\\[\\]&*<!|>'\"#%@~0-9.,\\- \n\t]{0,80}") {
        let _ = decode(body.as_bytes(), ContentType::Json);
        let _ = decode(body.as_bytes(), ContentType::Yaml);
        let _ = crate::yaml::parse_all(&body);
    }
}
