//! What is refused, and what is said of it.

use proptest::prelude::*;

use super::*;
use crate::decode::{self, ContentType, DEPTH_MAX};

fn pod(fields: &[Vec<u8>]) -> Vec<u8> {
    body("v1", "Pod", fields)
}

#[test]
fn envelopes() {
    check(b"", &expect!["the provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"]);
    check(
        b"{}",
        &expect!["the provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"],
    );
    check(b"k8s\0", &expect![[r#"no kind "" is registered for version "" in protobuf: send JSON"#]]);
    check(b"k8s\0\x0a\x05", &expect!["unexpected end of input"]);
    check(
        &body("v1", "Nothing", &[]),
        &expect![[r#"no kind "Nothing" is registered for version "v1" in protobuf: send JSON"#]],
    );
    check(
        &body("coracle.dev/v1", "Batch", &[]),
        &expect![[r#"no kind "Batch" is registered for version "coracle.dev/v1" in protobuf: send JSON"#]],
    );
    check(
        &[&pod(&[]), &text(3, "gzip")[..]].concat(),
        &expect![[r#"content encoding "gzip" is not supported: send the object uncompressed"#]],
    );
    check(
        &[&pod(&[]), &text(4, "application/json")[..]].concat(),
        &expect![[
            r#"content type "application/json" is not supported inside of application/vnd.kubernetes.protobuf: send the object as it is"#
        ]],
    );
    check(&[PREFIX, &message(1, &[bytes(1, &[0xff])])].concat(), &expect!["apiVersion: invalid UTF-8"]);
    check(&pod(&[]), &expect![[r#"{"apiVersion":"v1","kind":"Pod"}"#]]);
}

#[test]
fn malformed_fields_are_named() {
    let container = |fields: &[Vec<u8>]| pod(&[message(2, &[message(2, &[text(1, "a")]), message(2, fields)])]);
    check(&container(&[bytes(1, &[0xff])]), &expect!["Pod: spec.containers[1].name: invalid UTF-8"]);
    check(&container(&[varint(1, 1)]), &expect!["Pod: spec.containers[1].name: wrong wire type 0, expected 2"]);
    check(
        &container(&[vec![1 << 3 | 5, 0, 0, 0, 0]]),
        &expect!["Pod: spec.containers[1].name: wrong wire type 5, expected 2"],
    );
    check(&container(&[text(16, "true")]), &expect!["Pod: spec.containers[1].stdin: wrong wire type 2, expected 0"]);
    check(&container(&[vec![1 << 3 | 2, 9, b'c']]), &expect!["Pod: spec.containers[1]: unexpected end of input"]);
    check(&container(&[vec![1 << 3 | 2]]), &expect!["Pod: spec.containers[1]: unexpected end of input"]);
    check(&container(&[vec![1 << 3 | 3]]), &expect!["Pod: spec.containers[1]: wire type 3 is not supported"]);
    check(&container(&[vec![1 << 3 | 4]]), &expect!["Pod: spec.containers[1]: wire type 4 is not supported"]);
    check(&container(&[vec![1 << 3 | 7]]), &expect!["Pod: spec.containers[1]: wire type 7 is not supported"]);
    check(&container(&[vec![2, 0]]), &expect!["Pod: spec.containers[1]: illegal field number 0"]);
    check(&container(&[vec![0xff; 11]]), &expect!["Pod: spec.containers[1]: integer overflow"]);
    check(
        &container(&[vec![0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0]]),
        &expect!["Pod: spec.containers[1]: illegal field number 2305843009213693951"],
    );
    let labels = |fields: &[Vec<u8>]| pod(&[message(1, &[message(11, fields)])]);
    check(&labels(&[text(1, "app"), bytes(2, &[0xff])]), &expect!["Pod: metadata.labels.app: invalid UTF-8"]);
    check(&labels(&[bytes(1, &[0xff])]), &expect!["Pod: metadata.labels: invalid UTF-8"]);
    let infinite = [vec![9 << 3 | 1], f64::INFINITY.to_le_bytes().to_vec()].concat();
    let version = message(7, &[message(4, &[message(1, &[infinite])])]);
    check(
        &body("apiextensions.k8s.io/v1", "CustomResourceDefinition", &[message(2, &[version])]),
        &expect!["CustomResourceDefinition: spec.versions[0].schema.openAPIV3Schema.maximum: inf is no JSON number"],
    );
}

#[test]
fn unknown_fields_are_ignored() {
    let unknown =
        [text(14, "?"), varint(15, 1), vec![13 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0], vec![13 << 3 | 5, 0, 0, 0, 0]];
    check(&pod(&unknown), &expect![[r#"{"apiVersion":"v1","kind":"Pod"}"#]]);
}

/// A schema within a schema within …, each the `not` of the one around it.
fn nested(levels: usize) -> Vec<u8> {
    let innermost = text(5, "object");
    let schema = (0..levels).fold(innermost, |inner, _| bytes(28, &inner));
    let version = message(7, &[message(4, &[bytes(1, &schema)])]);
    body("apiextensions.k8s.io/v1", "CustomResourceDefinition", &[message(2, &[version])])
}

#[test]
fn depth_is_that_of_json() {
    // Around the outermost schema: the object, its spec, the list of versions, the version, and what holds its schema.
    let deepest = read(&nested(DEPTH_MAX - 6)).unwrap();
    assert_eq!(decode::decode(deepest.to_string().as_bytes(), ContentType::Json).unwrap().value, deepest);
    let error = read(&nested(DEPTH_MAX - 5)).unwrap_err();
    assert_eq!(error.problem(), &Problem::TooDeep);
    expect!["CustomResourceDefinition: spec.versions[0].schema.openAPIV3Schema.not.not.not.not.not.not.not.not.not.not.not.not.not.no"].assert_eq(&error.to_string()[..120]);
    assert_eq!(read(&nested(2_000)).unwrap_err().problem(), &Problem::TooDeep);
    let raw = |levels: usize| {
        let data = text(1, &format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        read(&body("apps/v1", "ControllerRevision", &[message(2, &[data])]))
    };
    assert!(raw(DEPTH_MAX - 1).is_ok());
    assert_eq!(raw(DEPTH_MAX).unwrap_err().problem(), &Problem::TooDeep);
}

#[test]
fn short_bodies_do_not_become_long_objects() {
    let ports = vec![message(6, &[varint(3, 1)]); 300_000].concat();
    let long = pod(&[message(2, &[message(2, &[ports])])]);
    let status = decode::decode(&long, ContentType::Protobuf).unwrap_err().to_status("Pod", &long);
    expect!["413 Request entity too large: limit is 3145728"].assert_eq(&format!("{} {}", status.code, status.message));
}

#[test]
fn failures_are_bad_requests() {
    let long = pod(&[varint(1, 1)]);
    let status = decode::decode(&long, ContentType::Protobuf).unwrap_err().to_status("Pod", &long);
    expect!["400 the object provided is unrecognized (must be of type Pod): Pod: metadata: wrong wire type 0, expected 2 (6b3873000a090a0276311203506f64120208011a002200)"].assert_eq(&format!("{} {}", status.code, status.message));
}

proptest! {
    /// Whatever the bytes, there is an answer; and every object is as good as one that came as JSON.
    #[test]
    fn every_body_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in ["Pod", "ConfigMap", "Service"] {
            if let Ok(object) = read(&body("v1", kind, std::slice::from_ref(&bytes))) {
                let json = decode::decode(object.to_string().as_bytes(), ContentType::Json).unwrap();
                prop_assert_eq!(&json.value, &object);
            }
        }
    }

    /// A body cut short is refused, unless the cut falls between two fields.
    #[test]
    fn truncated_bodies_are_read_or_refused(cut in 0_usize..307) {
        let whole = fs::read(recorded().join("deployment.bin")).unwrap();
        if let Err(error) = read(&whole[..cut]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
