use std::cell::{Cell, RefCell};
use std::time::Duration;

use expect_test::expect;
use jiff::SignedDuration;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::renewal::pause;
use super::*;

/// A certificate for ten days from this day of December 2026 on.
fn issue(day: u64) -> (Vec<u8>, Vec<u8>) {
    let mut params = CertificateParams::new(vec!["here".to_owned()]).unwrap();
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    params.not_before = date_time_ymd(2026, 11, 30) + days(day);
    params.not_after = params.not_before + days(10);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem().into_bytes(), key.serialize_pem().into_bytes())
}

fn identity() -> Arc<RotatingIdentity> {
    let (certificate, key) = issue(1);
    RotatingIdentity::new(&certificate, &key, 0.8).unwrap()
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let identity = identity();
    let ((certificate, key), (_, other_key)) = (issue(2), issue(3));
    let before = identity.validity();
    let refused = [
        identity.replace(&certificate, &other_key),
        identity.replace(b"", &key),
        identity.replace(&certificate, b"nonsense"),
    ];
    expect![[r#"
        the certificate and its key cannot be used: keys may not be consistent: KeyMismatch
        the certificate cannot be read
        the certificate or its key is no PEM: no items found"#]]
    .assert_eq(&refused.map(|refused| refused.unwrap_err().to_string()).join("\n"));
    assert_eq!(identity.validity(), before);
    identity.replace(&certificate, &key).unwrap();
    assert_ne!(identity.validity(), before);
}

#[test]
fn figures_say_when_it_ends_and_when_it_should_be_renewed() {
    let mut text = String::new();
    identity().render("host", &mut text);
    expect![[r#"
        # TYPE coracle_certificate_expiration_seconds gauge
        coracle_certificate_expiration_seconds{certificate="host"} 1796947200
        # TYPE coracle_certificate_renewal_seconds gauge
        coracle_certificate_renewal_seconds{certificate="host"} 1796774400
    "#]]
    .assert_eq(&text);
}

#[test]
fn attempts_come_closer_as_the_end_does() {
    let hours = |hours| SignedDuration::from_hours(hours);
    let left = [hours(100), hours(1), SignedDuration::from_secs(30), SignedDuration::from_secs(2), -hours(1)];
    expect!["[600s, 360s, 3s, 1s, 2s]"].assert_eq(&format!("{:?}", left.map(|left| pause(left, 1))));
    let after = [0, 1, 5, 20].map(|failures| pause(-hours(1), failures));
    expect!["[1s, 2s, 32s, 600s]"].assert_eq(&format!("{after:?}"));
}

/// Keeps an identity renewed from `start` on for so many days, by a clock that goes with tokio's; gives what happened at which hour.
async fn kept(start: &str, days: u64, fails: impl Fn(usize) -> bool) -> String {
    let (identity, began) = (identity(), tokio::time::Instant::now());
    let start: Timestamp = start.parse().unwrap();
    let now = || start + began.elapsed();
    let (attempts, events) = (Cell::new(0), RefCell::new(Vec::new()));
    let renew = || async {
        attempts.set(attempts.get() + 1);
        if fails(attempts.get()) {
            events.borrow_mut().push(format!("{:.0} failed", now()));
            return Err("no server can be reached");
        }
        // Valid from the day it is asked for.
        let hours = now().duration_since("2026-11-30T00:00:00Z".parse().unwrap()).as_hours();
        let (certificate, key) = issue(hours.unsigned_abs() / 24);
        identity.replace(&certificate, &key).unwrap();
        events.borrow_mut().push(format!("{:.0} renewed", now()));
        Ok(())
    };
    let keeping = keep_renewed("test", identity.clone(), now, renew);
    let _ = tokio::time::timeout(Duration::from_secs(days * 24 * 60 * 60), keeping).await;
    events.into_inner().join("\n")
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_when_its_share_is_over_and_again_and_again() {
    expect![[r#"
        2026-12-09T00:00:00Z renewed
        2026-12-17T00:00:00Z renewed"#]]
    .assert_eq(&kept("2026-12-02T00:00:00Z", 20, |_| false).await);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_and_a_clock_that_was_set_back_is_no_end() {
    expect![[r#"
        2026-12-10T12:00:00Z failed
        2026-12-10T12:10:00Z failed
        2026-12-10T12:20:00Z renewed"#]]
    .assert_eq(&kept("2026-12-10T12:00:00Z", 2, |attempt| attempt < 3).await);
    expect!["2026-11-30T12:00:00Z renewed"].assert_eq(&kept("2026-11-30T12:00:00Z", 1, |attempt| attempt > 1).await);
}
