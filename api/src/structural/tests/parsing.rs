//! What keeps a schema from being structural.

use expect_test::{Expect, expect};

use super::{Schema, lines, value};

fn check(schema: &str, expected: Expect) {
    let mut errors = Vec::new();
    Schema::parse(&value(schema), "schema", &mut errors);
    expected.assert_eq(&lines(&errors));
}

/// A schema whose field `x` is this one.
fn check_field(schema: &str, expected: Expect) {
    check(&format!("{{type: object, properties: {{x: {schema}}}}}"), expected);
}

#[test]
fn types_are_stated() {
    check("{type: object}", expect![""]);
    check(
        "{}",
        expect![[r#"
        schema.type: Required value: must not be empty at the root
    "#]],
    );
    check(
        "{type: array, items: {type: string}}",
        expect![[r#"
        schema.type: Invalid value: "array": must be object at the root
    "#]],
    );
    check(
        "{type: object, nullable: true, default: {}}",
        expect![[r#"
        schema.nullable: Forbidden: nullable cannot be true at the root
        schema.default: Forbidden: must not be set at the root
    "#]],
    );
    check_field(
        "{}",
        expect![[r#"
        schema.properties[x].type: Required value: must not be empty for specified object fields
    "#]],
    );
    check_field(
        "{type: 'null'}",
        expect![[r#"
        schema.properties[x].type: Forbidden: type cannot be set to null, use nullable as an alternative
        schema.properties[x].type: Required value: must not be empty for specified object fields
    "#]],
    );
    check_field(
        "{type: float}",
        expect![[r#"
        schema.properties[x].type: Unsupported value: "float": supported values: "array", "boolean", "integer", "number", "object", "string"
        schema.properties[x].type: Required value: must not be empty for specified object fields
    "#]],
    );
    check_field(
        "{type: array}",
        expect![[r#"
        schema.properties[x].items: Required value: must be specified
    "#]],
    );
    check_field(
        "{type: array, items: {}}",
        expect![[r#"
        schema.properties[x].items.type: Required value: must not be empty for specified array items
    "#]],
    );
    check_field(
        "{type: object, additionalProperties: {}}",
        expect![[r#"
        schema.properties[x].additionalProperties.type: Required value: must not be empty for specified object fields
    "#]],
    );
    check_field(
        "{type: string, x-kubernetes-int-or-string: true}",
        expect![[r#"
        schema.properties[x].type: Invalid value: "string": must be empty if x-kubernetes-int-or-string is true
    "#]],
    );
    check_field("{x-kubernetes-int-or-string: true}", expect![[""]]);
    check_field("{x-kubernetes-preserve-unknown-fields: true}", expect![[""]]);
    check_field(
        "{type: object, x-kubernetes-preserve-unknown-fields: false}",
        expect![[r#"
        schema.properties[x].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined
    "#]],
    );
    check_field(
        "{type: string, x-kubernetes-embedded-resource: true}",
        expect![[r#"
        schema.properties[x].type: Invalid value: "string": must be object if x-kubernetes-embedded-resource is true
        schema.properties[x].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields
    "#]],
    );
    check_field(
        "{type: object, x-kubernetes-embedded-resource: true}",
        expect![[r#"
        schema.properties[x].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields
    "#]],
    );
}

#[test]
fn what_is_too_much_is_forbidden() {
    check_field(
        "{$ref: '#/x', definitions: {}, dependencies: {}, type: string}",
        expect![[r#"
        schema.properties[x].$ref: Forbidden: $ref is not supported
        schema.properties[x].definitions: Forbidden: definitions is not supported
        schema.properties[x].dependencies: Forbidden: dependencies is not supported
    "#]],
    );
    check_field(
        "{type: object, patternProperties: {}, id: a}",
        expect![[r#"
        schema.properties[x].id: Forbidden: id is not supported
        schema.properties[x].patternProperties: Forbidden: patternProperties is not supported
    "#]],
    );
    check_field(
        "{type: array, items: {type: string}, uniqueItems: true, additionalItems: true}",
        expect![[r#"
        schema.properties[x].additionalItems: Forbidden: additionalItems is not supported
        schema.properties[x].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic
    "#]],
    );
    check_field(
        "{type: array, items: [{type: string}]}",
        expect![[r#"
        schema.properties[x].items: Forbidden: items must be a schema object and not an array
        schema.properties[x].items: Required value: must be specified
    "#]],
    );
    check_field(
        "{type: object, additionalProperties: false}",
        expect![[r#"
        schema.properties[x].additionalProperties: Forbidden: additionalProperties cannot be set to false
    "#]],
    );
    check_field(
        "{type: object, properties: {a: {type: string}}, additionalProperties: {type: string}}",
        expect![[r#"
            schema.properties[x].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive
        "#]],
    );
    check_field(
        "{type: string, pattern: '('}",
        expect![[r#"
        schema.properties[x].pattern: Invalid value: "(": must be a valid regular expression, but isn't: unclosed group
    "#]],
    );
    check_field(
        "{type: integer, multipleOf: 0}",
        expect![[r#"
        schema.properties[x].multipleOf: Invalid value: 0.0: must be greater than 0
    "#]],
    );
}

#[test]
fn whole_objects_have_what_all_have() {
    check("{type: object, properties: {metadata: {type: object}, kind: {type: string}}}", expect![""]);
    check(
        "{type: object, properties: {metadata: {type: string}, apiVersion: {type: integer}}}",
        expect![[r#"
        schema.properties[apiVersion].type: Invalid value: "integer": must be string
        schema.properties[metadata].type: Invalid value: "string": must be object
    "#]],
    );
    check(
        "{type: object, properties: {metadata: {type: object, properties: {labels: {type: object}}}}}",
        expect![[r#"
        schema.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified
    "#]],
    );
    check(
        "{type: object, properties: {metadata: {type: object, properties: {name: {type: string, maxLength: 9}}}}}",
        expect![""],
    );
}

#[test]
fn rules_only_restrict() {
    check_field(
        "{type: object, properties: {a: {type: string}}, oneOf: [{required: [a]}, {properties: {a: {minLength: 1}}}]}",
        expect![""],
    );
    check_field(
        "{type: object, oneOf: [{properties: {b: {minLength: 1}}}]}",
        expect![[r#"
        schema.properties[x].properties[b]: Required value: because it is defined in schema.properties[x].oneOf[0].properties[b]
    "#]],
    );
    check_field(
        "{type: string, anyOf: [{type: string, description: d}], not: {default: 1}}",
        expect![[r#"
        schema.properties[x].anyOf[0].description: Forbidden: must be undefined to be structural
        schema.properties[x].not.default: Forbidden: must be undefined to be structural
        schema.properties[x].anyOf[0].type: Forbidden: must be empty to be structural
    "#]],
    );
    check_field("{x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}", expect![""]);
    check_field(
        "{type: object, allOf: [{not: {properties: {a: {items: {minLength: 1}}}}}]}",
        expect![[r#"
        schema.properties[x].properties[a]: Required value: because it is defined in schema.properties[x].allOf[0].not.properties[a]
    "#]],
    );
}

#[test]
fn lists_tell_items_apart() {
    check_field(
        "{type: string, x-kubernetes-list-type: set, x-kubernetes-map-type: atomic}",
        expect![[r#"
        schema.properties[x].type: Invalid value: "string": must be object if x-kubernetes-map-type is specified
        schema.properties[x].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified
    "#]],
    );
    check_field(
        "{type: array, items: {type: string}, x-kubernetes-list-type: bag}",
        expect![[r#"
        schema.properties[x].x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "map", "set"
    "#]],
    );
    check_field("{type: array, items: {type: string}, x-kubernetes-list-type: set}", expect![""]);
    check_field(
        "{type: array, items: {type: object}, x-kubernetes-list-type: set}",
        expect![[r#"
        schema.properties[x].items: Invalid value: "": items of a set must be atomic: set x-kubernetes-map-type or x-kubernetes-list-type of the items to atomic
    "#]],
    );
    check_field(
        "{type: array, items: {type: string}, x-kubernetes-list-type: map}",
        expect![[r#"
        schema.properties[x].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map
        schema.properties[x].items.type: Invalid value: "string": must be object if parent array's x-kubernetes-list-type is map
    "#]],
    );
    check_field(
        "{type: array, items: {type: object}, x-kubernetes-list-map-keys: [a]}",
        expect![[r#"
        schema.properties[x].x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty
    "#]],
    );
    check_field(
        "{type: array, items: {type: object, required: [a], properties: {a: {type: string}, b: {type: integer, default: 1}}}, \
         x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [a, b]}",
        expect![""],
    );
    check_field(
        "{type: array, items: {type: object, properties: {a: {type: object, nullable: true}}}, \
         x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [a, a, c]}",
        expect![[r#"
            schema.properties[x].items.properties[a].type: Invalid value: "object": must be a scalar type if parent array's x-kubernetes-list-type is map
            schema.properties[x].items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property
            schema.properties[x].items.properties[a].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable
            schema.properties[x].x-kubernetes-list-map-keys[1]: Duplicate value: "a"
            schema.properties[x].x-kubernetes-list-map-keys[2]: Invalid value: "c": entries must all be names of item properties
        "#]],
    );
}

#[test]
fn defaults_fit_their_schema() {
    check_field("{type: integer, minimum: 1, default: 3}", expect![""]);
    check_field(
        "{type: integer, minimum: 1, default: 0}",
        expect![[r#"
        schema.properties[x].default: Invalid value: 0: schema.properties[x].default in body should be greater than or equal to 1
    "#]],
    );
    check_field("{type: object, default: {}, properties: {a: {type: string, default: b}}, required: [a]}", expect![""]);
    check_field(
        "{type: object, default: {a: 1, b: 2}, properties: {a: {type: string}}}",
        expect![[r#"
        schema.properties[x].default: Invalid value: {"a":1,"b":2}: must not have fields that the schema does not know: b
        schema.properties[x].default.a: Invalid value: "integer": schema.properties[x].default.a in body must be of type string: "integer"
    "#]],
    );
    check_field("{type: string, nullable: true, default: null}", expect![""]);
}
