//! Joining a cluster: the token that lets a machine in, and what it and an API server say to each other (`POST /join`).
//!
//! Deliberately absent: keys, connections, and what a certificate holds. Certificates are opaque text here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const SECRET_LENGTH: usize = 32;
const HASH_LENGTH: usize = 64;

/// What a machine becomes by joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It runs pods.
    Host,
    /// It is a member of the control plane.
    Server,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 2] = [Role::Host, Role::Server];

    /// As tokens have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Host => "host",
            Role::Server => "server",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Lets one machine in, once: `ROLE.ID.SECRET.HASH`. Whoever has it can join, so it has no `Debug` that shows it all.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the machine becomes.
    pub role: Role,
    /// The name of the `JoinToken` object.
    pub id: String,
    /// What only the token's holder knows, as 32 hexadecimal digits.
    pub secret: String,
    /// The [`hash`] of the cluster's CA certificate (DER): a server of another cluster is told nothing.
    pub ca_hash: String,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token { role, id, secret, ca_hash } = self;
        write!(f, "{role}.{id}.{secret}.{ca_hash}")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("role", &self.role).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A text that is no token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: {0}")]
pub struct TokenError(&'static str);

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Token, TokenError> {
        let parts: Vec<&str> = text.split('.').collect();
        let [role, id, secret, ca_hash] = parts[..] else {
            return Err(TokenError("it should have four parts, ROLE.ID.SECRET.HASH"));
        };
        let role = Role::ALL.into_iter().find(|known| known.as_str() == role);
        let role = role.ok_or(TokenError("its role should be host or server"))?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()) {
            return Err(TokenError("its id should be letters and digits"));
        }
        if !is_secret(secret) {
            return Err(TokenError("its secret should be 32 hexadecimal digits"));
        }
        if !is_hexadecimal(ca_hash, HASH_LENGTH) {
            return Err(TokenError("its last part should be 64 hexadecimal digits; is the end missing?"));
        }
        Ok(Token { role, id: id.to_owned(), secret: secret.to_owned(), ca_hash: ca_hash.to_owned() })
    }
}

/// Is this a secret as tokens and machines have them: 32 hexadecimal digits?
pub fn is_secret(text: &str) -> bool {
    is_hexadecimal(text, SECRET_LENGTH)
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The SHA-256 as 64 hexadecimal digits: of a secret, or of the CA's certificate.
pub fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The reason of the 401 that a host gets whose Node was deleted: its certificate is good for nothing more, and it has to join again.
pub const NODE_DELETED: &str = "NodeDeleted";

/// The body of `POST /join`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// What the machine wants to become.
    pub role: Role,
    /// The token's id.
    pub id: String,
    /// The token's secret.
    pub secret: String,
    /// The machine's own secret, which the token is bound to when it is first shown: 32 hexadecimal digits.
    pub joiner: String,
    /// The name it wants.
    pub name: String,
    /// Where other machines reach it.
    pub address: IpAddr,
    /// The port of its API, where it is to be a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A certificate signing request for its key, PEM. Only the key is looked at, and only a host's: servers hold the CA.
    pub signing_request: String,
    /// What time it has.
    pub time: Timestamp,
}

/// The answer: what the machine needs.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The cluster's CA certificate, PEM.
    pub ca: String,
    /// A host's own certificate, PEM; empty for a server.
    pub certificate: String,
    /// Host and port of the API servers.
    pub servers: Vec<String>,
    /// What makes a server a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<Membership>,
}

/// What a member of the control plane has that a host has not. Whoever has it holds the cluster.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// Its number in the group.
    pub member: u64,
    /// The files that make the cluster itself, by their paths in the data directory.
    pub files: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn tokens_are_printed_as_they_are_read() {
        let text = format!("host.4f1c2a9b7d.{}.{}", "0a".repeat(16), "f1".repeat(32));
        let token: Token = text.parse().unwrap();
        assert_eq!(token.to_string(), text);
        expect![[r#"Token { role: Host, id: "4f1c2a9b7d", .. }"#]].assert_eq(&format!("{token:?}"));
    }

    #[test]
    fn what_is_no_token_is_told_why() {
        let (secret, hash) = ("0a".repeat(16), "f1".repeat(32));
        let texts = [
            String::new(),
            format!("host.a.{secret}"),
            format!("guest.a.{secret}.{hash}"),
            format!("host.A/b.{secret}.{hash}"),
            format!("host.a.{secret}0.{hash}"),
            format!("host.a.{secret}.{}", &hash[1..]),
        ];
        let told: Vec<String> = texts.iter().map(|text| text.parse::<Token>().unwrap_err().to_string()).collect();
        expect![[r#"
            this is no join token: it should have four parts, ROLE.ID.SECRET.HASH
            this is no join token: it should have four parts, ROLE.ID.SECRET.HASH
            this is no join token: its role should be host or server
            this is no join token: its id should be letters and digits
            this is no join token: its secret should be 32 hexadecimal digits
            this is no join token: its last part should be 64 hexadecimal digits; is the end missing?"#]]
        .assert_eq(&told.join("\n"));
    }
}
