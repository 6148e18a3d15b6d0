//! Removes join tokens that nobody redeemed in time.

use jiff::Timestamp;

use super::{Outcome, delete};
use crate::driver::view::View;
use crate::driver::world::World;

/// Deletes a token that has expired, or asks to be woken when it does.
pub fn reconcile(world: &World, key: &str, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(token) = world.get(key).filter(|token| token.meta.deleting.is_none()) else { return outcome };
    match token.view {
        View::JoinToken(Some(expiration)) if expiration <= now => outcome.write(delete(token)),
        View::JoinToken(Some(expiration)) => outcome.wake(expiration),
        _ => {}
    }
    outcome
}

#[cfg(test)]
mod tests {
    use coracle_api::kinds::JOIN_TOKEN;
    use expect_test::expect;
    use serde_json::json;

    use crate::controllers::harness::Cluster;

    #[test]
    fn a_token_goes_when_its_time_is_over() {
        let mut cluster = Cluster::new();
        for (name, expiration) in [("short", "2026-11-21T05:00:00Z"), ("long", "2026-11-22T04:00:00Z")] {
            cluster.create(json!({
                "apiVersion": "coracle.dev/v1", "kind": "JoinToken", "metadata": {"name": name},
                "spec": {"role": "host", "expirationTimestamp": expiration, "secretHash": "0".repeat(64)},
            }));
        }
        let mut left = Vec::new();
        for seconds in [3599, 1, 23 * 3600 - 1, 1] {
            cluster.pass(seconds);
            left.push(format!("{:?}", cluster.keys(&JOIN_TOKEN)));
        }
        expect![[r#"
            ["jointokens.coracle.dev/long", "jointokens.coracle.dev/short"]
            ["jointokens.coracle.dev/long"]
            ["jointokens.coracle.dev/long"]
            []"#]]
        .assert_eq(&left.join("\n"));
    }
}
