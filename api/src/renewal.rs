//! How a host gets its next certificate: what it and an API server say to each other, on a connection that shows the one it has.

use serde::{Deserialize, Serialize};

/// Where it is asked for.
pub const PATH: &str = "/coracle/certificate";

/// The body of the request.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// A certificate signing request for the new key, PEM. Only the key is looked at.
    pub signing_request: String,
}

/// The answer.
#[derive(Clone, Serialize, Deserialize)]
pub struct Answer {
    /// The certificate, PEM: for the same host under the same names and addresses.
    pub certificate: String,
}
