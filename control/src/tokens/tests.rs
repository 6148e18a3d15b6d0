use std::os::unix::fs::PermissionsExt;

use expect_test::expect;
use tempfile::TempDir;

use super::*;

fn claims() -> Claims {
    let reference = |name: &str| Reference { name: name.to_owned(), uid: format!("uid-of-{name}") };
    Claims {
        aud: vec![ISSUER.to_owned()],
        exp: 2000,
        iat: 1000,
        iss: ISSUER.to_owned(),
        jti: "id".to_owned(),
        bound: Bound {
            namespace: "default".to_owned(),
            pod: Some(reference("p")),
            secret: None,
            serviceaccount: reference("robot"),
        },
        nbf: 1000,
        sub: "system:serviceaccount:default:robot".to_owned(),
    }
}

#[test]
fn tokens_hold_kubernetes_claims() {
    let dir = TempDir::new().unwrap();
    let tokens = Tokens::open_or_create(dir.path()).unwrap();
    let token = tokens.issue(&claims());
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| BASE64.decode(part).unwrap()).collect();
    let header = String::from_utf8(parts[0].clone()).unwrap().replace(&tokens.key_id, "KEY");
    expect![[r#"{"alg":"ES256","kid":"KEY"}"#]].assert_eq(&header);
    expect![[r#"{"aud":["https://kubernetes.default.svc.cluster.local"],"exp":2000,"iat":1000,"iss":"https://kubernetes.default.svc.cluster.local","jti":"id","kubernetes.io":{"namespace":"default","pod":{"name":"p","uid":"uid-of-p"},"serviceaccount":{"name":"robot","uid":"uid-of-robot"}},"nbf":1000,"sub":"system:serviceaccount:default:robot"}"#]].assert_eq(std::str::from_utf8(&parts[1]).unwrap());
    assert_eq!(parts[2].len(), 64);
    assert_eq!(tokens.verify(&token).as_deref(), Some(&claims()));
    let mode = std::fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Tokens::open_or_create(dir.path()).unwrap();
    assert!(again.verify(&token).is_some(), "the key is kept");
}

#[test]
fn a_changed_token_is_none() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let tokens = Tokens::open_or_create(dir.path()).unwrap();
    let token = tokens.issue(&claims());
    for (index, byte) in token.bytes().enumerate() {
        let mut changed = token.clone().into_bytes();
        changed[index] = if byte == b'A' { b'B' } else { b'A' };
        assert_eq!(tokens.verify(std::str::from_utf8(&changed).unwrap()), None, "byte {index}");
    }
    for shortened in [&token[..token.len() - 1], &token[1..], "", ".", "..", "a.b.c"] {
        assert_eq!(tokens.verify(shortened), None);
    }
    let signed = token.rsplit_once('.').unwrap().0;
    let unsigned = BASE64.encode(r#"{"alg":"none","kid":""}"#) + "." + signed.split_once('.').unwrap().1 + ".";
    assert_eq!(tokens.verify(&unsigned), None, "no algorithm but ours");
    assert_eq!(Tokens::open_or_create(other.path()).unwrap().verify(&token), None, "another cluster's");
    let elsewhere = Claims { iss: "https://example.com".to_owned(), ..claims() };
    assert_eq!(tokens.verify(&tokens.issue(&elsewhere)), None, "another issuer's");
}

#[test]
fn a_damaged_key_is_named() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join(KEY_FILE), "nonsense").unwrap();
    let error = Tokens::open_or_create(dir.path()).err().unwrap().to_string();
    expect!["DIR/service-account.key is damaged (no items found): restore it, or remove it to make a new key (every token becomes invalid)"].assert_eq(&error.replace(&dir.path().display().to_string(), "DIR"));
}
