//! Objects pruned, defaulted and judged.

use expect_test::{Expect, expect};
use serde_json::Value;

use super::{Schema, lines, value};

/// The schema of objects whose field `x` is this one.
fn schema(field: &str) -> Schema {
    let mut errors = Vec::new();
    let text = format!("{{type: object, properties: {{x: {field}, y: {{type: string}}}}}}");
    let schema = Schema::parse(&value(&text), "schema", &mut errors);
    assert_eq!(lines(&errors), "");
    schema
}

fn check_pruned(field: &str, object: &str, expected: Expect) {
    let mut object = value(object);
    let removed = schema(field).prune(&mut object);
    expected.assert_eq(&format!("{object} without {}", removed.join(" ")));
}

fn check_filled(field: &str, object: &str, expected: Expect) {
    let (mut object, schema) = (value(object), schema(field));
    schema.fill_defaults(&mut object);
    let filled = object.clone();
    schema.fill_defaults(&mut object);
    assert_eq!(object, filled, "filling in defaults is idempotent");
    expected.assert_eq(&filled.to_string());
}

fn check(field: &str, x: &str, expected: Expect) {
    check_update(field, x, None, expected);
}

fn check_update(field: &str, new: &str, old: Option<&str>, expected: Expect) {
    let object = |x: &str| value(&format!("{{apiVersion: a/v1, kind: A, metadata: {{name: n}}, x: {x}}}"));
    let old: Option<Value> = old.map(object);
    let mut errors = Vec::new();
    schema(field).validate(&object(new), old.as_ref(), &mut errors);
    expected.assert_eq(&lines(&errors));
}

