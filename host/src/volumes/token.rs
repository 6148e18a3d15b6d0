//! Tokens of service accounts in files: asked for of the API, bound to the pod, and renewed before they end.

use coracle_client::Client;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::payload::TokenKey;
use crate::runtime::PodIdentity;

/// How much of a token's life passes before it is renewed, in per cent; as the kubelet does it.
const RENEWED_AFTER_PERCENT: i32 = 80;
/// However long it lasts, a token is renewed so often.
const RENEWED_AFTER_MAX: SignedDuration = SignedDuration::from_hours(24);
/// Between a renewal that failed and the next.
const RETRY: SignedDuration = SignedDuration::from_secs(10);

/// A token.
#[derive(Clone)]
pub(super) struct Token {
    /// What is shown.
    pub(super) text: String,
    /// It is good until then.
    expires_at: Timestamp,
    /// A better one is asked for then.
    pub(super) renew_at: Timestamp,
}

impl Token {
    fn new(text: String, now: Timestamp, expires_at: Timestamp) -> Token {
        let lasts = now.duration_until(expires_at);
        let renew_after = (lasts / 100 * RENEWED_AFTER_PERCENT).min(RENEWED_AFTER_MAX);
        Token { text, expires_at, renew_at: now + renew_after }
    }

    /// Whether it is time for another.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.renew_at
    }

    /// No other was to be had: it is kept for as long as it is good; false when it isn't any more.
    pub(super) fn keep(&mut self, now: Timestamp) -> bool {
        self.renew_at = now + RETRY;
        now < self.expires_at
    }
}

/// Asks the API for a token of the pod's.
pub(super) async fn request(
    client: &Client,
    pod: &PodIdentity,
    key: &TokenKey,
    now: Timestamp,
) -> Result<Token, String> {
    let (account, audience, ttl_s) = key;
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", pod.namespace);
    let audiences: Vec<&str> = Some(audience.as_str()).filter(|audience| !audience.is_empty()).into_iter().collect();
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": ttl_s,
            "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid },
        },
    });
    let answer: Value = client.post(&path, &request).await.map_err(|error| error.to_string())?;
    let status = &answer["status"];
    let expires_at = status["expirationTimestamp"].as_str().and_then(|at| at.parse().ok());
    match (status["token"].as_str(), expires_at) {
        (Some(text), Some(expires_at)) => Ok(Token::new(text.to_owned(), now, expires_at)),
        _ => Err("the API server answered without a token".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_at_four_fifths_of_its_life_and_kept_until_its_end() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let mut token = Token::new("t".to_owned(), at(0), at(1000));
        assert!(!token.is_due(at(799)) && token.is_due(at(800)));
        assert!(token.keep(at(800)));
        assert!(!token.is_due(at(809)) && token.is_due(at(810)));
        assert!(!token.keep(at(1000)));
        let long = Token::new("t".to_owned(), at(0), at(1_000_000));
        assert_eq!(long.renew_at, at(24 * 60 * 60));
    }
}
