use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use expect_test::expect;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;

use super::Pki;
use crate::authentication::User;

fn open(dir: &Path) -> Result<Pki, super::PkiError> {
    Pki::open_or_create(dir, "2026-11-21T10:00:00Z".parse().unwrap())
}

fn user(pem: &str) -> User {
    User::from_certificate(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
}

#[test]
fn the_ca_is_kept() {
    let dir = TempDir::new().unwrap();
    let first = open(dir.path()).unwrap();
    let second = open(dir.path()).unwrap();
    assert_eq!(first.ca_pem(), second.ca_pem());
    for file in ["ca.key", "ca.crt"] {
        let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_crash_between_key_and_certificate_is_mended() {
    let dir = TempDir::new().unwrap();
    open(dir.path()).unwrap();
    fs::remove_file(dir.path().join("ca.crt")).unwrap();
    open(dir.path()).unwrap();
}

#[test]
fn a_lost_key_and_a_damaged_file_are_named() {
    let dir = TempDir::new().unwrap();
    open(dir.path()).unwrap();
    let key = fs::read(dir.path().join("ca.key")).unwrap();
    let shown = |result: Result<Pki, super::PkiError>| {
        result.err().unwrap().to_string().replace(&dir.path().display().to_string(), "DIR")
    };
    fs::write(dir.path().join("ca.key"), "nonsense").unwrap();
    expect![
        "DIR/ca.key is damaged: restore it, or remove DIR to make a new CA (every kubeconfig must then be fetched anew)"
    ]
    .assert_eq(&shown(open(dir.path())));
    fs::remove_file(dir.path().join("ca.key")).unwrap();
    expect!["DIR/ca.key is missing beside DIR/ca.crt: restore it, or remove both to make a new CA (every kubeconfig must then be fetched anew)"].assert_eq(&shown(open(dir.path())));
    fs::write(dir.path().join("ca.key"), key).unwrap();
    fs::write(dir.path().join("ca.crt"), "nonsense").unwrap();
    expect![
        "DIR/ca.crt is damaged: restore it, or remove DIR to make a new CA (every kubeconfig must then be fetched anew)"
    ]
    .assert_eq(&shown(open(dir.path())));
}

#[test]
fn certificates_name_their_user() {
    let dir = TempDir::new().unwrap();
    let pki = open(dir.path()).unwrap();
    let names = ["127.0.0.1".to_owned()];
    expect![[r#"User { name: "admin", uid: "", groups: ["system:masters", "system:authenticated"], extra: {} }"#]]
        .assert_eq(&format!("{:?}", user(&pki.issue_admin().unwrap().certificate_pem)));
    expect![[
        r#"User { name: "system:node:n1", uid: "", groups: ["system:nodes", "system:authenticated"], extra: {} }"#
    ]]
    .assert_eq(&format!("{:?}", user(&pki.issue_host("n1", &names).unwrap().certificate_pem)));
    assert_eq!(User::from_certificate(&CertificateDer::from(vec![1, 2, 3])), User::anonymous());
}
