use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;

use super::{CERTIFICATE_LIFETIME, Identity, Pki, Signable};
use crate::Clock;
use crate::authentication::User;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

fn open(dir: &Path) -> Result<Pki, super::PkiError> {
    Pki::open_or_create(dir, Arc::new(Still), CERTIFICATE_LIFETIME)
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

#[test]
fn the_shorter_a_certificate_lasts_the_less_earlier_it_begins() {
    let dir = TempDir::new().unwrap();
    let validity = |identity: Identity| {
        let validity = identity.rotating(0.8).unwrap().validity();
        format!("{} to {}", validity.not_before, validity.not_after)
    };
    let of = |lifetime: SignedDuration| {
        let pki = Pki::open_or_create(dir.path(), Arc::new(Still), lifetime).unwrap();
        format!(
            "{}, the administrator's {}\n",
            validity(pki.issue_server(&[]).unwrap()),
            validity(pki.issue_admin().unwrap())
        )
    };
    expect![[r#"
        2026-11-20T10:00:00Z to 2026-11-28T10:00:00Z, the administrator's 2026-11-20T10:00:00Z to 2027-11-21T10:00:00Z
        2026-11-21T09:59:50Z to 2026-11-21T10:00:10Z, the administrator's 2026-11-20T10:00:00Z to 2027-11-21T10:00:00Z
    "#]]
    .assert_eq(&[CERTIFICATE_LIFETIME, SignedDuration::from_secs(10)].map(of).concat());
}

#[test]
fn a_renewed_certificate_is_for_the_same_names_whatever_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let pki = open(dir.path()).unwrap();
    let names = ["10.0.0.7".to_owned(), "fd00::7".to_owned(), "n1".to_owned()];
    let had = pki.issue_host("n1", &names).unwrap();
    let had = CertificateDer::from_pem_slice(had.certificate_pem.as_bytes()).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["kubernetes".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "admin");
    let asked = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let renewed = pki.renew_host(Signable::from_pem(&asked).unwrap(), "n1", "uid-1", &had).unwrap();
    let renewed_user = user(&renewed);
    assert_eq!((renewed_user.name.as_str(), renewed_user.uid.as_str()), ("system:node:n1", "uid-1"));
    let renewed = CertificateDer::from_pem_slice(renewed.as_bytes()).unwrap();
    assert_eq!(super::alternative_names(&renewed).unwrap(), names);
}
