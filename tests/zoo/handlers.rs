//! Handlers that mean ill.

use coracle_tests::eventually;
use expect_test::{Expect, expect};

use crate::Cage;

/// Asks for the same three times at once, and that three times: none may harm the neighbour, all are answered alike, and nothing but these requests
/// fails. An Event tells why.
fn check(path: &str, reason: &str, expected: Expect) {
    let cage = Cage::with_handler("");
    let answers: Vec<_> = (0..3).flat_map(|_| cage.provoke_at_once(path, 3)).collect();
    assert_eq!(cage.provoke("/"), (200, "tame\n".to_owned()));
    let without_id = |text: &str| text.split(" (request ").next().unwrap_or_default().trim_end().to_owned();
    let mut answers: Vec<_> = answers.iter().map(|(status, text)| format!("{status} {}\n", without_id(text))).collect();
    answers.sort();
    answers.dedup();
    expected.assert_eq(&answers.concat());
    eventually("an Event tells of it", || {
        let described = cage.cluster.kubectl(&["describe", "pods", "-l", "app=zoo"]).ok();
        assert!(described.contains("Restart Count:  0\n"), "{described}");
        described.contains(&format!("  Warning  {reason} ")).then_some(())
    });
    cage.end_unharmed();
}

#[test]
fn loops_for_ever() {
    check(
        "/spin",
        "DeadlineExceeded",
        expect![[r#"
        504 no response within 3 s
    "#]],
    );
}

#[test]
fn traps() {
    check(
        "/trap",
        "Trapped",
        expect![[r#"
        500 the component failed: wasm `unreachable` instruction executed
    "#]],
    );
}

#[test]
fn calls_itself() {
    check(
        "/recursion",
        "Trapped",
        expect![[r#"
        500 the component failed: call stack exhausted
    "#]],
    );
}

#[test]
fn takes_all_memory() {
    check(
        "/memory",
        "OOMKilled",
        expect![[r#"
        500 the component failed: memory limit of 64Mi exceeded
    "#]],
    );
}

#[test]
fn takes_all_handles() {
    check(
        "/handles",
        "Trapped",
        expect![[r#"
        500 the component failed: it holds as many handles as an instance may have: files, connections, streams
    "#]],
    );
}

#[test]
fn wants_two_gigabytes_of_chance() {
    check(
        "/random",
        "Trapped",
        expect![[r#"
        500 the component failed: requested len 2147483648 exceeds limit 67108864
    "#]],
    );
}

#[test]
fn hands_over_a_long_field() {
    check(
        "/long-field",
        "Trapped",
        expect![[r#"
        500 the component failed: too much data is being copied between the host and the guest: fuel allocated for hostcalls has been exhausted
    "#]],
    );
}

#[test]
fn hands_over_many_fields() {
    check(
        "/many-fields",
        "Trapped",
        expect![[r#"
        500 the component failed: total size of fields exceeds limit
    "#]],
    );
}

#[test]
fn answers_with_headers_without_end() {
    check(
        "/headers",
        "Trapped",
        expect![[r#"
        500 the component failed: total size of fields exceeds limit
    "#]],
    );
}

#[test]
fn prints_without_end() {
    check(
        "/output",
        "DeadlineExceeded",
        expect![[r#"
        504 no response within 3 s
    "#]],
    );
}

#[test]
fn calls_others_without_end() {
    let cage = Cage::with_handler("");
    for (status, text) in cage.provoke_at_once("/calls?hello", 4) {
        let failed = text.strip_prefix("5000 calls, ").and_then(|rest| rest.strip_suffix(" failed\n"));
        let failed: u32 = failed.unwrap_or_else(|| panic!("{status} {text}")).parse().unwrap();
        assert!(failed > 1_000, "no more than some are made at once: {text}");
    }
    cage.end_unharmed();
}

#[test]
fn calls_what_it_may_not() {
    let cage = Cage::with_handler("*");
    let api = cage.cluster.address("api").to_owned();
    let told = ["169.254.169.254", "127.0.0.1:1", "localhost:1", "[::1]:1", "[fe80::1]:1", &api].map(|authority| {
        format!(
            "{}: {}",
            if authority == api { "api" } else { authority },
            cage.provoke(&format!("/call?{authority}")).1
        )
    });
    expect![[r#"
        169.254.169.254: Some(Ok(Err(ErrorCode::HttpRequestDenied)))
        127.0.0.1:1: Some(Ok(Err(ErrorCode::HttpRequestDenied)))
        localhost:1: Some(Ok(Err(ErrorCode::DestinationIpProhibited)))
        [::1]:1: Some(Ok(Err(ErrorCode::HttpRequestDenied)))
        [fe80::1]:1: Some(Ok(Err(ErrorCode::HttpRequestDenied)))
        api: Some(Ok(Err(ErrorCode::HttpRequestDenied)))
    "#]]
    .assert_eq(&told.concat());
    cage.end_unharmed();
}
