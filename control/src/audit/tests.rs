use std::os::unix::fs::PermissionsExt;

use expect_test::expect;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

fn entry<'a>(user: &'a User, annotations: &'a Annotations) -> Entry<'a> {
    Entry {
        id: "id",
        uri: "/api/v1/namespaces/default/secrets/s?dryRun=All",
        verb: "update",
        user,
        impersonated: None,
        source: Some("127.0.0.1".to_owned()),
        agent: Some("kubectl/v1.36.0"),
        object: Some(ObjectReference {
            resource: "secrets",
            namespace: Some("default"),
            name: Some("s"),
            api_version: "v1",
            ..ObjectReference::default()
        }),
        annotations,
        code: 403,
        received: "2026-11-21T10:00:00Z".parse().unwrap(),
        answered: "2026-11-21T10:00:00.25Z".parse().unwrap(),
    }
}

#[test]
fn an_event_says_who_did_what() {
    let user = User::authenticated("jane", []);
    expect![[r#"
        {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"id","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/secrets/s?dryRun=All","verb":"update","user":{"username":"jane","groups":["system:authenticated"]},"sourceIPs":["127.0.0.1"],"userAgent":"kubectl/v1.36.0","objectRef":{"resource":"secrets","namespace":"default","name":"s","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","code":403},"requestReceivedTimestamp":"2026-11-21T10:00:00.000000Z","stageTimestamp":"2026-11-21T10:00:00.250000Z"}
    "#]].assert_eq(std::str::from_utf8(&entry(&user, &Annotations::default()).line()).unwrap());
}

#[test]
fn an_event_shows_what_admission_noted() {
    let (user, annotations) = (User::authenticated("jane", []), Annotations::default());
    for value in ["a", "b", "a"] {
        annotations.add("policy/key".to_owned(), value.to_owned());
        annotations.add_violation(json!({ "message": "no" }));
    }
    let event: Value = serde_json::from_slice(&entry(&user, &annotations).line()).unwrap();
    expect![[
        r#"{"policy/key":"a, b","validation.policy.admission.k8s.io/validation_failure":"[{\"message\":\"no\"}]"}"#
    ]]
    .assert_eq(&event["annotations"].to_string());
}

#[test]
fn full_files_are_put_aside_and_the_oldest_go() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.log");
    let user = User::authenticated("jane", []);
    let line = entry(&user, &Annotations::default()).line().len() as u64;
    for _ in 0..8 {
        // Each opening appends; each line fills a file.
        let (audit, writer) = Audit::with_limit(&path, line + 1).unwrap();
        audit.note(&entry(&user, &Annotations::default()));
        drop(audit);
        writer.join().unwrap();
    }
    let mut names: Vec<String> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.join(" "), "audit.log audit.log.1 audit.log.2 audit.log.3 audit.log.4");
    for name in names {
        let metadata = fs::metadata(dir.path().join(name)).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (line, 0o600));
    }
}
