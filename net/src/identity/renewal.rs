//! When a certificate is renewed, and when again if that fails.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::RotatingIdentity;

/// How long to wait at most before the clock is looked at again, which may have been set.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// How long to wait after an attempt: a tenth of the time that is left, within these.
const PAUSE_MIN: SignedDuration = SignedDuration::from_secs(1);
const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(10);

/// Keeps an identity good for as long as it is polled: `renew` replaces it when it is time, and is called again until it succeeds.
pub async fn keep_renewed<Error: Display, Renewed: Future<Output = Result<(), Error>>>(
    name: &'static str,
    identity: Arc<RotatingIdentity>,
    now: impl Fn() -> Timestamp,
    renew: impl Fn() -> Renewed,
) {
    let mut failures = 0;
    loop {
        let wait = until_due(&identity, now());
        if !wait.is_zero() {
            tokio::time::sleep(wait.min(LOOK_INTERVAL)).await;
            continue;
        }
        match renew().await {
            Ok(()) => {
                let until = identity.validity().not_after;
                tracing::info!(certificate = name, %until, "a certificate was renewed");
                failures = 0;
            }
            Err(error) => {
                let until = identity.validity().not_after;
                tracing::warn!(certificate = name, %until, %error, "a certificate could not be renewed");
                failures += 1;
            }
        }
        tokio::time::sleep(pause(identity.validity().not_after.duration_since(now()), failures)).await;
    }
}

/// How long there is nothing to do. A certificate that is not good so far is renewed at once: the clock was set back.
fn until_due(identity: &RotatingIdentity, now: Timestamp) -> Duration {
    if now < identity.validity().not_before {
        return Duration::ZERO;
    }
    identity.renewal().duration_since(now).try_into().unwrap_or(Duration::ZERO)
}

/// How long to wait after an attempt with so much time left; once there is none, twice as long after each failure in a row.
pub(super) fn pause(left: SignedDuration, failures: u32) -> Duration {
    let wanted = if left.is_positive() { left / 10 } else { PAUSE_MIN.saturating_mul(1 << failures.min(16)) };
    wanted.clamp(PAUSE_MIN, PAUSE_MAX).unsigned_abs()
}
