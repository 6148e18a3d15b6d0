//! Rules in CEL.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{Schema, lines, value};

fn parse(field: &str, errors: &mut Vec<crate::validation::FieldError>) -> Schema {
    Schema::parse(&value(&format!("{{type: object, properties: {{x: {field}}}}}")), "schema", errors)
}

fn check_rules(rules: &str, expected: Expect) {
    let mut errors = Vec::new();
    let field = format!("{{type: object, properties: {{n: {{type: integer}}}}, x-kubernetes-validations: [{rules}]}}");
    parse(&field, &mut errors);
    expected.assert_eq(&lines(&errors));
}

/// What is wrong with a value of this schema, once it replaces another.
fn check(field: &str, new: &str, old: Option<&str>, expected: Expect) {
    let mut errors = Vec::new();
    let schema = parse(field, &mut errors);
    assert_eq!(lines(&errors), "");
    let object = |x: &str| value(&format!("{{x: {x}}}"));
    let old: Option<Value> = old.map(object);
    schema.validate(&object(new), old.as_ref(), &mut errors);
    expected.assert_eq(&lines(&errors));
}

/// A definition may have been stored by a version that took it.
#[test]
fn a_rule_that_does_not_compile_holds_of_nothing() {
    let mut errors = Vec::new();
    let schema = parse("{type: integer, x-kubernetes-validations: [{rule: 'self.forgotten() > 1'}]}", &mut errors);
    assert!(lines(&errors).contains("compilation failed"), "{errors:?}");
    errors.clear();
    schema.validate(&value("{x: 1}"), None, &mut errors);
    expect![[r#"
        x: Invalid value: "integer": rule does not compile: ERROR: <input>:1:6: undeclared reference to 'forgotten' (in container '')
         | self.forgotten() > 1
         | .....^
    "#]].assert_eq(&lines(&errors));
}

#[test]
fn rules_speak_of_known_fields() {
    let check = |field: &str, rule: &str, expected: Expect| {
        let mut errors = Vec::new();
        let rules = format!("[{{rule: {rule:?}, messageExpression: 'string(self.n)'}}]");
        let n = "n: {type: integer}, a-b: {type: object, properties: {c: {type: string}}}";
        parse(
            &format!("{{type: object, properties: {{{n}, {field}}}, x-kubernetes-validations: {rules}}}"),
            &mut errors,
        );
        expected.assert_eq(&lines(&errors));
    };
    let list = "l: {type: array, items: {type: object, properties: {m: {type: integer}}}}";
    check(list, "self.n > 1 && has(self.a__dash__b.c) && self.l.all(one, one.whatever > 1)", expect![""]);
    check(
        list,
        "self.m > 1",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.m > 1": compilation failed: ERROR: <input>:1:5: undefined field 'm'
         | self.m > 1
         | ....^
    "#]],
    );
    check(
        list,
        "has(self.a__dash__b.d) && oldSelf.n == 1",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "has(self.a__dash__b.d) && oldSelf.n == 1": compilation failed: ERROR: <input>:1:1: undefined field 'd'
         | has(self.a__dash__b.d) && oldSelf.n == 1
         | ^
    "#]],
    );
    check(
        list,
        "self.n.m == 1",
        expect![[r#"
            schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.n.m == 1": compilation failed: ERROR: <input>:1:5: type 'int' does not support field selection
             | self.n.m == 1
             | ....^
        "#]],
    );
    check(
        list,
        "self.l.exists(self, self.m == 1) && self.?m.hasValue()",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.l.exists(self, self.m == 1) && self.?m.hasValue()": compilation failed: ERROR: <input>:1:41: undefined field 'm'
         | self.l.exists(self, self.m == 1) && self.?m.hasValue()
         | ........................................^
    "#]],
    );
    check(
        "o: {type: object, additionalProperties: {type: object, properties: {p: {type: string}}}}",
        "self.o.key.p == self.o.key.q",
        expect![[r#"
            schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.o.key.p == self.o.key.q": compilation failed: ERROR: <input>:1:27: undefined field 'q'
             | self.o.key.p == self.o.key.q
             | ..........................^
        "#]],
    );
    check(
        "k: {type: object, x-kubernetes-preserve-unknown-fields: true}",
        "has(self.k) && self.k.any.thing == 1",
        expect![[r#"
            schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "has(self.k) && self.k.any.thing == 1": compilation failed: ERROR: <input>:1:22: undefined field 'any'
             | has(self.k) && self.k.any.thing == 1
             | .....................^
        "#]],
    );
    check(
        "r: {type: object, x-kubernetes-embedded-resource: true, properties: {spec: {type: object}}}",
        "self.r.metadata.name == 'a' && self.r.specs == 1",
        expect![[r#"
            schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.r.metadata.name == 'a' && self.r.specs == 1": compilation failed: ERROR: <input>:1:38: undefined field 'specs'
             | self.r.metadata.name == 'a' && self.r.specs == 1
             | .....................................^
        "#]],
    );
}

#[test]
fn rules_are_compiled_first() {
    check_rules("{rule: 'self.n > 1'}", expect![""]);
    check_rules(
        "{rule: ''}",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].rule: Required value: rule is not specified
    "#]],
    );
    check_rules(
        "{rule: 'self.n >'}",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.n >": compilation failed: ERROR: <input>:1:9: Syntax error: mismatched input '<EOF>' expecting an expression
         | self.n >
         | ........^
    "#]],
    );
    check_rules(
        "{rule: 'other > 1'}",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "other > 1": compilation failed: ERROR: <input>:1:1: undeclared reference to 'other' (in container '')
         | other > 1
         | ^
    "#]],
    );
    check_rules(
        "{rule: '\"text\"'}",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "\"text\"": cel expression must evaluate to a bool
    "#]],
    );
    check_rules(
        "{rule: 'true', messageExpression: '1'}",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].messageExpression: Invalid value: "1": messageExpression must evaluate to a string
    "#]],
    );
    check_rules(
        "{rule: 'true', messageExpression: 'oldSelf'}",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].messageExpression: Invalid value: "oldSelf": compilation failed: ERROR: <input>:1:1: undeclared reference to 'oldSelf' (in container '')
         | oldSelf
         | ^
    "#]],
    );
    check_rules(
        "{rule: 'true', reason: Because, fieldPath: .m, message: \"a\\nb\"}",
        expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].message: Invalid value: "a\nb": message must not contain line breaks
        schema.properties[x].x-kubernetes-validations[0].reason: Unsupported value: "Because": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"
        schema.properties[x].x-kubernetes-validations[0].fieldPath: Invalid value: ".m": fieldPath must be a valid path of fields that the schema describes, such as .spec.replicas
    "#]],
    );
    check_rules("{rule: 'true', reason: FieldValueForbidden, fieldPath: .n}", expect![""]);
}

#[test]
fn values_are_judged() {
    let spec = "{type: object, properties: {min: {type: integer}, max: {type: integer}}, \
                x-kubernetes-validations: [{rule: self.min <= self.max, message: min is too large, fieldPath: .min}]}";
    check(spec, "{min: 1, max: 2}", None, expect![""]);
    check(
        spec,
        "{min: 3, max: 2}",
        None,
        expect![[r#"
        x.min: Invalid value: "object": min is too large
    "#]],
    );
    check(spec, "{min: 3, max: 2}", Some("{min: 3, max: 2}"), expect![""]);
    check(
        spec,
        "{min: 3}",
        None,
        expect![[r#"
        x.min: Invalid value: "object": no such key: max evaluating rule: min is too large
    "#]],
    );
    check(
        spec,
        "{min: a, max: 2}",
        None,
        expect![[r#"
            x.min: Invalid value: "string": x.min in body must be of type integer: "string"
            <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation
        "#]],
    );
    check(
        "{type: string, x-kubernetes-validations: [{rule: self.startsWith('a')}]}",
        "b",
        None,
        expect![[r#"
        x: Invalid value: "string": failed rule: self.startsWith('a')
    "#]],
    );
    check(
        "{type: integer, x-kubernetes-validations: [{rule: self < 5, messageExpression: '\"found \" + string(self)'}]}",
        "7",
        None,
        expect![[r#"
            x: Invalid value: "integer": found 7
        "#]],
    );
    check(
        "{type: integer, x-kubernetes-validations: [{rule: self < 5, reason: FieldValueForbidden}]}",
        "7",
        None,
        expect![[r#"
            x: Forbidden: failed rule: self < 5
        "#]],
    );
    check(
        "{type: array, items: {type: integer, x-kubernetes-validations: [{rule: self < 5}]}}",
        "[1, 7]",
        None,
        expect![[r#"
            x[1]: Invalid value: "integer": failed rule: self < 5
        "#]],
    );
}

#[test]
fn changes_are_judged() {
    let fixed = "{type: string, x-kubernetes-validations: [{rule: self == oldSelf, message: never changes}]}";
    check(fixed, "a", None, expect![""]);
    check(fixed, "a", Some("a"), expect![""]);
    check(
        fixed,
        "b",
        Some("a"),
        expect![[r#"
        x: Invalid value: "string": never changes
    "#]],
    );
    let optional =
        "{type: integer, x-kubernetes-validations: [{rule: 'self > oldSelf.orValue(3)', optionalOldSelf: true}]}";
    check(optional, "4", None, expect![""]);
    check(
        optional,
        "2",
        None,
        expect![[r#"
        x: Invalid value: "integer": failed rule: self > oldSelf.orValue(3)
    "#]],
    );
    check(optional, "5", Some("4"), expect![""]);
    check(
        optional,
        "4",
        Some("5"),
        expect![[r#"
        x: Invalid value: "integer": failed rule: self > oldSelf.orValue(3)
    "#]],
    );
    let items = "{type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], \
                 items: {type: object, required: [name], properties: {name: {type: string}, n: {type: integer}}, \
                 x-kubernetes-validations: [{rule: self.n >= oldSelf.n}]}}";
    check(
        items,
        "[{name: b, n: 1}, {name: a, n: 1}]",
        Some("[{name: a, n: 2}]"),
        expect![[r#"
        x[1]: Invalid value: "object": failed rule: self.n >= oldSelf.n
    "#]],
    );
}

/// Values are of the types that their schemas say, formats among them.
#[test]
fn rules_see_typed_values() {
    let properties = "properties: {d: {type: string, format: duration}, t: {type: string, format: date-time}, day: {type: string, format: date}, \
                      b: {type: string, format: byte}, n: {type: number}, l: {type: array, items: {type: string, format: date}}, \
                      m: {type: object, additionalProperties: {type: integer}}, i: {x-kubernetes-int-or-string: true}}";
    let value = json!({
        "d": "2h", "t": "2026-01-02T03:04:05Z", "day": "2026-01-02", "b": "YWJj", "n": 3, "l": ["2025-12-31"], "m": { "a": 1 }, "i": 5,
    });
    for rule in [
        "self.d > duration('1h') && self.d.getHours() == 2",
        "self.t > timestamp('2026-01-01T00:00:00Z') && self.day.getFullYear() == 2026",
        "self.b == b'abc' && self.n * 2.0 == 6.0",
        "self.l.all(day, day < self.day) && self.l[0].getMonth() == 11",
        "self.m.a + 1 == 2 && self.m['a'] == 1 && self.i == 5",
    ] {
        let mut errors = Vec::new();
        let schema = parse(
            &format!("{{type: object, {properties}, x-kubernetes-validations: [{{rule: {rule:?}}}]}}"),
            &mut errors,
        );
        assert_eq!(lines(&errors), "", "{rule}");
        schema.validate(&json!({ "x": value }), None, &mut errors);
        assert_eq!(lines(&errors), "", "{rule}");
    }
    let refused = |rule: &str| {
        let mut errors = Vec::new();
        parse(&format!("{{type: object, {properties}, x-kubernetes-validations: [{{rule: {rule:?}}}]}}"), &mut errors);
        lines(&errors)
    };
    let wrong =
        ["self.n + 1 == 4.0", "self.d == '2h'", "self.day", "self.m.a == 'x'", "self.l[0] + 1 == 2"].map(refused);
    expect![[r#"
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.n + 1 == 4.0": compilation failed: ERROR: <input>:1:8: found no matching overload for '_+_' applied to '(double, int)'
         | self.n + 1 == 4.0
         | .......^
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.d == '2h'": compilation failed: ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(google.protobuf.Duration, string)'
         | self.d == '2h'
         | .......^
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.day": cel expression must evaluate to a bool
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.m.a == 'x'": compilation failed: ERROR: <input>:1:10: found no matching overload for '_==_' applied to '(int, string)'
         | self.m.a == 'x'
         | .........^
        schema.properties[x].x-kubernetes-validations[0].rule: Invalid value: "self.l[0] + 1 == 2": compilation failed: ERROR: <input>:1:11: found no matching overload for '_+_' applied to '(google.protobuf.Timestamp, int)'
         | self.l[0] + 1 == 2
         | ..........^
    "#]].assert_eq(&wrong.concat());
}

#[test]
fn rules_of_changes_need_a_value_that_was_there() {
    let check = |list: &str, rule: &str, expected: Expect| {
        let mut errors = Vec::new();
        let items = format!(
            "{{type: object, required: [k], properties: {{k: {{type: string}}}}, x-kubernetes-validations: [{{{rule}}}]}}"
        );
        parse(&format!("{{type: object, properties: {{l: {{type: array, {list} items: {items}}}}}}}"), &mut errors);
        expected.assert_eq(&lines(&errors));
    };
    let map = "x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k],";
    check(map, "rule: 'self.k == oldSelf.k'", expect![""]);
    check(
        "",
        "rule: 'self.k == oldSelf.k'",
        expect![[r#"
        schema.properties[x].properties[l].items.x-kubernetes-validations[0].rule: Invalid value: "self.k == oldSelf.k": oldSelf cannot be used on the uncorrelatable portion of the schema within schema.properties[x].properties[l]
    "#]],
    );
    check("", "rule: 'self.k != \"\"'", expect![""]);
    check(
        map,
        "rule: 'self.k != \"\"', optionalOldSelf: true",
        expect![[r#"
        schema.properties[x].properties[l].items.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule
    "#]],
    );
}
