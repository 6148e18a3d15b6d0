use std::fs;
use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::special::is_special;
use super::table::Field;
use super::*;
use crate::schema::{Definition, Shape};

mod errors;
mod shapes;

/// A field of bytes: text, a message, ….
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = varint_of(u64::from(number) << 3 | 2);
    out.extend(varint_of(content.len() as u64));
    out.extend(content);
    out
}

fn text(number: u8, content: &str) -> Vec<u8> {
    bytes(number, content.as_bytes())
}

fn message(number: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(number, &fields.concat())
}

fn varint(number: u8, value: u64) -> Vec<u8> {
    [varint_of(u64::from(number) << 3), varint_of(value)].concat()
}

fn varint_of(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A body with an object of a kind.
fn body(api_version: &str, kind: &str, fields: &[Vec<u8>]) -> Vec<u8> {
    let type_meta = message(1, &[text(1, api_version), text(2, kind)]);
    [PREFIX, &type_meta, &message(2, fields), &text(3, ""), &text(4, "")].concat()
}

fn check(body: &[u8], expected: &Expect) {
    let text = match read(body) {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&text);
}

/// What kubectl 1.37 sent to a server that wrote it down, and what it printed for the same command with
/// `--dry-run=client -o json`.
fn recorded() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/protobuf")
}

/// Without the empty objects that Go's JSON writes where a struct has nothing to say.
fn pruned(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, pruned(value)));
            Value::Object(fields.filter(|(_, value)| !value.is_null() && *value != Value::Object(Map::new())).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(pruned).collect()),
        other => other,
    }
}

#[test]
fn recorded_bodies_are_what_kubectl_prints() {
    let mut compared = 0;
    for entry in fs::read_dir(recorded()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(printed) = fs::read(path.with_extension("json")) else { continue };
        let ours = read(&fs::read(path.with_extension("bin")).unwrap()).unwrap();
        let theirs: Value = serde_json::from_slice(&printed).unwrap();
        assert_eq!(pruned(ours), pruned(theirs), "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 2 * 20, "{compared}");
}

#[test]
fn recorded_bodies_that_kubectl_never_prints() {
    let check = |name: &str, expected: &Expect| check(&fs::read(recorded().join(name)).unwrap(), expected);
    check(
        "token.bin",
        &expect![[
            r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["coracle"],"expirationSeconds":600},"status":{"expirationTimestamp":null,"token":""}}"#
        ]],
    );
    check(
        "can-i.bin",
        &expect![[
            r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"group":"apps","namespace":"team","resource":"deployments","verb":"create"}},"status":{"allowed":false}}"#
        ]],
    );
    check(
        "can-i-path.bin",
        &expect![[
            r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"nonResourceAttributes":{"path":"/healthz","verb":"get"}},"status":{"allowed":false}}"#
        ]],
    );
    check(
        "can-i-list.bin",
        &expect![[
            r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectRulesReview","spec":{"namespace":"default"},"status":{"incomplete":false}}"#
        ]],
    );
    check("whoami.bin", &expect![[r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#]]);
    check("drain.bin", &expect![[r#"{"apiVersion":"v1","kind":"DeleteOptions"}"#]]);
    check(
        "deployment.bin",
        &expect![[
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"app":"web"},"name":"web"},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"registry.example/web@sha256:0000000000000000000000000000000000000000000000000000000000000000","name":"web","ports":[{"containerPort":8080}]}]}}}}"#
        ]],
    );
}

/// Every field of every message is a field of the schema, and what it refers to has a message too.
fn check_fields(definition: &'static Definition, fields: &table::Fields) {
    for field in fields.values() {
        match field {
            Field::Inlined(fields) => check_fields(definition, fields),
            Field::Named { name, .. } => {
                let found = definition.field(name).unwrap_or_else(|| panic!("{}.{name}", definition.name));
                match found.shape.definition() {
                    Some(inner) if is_special(inner) => assert!(inner.name.contains(".v1.JSON"), "{}", inner.name),
                    Some(_) => {}
                    None => assert!(!matches!(found.shape, Shape::List(ref item) if matches!(**item, Shape::List(_)))),
                }
            }
        }
    }
}

#[test]
fn table_fits_the_schema() {
    for name in table::messages() {
        check_fields(schema::definition(name).unwrap_or_else(|| panic!("{name}")), table::message(name).unwrap());
    }
    for kind in crate::kinds::ALL {
        let definition = table::definition(&kind.api_version(), kind.kind);
        assert!(definition == Some(kind.definition) || kind.group == "coracle.dev", "{}", kind.kind);
    }
}
