//! Tokens for service accounts: signed claims (JWT, ES256) that end with their time, their account, or what they are bound to.
//!
//! Deliberately absent: tokens kept in Secrets, and tokens that never expire.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use coracle_store::Snapshot;
use jiff::Timestamp;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::authentication::User;
use crate::private_file;

mod claims;

pub(crate) use claims::{Bound, Claims, Reference};

/// Who issues the tokens, and whom they are for unless their owner says otherwise.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

const KEY_FILE: &str = "service-account.key";
const ALGORITHM: &str = "ES256";
/// How many tokens' signatures are remembered as good.
const VERIFIED_MAX: usize = 4096;
/// No token is longer; what is, isn't looked at.
const BYTES_MAX: usize = 16 * 1024;

/// Why the signing key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file can't be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no key.
    #[error("{path} is damaged ({cause}): restore it, or remove it to make a new key (every token becomes invalid)")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of this cluster.
    #[error("invalid bearer token")]
    Invalid,
    /// Its time is over, or has not come.
    #[error("service account token has expired")]
    Expired,
    /// It is meant for others.
    #[error("the token is for the audiences {found:?}, none of {wanted:?}")]
    Audience {
        /// Whom it is for.
        found: Vec<String>,
        /// Whom it was shown to.
        wanted: Vec<String>,
    },
    /// Its account, or what it is bound to, is gone.
    #[error("service account token has been invalidated: {0}")]
    Gone(String),
}

/// A user that a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Who.
    pub user: User,
    /// Which of the audiences asked for the token is meant for.
    pub audiences: Vec<String>,
}

/// Issues tokens and reads them.
pub struct Tokens {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
    /// Claims by the hash of the token whose signature was good: checking one costs more than the rest of most requests.
    verified: Mutex<HashMap<[u8; 32], Arc<Claims>>>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

impl Tokens {
    /// With the key in this folder; made when the folder has none.
    pub fn open_or_create(dir: &Path) -> Result<Tokens, TokensError> {
        let path = dir.join(KEY_FILE);
        let failed = |source| TokensError::File { path: path.clone(), source };
        let damaged = |cause: String| TokensError::Damaged { path: path.clone(), cause };
        let pem = match std::fs::read_to_string(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(dir).map_err(failed)?;
                let key = rcgen::KeyPair::generate().map_err(|error| failed(io::Error::other(error)))?;
                private_file::write(&path, key.serialize_pem().as_bytes()).map_err(failed)?;
                key.serialize_pem()
            }
            Err(error) => return Err(failed(error)),
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| damaged(error.to_string()))?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random)
            .map_err(|error| damaged(error.to_string()))?;
        let key_id = BASE64.encode(Sha256::digest(key.public_key()));
        Ok(Tokens { key, key_id, random, verified: Mutex::default() })
    }

    /// The token that says so.
    pub(crate) fn issue(&self, claims: &Claims) -> String {
        let header = Header { alg: ALGORITHM.to_owned(), kid: self.key_id.clone() };
        let encode =
            |bytes: serde_json::Result<Vec<u8>>| BASE64.encode(bytes.expect("invariant: claims are plain data"));
        let signed = format!("{}.{}", encode(serde_json::to_vec(&header)), encode(serde_json::to_vec(claims)));
        let signature = self.key.sign(&self.random, signed.as_bytes()).expect("invariant: the system has randomness");
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// The user that a token stands for, where it is meant for one of `audiences`, and all it speaks of is still there.
    pub fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Authenticated, TokenError> {
        let claims = self.verify(token).ok_or(TokenError::Invalid)?;
        claims.check(snapshot, now)?;
        let shared: Vec<String> = claims.aud.iter().filter(|own| audiences.contains(own)).cloned().collect();
        if shared.is_empty() {
            return Err(TokenError::Audience { found: claims.aud.clone(), wanted: audiences.to_vec() });
        }
        Ok(Authenticated { user: claims.user(), audiences: shared })
    }

    /// What a token says, where this cluster said so.
    fn verify(&self, token: &str) -> Option<Arc<Claims>> {
        if token.len() > BYTES_MAX {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(claims) = self.verified.lock().get(&hash) {
            return Some(Arc::clone(claims));
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        if header.alg != ALGORITHM || header.kid != self.key_id {
            return None;
        }
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key());
        public.verify(signed.as_bytes(), &BASE64.decode(signature).ok()?).ok()?;
        let claims: Claims = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
        let claims = Some(Arc::new(claims)).filter(|claims| claims.iss == ISSUER)?;
        let mut verified = self.verified.lock();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(hash, Arc::clone(&claims));
        Some(claims)
    }

    /// `/openid/v1/jwks`: the key that others check tokens with.
    pub(crate) fn key_set(&self) -> Value {
        // An uncompressed point: a byte that says so, and two numbers of 32 bytes.
        let point = self.key.public_key().as_ref();
        let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..65]));
        json!({ "keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": ALGORITHM, "x": x, "y": y,
        }] })
    }
}

/// `/.well-known/openid-configuration`: where that key is.
pub(crate) fn configuration() -> Value {
    json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    })
}

#[cfg(test)]
mod tests;
