use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

fn check(errors: &[FieldError], expected: &Expect) {
    expected.assert_eq(&errors.iter().map(|error| format!("{error}\n")).collect::<String>());
}

#[test]
fn prints_field_errors() {
    check(
        &[
            FieldError::required("metadata.name", "name or generateName is required"),
            FieldError::required("spec.template.spec.containers", ""),
            FieldError::invalid("spec.replicas", -1, NOT_NEGATIVE),
            FieldError::invalid("metadata.name", "A\"b", "no"),
            FieldError::invalid("x", json!({"a": "b", "c": "d"}), "map"),
            FieldError::invalid("x", json!(["a", "b"]), "list"),
            FieldError::invalid("x", json!({"a": 1}), "other"),
            FieldError::invalid("x", json!(null), ""),
            FieldError::duplicate("spec.ports[1].name", "http"),
            FieldError::not_supported("spec.type", "X", &["ClusterIP", "NodePort"]),
            FieldError::forbidden("spec", "may not be changed"),
            FieldError::too_long("metadata.name", 63),
            FieldError::too_many("spec.hosts", 5, 4),
            FieldError::not_found("spec.volumes[0].name", "v"),
            FieldError::type_invalid("spec.x", 1.5, "must be a string"),
        ],
        &expect![[r#"
            metadata.name: Required value: name or generateName is required
            spec.template.spec.containers: Required value
            spec.replicas: Invalid value: -1: must be greater than or equal to 0
            metadata.name: Invalid value: "A\"b": no
            x: Invalid value: map[string]string{"a":"b", "c":"d"}: map
            x: Invalid value: []string{"a", "b"}: list
            x: Invalid value: {"a":1}: other
            x: Invalid value: null
            spec.ports[1].name: Duplicate value: "http"
            spec.type: Unsupported value: "X": supported values: "ClusterIP", "NodePort"
            spec: Forbidden: may not be changed
            metadata.name: Too long: may not be more than 63 bytes
            spec.hosts: Too many: 5: must have at most 4 items
            spec.volumes[0].name: Not found: "v"
            spec.x: Invalid value: 1.5: must be a string
        "#]],
    );
}

#[test]
fn prints_label_selectors() {
    let texts: String = [
        json!({}),
        json!({"matchLabels": {}}),
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "k", "operator": "In", "values": ["x", "y"]}, {"key": "k", "operator": "Exists"}]}),
    ]
    .iter()
    .map(|selector| FieldError::invalid("s", print_label_selector(selector), IMMUTABLE).to_string() + "\n")
    .collect();
    expect![[r#"
        s: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable
        s: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable
        s: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"a":"b"}, MatchExpressions:[]v1.LabelSelectorRequirement{v1.LabelSelectorRequirement{Key:"k", Operator:"In", Values:[]string{"x", "y"}}, v1.LabelSelectorRequirement{Key:"k", Operator:"Exists", Values:[]string(nil)}}}: field is immutable
    "#]].assert_eq(&texts);
}

#[test]
fn each_text_once() {
    let twice = [FieldError::required("a", ""), FieldError::required("a", "")];
    assert_eq!(aggregate(&twice), "a: Required value");
    assert_eq!(aggregate(&[]), "[]");
}

fn check_names(rule: fn(&str) -> Vec<String>, texts: &[&str], expected: &Expect) {
    let line = |text: &&str| format!("{:.20?}: {:?}\n", text, rule(text));
    expected.assert_eq(&texts.iter().map(line).collect::<String>());
}

#[test]
fn names_follow_their_rules() {
    let long = "a".repeat(64);
    let longer = "a".repeat(254);
    check_names(
        dns1123_label,
        &["a", "a-1", "1", "", "-a", "a-", "A", "a.b", "ä", &long],
        &expect![[r#"
        "a": []
        "a-1": []
        "1": []
        "": ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        "-a": ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        "a-": ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        "A": ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        "a.b": ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        "ä": ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": ["must be no more than 63 bytes"]
    "#]],
    );
    check_names(
        dns1123_subdomain,
        &["a.b", "1.2", "a..b", ".a", "a_b", &longer],
        &expect![[r#"
        "a.b": []
        "1.2": []
        "a..b": ["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
        ".a": ["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
        "a_b": ["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": ["must be no more than 253 bytes"]
    "#]],
    );
    check_names(
        dns1035_label,
        &["a1", "1a", ""],
        &expect![[r#"
        "a1": []
        "1a": ["a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"]
        "": ["a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"]
    "#]],
    );
    check_names(
        wildcard_subdomain,
        &["*.a.b", "a.b", "*", "*.*.a"],
        &expect![[r#"
        "*.a.b": []
        "a.b": ["a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
        "*": ["a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
        "*.*.a": ["a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
    "#]],
    );
}

#[test]
fn label_keys_and_values_follow_their_rules() {
    let long = "a".repeat(64);
    check_names(
        qualified_name,
        &["a", "A.b_c", "x.io/A", "/a", "x.io/", "X/a", "a/b/c", "", "-a", &long],
        &expect![[r#"
            "a": []
            "A.b_c": []
            "x.io/A": []
            "/a": ["prefix part must be non-empty"]
            "x.io/": ["name part must be non-empty", "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"]
            "X/a": ["prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
            "a/b/c": ["a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
            "": ["name part must be non-empty", "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"]
            "-a": ["name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"]
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": ["name part must be no more than 63 bytes"]
        "#]],
    );
    check_names(
        label_value,
        &["", "A_b.c", "-a", "a b", &long],
        &expect![[r#"
        "": []
        "A_b.c": []
        "-a": ["a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"]
        "a b": ["a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"]
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": ["must be no more than 63 bytes"]
    "#]],
    );
}

#[test]
fn keys_ports_and_addresses_follow_their_rules() {
    check_names(
        config_key,
        &["a.b-C_d", ".a", "", ".", "..", "..a", "a/b"],
        &expect![[r#"
        "a.b-C_d": []
        ".a": []
        "": ["a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"]
        ".": ["must not be '.'"]
        "..": ["must not be '..'"]
        "..a": ["must not start with '..'"]
        "a/b": ["a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"]
    "#]],
    );
    check_names(
        env_var_name,
        &["A", "a.b-c", "a=b", "", "é"],
        &expect![[r#"
        "A": []
        "a.b-c": []
        "a=b": ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
        "": ["must be non-empty"]
        "é": ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    "#]],
    );
    check_names(
        port_name,
        &["http", "a-1", "1", "A", "a--b", "-a", "abcdefghijklmnop"],
        &expect![[r#"
        "http": []
        "a-1": []
        "1": ["must contain at least one letter (a-z)"]
        "A": ["must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)", "must contain at least one letter (a-z)"]
        "a--b": ["must not contain consecutive hyphens"]
        "-a": ["must not begin or end with a hyphen"]
        "abcdefghijklmnop": ["must be no more than 15 bytes"]
    "#]],
    );
    check_names(
        ip_address,
        &["10.0.0.1", "::1", "10.0.0", "x"],
        &expect![[r#"
        "10.0.0.1": []
        "::1": []
        "10.0.0": ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
        "x": ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    "#]],
    );
    check_names(
        quantity,
        &["1Gi", "1gb"],
        &expect![[r#"
        "1Gi": []
        "1gb": ["quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"]
    "#]],
    );
    assert_eq!((port(1), port(65535)), (vec![], vec![]));
    assert_eq!((port(0).len(), port(65536).len(), port(-1).len()), (1, 1, 1));
}