#[test]
fn unknown_fields_go() {
    let spec = "{type: object, properties: {a: {type: string}, l: {type: array, items: {type: object, properties: {n: {type: string}}}}}}";
    check_pruned(
        spec,
        "{apiVersion: a/v1, kind: A, metadata: {name: o}, x: {a: b, c: d}, z: 1}",
        expect![[r#"{"apiVersion":"a/v1","kind":"A","metadata":{"name":"o"},"x":{"a":"b"}} without x.c z"#]],
    );
    check_pruned(
        spec,
        "{x: {l: [{n: b}, {n: c, m: d}, 7]}}",
        expect![[r#"{"x":{"l":[{"n":"b"},{"n":"c"},7]}} without x.l[1].m"#]],
    );
    check_pruned("{type: object}", "{x: {a: {b: c}}}", expect![[r#"{"x":{}} without x.a"#]]);
    check_pruned(
        "{type: object, additionalProperties: {type: object, properties: {a: {type: string}}}}",
        "{x: {any: {a: b, c: d}}}",
        expect![[r#"{"x":{"any":{"a":"b"}}} without x.any.c"#]],
    );
    check_pruned(
        "{type: object, additionalProperties: true}",
        "{x: {any: {a: b}}}",
        expect![[r#"{"x":{"any":{"a":"b"}}} without "#]],
    );
    check_pruned(
        "{type: object, x-kubernetes-preserve-unknown-fields: true, properties: {p: {type: object}}}",
        "{x: {free: {a: b}, p: {c: d}}}",
        expect![[r#"{"x":{"free":{"a":"b"},"p":{}}} without x.p.c"#]],
    );
    check_pruned(
        "{type: object, x-kubernetes-embedded-resource: true, properties: {spec: {type: object}}}",
        "{x: {apiVersion: v1, kind: P, metadata: {any: thing}, spec: {a: b}, other: 1}}",
        expect![[
            r#"{"x":{"apiVersion":"v1","kind":"P","metadata":{},"spec":{}}} without x.metadata.any x.other x.spec.a"#
        ]],
    );
    check_pruned(
        "{type: array, x-kubernetes-preserve-unknown-fields: true, items: {x-kubernetes-preserve-unknown-fields: true}}",
        "{x: [{a: b}, c]}",
        expect![[r#"{"x":[{"a":"b"},"c"]} without "#]],
    );
}

#[test]
fn defaults_fill_in() {
    let spec =
        "{type: object, properties: {n: {type: integer, default: 1}, m: {type: string, nullable: true, default: d}}}";
    check_filled(spec, "{x: {}}", expect![[r#"{"x":{"m":"d","n":1}}"#]]);
    check_filled(spec, "{}", expect!["{}"]);
    check_filled(spec, "{x: {n: null, m: null}}", expect![[r#"{"x":{"m":null,"n":1}}"#]]);
    check_filled(
        "{type: object, default: {}, properties: {n: {type: integer, default: 1}}}",
        "{}",
        expect![[r#"{"x":{"n":1}}"#]],
    );
    check_filled(
        "{type: array, items: {type: object, properties: {n: {type: integer, default: 1}}}}",
        "{x: [{}, {n: 2}]}",
        expect![[r#"{"x":[{"n":1},{"n":2}]}"#]],
    );
    check_filled(
        "{type: object, additionalProperties: {type: object, properties: {n: {type: integer, default: 1}}}}",
        "{x: {a: {}}}",
        expect![[r#"{"x":{"a":{"n":1}}}"#]],
    );
}

#[test]
fn types_hold() {
    check(
        "{type: integer}",
        "text",
        expect![[r#"
        x: Invalid value: "string": x in body must be of type integer: "string"
    "#]],
    );
    check("{type: integer}", "1.0", expect![""]);
    check(
        "{type: integer}",
        "1.5",
        expect![[r#"
        x: Invalid value: "number": x in body must be of type integer: "number"
    "#]],
    );
    check(
        "{type: string}",
        "null",
        expect![[r#"
        x: Invalid value: "null": x in body must be of type string: "null"
    "#]],
    );
    check("{type: string, nullable: true}", "null", expect![""]);
    check(
        "{type: boolean}",
        "[1]",
        expect![[r#"
        x: Invalid value: "array": x in body must be of type boolean: "array"
    "#]],
    );
    check(
        "{type: array, items: {type: string}}",
        "[a, 1, {b: c}]",
        expect![[r#"
        x[1]: Invalid value: "integer": x[1] in body must be of type string: "integer"
        x[2]: Invalid value: "object": x[2] in body must be of type string: "object"
    "#]],
    );
    check(
        "{type: object, additionalProperties: {type: string}}",
        "{a: b, c: 1}",
        expect![[r#"
        x.c: Invalid value: "integer": x.c in body must be of type string: "integer"
    "#]],
    );
    check("{x-kubernetes-int-or-string: true}", "50%", expect![""]);
    check(
        "{x-kubernetes-int-or-string: true}",
        "true",
        expect![[r#"
        x: Invalid value: "boolean": x in body must be of type integer,string: "boolean"
    "#]],
    );
    check(
        "{type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}",
        "{kind: ''}",
        expect![[r#"
        x.apiVersion: Required value: must not be empty
        x.kind: Required value: must not be empty
    "#]],
    );
}

#[test]
fn rules_of_plain_values_hold() {
    check(
        "{type: integer, minimum: 1, maximum: 10}",
        "0",
        expect![[r#"
        x: Invalid value: 0: x in body should be greater than or equal to 1
    "#]],
    );
    check(
        "{type: integer, minimum: 1, maximum: 10}",
        "11",
        expect![[r#"
        x: Invalid value: 11: x in body should be less than or equal to 10
    "#]],
    );
    check(
        "{type: integer, minimum: 1, exclusiveMinimum: true, maximum: 10, exclusiveMaximum: true}",
        "1",
        expect![[r#"
        x: Invalid value: 1: x in body should be greater than 1
    "#]],
    );
    check(
        "{type: integer, minimum: 1, exclusiveMinimum: true, maximum: 10, exclusiveMaximum: true}",
        "10",
        expect![[r#"
        x: Invalid value: 10: x in body should be less than 10
    "#]],
    );
    check("{type: number, multipleOf: 0.1}", "0.3", expect![""]);
    check(
        "{type: integer, multipleOf: 5}",
        "12",
        expect![[r#"
        x: Invalid value: 12: x in body should be a multiple of 5
    "#]],
    );
    check(
        "{type: string, minLength: 2, maxLength: 3}",
        "ä",
        expect![[r#"
        x: Invalid value: "ä": x in body should be at least 2 chars long
    "#]],
    );
    check(
        "{type: string, minLength: 2, maxLength: 3}",
        "abcd",
        expect![[r#"
        x: Too long: may not be more than 3 bytes
    "#]],
    );
    check(
        r"{type: string, pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'}",
        "'* * *'",
        expect![[r#"
        x: Invalid value: "* * *": x in body should match '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'
    "#]],
    );
    check(
        "{type: string, enum: [a, b]}",
        "c",
        expect![[r#"
        x: Unsupported value: "c": supported values: "a", "b"
    "#]],
    );
    check(
        "{type: integer, enum: [1, 2]}",
        "3",
        expect![[r#"
        x: Unsupported value: 3: supported values: "1", "2"
    "#]],
    );
    check(
        "{type: object, properties: {a: {type: string}, b: {type: string}}, required: [a, b]}",
        "{a: c}",
        expect![[r#"
        x.b: Required value
    "#]],
    );
    check(
        "{type: object, additionalProperties: {type: string}, minProperties: 1, maxProperties: 1}",
        "{}",
        expect![[r#"
        x: Invalid value: 0: x in body should have at least 1 properties
    "#]],
    );
    check(
        "{type: object, additionalProperties: {type: string}, minProperties: 1, maxProperties: 1}",
        "{a: b, c: d}",
        expect![[r#"
        x: Too many: 2: must have at most 1 item
    "#]],
    );
    check(
        "{type: array, items: {type: string}, minItems: 1, maxItems: 1}",
        "[]",
        expect![[r#"
        x: Invalid value: 0: x in body should have at least 1 items
    "#]],
    );
    check(
        "{type: array, items: {type: string}, minItems: 1, maxItems: 1}",
        "[a, b]",
        expect![[r#"
        x: Too many: 2: must have at most 1 item
    "#]],
    );
}

#[test]
fn formats_hold() {
    let mut shown = String::new();
    for (format, fits, unfit) in [
        ("date-time", "2026-11-21T10:00:00Z", "2026-11-21"),
        ("date", "2026-11-21", "2026-13-01"),
        ("duration", "1h30m", "1 parsec"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("ipv6", "fe80::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("mac", "00:1b:63:84:45:e6", "00:1b"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        ("byte", "aGk=", "a"),
        ("email", "a@example.org", "a.example.org"),
        ("hostname", "a-b.example.org", "-a.example.org"),
        ("uri", "https://example.org/a", "example"),
        ("hexcolor", "#ff00aa", "#ff00a"),
        ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
        ("rgbcolor", "rgb(0, 128,255)", "rgb(0,128,256)"),
        ("isbn", "978-3-16-148410-0", "978-3-16-148410-1"),
        ("isbn10", "0-8044-2957-X", "0-8044-2957-1"),
        ("isbn13", "9783161484100", "080442957X"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("creditcard", "3782-822463-10005", "9999 9999 9999 9995"),
        ("ssn", "111-22-3333", "111-222-333"),
        ("unheard-of", "anything", "at all"),
    ] {
        let judge = |text: &str| {
            let mut errors = Vec::new();
            let object = serde_json::json!({ "x": text });
            schema(&format!("{{type: string, format: {format}}}")).validate(&object, None, &mut errors);
            lines(&errors)
        };
        assert_eq!(judge(fits), "", "{format}");
        shown.push_str(&judge(unfit));
    }
    expect![[r##"
        x: Invalid value: "2026-11-21": x in body must be of type date-time: "2026-11-21"
        x: Invalid value: "2026-13-01": x in body must be of type date: "2026-13-01"
        x: Invalid value: "1 parsec": x in body must be of type duration: "1 parsec"
        x: Invalid value: "10.0.0": x in body must be of type ipv4: "10.0.0"
        x: Invalid value: "10.0.0.1": x in body must be of type ipv6: "10.0.0.1"
        x: Invalid value: "10.0.0.0/33": x in body must be of type cidr: "10.0.0.0/33"
        x: Invalid value: "00:1b": x in body must be of type mac: "00:1b"
        x: Invalid value: "123e4567": x in body must be of type uuid: "123e4567"
        x: Invalid value: "123e4567-e89b-12d3-a456-426614174000": x in body must be of type uuid4: "123e4567-e89b-12d3-a456-426614174000"
        x: Invalid value: "a": x in body must be of type byte: "a"
        x: Invalid value: "a.example.org": x in body must be of type email: "a.example.org"
        x: Invalid value: "-a.example.org": x in body must be of type hostname: "-a.example.org"
        x: Invalid value: "example": x in body must be of type uri: "example"
        x: Invalid value: "#ff00a": x in body must be of type hexcolor: "#ff00a"
        x: Invalid value: "507f": x in body must be of type bsonobjectid: "507f"
        x: Invalid value: "rgb(0,128,256)": x in body must be of type rgbcolor: "rgb(0,128,256)"
        x: Invalid value: "978-3-16-148410-1": x in body must be of type isbn: "978-3-16-148410-1"
        x: Invalid value: "0-8044-2957-1": x in body must be of type isbn10: "0-8044-2957-1"
        x: Invalid value: "080442957X": x in body must be of type isbn13: "080442957X"
        x: Invalid value: "4111 1111 1111 1112": x in body must be of type creditcard: "4111 1111 1111 1112"
        x: Invalid value: "9999 9999 9999 9995": x in body must be of type creditcard: "9999 9999 9999 9995"
        x: Invalid value: "111-222-333": x in body must be of type ssn: "111-222-333"
    "##]].assert_eq(&shown);
    check(
        "{type: integer, format: int32}",
        "2147483648",
        expect![[r#"
        x: Invalid value: 2147483648: x in body must be of type int32: 2147483648
    "#]],
    );
    check("{type: integer, format: int64}", "2147483648", expect![""]);
}

#[test]
fn alternatives_hold() {
    let either =
        "{type: object, properties: {a: {type: string}, b: {type: string}}, oneOf: [{required: [a]}, {required: [b]}]}";
    check(either, "{a: x}", expect![""]);
    check(
        either,
        "{}",
        expect![[r#"
        <nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found none valid
        x.a: Required value
    "#]],
    );
    check(
        either,
        "{a: x, b: z}",
        expect![[r#"
            <nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found 2 valid alternatives
        "#]],
    );
    check(
        "{type: string, anyOf: [{minLength: 5}, {pattern: '^a'}]}",
        "bc",
        expect![[r#"
        <nil>: Invalid value: "": "x" must validate at least one schema (anyOf)
        x: Invalid value: "bc": x in body should be at least 5 chars long
    "#]],
    );
    check(
        "{type: string, allOf: [{minLength: 5}, {pattern: '^a'}]}",
        "abc",
        expect![[r#"
        x: Invalid value: "abc": x in body should be at least 5 chars long
        <nil>: Invalid value: "": "x" must validate all the schemas (allOf)
    "#]],
    );
    check(
        "{type: string, not: {pattern: '^a'}}",
        "abc",
        expect![[r#"
        <nil>: Invalid value: "": "x" must not validate the schema (not)
    "#]],
    );
}

#[test]
fn items_are_told_apart() {
    check(
        "{type: array, items: {type: string}, x-kubernetes-list-type: set}",
        "[a, b, a]",
        expect![[r#"
        x[2]: Duplicate value: "a"
    "#]],
    );
    let map = "{type: array, items: {type: object, required: [name], properties: {name: {type: string}, port: {type: integer, maximum: 9}}}, \
               x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name]}";
    check(
        map,
        "[{name: a}, {name: b}, {name: a, port: 1}]",
        expect![[r#"
        x[2]: Duplicate value: map[string]string{"name":"a"}
    "#]],
    );
}

#[test]
fn what_stays_as_it_was_is_not_judged_again() {
    check_update("{type: integer, maximum: 5}", "9", Some("9"), expect![""]);
    check_update(
        "{type: integer, maximum: 5}",
        "8",
        Some("9"),
        expect![[r#"
        x: Invalid value: 8: x in body should be less than or equal to 5
    "#]],
    );
    let spec = "{type: object, properties: {old: {type: integer, maximum: 5}, new: {type: integer, maximum: 5}}}";
    check_update(
        spec,
        "{old: 9, new: 9}",
        Some("{old: 9}"),
        expect![[r#"
        x.new: Invalid value: 9: x.new in body should be less than or equal to 5
    "#]],
    );
    let map = "{type: array, items: {type: object, required: [name], properties: {name: {type: string}, port: {type: integer, maximum: 9}}}, \
               x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name]}";
    check_update(
        map,
        "[{name: b, port: 10}, {name: a, port: 10}]",
        Some("[{name: a, port: 10}]"),
        expect![[r#"
        x[0].port: Invalid value: 10: x[0].port in body should be less than or equal to 9
    "#]],
    );
}
