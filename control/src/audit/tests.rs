use std::os::unix::fs::PermissionsExt;

use expect_test::expect;
use tempfile::TempDir;

use super::*;

fn entry(user: &User) -> Entry<'_> {
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
        violations: Vec::new(),
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
    "#]].assert_eq(std::str::from_utf8(&entry(&user).line()).unwrap());
}

#[test]
fn full_files_are_put_aside_and_the_oldest_go() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.log");
    let user = User::authenticated("jane", []);
    let line = entry(&user).line().len() as u64;
    for _ in 0..8 {
        // Each opening appends; each line fills a file.
        let (audit, writer) = Audit::with_limit(&path, line + 1).unwrap();
        audit.note(&entry(&user));
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
