//! Joining a cluster with a token.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::config::ConfigError;

/// The hash by which tokens know a CA: of the first certificate in this PEM.
pub fn ca_hash(ca_pem: &[u8]) -> Result<String, ConfigError> {
    let certificate = CertificateDer::from_pem_slice(ca_pem)
        .map_err(|error| ConfigError::Identity { what: "the cluster's CA certificate", reason: error.to_string() })?;
    Ok(coracle_api::join::hash(&certificate))
}
