//! Continue tokens: where the next page of a list starts, in the form that Kubernetes' servers give it.
//!
//! A client hands a token back as it got it; a changed one is no danger, since it names a place within the list asked for.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const VERSION: &str = "meta.k8s.io/v1";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    /// The revision of all pages; `None` for the newest, whatever it is.
    pub revision: Option<u64>,
    /// The last key of the page before, without the list's prefix.
    pub last: String,
}

/// Why a text is no token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ContinueTokenError {
    /// Not base64, or not JSON inside.
    #[error("continue key is not valid: {0}")]
    Malformed(String),
    /// Of another version than ours.
    #[error("server does not recognize this encoded version: {0}")]
    Version(String),
    /// The key doesn't end as ours do.
    #[error("continue key is not valid")]
    Key,
}

/// What is encoded.
#[derive(Serialize, Deserialize)]
struct Fields {
    v: String,
    /// -1 for the newest.
    rv: i64,
    /// The first key of the next page, or what comes before it: the last key and a NUL.
    start: String,
}

impl ContinueToken {
    /// The token's text, fit for a URL.
    pub fn encode(&self) -> String {
        let rv = self.revision.and_then(|revision| i64::try_from(revision).ok()).unwrap_or(-1);
        let fields = Fields { v: VERSION.to_owned(), rv, start: format!("{}\0", self.last) };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&fields).expect("invariant: a token is JSON"))
    }

    /// From a token's text, with or without padding.
    pub fn decode(text: &str) -> Result<ContinueToken, ContinueTokenError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text));
        let bytes = bytes.map_err(|error| ContinueTokenError::Malformed(error.to_string()))?;
        let fields: Fields =
            serde_json::from_slice(&bytes).map_err(|error| ContinueTokenError::Malformed(error.to_string()))?;
        if fields.v != VERSION {
            return Err(ContinueTokenError::Version(fields.v));
        }
        let last = fields.start.strip_suffix('\0').ok_or(ContinueTokenError::Key)?;
        Ok(ContinueToken { revision: u64::try_from(fields.rv).ok(), last: last.to_owned() })
    }
}

#[cfg(test)]
mod tests;
