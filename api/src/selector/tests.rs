use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::{FieldSelector, LabelSelector};

fn check(texts: &[&str], expected: &Expect) {
    let line = |text: &&str| match LabelSelector::parse(text) {
        Ok(selector) => format!("{text:?} -> {selector}\n"),
        Err(error) => format!("{text:?} !! {error}\n"),
    };
    expected.assert_eq(&texts.iter().map(line).collect::<String>());
}

#[test]
fn parses_label_selectors() {
    check(
        &[
            "",
            "a",
            "!a",
            "a=b",
            "a==b",
            "a!=b",
            " a = b , c != d ",
            "a in (x,y)",
            "a notin (y, x)",
            "a in (x)",
            "a=",
            "a=,b",
            "a in (,x)",
            "a in ()",
            "a>1",
            "a<2",
            "in in (in)",
            "example.com/name=v",
        ],
        &expect![[r#"
            "" -> 
            "a" -> a
            "!a" -> !a
            "a=b" -> a=b
            "a==b" -> a=b
            "a!=b" -> a!=b
            " a = b , c != d " -> a=b,c!=d
            "a in (x,y)" -> a in (x,y)
            "a notin (y, x)" -> a notin (x,y)
            "a in (x)" -> a=x
            "a=" -> a=
            "a=,b" -> a=,b
            "a in (,x)" -> a in (,x)
            "a in ()" -> a=
            "a>1" -> a>1
            "a<2" -> a<2
            "in in (in)" -> in=in
            "example.com/name=v" -> example.com/name=v
        "#]],
    );
}

#[test]
fn complains_as_kubernetes_does() {
    check(
        &[
            "a in", "a in x", "a in (", "a in (x", "a b", "a,", ",a", "=a", "!", "!a=b", "a=b=c", "a>x", "a=b)", "a=-",
            "-/x", "a/b/c=d",
        ],
        &expect![[r#"
            "a in" !! unable to parse requirement: found '' expected: '('
            "a in x" !! unable to parse requirement: found 'x' expected: '('
            "a in (" !! unable to parse requirement: found '', expected: ',', ')' or identifier
            "a in (x" !! unable to parse requirement: found '', expected: ',' or ')'
            "a b" !! unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt
            "a," !! found '', expected: identifier after ','
            ",a" !! unable to parse requirement: found ',', expected: identifier
            "=a" !! unable to parse requirement: found '=', expected: identifier
            "!" !! unable to parse requirement: found '', expected: identifier
            "!a=b" !! found '=', expected: ',' or 'end of string'
            "a=b=c" !! found '=', expected: ',' or 'end of string'
            "a>x" !! unable to parse requirement: values[0]: Invalid value: "x": for 'Gt', 'Lt' operators, the value must be an integer
            "a=b)" !! found ')', expected: ',' or 'end of string'
            "a=-" !! unable to parse requirement: values[0][a]: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            "-/x" !! unable to parse requirement: key: Invalid value: "-/x": prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            "a/b/c=d" !! unable to parse requirement: key: Invalid value: "a/b/c": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')
        "#]],
    );
}

#[test]
fn matches_labels() {
    let object = json!({"metadata": {"labels": {"app": "web", "tier": "3"}}});
    for text in [
        "",
        "app",
        "app=web",
        "app!=db",
        "app in (db,web)",
        "other!=x",
        "!other",
        "other notin (a)",
        "tier>2",
        "tier<4",
    ] {
        assert!(LabelSelector::parse(text).unwrap().matches(&object), "{text}");
    }
    for text in ["!app", "app=db", "app!=web", "app notin (web)", "other", "other=x", "tier>3", "app<3", "app,other"] {
        assert!(!LabelSelector::parse(text).unwrap().matches(&object), "{text}");
    }
    assert_eq!(LabelSelector::parse("tier,app=web").unwrap().equals("app"), Some("web"));
}

#[test]
fn reads_the_form_of_workloads() {
    let value = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["1", "2"]}, {"key": "old", "operator": "DoesNotExist"}]});
    expect!["app=web,tier in (1,2),!old"].assert_eq(&LabelSelector::from_value(&value).unwrap().to_string());
    assert!(!LabelSelector::from_value(&json!(null)).unwrap().matches(&json!({})));
    assert!(LabelSelector::from_value(&json!({})).unwrap().matches(&json!({})));
    for expression in [
        json!({"key": "a", "operator": "In"}),
        json!({"key": "a", "operator": "Exists", "values": ["x"]}),
        json!({"key": "a", "operator": "Like"}),
        json!({"operator": "Exists"}),
    ] {
        assert!(LabelSelector::from_value(&json!({"matchExpressions": [expression]})).is_err());
    }
}

fn check_fields(texts: &[&str], expected: &Expect) {
    let object = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "a,b", "flag": true}});
    let line = |text: &&str| match FieldSelector::parse(text) {
        Ok(selector) => match selector.check(&["spec.nodeName", "spec.flag"]) {
            Ok(()) => format!("{text:?} {}\n", selector.matches(&object)),
            Err(error) => format!("{text:?} !! {error}\n"),
        },
        Err(error) => format!("{text:?} !! {error}\n"),
    };
    expected.assert_eq(&texts.iter().map(line).collect::<String>());
}

#[test]
fn selects_by_fields() {
    check_fields(
        &[
            "",
            "metadata.name=p",
            "metadata.name==p,metadata.namespace!=m",
            "metadata.name!=p",
            r"spec.nodeName=a\,b",
            "spec.flag=true",
            "data.x=1",
            "metadata.name",
            "metadata.name=a=b",
            r"metadata.name=\x",
        ],
        &expect![[r#"
            "" true
            "metadata.name=p" true
            "metadata.name==p,metadata.namespace!=m" true
            "metadata.name!=p" false
            "spec.nodeName=a\\,b" true
            "spec.flag=true" true
            "data.x=1" !! "data.x" is not a known field selector: only "metadata.name", "metadata.namespace", "spec.nodeName", "spec.flag"
            "metadata.name" !! invalid selector: 'metadata.name'; can't understand 'metadata.name'
            "metadata.name=a=b" !! invalid field selector: unescaped character in value: =
            "metadata.name=\\x" !! invalid field selector: invalid escape sequence: \x
        "#]],
    );
}

#[test]
fn names_the_fields_there_are() {
    let error = FieldSelector::parse("data.x=1").unwrap().check(&[]).unwrap_err();
    expect![[r#""data.x" is not a known field selector: only "metadata.name", "metadata.namespace""#]]
        .assert_eq(&error.to_string());
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[a-z/ ,=!()<>é]{0,40}") {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text);
    }

    #[test]
    fn what_is_printed_reads_back(text in "[a-c](=[a-c]|!=[a-c]| in \\([a-c],[a-c]\\)| notin \\([a-c],[a-c]\\)|)(,!?[d-f]){0,3}") {
        let selector = LabelSelector::parse(&text).unwrap();
        prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
    }
}
