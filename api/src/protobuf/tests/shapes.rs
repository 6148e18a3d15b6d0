//! What each type of field becomes.

use super::*;

fn config_map(fields: &[Vec<u8>]) -> Vec<u8> {
    body("v1", "ConfigMap", fields)
}

/// A pod whose only container has these fields besides its name.
fn container(fields: &[Vec<u8>]) -> Vec<u8> {
    let container = message(2, &[text(1, "c"), fields.concat()]);
    body("v1", "Pod", &[message(2, &[container])])
}

/// The schema of a custom kind, in its definition.
fn check_schema(schema: &[Vec<u8>], expected: &Expect) {
    let version = message(7, &[text(1, "v1"), message(4, &[message(1, schema)])]);
    let object = read(&body("apiextensions.k8s.io/v1", "CustomResourceDefinition", &[message(2, &[version])])).unwrap();
    expected.assert_eq(&object.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().to_string());
}

#[test]
fn maps_and_bytes() {
    let entry = |key: &str, value: &[u8]| message(2, &[text(1, key), bytes(2, value)]);
    let binary = message(3, &[text(1, "b"), bytes(2, &[0xff, 0xfe, 0])]);
    let empty = message(3, &[text(1, "nothing")]);
    check(
        &config_map(&[entry("a", b"1"), entry("b", b""), entry("a", b"2"), binary, empty]),
        &expect![[
            r#"{"apiVersion":"v1","binaryData":{"b":"//4A","nothing":""},"data":{"a":"2","b":""},"kind":"ConfigMap"}"#
        ]],
    );
    check(&config_map(&[message(2, &[])]), &expect![[r#"{"apiVersion":"v1","data":{"":""},"kind":"ConfigMap"}"#]]);
}

#[test]
fn zeros_stay_where_they_mean_something() {
    let deployment = |fields: &[Vec<u8>]| body("apps/v1", "Deployment", &[message(2, fields)]);
    check(
        &deployment(&[varint(1, 0), varint(5, 0), varint(7, 0), message(4, &[])]),
        &expect![[r#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":0}}"#]],
    );
    let pod = |fields: &[Vec<u8>]| body("v1", "Pod", &[message(2, fields)]);
    let volume = message(1, &[text(1, "v"), message(2, &[message(2, &[])])]);
    let context = message(14, &[varint(2, 0), varint(3, 0), message(1, &[])]);
    check(
        &pod(&[volume, context, varint(4, 0), varint(11, 0), text(3, ""), varint(21, 0)]),
        &expect![[
            r#"{"apiVersion":"v1","kind":"Pod","spec":{"automountServiceAccountToken":false,"securityContext":{"runAsNonRoot":false,"runAsUser":0,"seLinuxOptions":{}},"terminationGracePeriodSeconds":0,"volumes":[{"emptyDir":{},"name":"v"}]}}"#
        ]],
    );
    let variable = message(7, &[text(1, "A"), text(2, "")]);
    check(
        &container(&[text(2, ""), text(3, ""), variable, message(8, &[])]),
        &expect![[
            r#"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"command":[""],"env":[{"name":"A"}],"name":"c"}]}}"#
        ]],
    );
}

#[test]
fn inlined_messages_and_what_comes_twice() {
    let probe = message(10, &[message(1, &[message(2, &[text(1, "/"), message(2, &[varint(1, 0), varint(2, 80)])])])]);
    let reference = message(3, &[message(4, &[message(1, &[text(1, "s")]), text(2, "k")])]);
    check(
        &container(&[probe, message(7, &[text(1, "A"), reference])]),
        &expect![[
            r#"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"env":[{"name":"A","valueFrom":{"secretKeyRef":{"key":"k","name":"s"}}}],"livenessProbe":{"httpGet":{"path":"/","port":80}},"name":"c"}]}}"#
        ]],
    );
    let (first, second) = (message(1, &[text(1, "old"), text(3, "ns")]), message(1, &[text(1, "new")]));
    check(
        &config_map(&[first, second]),
        &expect![[r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new","namespace":"ns"}}"#]],
    );
}

#[test]
fn lists_of_numbers_packed_and_not() {
    let pod = |fields: &[Vec<u8>]| body("v1", "Pod", &[message(2, &[message(14, fields)])]);
    check(
        &pod(&[varint(4, 1), varint(4, u64::MAX)]),
        &expect![[r#"{"apiVersion":"v1","kind":"Pod","spec":{"securityContext":{"supplementalGroups":[1,-1]}}}"#]],
    );
    check(
        &pod(&[bytes(4, &[1, 0x80, 1, 0])]),
        &expect![[r#"{"apiVersion":"v1","kind":"Pod","spec":{"securityContext":{"supplementalGroups":[1,128,0]}}}"#]],
    );
}

#[test]
fn integers_or_strings() {
    let port = |fields: &[Vec<u8>]| {
        let port = message(1, &[varint(3, 80), message(4, fields)]);
        body("v1", "Service", &[message(2, &[port])])
    };
    check(
        &port(&[varint(1, 0), varint(2, 8080), text(3, "")]),
        &expect![[r#"{"apiVersion":"v1","kind":"Service","spec":{"ports":[{"port":80,"targetPort":8080}]}}"#]],
    );
    check(
        &port(&[varint(1, 1), varint(2, 0), text(3, "http")]),
        &expect![[r#"{"apiVersion":"v1","kind":"Service","spec":{"ports":[{"port":80,"targetPort":"http"}]}}"#]],
    );
    check(
        &port(&[varint(1, 0), varint(2, 0), text(3, "")]),
        &expect![[r#"{"apiVersion":"v1","kind":"Service","spec":{"ports":[{"port":80}]}}"#]],
    );
    check(
        &port(&[varint(1, 2)]),
        &expect!["Service: spec.ports[0].targetPort: impossible type 2 of an integer or string"],
    );
    check(
        &port(&[varint(2, u64::MAX)]),
        &expect![[r#"{"apiVersion":"v1","kind":"Service","spec":{"ports":[{"port":80,"targetPort":-1}]}}"#]],
    );
    check(&port(&[varint(2, 1 << 31)]), &expect!["Service: spec.ports[0].targetPort: 2147483648 overflows int32"]);
}

#[test]
fn quantities() {
    let limit = |quantity: &[Vec<u8>]| message(8, &[message(1, &[text(1, "cpu"), message(2, quantity)])]);
    check(
        &container(&[limit(&[text(1, "250m")])]),
        &expect![[
            r#"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"250m"}}}]}}"#
        ]],
    );
    check(
        &container(&[limit(&[])]),
        &expect![[
            r#"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"0"}}}]}}"#
        ]],
    );
}

#[test]
fn moments() {
    let metadata = |fields: &[Vec<u8>]| config_map(&[message(1, &[message(8, fields)])]);
    check(&metadata(&[]), &expect![[r#"{"apiVersion":"v1","kind":"ConfigMap"}"#]]);
    check(
        &metadata(&[varint(1, 0), varint(2, 0)]),
        &expect![[r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"creationTimestamp":"1970-01-01T00:00:00Z"}}"#]],
    );
    check(
        &metadata(&[varint(1, 1_700_000_000), varint(2, 999_999_999)]),
        &expect![[r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"creationTimestamp":"2023-11-14T22:13:20Z"}}"#]],
    );
    check(
        &metadata(&[varint(1, (-62_135_596_800_i64).cast_unsigned())]),
        &expect![[r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"creationTimestamp":"0001-01-01T00:00:00Z"}}"#]],
    );
    check(
        &metadata(&[varint(1, (-62_135_596_801_i64).cast_unsigned())]),
        &expect![
            "ConfigMap: metadata.creationTimestamp: -62135596801 seconds and 0 nanoseconds since 1970 are out of range"
        ],
    );
    check(
        &metadata(&[varint(1, i64::MAX.cast_unsigned())]),
        &expect![
            "ConfigMap: metadata.creationTimestamp: 9223372036854775807 seconds and 0 nanoseconds since 1970 are out of range"
        ],
    );
    check(
        &metadata(&[varint(2, 1_000_000_000)]),
        &expect![
            "ConfigMap: metadata.creationTimestamp: 0 seconds and 1000000000 nanoseconds since 1970 are out of range"
        ],
    );
    let lease = |fields: &[Vec<u8>]| body("coordination.k8s.io/v1", "Lease", &[message(2, &[message(4, fields)])]);
    check(
        &lease(&[varint(1, 1_700_000_000), varint(2, 123_456_789)]),
        &expect![[
            r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{"renewTime":"2023-11-14T22:13:20.123456Z"}}"#
        ]],
    );
    check(
        &lease(&[varint(1, 1_700_000_000)]),
        &expect![[
            r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{"renewTime":"2023-11-14T22:13:20.000000Z"}}"#
        ]],
    );
}

#[test]
fn json_inside() {
    let revision = |data: &[Vec<u8>]| body("apps/v1", "ControllerRevision", &[message(2, data), varint(3, 0)]);
    check(
        &revision(&[text(1, r#"{"spec": {"a": [1]}}"#)]),
        &expect![[r#"{"apiVersion":"apps/v1","data":{"spec":{"a":[1]}},"kind":"ControllerRevision","revision":0}"#]],
    );
    check(&revision(&[]), &expect![[r#"{"apiVersion":"apps/v1","kind":"ControllerRevision","revision":0}"#]]);
    check(
        &revision(&[text(1, "{")]),
        &expect!["ControllerRevision: data: invalid JSON: EOF while parsing an object at line 1 column 1"],
    );
    check(
        &revision(&[text(1, "{} {}")]),
        &expect!["ControllerRevision: data: invalid JSON: trailing characters at line 1 column 4"],
    );
    check(
        &revision(&[text(1, r#"{"a": {"b": 1, "b": 2}}"#)]),
        &expect![[r#"ControllerRevision: data: invalid JSON: duplicate field "a.b""#]],
    );
    let fields = message(17, &[text(1, "kubectl"), message(7, &[text(1, r#"{"f:data": {}}"#)])]);
    check(
        &config_map(&[message(1, &[fields])]),
        &expect![[
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[{"fieldsV1":{"f:data":{}},"manager":"kubectl"}]}}"#
        ]],
    );
}

#[test]
fn schemas_of_custom_kinds() {
    let object = text(5, "object");
    let number = |number: u8, value: f64| [vec![number << 3 | 1], value.to_le_bytes().to_vec()].concat();
    check_schema(
        &[object.clone(), number(9, 1.0), number(11, 0.5), varint(38, 1)],
        &expect![[r#"{"maximum":1,"minimum":0.5,"type":"object","x-kubernetes-preserve-unknown-fields":true}"#]],
    );
    check_schema(
        &[text(2, "http://s"), text(3, "#/r"), message(8, &[text(1, "null")])],
        &expect![[r##"{"$ref":"#/r","$schema":"http://s","default":null}"##]],
    );
    check_schema(&[message(20, &[text(1, r#""a""#)]), message(20, &[text(1, "1")])], &expect![[r#"{"enum":["a",1]}"#]]);
    let items = |fields: &[Vec<u8>]| [message(24, fields)];
    check_schema(&items(&[message(1, std::slice::from_ref(&object))]), &expect![[r#"{"items":{"type":"object"}}"#]]);
    check_schema(
        &items(&[message(2, std::slice::from_ref(&object)), message(2, &[])]),
        &expect![[r#"{"items":[{"type":"object"},{}]}"#]],
    );
    check_schema(&items(&[]), &expect![[r#"{"items":null}"#]]);
    let additional = |fields: &[Vec<u8>]| [message(30, fields)];
    check_schema(
        &additional(&[varint(1, 1), message(2, std::slice::from_ref(&object))]),
        &expect![[r#"{"additionalProperties":{"type":"object"}}"#]],
    );
    check_schema(&additional(&[varint(1, 1)]), &expect![[r#"{"additionalProperties":true}"#]]);
    check_schema(&additional(&[varint(1, 0)]), &expect![[r#"{"additionalProperties":false}"#]]);
    let depends = |fields: &[Vec<u8>]| [message(32, &[text(1, "a"), message(2, fields)])];
    check_schema(&depends(&[text(2, "b"), text(2, "c")]), &expect![[r#"{"dependencies":{"a":["b","c"]}}"#]]);
    check_schema(&depends(&[message(1, &[object])]), &expect![[r#"{"dependencies":{"a":{"type":"object"}}}"#]]);
}

#[test]
fn lists_in_maps() {
    let extra = message(5, &[text(1, "scopes"), message(2, &[text(1, "a"), text(1, "")])]);
    check(
        &body("authorization.k8s.io/v1", "SubjectAccessReview", &[message(2, &[extra])]),
        &expect![[
            r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"extra":{"scopes":["a",""]}}}"#
        ]],
    );
}
